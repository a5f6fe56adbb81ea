"""A metric of the rows that have a label."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.compat.trainer import take_direction


@serializable
class LabelledRows(keras.metrics.Metric):
    """Any metric, of the rows whose label is not missing (NaN).

    `compile` of a model puts it around the metrics of tasks with `missing_labels="skip"`. Sample
    weights are counted if it is given them, as those of `weighted_metrics` are.

    Args:
        metric: a Keras metric, its name or config, or a function of labels and predictions.

    Example:

    ```python
    import keras
    import rankup_keras as rk

    metric = rk.metrics.LabelledRows(keras.metrics.MeanSquaredError(name="mse"))
    metric.update_state([[1.0], [float("nan")]], [[0.5], [0.9]])
    print(metric.name, float(metric.result()))  # mse 0.25
    ```
    """

    def __init__(self, metric: Any) -> None:
        metric = _resolved(metric)
        super().__init__(name=metric.name, dtype=metric.dtype)
        self.metric = metric
        take_direction(self, metric)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, known = known_labels(y_true)
        weight = known
        if sample_weight is not None:
            weight = known * ops.reshape(ops.cast(sample_weight, known.dtype), ops.shape(known))
        self.metric.update_state(y, y_pred, sample_weight=weight)

    def reset_state(self) -> None:
        self.metric.reset_state()

    def result(self) -> Any:
        return self.metric.result()

    def get_config(self) -> dict[str, Any]:
        return {"metric": keras.saving.serialize_keras_object(self.metric)}


def known_labels(labels: Any) -> tuple[Any, Any]:
    """Labels with 0 for missing ones, and 1 where a label is known, else 0; both float32."""
    y = ops.cast(labels, "float32")
    missing = ops.isnan(y)
    return ops.where(missing, 0.0, y), ops.cast(ops.logical_not(missing), "float32")


def _resolved(metric: Any) -> Any:
    """A metric as `compile` of Keras makes it of what it is given, for one binary output."""
    if isinstance(metric, keras.metrics.Metric):
        return metric
    name = metric if isinstance(metric, str) else None
    if name is not None and name.lower() in ("accuracy", "acc"):
        return keras.metrics.BinaryAccuracy(name=name)
    found = keras.metrics.get(metric)
    if isinstance(found, keras.metrics.Metric):
        found.name = name or found.name
        return found
    name = name or getattr(found, "__name__", type(found).__name__)
    return keras.metrics.MeanMetricWrapper(found, name=name)
