"""Sparse mixture of experts, with experts of its own for every token."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras import kernels
from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.expert_share import ExpertShare
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense

MIN_PENALTY = 1e-8
# Both terms have their full weight from a relative distance of 1/4 from the target on.
FULL_WEIGHT = 4


@serializable
class PerTokenMoE(ConfiguredLayer):
    """Every token chooses among experts of its own by ReLU routing.

    `v_t = sum_j G_tj expert_tj(s_t)`, `G_t = ReLU(z_t)`, `z_t = router_t(s_t)`,
    with `expert_tj(s) = f(s W1_tj + b1_tj) W2_tj + b2_tj`. An expert whose gate
    is zero does not count. The loss gains the mean over tokens of

    - `w_t lambda_t mean(sum_j G_tj)` for a token of whose experts more than
      `target_share` were active in the batch;
    - `w_t recovery mean(sum_j ReLU(-z_tj))` for a token with fewer, which opens
      closed gates again;

    with `e_t = (share_t - target_share) / target_share` and
    `w_t = min(1, 4 |e_t|)`; `lambda_t` is then multiplied by
    `rate ** clip(e_t, -1, 1)`.

    RankMixer does not say how many experts, which lambda, nor how its two
    routers (dense training, sparse inference) are combined. The default here
    is one ReLU router whose gates start around 1, so that training starts
    almost dense, and ReMoE's rule for lambda, for each token by itself. With
    that rule alone gates died on small data and tokens lost all their experts:
    lambda grows while an optimizer moves gates by its fixed step, falls as
    slowly, and a closed gate has no gradient. Hence the second term, no first
    one below the target, and `e_t` where ReMoE has a sign: with the sign the
    share swings far below the target before it settles.
    `two_routers=True` is RankMixer's: training uses the mean of both routers'
    gates, so that the inference router too gets the task's gradient; the
    penalty falls on the inference router alone, and inference uses only that
    one.

    Args:
        num_experts: int. E, experts per token.
        expansion: float. Width of ONE expert's hidden layer in widths of a
            token. Defaults to 1.
        target_share: float in (0, 1]. Share of experts that should be active.
            Defaults to 0.25.
        activation: f. Defaults to `"gelu"` (exact).
        two_routers: bool. Defaults to `False`.
        sparse_inference: bool. Whether inference computes only active experts
            for batches in which that pays: at least 64 rows, at most half of
            them for the fullest expert. Has no XLA form. Defaults to `False`.
        penalty: float. First lambda. Defaults to 1e-3.
        rate: float. Largest factor on lambda per step. Defaults to 1.2.
        max_penalty: float. Largest lambda. It has to exceed the gradient that
            keeps gates open: raise it where the share stays above its target.
            Far larger ones overshoot. Defaults to 0.1, which suits log loss.
        recovery: float. Coefficient of what opens closed gates again; 0 for
            nothing. Defaults to 0.03.
        kernel_initializer: initializer of one expert's kernels.
        kernel_regularizer: regularizer of the experts' kernels. Defaults to
            none.

    Call arguments:
        x: float tensor (batch, T, D).
        training: bool.

    Returns:
        Tensor of the same shape. While training, the metrics
        `<name>_active_share` and `<name>_least_active_share` (that of the token
        with the fewest) follow the experts' use; elsewhere they are NaN.

    Raises:
        ValueError: an argument outside of its range.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(8, 4, 16)).astype("float32")
    experts = rk.layers.PerTokenMoE(num_experts=4, expansion=0.5)
    print(experts(tokens).shape)                # (8, 4, 16)
    print(experts.gates(tokens).shape)          # (8, 4, 4)
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.4 (sparse MoE, DTSI).
        - ReMoE, arXiv 2412.14711 (ReLU routing, adaptive L1).
    """

    def __init__(
        self,
        num_experts: int,
        expansion: float = 1,
        target_share: float = 0.25,
        activation: Any = "gelu",
        two_routers: bool = False,
        sparse_inference: bool = False,
        penalty: float = 1e-3,
        rate: float = 1.2,
        max_penalty: float = 0.1,
        recovery: float = 0.03,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_experts < 1:
            raise ValueError(f"`num_experts` must be positive. Received: {num_experts}.")
        if not 0 < target_share <= 1:
            raise ValueError(
                f"`target_share` must lie in (0, 1]. Received: target_share={target_share}."
            )
        if not expansion > 0 or not rate > 1:
            raise ValueError(
                "`expansion` must be positive and `rate` above 1. "
                f"Received: expansion={expansion}, rate={rate}."
            )
        if not MIN_PENALTY <= penalty <= max_penalty or recovery < 0:
            raise ValueError(
                f"`penalty` must lie between {MIN_PENALTY} and `max_penalty`, and `recovery` must "
                f"not be negative. Received: penalty={penalty}, max_penalty={max_penalty}, "
                f"recovery={recovery}."
            )
        self.num_experts = num_experts
        self.expansion = expansion
        self.target_share = target_share
        self.activation = keras.activations.get(activation)
        self.two_routers = two_routers
        self.sparse_inference = sparse_inference
        # Keras asks every layer before it compiles a model with XLA.
        self.supports_jit = not sparse_inference
        self.penalty = penalty
        self.rate = rate
        self.max_penalty = max_penalty
        self.recovery = recovery
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.active_share = ExpertShare("mean", name=f"{self.name}_active_share")
        self.least_active_share = ExpertShare("min", name=f"{self.name}_least_active_share")

    def build(self, input_shape: Sequence[int | None]) -> None:
        tokens, dim = input_shape[1], int(input_shape[2] or 0)
        hidden = max(1, round(self.expansion * dim))
        shape, wide = (None, tokens, dim), hidden * self.num_experts

        def dense(units: int, name: str, **settings: Any) -> PerTokenDense:
            return PerTokenDense(units, name=name, dtype=self.dtype_policy, **settings)

        self.up = dense(
            wide,
            "up",
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            parts=self.num_experts,
        )
        self.down = dense(
            dim,
            "down",
            use_bias=False,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            # The fan of one expert: the gates choose among them.
            fan_in=[hidden] * int(tokens or 0),
        )
        # Gates around 1 at first: most experts are active, and training starts almost dense. Their
        # spread over samples lets a penalty close them one after the other, not all at once.
        spread = keras.initializers.RandomNormal(stddev=1 / math.sqrt(dim))
        gate = {"kernel_initializer": spread}
        self.router = dense(self.num_experts, "router", bias_initializer="ones", **gate)
        self.up.build(shape)
        self.down.build((None, tokens, wide))
        self.router.build(shape)
        if self.two_routers:
            self.training_router = dense(
                self.num_experts, "training_router", bias_initializer="ones", **gate
            )
            self.training_router.build(shape)
        self.expert_bias = self.add_weight(
            name="expert_bias", shape=(tokens, self.num_experts, dim), initializer="zeros"
        )
        self.coefficient = self.add_weight(
            name="penalty",
            shape=(tokens,),
            initializer=keras.initializers.Constant(self.penalty),
            trainable=False,
            autocast=False,
            dtype="float32",
            # Replicas see different rows, and so different shares.
            aggregation="mean",
        )
        self.active_share.build_for(int(tokens or 0))
        self.least_active_share.build_for(int(tokens or 0))
        self.built = True

    def gates(self, x: Any) -> Any:
        """Gates of `x` (batch, T, D) at inference: (batch, T, E)."""
        return ops.relu(self.router(x))

    def call(self, x: Any, training: bool | None = None) -> Any:
        routed = self.router(x)
        gates = ops.relu(routed)
        if training:
            self._watch(routed)
            if self.two_routers:
                gates = (gates + ops.relu(self.training_router(x))) / 2
        up, down = self.up.affine, (self.down.kernel, self.expert_bias)
        sparse = self.sparse_inference and not training
        return kernels.per_token_moe(x, gates, up, down, self.activation, False, sparse, training)

    def _watch(self, routed: Any) -> None:
        routed = ops.cast(routed, "float32")
        gates = ops.relu(routed)
        shares = ops.mean(ops.cast(gates > 0, "float32"), axis=(0, 2))
        # While training only: a served graph has no state to write to.
        self.active_share.update_state(shares)
        self.least_active_share.update_state(shares)
        opened = ops.mean(ops.sum(gates, axis=-1), axis=0)
        closed = ops.mean(ops.sum(ops.relu(-routed), axis=-1), axis=0)
        error = ops.clip((shares - self.target_share) / self.target_share, -1, 1)
        weight = ops.clip(FULL_WEIGHT * error, -1, 1)
        over, under = ops.relu(weight), ops.relu(-weight)
        self.add_loss(ops.mean(over * self.coefficient * opened + under * self.recovery * closed))
        moved = self.coefficient * ops.power(self.rate, error)
        self.coefficient.assign(ops.clip(moved, MIN_PENALTY, self.max_penalty))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
