"""TokenMixer-Large's sparse mixture of experts, with experts of its own for every token."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.per_token_swiglu import PerTokenSwiGLU
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense

GATES = ("chosen", "all")


@serializable
class PerTokenTopKMoE(ConfiguredLayer):
    """A SwiGLU per token, cut into E experts of which k work on a row.

    `y_t = shared_t(x_t) + a sum_j g_tj expert_tj(x_t)`

    Each expert is a SwiGLU of hidden width n D / E, so that all together have
    the size of `PerTokenSwiGLU(n)`. One of them, shared, works always; a router
    `z_t = x_t R_t` chooses the k - 1 others with the largest `z_tj`, the same ones
    in training as in inference, and `g` is their softmax. First train a good
    wide network, then make it sparse: `split_experts`.

    Open in the paper: whether E counts the shared expert (here it does), and
    whether the softmax is over the chosen or all.

    Args:
        num_experts: int. E, the shared one included.
        num_active: int. k, the shared one included.
        expansion: float. n, the hidden width of all experts together in widths
            of a token. Defaults to 2.
        shared: bool. Without a shared expert the router chooses all k.
            Defaults to `True`.
        scale: float or `None`. a. `None` (default) for E / k, 1 over the active
            share, since gates that sum to 1 make experts' gradients small.
        gates: `"chosen"` or `"all"`, what the softmax is taken over. `None`
            (default) for the chosen, or for all where one is chosen: the
            softmax over one is 1, and its router would not learn.
        activation: activation of the gated units. Defaults to `"silu"`.
        down_scale: float. See `PerTokenFFN`. Defaults to 0.01 (paper).
        sparse: bool. Whether experts compute only the rows that chose them in
            batches in which that pays: at least 64 rows, at most half of them
            for the fullest expert. In XLA they compute all rows. Defaults to `True`.
        z_loss: float. Weight of the mean of `log(sum_j exp(z_tj))^2`, which is
            added to the loss while training and keeps the router's numbers
            small (Zenith; 1e-3 is usual). Defaults to 0, none.
        kernel_initializer: initializer of one expert's kernels. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: regularizer of the experts' kernels. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: k is not between 1 and E, or leaves the router nothing to
            choose; another argument is not one of its choices.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(8, 4, 16)).astype("float32")
    experts = rk.layers.PerTokenTopKMoE(num_experts=4, num_active=3)
    print(experts(tokens).shape)                        # (8, 4, 16)
    print((np.array(experts.route(tokens)) > 0).sum(axis=-1))       # 2 of 3 for every token
    ```

    References:
        - TokenMixer-Large, arXiv 2602.06563, section 3.4 (sparse-pertoken MoE).
        - ST-MoE, arXiv 2202.08906, equation 5 (z-loss).
    """

    token_wise = True

    def __init__(
        self,
        num_experts: int,
        num_active: int,
        expansion: float = 2,
        shared: bool = True,
        scale: float | None = None,
        gates: str | None = None,
        activation: Any = "silu",
        down_scale: float = 0.01,
        sparse: bool = True,
        z_loss: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not shared < num_active <= num_experts:
            raise ValueError(
                f"`num_active` must lie between {1 + shared}{' (with the shared one)' * shared} "
                f"and num_experts. Received: num_active={num_active}, num_experts={num_experts}."
            )
        if gates not in (None, *GATES):
            raise ValueError(f"`gates` must be one of {GATES} or None. Received: {gates!r}.")
        if not expansion > 0:
            raise ValueError(f"`expansion` must be positive. Received: expansion={expansion}.")
        if z_loss < 0:
            raise ValueError(f"`z_loss` must not be negative. Received: z_loss={z_loss}.")
        self.num_experts = num_experts
        self.num_active = num_active
        self.expansion = expansion
        self.shared = shared
        self.scale = scale
        self.gates = gates
        self.activation = keras.activations.get(activation)
        self.down_scale = down_scale
        self.sparse = sparse
        self.z_loss = z_loss
        # Keras asks every layer before it compiles a model with XLA.
        self.supports_jit = not sparse
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    @property
    def num_routed(self) -> int:
        """How many experts the router chooses from."""
        return self.num_experts - self.shared

    def build(self, input_shape: Sequence[int | None]) -> None:
        tokens, dim = int(input_shape[1] or 0), int(input_shape[2] or 0)
        hidden = max(1, round(self.expansion * dim / self.num_experts))
        wide = self.num_routed * hidden
        common = {
            "kernel_initializer": self.kernel_initializer,
            "kernel_regularizer": self.kernel_regularizer,
            "use_bias": False,
            "dtype": self.dtype_policy,
        }
        # Gates of all experts, then values of all experts.
        self.up = PerTokenDense(2 * wide, parts=2 * self.num_routed, name="up", **common)
        self.down = PerTokenDense(
            dim, fan_in=[hidden] * tokens, kernel_scale=self.down_scale, name="down", **common
        )
        self.router = PerTokenDense(self.num_routed, name="router", **common)
        self.up.build((None, tokens, dim))
        self.down.build((None, tokens, wide))
        self.router.build((None, tokens, dim))
        if self.shared:
            self.shared_expert = PerTokenSwiGLU(
                hidden / dim,
                self.activation,
                down_scale=self.down_scale,
                name="shared_expert",
                **common,
            )
            self.shared_expert.build((None, tokens, dim))
        self.built = True

    def route(self, x: Any) -> Any:
        """`a g` of `x` (batch, T, D) for the experts routed to: (batch, T, E - 1), mostly 0."""
        return kernels.row_wise(self._gated, self.router(x))

    def _gated(self, z: Any) -> Any:
        active = self.num_active - self.shared
        # In float32: ties in bfloat16 would choose other experts.
        wide = ops.cast(z, "float32")
        _, chosen = ops.top_k(wide, active, sorted=False)
        chosen = ops.sum(ops.one_hot(chosen, self.num_routed, dtype="float32"), axis=-2)
        if (self.gates or ("chosen" if active > 1 else "all")) == "chosen":
            gates = ops.softmax(ops.where(chosen > 0, wide, -1e30), axis=-1)
        else:
            gates = ops.softmax(wide, axis=-1) * chosen
        scale = self.num_experts / self.num_active if self.scale is None else self.scale
        return ops.cast(scale * gates, z.dtype)

    def call(self, x: Any, training: bool | None = None) -> Any:
        z = self.router(x)
        if training and self.z_loss:
            large = ops.logsumexp(ops.cast(z, "float32"), axis=-1)
            self.add_loss(self.z_loss * ops.mean(ops.square(large)))
        y = kernels.per_token_moe(
            x,
            kernels.row_wise(self._gated, z),
            (self.up.kernel, None),
            (self.down.kernel, None),
            self.activation,
            gated=True,
            sparse=self.sparse,
            training=training,
        )
        return kernels.add(y, self.shared_expert(x)) if self.shared else y

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
