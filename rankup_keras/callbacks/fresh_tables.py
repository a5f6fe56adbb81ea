"""Several passes over the rows without tables that remember them."""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.compat.optimizers import slots_of
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.embeddings.initializers import in_pieces
from rankup_keras.optimizers.split import part_of


class FreshTables(keras.callbacks.Callback):
    """Begins epochs with embedding tables as they were drawn at first.

    Where most ids have few rows, click models overfit in the second epoch: what a
    row of a table learned from a label in the first pass gives that label away in
    the second, and the dense part learns to trust it. With this callback tables
    see every row once and the dense part several times. It costs where ids have
    rows enough that their vectors take several passes to be learned; `monitor`
    tells the two apart (docs/quality.md has both).

    At the beginning of an epoch the tables of all `FieldEmbedding` layers are
    drawn again by their initializer, which gives a table the same numbers each
    time, and what the optimizer keeps of them starts anew; layers that are not
    trainable are left alone. An epoch has to be one pass over the rows. `fit`
    ends with tables of one pass, and `EarlyStopping(restore_best_weights=True)`
    takes tables and dense part of the same epoch. Training that resumes from the
    middle of an epoch goes on from there: see `Resume`.

    A model that is warm-started, or was given tables by `set_tables`, loses them
    in its second epoch: go on with one epoch, as `rankup-keras update` does.

    Args:
        monitor: str or `None`. A metric of validation rows, such as `"val_auc"`.
            Epochs are ordinary until one is worse than the best before it; the
            dense part then returns to that best epoch, and all later epochs
            begin with new tables. `None` (default): all but the first do.
        mode: `"max"` (default) or `"min"`, which value of `monitor` is the better.

    Raises:
        ValueError: an argument is not right; when `fit` begins: the model has no
            trainable `FieldEmbedding`, or its tables lie on a TPU's SparseCores;
            after the first epoch: there is no metric `monitor`.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    rows = {"ad": ["a", "b"] * 8, "user": ["x", "y"] * 8, "click": [0, 1] * 8}
    features = rk.FeatureSet([rk.Categorical("ad"), rk.Categorical("user")]).adapt(rows)
    model = rk.RankUp(features, ["click"], token_dim=8, num_blocks=1)
    model.compile()
    stop = keras.callbacks.EarlyStopping(
        "val_auc", mode="max", patience=2, restore_best_weights=True
    )
    fresh = rk.callbacks.FreshTables("val_auc")
    model.fit(rows, validation_data=rows, epochs=5, callbacks=[fresh, stop], verbose=0)
    ```

    References:
        - Fan et al., "Multi-Epoch learning with Data Augmentation for Deep
          Click-Through Rate Prediction" (MEDA), arXiv 2407.01607.
        - Zhang et al., "Towards Understanding the Overfitting Phenomenon of Deep
          Click-Through Rate Models", arXiv 2209.06053.
    """

    def __init__(self, monitor: str | None = None, mode: Literal["max", "min"] = "max") -> None:
        super().__init__()
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}.')
        self.monitor, self.mode = monitor, mode

    def on_train_begin(self, logs: Any = None) -> None:
        layers = [x for x in nested_layers(self.model) if isinstance(x, FieldEmbedding)]
        self._layers = [layer for layer in layers if layer.trainable]
        on_tpu = [layer.name for layer in layers if getattr(layer, "on_tpu", False)]
        if on_tpu or not self._layers:
            what = f"tables of {on_tpu} on a TPU" if on_tpu else "no trainable `FieldEmbedding`"
            raise ValueError(
                "`FreshTables` needs embedding tables that it can draw again. "
                f"Received: a model '{self.model.name}' with {what}."
            )

        self._fresh = self.monitor is None
        self._best: float | None = None
        self._best_dense: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._fresh:
            return
        value = (logs or {}).get(self.monitor)
        if value is None:
            raise ValueError(
                f"`monitor` must be one of the metrics {sorted(logs or {})}. "
                f"Received: monitor={self.monitor!r}."
            )
        sign = 1 if self.mode == "max" else -1
        if self._best is None or sign * value > sign * self._best:
            self._best = float(value)
            self._best_dense = [np.array(v) for v in self._dense()]
        else:
            self._fresh = True

    def _dense(self) -> list[Any]:
        tables = {id(v) for layer in self._layers for v in layer.table_variables}
        return [v for v in self.model.weights if id(v) not in tables]

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not epoch or not self._fresh:
            return
        if self._best_dense is not None:
            for variable, value in zip(self._dense(), self._best_dense, strict=True):
                variable.assign(value)
            self._best_dense = None
        for layer in self._layers:
            initializer = in_pieces(layer.embeddings_initializer)
            for variable in layer.table_variables:
                variable.assign(initializer(variable.shape, dtype=variable.dtype))
                self._restart_slots(variable)

    def _restart_slots(self, variable: Any) -> None:
        optimizer = part_of(self.model.optimizer, variable)
        if not optimizer.built:
            return
        for name, slot in slots_of(optimizer, variable).items():
            # Keras's optimizers begin all else at 0.
            first = getattr(optimizer, "initial_accumulator_value", 0.0)
            value = first if name == "accumulators" else 0.0
            slot.assign(tf.fill(slot.shape, tf.cast(value, slot.dtype)))
