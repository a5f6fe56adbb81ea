"""Numeric columns."""

from typing import Any

import tensorflow as tf

from rankup_keras._registry import serializable
from rankup_keras.features.feature import Feature, Side, one_of

NORMALIZATIONS = ("standard", "log", None)
# Standard deviations.
AUTO_CLIP = 10.0
# Rounding that a column may suffer, in standard deviations.
RESOLUTION = 1e-3


@serializable
class Numeric(Feature):
    """A column of numbers, normalized, with missing values marked.

    NaN and infinite values are missing: the value becomes 0 after
    normalization (the mean), and a second column, the indicator, becomes 1.

    Args:
        name: str. Name of the raw column.
        normalize: `"standard"` (default) subtracts the mean and divides by the
            standard deviation learned by `adapt`; `"log"` does so after
            `sign(x) * log(1 + |x|)`, for counts and prices; `None` leaves the
            value as it is.
        indicator: bool. Whether to add the missing-value indicator. Defaults
            to `True`.
        clip: float, `None` or `"auto"`. Values are kept within `[-clip, clip]`
            after normalization, so that one outlier in a request cannot
            saturate the model. `"auto"` (default) is 10 standard deviations,
            and no limit with `normalize=None`.
        dtype: `"float32"`, `"float64"` or `None`. Type of the raw column. A
            float64 has its mean taken off before it becomes a float32, so that
            raw timestamps keep their seconds. `None` (default) is float64 where
            what was learned says that float32 cannot tell the values apart.
        side: see `Feature`.
        group: see `Feature`.

    Example:

    ```python
    import rankup_keras as rk

    features = rk.FeatureSet([rk.Numeric("age"), rk.Numeric("price", normalize="log")])
    features.adapt({"age": [20.0, 40.0], "price": [1.0, 100.0]})
    encoded = features.encode({"age": [None, 40.0], "price": [1.0, 1e9]})["encoded_numeric"]
    assert encoded[0, 2:].tolist() == [1, 0]  # the age is missing, the price is not
    ```
    """

    def __init__(
        self,
        name: str,
        normalize: str | None = "standard",
        indicator: bool = True,
        clip: float | str | None = "auto",
        side: Side | None = None,
        group: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, side, group)
        if clip == "auto":
            clip = None if normalize is None else AUTO_CLIP
        if clip is not None and (isinstance(clip, str) or not clip > 0):
            raise ValueError(
                f"`clip` of feature {name!r} must be positive, None or 'auto'. "
                f"Received: clip={clip!r}."
            )
        self.normalize = one_of(normalize, NORMALIZATIONS, "normalize", f"feature {name!r}")
        self.indicator = bool(indicator)
        self.dtype = one_of(dtype, ("float32", "float64", None), "dtype", f"feature {name!r}")
        self.declares_dtype = dtype is not None
        self.clip = None if clip is None else float(clip)

    def raw_spec(self) -> tf.TensorSpec:
        return tf.TensorSpec((None,), tf.as_dtype(self.dtype or "float32"), name=self.name)

    def learned_dtype(self, mean: float, deviation: float) -> str:
        """The type for a column of this mean and standard deviation, where none was declared."""
        # A logarithm is as far off as its number is in proportion.
        size = 1.0 if self.normalize == "log" else abs(mean)
        return "float64" if size * 2.0**-24 > RESOLUTION * deviation else "float32"

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            normalize=self.normalize, indicator=self.indicator, clip=self.clip, dtype=self.dtype
        )
        return config
