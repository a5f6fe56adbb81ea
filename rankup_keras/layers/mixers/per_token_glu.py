"""RankElastor's per-token gated unit, as the paper writes it."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.kernels.elementwise import plain_product
from rankup_keras.kernels.tiles import Tiling
from rankup_keras.layers.mixers.per_token_ffn import PerTokenFFN


@serializable
class PerTokenGLU(PerTokenFFN):
    """A gated feed-forward network of its own for every token, with a linear path.

    `Z_t = (GELU(M_t W1_t) * (M_t W2_t)) W3_t + M_t Wr_t`, with `W1`, `W2`
    (D, rD), `W3` (rD, D) and `Wr` (D, D): (3 r + 1) D^2 weights a token.

    Args:
        expansion: float. r. Defaults to 3.
        activation: activation of the gate. Defaults to `"gelu"` (exact).
        use_bias: bool. Defaults to `False`.
        **kwargs: as in `PerTokenFFN`.

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
        dim = int(input_shape[-1] or 0)
        self.linear = self._dense(dim, 1, 1.0, "linear")
        self.linear.build((self._tokens(input_shape), None, dim))
        super().build(input_shape)

    def hidden(self, product: Any) -> Any:
        gate, value = ops.split(product, 2, axis=-1)
        return self.activation(gate) * value

    def _network(self, x: Any, training: bool | None) -> Any:
        return super()._network(x, training) + self.linear(x)

    def tiling(self, shape: Sequence[int | None]) -> Tiling | None:
        gate = super().tiling(shape)
        if gate is None:
            return None
        linear = [self.linear.kernel, self.linear.bias] if self.use_bias else [self.linear.kernel]

        def of_tile(x: Any, *weights: Any) -> Any:
            kernel, *bias = (weight[0] for weight in weights[-len(linear) :])
            straight = plain_product(x[0], kernel, bias[0] if bias else None)
            return gate.function(x, *weights[: -len(linear)]) + straight[None]

        return Tiling(of_tile, 1, gate.width, [*gate.weights, *linear])
