"""Several epochs without embedding tables that memorize the labels."""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from rankup_keras.compat.nested_layers import nested_layers
from rankup_keras.compat.optimizers import slots_of
from rankup_keras.kernels.program import beside
from rankup_keras.layers.embeddings import FieldEmbedding
from rankup_keras.layers.embeddings.initializers import in_pieces
from rankup_keras.optimizers.split import part_of


class FreshTables(keras.callbacks.Callback):
    """Re-initializes the embedding tables at the start of each epoch (MEDA).

    Where most ids have few rows, click models overfit in the second epoch: a row
    of a table has memorized the labels it was trained on, and the dense part
    learns to trust it. With this callback tables see every example once, and the
    dense part sees it several times. It hurts where ids have enough rows that
    their embeddings need several epochs; with `monitor` it waits until the model
    overfits (docs/quality.md shows both cases).

    Each `FieldEmbedding` is re-initialized by its own initializer, to the values
    it had before training, and the optimizer's slots of its tables are reset;
    frozen layers keep their tables. An epoch must be one pass over the data. The
    tables that `fit` ends with were trained for one epoch, and
    `EarlyStopping(restore_best_weights=True)` restores tables and dense part of
    the same epoch. With `Resume`, a run that was killed in the middle of an epoch
    keeps its tables.

    A model that was warm-started, or whose tables were set by `set_tables`, loses
    them in its second epoch: train it for one, as `rankup-keras update` does.

    Args:
        monitor: str or `None`. A validation metric, such as `"val_auc"`. Nothing is
            re-initialized until `patience` epochs in a row have brought no
            improvement; the dense part then returns to the best epoch, and every
            later epoch starts with new tables. With `None` (default) every epoch
            but the first does. `EarlyStopping` needs more patience than this.
        mode: `"max"` (default) or `"min"`: whether a higher or a lower `monitor` is
            better.
        patience: int. Defaults to 1.

    Raises:
        ValueError: an invalid argument; when `fit` starts: the model has no
            trainable `FieldEmbedding`, or its tables are on a TPU's SparseCores;
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
        "val_auc", mode="max", patience=3, restore_best_weights=True
    )
    fresh = rk.callbacks.FreshTables("val_auc", patience=2)
    model.fit(rows, validation_data=rows, epochs=5, callbacks=[fresh, stop], verbose=0)
    ```

    References:
        - Fan et al., "Multi-Epoch learning with Data Augmentation for Deep
          Click-Through Rate Prediction" (MEDA), arXiv 2407.01607.
        - Zhang et al., "Towards Understanding the Overfitting Phenomenon of Deep
          Click-Through Rate Prediction Models", arXiv 2209.06053.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["max", "min"] = "max",
        patience: int = 1,
    ) -> None:
        super().__init__()
        if mode not in ("max", "min"):
            raise ValueError(f'`mode` must be "max" or "min". Received: mode={mode!r}.')
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise ValueError(f"`patience` must be a positive integer. Received: {patience!r}.")
        self.monitor, self.mode, self.patience = monitor, mode, patience

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
        self._waited = 0
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
            self._waited, self._best = 0, float(value)
            self._best_dense = [np.array(v) for v in self._dense()]
        else:
            self._waited += 1
            self._fresh = self._waited >= self.patience

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
                with beside(variable.value):
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
