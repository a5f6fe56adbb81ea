"""Cross-entropy for conversions that arrive after their rows were logged as negatives."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable


@serializable
class FakeNegativeWeighted(keras.losses.Loss):
    """Binary cross-entropy on a stream in which every row is a negative first.

    Where a model trains continuously, nobody waits for conversions: a row is logged as a negative
    at once, and *again* as a positive when the conversion arrives. The first of the two is a fake
    negative. With importance weights the expectation is that of the true labels:

    `L = -(1 + p) y log f - (1 - p)(1 + p)(1 - y) log(1 - f)`

    where `f` is the prediction and `p` the same number, through which no gradient goes. The
    model's output is then calibrated to true conversions.

    Args:
        reduction: as in Keras. Defaults to `"sum_over_batch_size"`.
        name: defaults to `"fake_negative_weighted"`.
        dtype: defaults to Keras's float type.

    Example:

    ```python
    import rankup_keras as rk

    loss = rk.losses.FakeNegativeWeighted()
    print(float(loss([[1.0], [0.0]], [[0.3], [0.3]])))
    task = rk.Task("buy", loss=loss)
    ```

    References:
        - Ktena et al., "Addressing Delayed Feedback for Continuous Training with Neural Networks
          in CTR prediction", RecSys 2019, arXiv 1907.06558, equation 10.
    """

    def __init__(
        self,
        reduction: str = "sum_over_batch_size",
        name: str = "fake_negative_weighted",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.cast(y_true, y_pred.dtype)
        p = ops.stop_gradient(y_pred)
        weight = (1 + p) * (y_true + (1 - p) * (1 - y_true))
        loss = keras.losses.binary_crossentropy(y_true[..., None], y_pred[..., None])
        return ops.mean(weight * loss, axis=-1)
