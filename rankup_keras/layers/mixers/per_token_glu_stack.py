"""RankElastor's per-token network, as the authors' code computes it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.per_token_norm import PerTokenRMSNorm
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class PerTokenGLUStack(ConfiguredLayer):
    """A separate stack of normalized gated units for every token.

    For every width d among `(D, *hidden_units)`:
    `x <- RMSNorm(x)`, `x <- GLU_d(x)`, `x <- x W + b` to the next width, the
    last of which is D again. The gated unit differs from the paper's by an
    extra linear map inside the gate:

    `GLU_d(x) = ((x S2 + GELU(x L1)) * (x L2)) R + x S1`

    with `S2`, `L1`, `L2` (d, rd), `R` (rd, d), `S1` (d, d), all with biases.

    Args:
        hidden_units: list of ints, inner widths. Defaults to none.
        expansion: float. r. Defaults to 3.
        activation: activation of the gate. Defaults to `"gelu"` (exact).
        epsilon: float added in the norms. Defaults to 1e-12, the authors'.
        dropout: float. Dropout rate before the last map. Defaults to 0.
        kernel_initializer: initializer of one token's kernels.
        kernel_regularizer: regularizer of the kernels. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    print(rk.layers.PerTokenGLUStack(hidden_units=[8])(tokens).shape)   # (2, 4, 16)
    ```

    References:
        - RankElastor, arXiv 2605.23191; this form is that of the authors' code.
    """

    def __init__(
        self,
        hidden_units: Sequence[int] = (),
        expansion: float = 3,
        activation: Any = "gelu",
        epsilon: float = 1e-12,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not expansion > 0:
            raise ValueError(f"`expansion` must be positive. Received: expansion={expansion}.")
        self.hidden_units = [int(units) for units in hidden_units]
        self.expansion = expansion
        self.activation = keras.activations.get(activation)
        self.epsilon = epsilon
        self.dropout = dropout
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def _dense(self, units: int, name: str, parts: int = 1) -> PerTokenDense:
        return PerTokenDense(
            units,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            parts=parts,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        lead, dim = tuple(input_shape[:2]), int(input_shape[2] or 0)
        widths = [dim, *self.hidden_units]
        self.stages: list[Any] = []
        for index, (width, after) in enumerate(zip(widths, [*widths[1:], dim], strict=True)):
            hidden = max(1, round(self.expansion * width))
            norm = PerTokenRMSNorm(self.epsilon, name=f"norm_{index}", dtype=self.dtype_policy)
            # S2, L1 and L2 read the same input: one product makes all three.
            lift = self._dense(3 * hidden, f"lift_{index}", parts=3)
            stage: list[Any] = [
                norm,
                lift,
                self._dense(width, f"skip_{index}"),
                self._dense(width, f"reduce_{index}"),
                self._dense(after, f"out_{index}"),
            ]
            for layer, size in zip(stage, (width, width, width, hidden, width), strict=True):
                layer.build((*lead, size))
            self.stages.append(stage)
        self.last_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        for index, (norm, lift, skip, reduce, out) in enumerate(self.stages):
            x = norm(x)
            x = kernels.add(reduce(kernels.row_wise(self._gated, lift(x))), skip(x))
            if index == len(self.stages) - 1:
                x = kernels.row_wise(self.last_dropout, x)
            x = out(x)
        return x

    def _gated(self, lifted: Any) -> Any:
        linear, gate, value = ops.split(lifted, 3, axis=-1)
        return (linear + self.activation(gate)) * value

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
