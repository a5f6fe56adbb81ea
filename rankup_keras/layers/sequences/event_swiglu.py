"""One gated network for all events."""

from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.residual import make_norm


@serializable
class EventSwiGLU(ConfiguredLayer):
    """Each event by itself: `h = x + (silu(n G) * (n U)) W` with `n = norm(x)`.

    Args:
        hidden: int. Width of the hidden layer.
        norm: `"rms_norm"` (default), `"layer_norm"` or `None`.
        kernel_initializer: defaults to `"glorot_uniform"`.

    Call arguments:
        events: float tensor (batch, L, W).

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    events = np.random.normal(size=(2, 50, 64)).astype("float32")
    print(rk.layers.EventSwiGLU(hidden=16)(events).shape)       # (2, 50, 64)
    ```

    References:
        - MixFormer, arXiv 2602.14110, the events of a layer; HyFormer, arXiv
          2601.12681, the encoder without attention.
    """

    def __init__(
        self,
        hidden: int,
        norm: str | None = "rms_norm",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if hidden < 1:
            raise ValueError(f"`hidden` must be positive. Received: hidden={hidden}.")
        self.hidden = hidden
        self.norm = norm
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, events_shape: Any) -> None:
        width = events_shape[-1]
        self.before = make_norm(self.norm, 1e-6, self.dtype_policy, "norm")
        if self.before is not None:
            self.before.build(events_shape)

        def dense(name: str, units: int, inner: int) -> Any:
            layer = keras.layers.Dense(
                units,
                use_bias=False,
                kernel_initializer=self.kernel_initializer.clone(),
                name=name,
                dtype=self.dtype_policy,
            )
            layer.build((None, None, inner))
            return layer

        self.gate, self.up = dense("gate", self.hidden, width), dense("up", self.hidden, width)
        self.down = dense("down", width, self.hidden)
        self.flops = 6 * width * self.hidden * (events_shape[1] or 0)
        self.built = True

    def call(self, events: Any) -> Any:
        n = events if self.before is None else self.before(events)
        return events + self.down(ops.silu(self.gate(n)) * self.up(n))

    def compute_output_shape(self, events_shape: Any) -> tuple[int | None, ...]:
        return tuple(events_shape)
