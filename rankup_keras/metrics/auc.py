"""AUC of a stream of rows."""

from typing import Any

import keras
import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.metrics.histograms import add_at, logits

# Logits of float32 probabilities lie in [-87, 17]. Closer to the center than NEAR bins have one
# width, above the rounding of scores, or rows that are alike would be ties in one batch only.
FARTHEST, NEAR = 104.0, 1e-3


@serializable
class AUC(keras.metrics.Metric):
    """Area under the ROC curve, right to 1e-3 however rare the positives are.

    `keras.metrics.AUC` spreads its thresholds evenly over [0, 1]: where a few rows
    in a thousand are positive, all scores fall between the first of them, and 200
    thresholds give .946 in place of .960. Here the thresholds follow the scores: rows
    are counted in `bins` bins of the logit's distance from the mean of the first
    batch, each a fixed part of that distance wide, and rows of one bin count as ties.
    The memory is that of the bins, and replicas of a strategy count together.

    0 is returned while all labels are of one class; NaN once a score is NaN.
    `rankup_keras.metrics.exact.auc` is the exact form on arrays. `compile` of a
    model takes this metric for the name `"auc"`.

    Args:
        bins: number of bins. Defaults to 32,768, each .1 % of the distance wide.
        name: defaults to `"auc"`.
        dtype: defaults to Keras's float type.

    Example:

    ```python
    import rankup_keras as rk

    auc = rk.metrics.AUC()
    auc.update_state([0, 0, 1, 0], [0.0020, 0.0021, 0.0022, 0.0023])
    print(float(auc.result()))  # 2 of 3 pairs are in order
    ```
    """

    def __init__(self, bins: int = 32_768, name: str = "auc", dtype: Any = None) -> None:
        if isinstance(bins, bool) or int(bins) != bins or bins < 1:
            raise ValueError(f"`bins` must be a positive integer. Received: bins={bins!r}.")
        super().__init__(name=name, dtype=dtype)
        self.bins = int(bins)
        self._direction = "up"
        zeros = keras.initializers.Zeros()
        # In float32 a bin would stop counting at 2**24 rows.
        self._positives, self._negatives = (
            self.add_variable((self.bins,), zeros, dtype="float64", name=name)
            for name in ("positives", "negatives")
        )
        # Of the first batch, its rows and the mean of their logits.
        self._begun, self._center = (
            self.add_variable((), zeros, "float32", "only_first_replica", name=name)
            for name in ("begun", "center")
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y = tf.cast(tf.reshape(y_true, (-1,)), tf.float64)
        x = logits(y_pred, 1e-37)
        w = tf.ones_like(y)
        if sample_weight is not None:
            w = tf.cast(tf.reshape(sample_weight, (-1,)), tf.float64)
        w = tf.where(tf.math.is_nan(x), tf.constant(float("nan"), tf.float64), w)
        distance = tf.math.asinh((x - self._centered(x)) / NEAR)
        reach = tf.math.asinh(FARTHEST / NEAR)
        # TensorFlow would clip int32 on the host, which then waits for a GPU.
        place = tf.cast((distance / reach + 1) / 2 * self.bins, tf.int64)
        place = tf.clip_by_value(place, 0, self.bins - 1)
        add_at(self._positives, place, w * y)
        add_at(self._negatives, place, w * (1 - y))

    def _centered(self, x: tf.Tensor) -> tf.Tensor:
        seen = tf.stack([tf.reduce_sum(x), tf.cast(tf.size(x), x.dtype)])
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # Every replica counts in the same bins.
            seen = context.all_reduce(tf.distribute.ReduceOp.SUM, seen)
        begun, center = map(tf.convert_to_tensor, (self._begun, self._center))
        center = tf.where(begun > 0, center, tf.math.divide_no_nan(seen[0], seen[1]))
        self._center.assign(center)
        self._begun.assign(tf.maximum(begun, seen[1]))
        return center

    def result(self) -> Any:
        positives, negatives = map(tf.convert_to_tensor, (self._positives, self._negatives))
        below = tf.cumsum(negatives) - negatives / 2
        pairs = tf.reduce_sum(positives * below)
        known = tf.reduce_sum(positives) * tf.reduce_sum(negatives)
        return tf.cast(tf.math.divide_no_nan(pairs, known), self.dtype)

    def get_config(self) -> dict[str, Any]:
        return {"bins": self.bins, "name": self.name, "dtype": self.dtype}
