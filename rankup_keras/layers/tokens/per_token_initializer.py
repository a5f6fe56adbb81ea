"""Initial kernels that T separate layers would have."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable

# Standard deviation of a normal distribution cut at two standard deviations.
_TRUNCATED = 0.87962566103423978


@serializable
class PerTokenInitializer(keras.initializers.Initializer):
    """Draws a stack of kernels as if every kernel were initialised alone.

    Keras reads a kernel of shape `(T, I, O)` as a convolution when it computes
    fans, which makes Glorot's and He's kernels `sqrt(T)` too small. Here the
    fans are those of the last two axes, whatever stands before them.

    Args:
        initializer: a Keras initializer, its name or its config. Of those
            that depend on fans, the variance-scaling family is supported.
        fan_in: list of T ints, where tokens read fewer than `I` inputs (the
            rest being padding); `None` for `I`.
        parts: int. Number of equal kernels lying side by side in the last
            axis, such as a gate and its value. Defaults to 1.
        scale: float factor on the drawn values. Defaults to 1.

    Raises:
        ValueError: an initializer for square matrices (orthogonal, identity).

    Example:

    ```python
    import rankup_keras as rk

    kernels = rk.layers.PerTokenInitializer("he_normal")((4, 16, 32))   # four tokens' kernels
    print(kernels.shape)
    ```
    """

    def __init__(
        self,
        initializer: Any = "glorot_uniform",
        fan_in: Sequence[int] | None = None,
        parts: int = 1,
        scale: float = 1.0,
    ) -> None:
        self.initializer = keras.initializers.get(initializer)
        if isinstance(
            self.initializer, keras.initializers.Orthogonal | keras.initializers.Identity
        ):
            raise ValueError(
                "A per-token kernel needs an initializer that works on any shape. Received: "
                f"{type(self.initializer).__name__}. Use a variance-scaling or normal one."
            )
        self.fan_in = None if fan_in is None else [int(value) for value in fan_in]
        self.parts = int(parts)
        self.scale = float(scale)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        base = self.initializer
        if not isinstance(base, keras.initializers.VarianceScaling):
            return self.scale * base(shape, dtype=dtype)
        fan_out = shape[-1] / self.parts
        fan_ins = self.fan_in or [shape[-2]]
        variances = [self.scale**2 * base.scale / _fan(base.mode, f, fan_out) for f in fan_ins]
        if base.distribution == "uniform":
            values = keras.random.uniform(shape, -math.sqrt(3.0), math.sqrt(3.0), dtype, base.seed)
        elif base.distribution == "truncated_normal":
            values = keras.random.truncated_normal(shape, 0.0, 1 / _TRUNCATED, dtype, base.seed)
        else:
            values = keras.random.normal(shape, 0.0, 1.0, dtype, base.seed)
        deviation = ops.reshape(
            ops.convert_to_tensor([math.sqrt(v) for v in variances], dtype=values.dtype),
            (-1,) + (1,) * (len(shape) - 1),
        )
        return values * deviation

    def get_config(self) -> dict[str, Any]:
        return {
            "initializer": keras.saving.serialize_keras_object(self.initializer),
            "fan_in": self.fan_in,
            "parts": self.parts,
            "scale": self.scale,
        }


def _fan(mode: str, fan_in: float, fan_out: float) -> float:
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    return max(1.0, fan)
