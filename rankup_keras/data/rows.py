"""`Rows`: columns and labels, in the form that `fit` takes."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rankup_keras.features.autotuning import without_autotuner


class Rows(NamedTuple):
    """Raw columns and labels of some rows.

    A pair, so that Keras takes it as it is: `model.fit(*rows)` and
    `validation_data=rows`.

    Attributes:
        columns: dict of column name to array (n,) or (n, width).
        labels: dict of task name to float32 array (n,) of 0 and 1.

    Example:

    ```python
    import numpy as np

    import rankup_keras as rk

    rows = rk.data.Rows({"item": np.array(["a", "b"])}, {"click": np.float32([0, 1])})
    columns, labels = next(iter(rows.dataset(batch_size=2, shuffle=True, seed=0)))
    ```
    """

    columns: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    @property
    def num_rows(self) -> int:
        """How many rows there are; `len` is that of the pair."""
        return len(next(iter(self.columns.values())))

    def select(self, index: Any) -> "Rows":
        """The rows at an index: a slice, a boolean array or an array of positions."""
        return Rows(
            {name: column[index] for name, column in self.columns.items()},
            {name: label[index] for name, label in self.labels.items()},
        )

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int | None = None,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Batches of `(columns, labels)`.

        Args:
            batch_size: rows in a batch.
            shuffle: reshuffle all rows in every pass.
            seed: seed of the order.
            drop_remainder: drop a smaller last batch, as a TPU needs.
        """
        tensors = tf.nest.map_structure(tf.constant, (self.columns, self.labels))
        order = tf.data.Dataset.range(self.num_rows)
        if shuffle:
            order = order.shuffle(self.num_rows, seed=seed)
        # Whole batches are gathered: slicing row by row costs more than training.
        batches = order.batch(batch_size, drop_remainder=drop_remainder).map(
            lambda index: tf.nest.map_structure(lambda x: tf.gather(x, index), tensors),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return without_autotuner(batches.prefetch(tf.data.AUTOTUNE))

    def __repr__(self) -> str:
        rates = ", ".join(f"{name} {label.mean():.3f}" for name, label in self.labels.items())
        return f"Rows({self.num_rows:,} rows, columns: {', '.join(self.columns)}; labels: {rates})"
