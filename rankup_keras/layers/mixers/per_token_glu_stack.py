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

    For every width d of `hidden_units`: `x <- RMSNorm(x)`, `x <- GLU(x)`, and,
    where d is not the width of `x`, `x <- x W + b` of width d. In the end
    `x <- x W + b` of width D: two maps in a row where the last two widths
    differ. The gated unit differs from the paper's by an extra linear map
    inside the gate:

    `GLU_d(x) = ((x S2 + GELU(x L1)) * (x L2)) R + x S1`

    with `S2`, `L1`, `L2` (w, rw), `R` (rw, w), `S1` (w, w) for `x` of width w, all
    with biases.

    Args:
        hidden_units: list of ints, one per gated unit, as the authors count
            them. `None` (default) for one unit of width D.
        expansion: float. r. Defaults to 3.
        activation: activation of the gate. Defaults to `"gelu"` (exact).
        epsilon: float added in the norms. Defaults to 1e-12, the authors'.
        dropout: float. Dropout rate after each unit. Defaults to 0.
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
        hidden_units: Sequence[int] | None = None,
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
        self.hidden_units = None if hidden_units is None else [int(u) for u in hidden_units]
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
        self.stages: list[Any] = []
        width = dim
        for index, after in enumerate([dim] if self.hidden_units is None else self.hidden_units):
            hidden = max(1, round(self.expansion * width))
            norm = PerTokenRMSNorm(self.epsilon, name=f"norm_{index}", dtype=self.dtype_policy)
            # S2, L1 and L2 read the same input: one product makes all three.
            stage: list[Any] = [
                norm,
                self._dense(3 * hidden, f"lift_{index}", parts=3),
                self._dense(width, f"skip_{index}"),
                self._dense(width, f"reduce_{index}"),
            ]
            sizes = [width, width, width, hidden]
            if after != width:
                stage.append(self._dense(after, f"map_{index}"))
                sizes.append(width)
            for layer, size in zip(stage, sizes, strict=True):
                layer.build((*lead, size))
            self.stages.append(stage)
            width = after
        self.out = self._dense(dim, "out")
        self.out.build((*lead, width))
        self.unit_dropout = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        for norm, lift, skip, reduce, *maps in self.stages:
            x = norm(x)
            x = kernels.add(reduce(kernels.row_wise(self._gated, lift(x))), skip(x))
            for layer in maps:
                x = layer(x)
            x = kernels.row_wise(self.unit_dropout, x)
        return self.out(x)

    def _gated(self, lifted: Any) -> Any:
        linear, gate, value = ops.split(lifted, 3, axis=-1)
        return (linear + self.activation(gate)) * value

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
