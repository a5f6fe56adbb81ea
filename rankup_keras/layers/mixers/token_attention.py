"""Zenith's attention between tokens."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.divisibility import must_divide
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class TokenAttention(ConfiguredLayer):
    """Self-attention over tokens, every token with projections of its own.

    `q_t = x_t Q_t`, `k_t = x_t K_t`, `v_t = x_t V_t`, each cut into heads of width
    D / H; in each head `a_t = sum_u softmax_u(q_t . k_u / sqrt(D / H)) v_u`; the
    heads side by side times `W`, which all tokens share. Tokens of unlike
    meaning stay unlike, where shared projections make them alike. Any number
    of tokens will do.

    Args:
        num_heads: int. H, a divisor of D. The paper does not say; defaults to 2.
        num_tasks: int. K: the last K tokens are those of tasks, in order. A task's
            token reads the tokens before all tasks', its own, and those of the
            tasks before it, to whose keys and values its loss gives no
            gradient; the tokens before read no task's (OneRank). Defaults to
            0: every token reads every other.
        kernel_initializer: initializer of one token's kernels, and of `W`.
            Defaults to `"glorot_uniform"`.
        kernel_regularizer: regularizer of the kernels. Defaults to none.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: H does not divide D, or there are no tokens beside the K.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 5, 16)).astype("float32")
    print(rk.layers.Residual(rk.layers.TokenAttention())(tokens).shape)     # (2, 5, 16)
    ```

    References:
        - Zenith, arXiv 2601.21285 (Zenith++'s fusion; one `W` for all tokens is a reader's form).
        - OneRank, arXiv 2606.16838 (tasks in order, detached).
    """

    def __init__(
        self,
        num_heads: int = 2,
        num_tasks: int = 0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.num_tasks = num_tasks
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Sequence[int | None]) -> None:
        width = int(input_shape[2] or 0)
        must_divide("num_heads", self.num_heads, width)
        if not 0 <= self.num_tasks < (input_shape[1] or math.inf):
            raise ValueError(
                "`num_tasks` must be 0 or more, and fewer than there are tokens. "
                f"Received: num_tasks={self.num_tasks} for {input_shape[1]} tokens."
            )
        # Q, K and V side by side: one product makes all three.
        self.lift = PerTokenDense(
            3 * width,
            use_bias=False,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            parts=3,
            name="lift",
            dtype=self.dtype_policy,
        )
        self.lift.build(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(width, width),
            initializer=self.kernel_initializer.clone(),
            regularizer=self.kernel_regularizer,
        )
        self.built = True

    def call(self, x: Any) -> Any:
        tokens, width = x.shape[1], x.shape[2]
        head_dim = width // self.num_heads

        def by_head(part: Any) -> Any:
            part = ops.reshape(part, (-1, tokens, self.num_heads, head_dim))
            part = ops.transpose(part, (0, 2, 1, 3))
            # One axis of rows and heads: see `FullMixing` on products of four axes.
            return ops.reshape(part, (-1, tokens, head_dim))

        query, key, value = map(by_head, ops.split(self.lift(x), 3, axis=-1))
        if self.num_tasks:
            key, value = map(self._and_detached, (key, value))
        scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / math.sqrt(head_dim)
        # In float32: bfloat16 has too few digits for a sum of exponentials.
        scores = ops.cast(scores, "float32")
        if self.num_tasks:
            scores = ops.where(self._read_by(tokens), scores, -1e30)
        shares = ops.cast(ops.softmax(scores, axis=-1), x.dtype)
        mixed = ops.reshape(ops.matmul(shares, value), (-1, self.num_heads, tokens, head_dim))
        mixed = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, width))
        return ops.reshape(ops.matmul(mixed, self.kernel), (-1, tokens, width))

    def _and_detached(self, x: Any) -> Any:
        """All tokens' keys or values, and after them once more those of tasks, as constants."""
        return ops.concatenate([x, ops.stop_gradient(x[:, -self.num_tasks :])], axis=1)

    def _read_by(self, tokens: int) -> np.ndarray:
        """Which of these (T + K) each token reads: (T, T + K)."""
        plain, tasks = tokens - self.num_tasks, self.num_tasks
        reads = np.zeros((tokens, tokens + tasks), bool)
        reads[:, :plain] = True
        reads[plain:, plain:tokens] = np.eye(tasks)
        reads[plain:, tokens:] = np.tri(tasks, k=-1)
        return reads

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
