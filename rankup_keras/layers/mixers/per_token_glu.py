"""RankElastor's per-token gated unit, as the paper writes it."""

from collections.abc import Sequence
from typing import Any

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.mixers.per_token_ffn import PerTokenFFN


@serializable
class PerTokenGLU(PerTokenFFN):
    """A separate gated feed-forward network for every token, with a linear path.

    `Z_t = (GELU(M_t W1_t) * (M_t W2_t)) W3_t + M_t Wr_t`, with `W1`, `W2`
    (D, rD), `W3` (rD, D) and `Wr` (D, D): (3 r + 1) D^2 weights per token.

    Args:
        expansion: float. r. Defaults to 3.
        activation: activation of the gate. Defaults to `"gelu"` (exact).
        use_bias: bool. Defaults to `False`.
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
    network = rk.layers.PerTokenGLU(expansion=3)
    print(network(tokens).shape)                # (2, 4, 16)
    print(network.count_params())               # 4 * (3 * 3 + 1) * 16 ** 2
    ```

    References:
        - RankElastor, arXiv 2605.23191, GLU-based P-FFN.
    """

    gated = True

    def __init__(
        self,
        expansion: float = 3,
        activation: Any = "gelu",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(expansion=expansion, activation=activation, use_bias=use_bias, **kwargs)

    def build(self, input_shape: Sequence[int | None]) -> None:
        self.linear = self._dense(int(input_shape[-1] or 0), "linear")
        self.linear.build(input_shape)
        super().build(input_shape)

    def call(self, x: Any, training: bool | None = None) -> Any:
        return kernels.add(super().call(x, training), self.linear(x))
