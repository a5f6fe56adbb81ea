"""Cross-entropy where only a share of the negatives is in the data."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable


@serializable
class DownsampledCrossentropy(keras.losses.Loss):
    """Binary cross-entropy on downsampled negatives, for probabilities on all data.

    Logs of clicks are mostly negatives, and training data often keeps a share
    of them. A model of such data predicts too much. With `r` the share of
    negatives that was kept, a row that was kept is positive with probability

    `q = p / (p + r (1 - p))`

    where `p` is its probability on all data. This loss is the cross-entropy of
    `q`, so that the model's output is `p` itself: calibrated as it is, with
    nothing to correct in serving. Metrics on the downsampled rows still
    see `p`; their calibration is right on data that was not downsampled.

    Args:
        keep_rate: float in (0, 1], the share `r`.
        reduction: as in Keras. Defaults to `"sum_over_batch_size"`.
        name: defaults to `"downsampled_crossentropy"`.
        dtype: defaults to Keras's float type.

    Raises:
        ValueError: `keep_rate` is not in (0, 1].

    Example:

    ```python
    import rankup_keras as rk

    loss = rk.losses.DownsampledCrossentropy(keep_rate=0.1)
    # 1 of 100 rows is positive; of the negatives every tenth was kept: 1 of 11 is.
    rows = [[1.0]] + [[0.0]] * 10
    print(float(loss(rows, [[0.01]] * 11)), float(loss(rows, [[0.09]] * 11)))  # the first is less
    task = rk.Task("click", loss=loss)
    ```

    References:
        - He et al., Practical Lessons from Predicting Clicks on Ads at Facebook, ADKDD 2014,
          section 6.3, whose correction of predictions is the inverse of `q`.
    """

    def __init__(
        self,
        keep_rate: float,
        reduction: str = "sum_over_batch_size",
        name: str = "downsampled_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 < keep_rate <= 1:
            raise ValueError(f"`keep_rate` must be in (0, 1]. Received: keep_rate={keep_rate}.")
        self.keep_rate = float(keep_rate)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        kept = y_pred / (y_pred + self.keep_rate * (1 - y_pred))
        return keras.losses.binary_crossentropy(ops.cast(y_true, kept.dtype), kept)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keep_rate": self.keep_rate}
