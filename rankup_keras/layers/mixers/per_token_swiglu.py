"""RankUp's per-token SwiGLU."""

from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.per_token_ffn import PerTokenFFN


@serializable
class PerTokenSwiGLU(PerTokenFFN):
    """A separate gated feed-forward network for every token.

    `FFN_t(x_t) = (silu(x_t G_t) * (x_t U_t)) W_t`, with `G_t`, `U_t` (D, kD)
    and `W_t` (kD, D). The product of two linear maps can raise the rank of its
    input, which an element-wise activation alone does not.

    `G` and `U` lie side by side in one kernel, `up`, so that one product makes
    both.

    Args:
        expansion: float. k. Defaults to 2.
        activation: activation of the gate. Defaults to `"silu"`.
        use_bias: bool. The papers do not say; defaults to `False`.
        **kwargs: as in `PerTokenFFN`.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool, whether to apply dropout.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: T or D is unknown.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    block = rk.layers.MixerBlock(rk.layers.PerTokenSwiGLU(expansion=2))
    print(block(tokens).shape)                  # (2, 4, 16)
    ```

    References:
        - RankUp, arXiv 2604.17878, per-token SwiGLU.
        - RankElastor, arXiv 2605.23191, on the rank of gated units.
    """

    gated = True

    def __init__(
        self,
        expansion: float = 2,
        activation: Any = "silu",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(expansion=expansion, activation=activation, use_bias=use_bias, **kwargs)
