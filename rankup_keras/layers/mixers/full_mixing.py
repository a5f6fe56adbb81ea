"""RankElastor's full mixing."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.mixers.residual import make_norm
from rankup_keras.layers.tokens.per_token_initializer import PerTokenInitializer

FORMS = ("dense", "kronecker", "low_rank")


@serializable
class FullMixing(ConfiguredLayer):
    """Mixes every entry of the token matrix with every other: `vec(Y) = W vec(X)`.

    With the residual connection around it this is the paper's
    `vec(M) = LN((W + I) vec(X))`. `W` has (T D)^2 entries, 151 million at
    RankMixer-100M's size, so there are three forms:

    - `"dense"`: `W` itself;
    - `"kronecker"`: `W = sum_r A_r (x) B_r`, `Y = sum_r A_r X B_r`, with `A_r`
      (T, T) and `B_r` (D, D);
    - `"low_rank"`: `W = U V` through `rank` numbers.

    Args:
        form: one of the three. Defaults to `"dense"`.
        rank: int or `None`. Terms of the Kronecker form (default 1), inner
            width of the low-rank form (default D).
        use_bias: bool. A bias on every entry. Defaults to `False` (paper); the
            authors' code has one.
        inner_norm: `"layer_norm"`, `"rms_norm"` or `None`. Normalization of
            all T D entries together before `W`, as the authors' code does.
            Defaults to `None`, as the paper writes.
        epsilon: float added in that normalization. Defaults to 1e-6.
        kernel_initializer: initializer of the matrices. Defaults to
            `"glorot_uniform"`.
        kernel_regularizer: regularizer of the matrices. Defaults to none.
        max_weights: int. Largest `W` that the dense form makes. Defaults to
            16 million.

    Call arguments:
        x: float tensor (batch, T, D).

    Returns:
        Tensor of the same shape.

    Raises:
        ValueError: the dense form would have more than `max_weights` weights.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    tokens = np.random.normal(size=(2, 4, 16)).astype("float32")
    mixing = rk.layers.FullMixing("low_rank", rank=8)
    print(rk.layers.Residual(mixing, placement="post")(tokens).shape)   # (2, 4, 16)
    ```

    References:
        - RankElastor, arXiv 2605.23191, full mixing.
    """

    def __init__(
        self,
        form: str = "dense",
        rank: int | None = None,
        use_bias: bool = False,
        inner_norm: str | None = None,
        epsilon: float = 1e-6,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        max_weights: int = 16_000_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if form not in FORMS:
            raise ValueError(f"`form` must be one of {FORMS}. Received: form={form!r}.")
        if rank is not None and (rank < 1 or form == "dense"):
            raise ValueError(
                "`rank` must be positive and belongs to the forms 'kronecker' and 'low_rank'. "
                f"Received: rank={rank}, form={form!r}."
            )
        self.form = form
        self.rank = rank
        self.use_bias = use_bias
        self.inner_norm = inner_norm
        self.epsilon = epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.max_weights = max_weights
        self.norm = make_norm(inner_norm, epsilon, self.dtype_policy, "inner_norm")

    def _matrix(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=PerTokenInitializer(self.kernel_initializer.clone()),
            regularizer=self.kernel_regularizer,
        )

    def build(self, input_shape: Sequence[int | None]) -> None:
        tokens, width = int(input_shape[1] or 0), int(input_shape[2] or 0)
        size = tokens * width
        if self.form == "dense":
            if size**2 > self.max_weights:
                raise ValueError(
                    f"A dense full mixing of {tokens} tokens of width {width} has {size**2:,} "
                    f"weights, more than max_weights={self.max_weights:,}. Use "
                    f"form='kronecker' ({tokens**2 + width**2:,} weights) or form='low_rank', "
                    "or raise `max_weights`."
                )
            self.kernel = self._matrix("kernel", (size, size))
        elif self.form == "low_rank":
            inner = self.rank or width
            self.kernel_in = self._matrix("kernel_in", (size, inner))
            self.kernel_out = self._matrix("kernel_out", (inner, size))
        else:
            terms = self.rank or 1
            self.kernel_tokens = self._matrix("kernel_tokens", (terms, tokens, tokens))
            self.kernel_width = self._matrix("kernel_width", (terms, width, width))
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(size,), initializer="zeros")
        if self.norm is not None:
            self.norm.build((None, size))
        self.built = True

    def call(self, x: Any) -> Any:
        tokens, width = x.shape[1], x.shape[2]
        if self.norm is not None or self.form != "kronecker":
            flat = ops.reshape(x, (-1, tokens * width))
            flat = flat if self.norm is None else self.norm(flat)
        if self.form == "dense":
            mixed = ops.matmul(flat, self.kernel)
        elif self.form == "low_rank":
            mixed = ops.matmul(ops.matmul(flat, self.kernel_in), self.kernel_out)
        else:
            mixed = self._kronecker(x if self.norm is None else flat, tokens, width)
        if self.use_bias:
            mixed = mixed + self.bias
        return ops.reshape(mixed, (-1, tokens, width))

    def _kronecker(self, x: Any, tokens: int, width: int) -> Any:
        # Two plain products. A product that broadcasts a batch of four axes would say the same,
        # and corrupts memory while training in TensorFlow 2.21 with oneDNN.
        terms = self.kernel_tokens.shape[0]
        right = ops.reshape(ops.transpose(self.kernel_width, (1, 0, 2)), (width, terms * width))
        left = ops.reshape(ops.transpose(self.kernel_tokens, (0, 2, 1)), (terms * tokens, tokens))
        x = ops.matmul(ops.reshape(x, (-1, width)), right)
        x = ops.transpose(ops.reshape(x, (-1, tokens, terms, width)), (0, 3, 2, 1))
        x = ops.matmul(ops.reshape(x, (-1, terms * tokens)), left)
        x = ops.transpose(ops.reshape(x, (-1, width, tokens)), (0, 2, 1))
        return ops.reshape(x, (-1, tokens * width))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(input_shape)
