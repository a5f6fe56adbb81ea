"""Rows in every form that Keras trains on → a model's inputs, labels and weights."""

import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from rankup_keras.features import FeatureSet
from rankup_keras.features.alignment import in_other_order
from rankup_keras.features.columns import as_mapping
from rankup_keras.features.tensors import dataset_columns
from rankup_keras.layers.towers import Task
from rankup_keras.models.labels import Labels, check_lengths


class RawRows:
    """Encodes what `fit`, `evaluate`, `predict` and the methods on single batches are given.

    Encoded rows pass through. Raw ones are told from them by the names of their
    columns, never by their number or type.

    Args:
        features: the model's feature set.
        tasks: the model's tasks.
    """

    def __init__(self, features: FeatureSet, tasks: Sequence[Task]) -> None:
        self.features = features
        self.labels = Labels(tasks)

    def inputs(self, x: Any) -> Any:
        """The model's inputs, of rows in memory, a dataset, a `PyDataset` or a generator.

        What comes in tuples, as for training, is read without labels and weights
        but for a `tf.data.Dataset`, which keeps its structure.
        """
        if isinstance(x, tf.data.Dataset):
            return x if self.is_encoded(dataset_columns(x)) else self.features.encode(x)
        if isinstance(x, keras.utils.PyDataset):
            return EncodedBatches(x, lambda item: (self.inputs(item),))
        if isinstance(x, types.GeneratorType):
            return ((self.inputs(item),) for item in x)
        x = x[0] if isinstance(x, tuple) else x
        return x if self.is_encoded(x) else self.features.encode(x)

    def examples(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights, in any of the forms that `fit` takes."""
        if isinstance(x, tf.data.Dataset):
            return self._dataset(x, class_weight), y, sample_weight
        if isinstance(x, keras.utils.PyDataset):
            return EncodedBatches(x, lambda item: self._item(item, class_weight)), y, sample_weight
        if isinstance(x, types.GeneratorType):
            return (self._item(item, class_weight) for item in x), y, sample_weight
        if y is None and isinstance(x, tuple) and len(x) in (1, 2, 3):
            x, y, weight = (*x, None, None)[:3]
            sample_weight = weight if sample_weight is None else sample_weight
        return self.batch(x, y, sample_weight, class_weight)

    def batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        may_be_empty: bool = False,
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights of rows in memory."""
        columns = as_mapping(x)
        _check_order(x, y, "labels")
        _check_order(x, sample_weight, "weights")
        labels = self.labels.read(y, columns)
        weights = self._weights(labels, sample_weight, class_weight)
        inputs = self.inputs(columns)
        rows = len(next(iter(inputs.values())))
        check_lengths(rows, labels, weights)
        if not rows and not may_be_empty:
            raise ValueError("There are no rows to train on or to evaluate.")
        return inputs, labels, weights

    def _item(self, item: Any, class_weight: Any) -> tuple[Any, ...]:
        parts = item if isinstance(item, tuple | list) else (item,)
        x, y, weight = (*parts, None, None)[:3]
        found = self.batch(x, y, weight, class_weight, may_be_empty=True)
        return found if found[2] is not None else found[:2]

    def _dataset(self, data: tf.data.Dataset, class_weight: Any) -> tf.data.Dataset:
        dataset_columns(data)  # refuses what has no columns

        @tf.autograph.experimental.do_not_convert
        def read(*item: Any) -> Any:
            columns, y, *weights = (*item, None) if len(item) == 1 else item
            labels = self.labels.read(y, columns)
            weights = self._weights(labels, weights[0] if weights else None, class_weight)
            return (columns, labels) if weights is None else (columns, labels, weights)

        return self.inputs(data.map(read, num_parallel_calls=tf.data.AUTOTUNE))

    def _weights(self, labels: Mapping[str, Any], sample_weight: Any, class_weight: Any) -> Any:
        if class_weight is None:
            return None if sample_weight is None else self.labels.weights(sample_weight)
        if sample_weight is not None:
            raise ValueError("Give `sample_weight` or `class_weight`, not both.")
        return self.labels.class_weights(labels, class_weight)

    def is_encoded(self, columns: Any) -> bool:
        """Whether columns are the model's inputs, by all their names, dtypes and shapes.

        Raises:
            TypeError: they have the names, and other dtypes or shapes.
        """
        spec = self.features.encoded_spec()
        if not isinstance(columns, Mapping) or set(columns) != set(spec):
            return False
        for name, (shape, dtype) in spec.items():
            column = columns[name]
            wanted = tf.TensorSpec((None, *shape), dtype)
            found = getattr(column, "shape", None), getattr(column, "dtype", type(column))
            if not (
                hasattr(column, "dtype")
                and wanted.shape.is_compatible_with(found[0])
                and tf.as_dtype(found[1]) == wanted.dtype
            ):
                raise TypeError(
                    f"The encoded column {name!r} must be {dtype} of shape (rows, {shape[0]}), as "
                    f"`model.encode(rows)` makes it. Received: {found[1]} of shape {found[0]}."
                )
        return True


def _check_order(x: Any, given: Any, what: str) -> None:
    """Refuses pandas labels or weights of the same rows in another order; nothing aligns them."""
    columns = x.values() if isinstance(x, dict) else (x,)
    index = next((c.index for c in columns if hasattr(getattr(c, "index", 0), "equals")), None)
    for values in given.values() if isinstance(given, Mapping) else (given,):
        if in_other_order(index, getattr(values, "index", None)):
            raise ValueError(
                f"The index of the {what} is that of the rows in another order. Put them in the "
                f"order of the rows, `{what}.loc[rows.index]`; or give `{what}.to_numpy()` if "
                "they are in it."
            )


class EncodedBatches(keras.utils.PyDataset):
    """A user's `PyDataset`, each batch of which is encoded as it is read.

    TensorFlow's code does not survive a fork, so that batches are made by threads
    where the user's dataset asks for processes.

    Args:
        source: the user's dataset.
        read: function of a batch that encodes it.
    """

    def __init__(self, source: keras.utils.PyDataset, read: Callable[[Any], Any]) -> None:
        super().__init__(workers=source.workers, max_queue_size=source.max_queue_size)
        self.source, self.read = source, read

    @property
    def num_batches(self) -> int | None:
        return self.source.num_batches

    def __getitem__(self, index: int) -> Any:
        return self.read(self.source[index])

    def on_epoch_begin(self) -> None:
        self.source.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.source.on_epoch_end()
