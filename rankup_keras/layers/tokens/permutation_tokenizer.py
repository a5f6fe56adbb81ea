"""RankUp's tokenizer: randomized permutation splitting."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from rankup_keras._registry import serializable
from rankup_keras.layers.tokens.field_groups import FieldGroups, balanced_groups
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


@serializable
class PermutationTokenizer(keras.layers.Layer):
    """Deals whole fields out to tokens at random, and projects each group to a token.

    The fields are permuted once, the permutation is cut into `num_tokens`
    groups whose sizes differ by at most one, a group's embeddings are
    concatenated, and each group has a projection of its own:

    `x_t = concat(e_f for f in group t) W_t + b_t`

    Fields that belong together by meaning would make similar tokens; dealing
    them out at random raises the rank of the token matrix. The permutation is
    fixed (the paper does not say; a projection per group has no meaning under
    a moving one) and stored as a list, not only as a seed.

    Args:
        num_tokens: int. Number of tokens N, at most the number of fields.
        token_dim: int. Width D of a token.
        field_dims: list of ints, width of each field in the input.
        permutation: list of field indices in the order in which they are dealt
            out, or `None` to draw one from `seed`.
        seed: int. Seed of the permutation. Defaults to 0.
        kernel_initializer: initializer of one token's projection.
        kernel_regularizer: regularizer of the projections. Defaults to none.

    Call arguments:
        x: float tensor (batch, sum of `field_dims`), the fields' embeddings
            side by side.

    Returns:
        Tensor (batch, num_tokens, token_dim).

    Raises:
        ValueError: more tokens than fields, or `permutation` is none.

    References:
        - RankUp, arXiv 2604.17878, randomized permutation splitting.
    """

    def __init__(
        self,
        num_tokens: int,
        token_dim: int,
        field_dims: Sequence[int],
        permutation: Sequence[int] | None = None,
        seed: int = 0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_tokens = num_tokens
        self.token_dim = token_dim
        self.field_dims = [int(dim) for dim in field_dims]
        self.seed = seed
        fields = len(self.field_dims)
        if not 1 <= num_tokens <= fields:
            raise ValueError(
                f"`num_tokens` must lie between 1 and the number of fields, {fields}: every token "
                f"takes at least one whole field. Received: num_tokens={num_tokens}."
            )
        if permutation is None:
            permutation = np.random.default_rng(seed).permutation(fields).tolist()
        self.permutation = [int(index) for index in permutation]
        if sorted(self.permutation) != list(range(fields)):
            raise ValueError(
                f"`permutation` must name each of the {fields} fields once, by index. "
                f"Received: {self.permutation}."
            )
        self.groups = balanced_groups(self.permutation, num_tokens)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self._layout = FieldGroups(self.field_dims, self.groups)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if input_shape[-1] != sum(self.field_dims):
            raise ValueError(
                f"The input must be as wide as `field_dims` sum up to, {sum(self.field_dims)}. "
                f"Received: shape={tuple(input_shape)}."
            )
        self.projection = PerTokenDense(
            self.token_dim,
            kernel_initializer=self.kernel_initializer,
            kernel_regularizer=self.kernel_regularizer,
            tokens_first=True,
            fan_in=self._layout.widths,
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build((self.num_tokens, None, self._layout.width))
        self.built = True

    def call(self, x: Any) -> Any:
        groups = self._layout.gather(x)
        return ops.transpose(self.projection(ops.transpose(groups, (1, 0, 2))), (1, 0, 2))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], self.num_tokens, self.token_dim)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            num_tokens=self.num_tokens,
            token_dim=self.token_dim,
            field_dims=self.field_dims,
            permutation=self.permutation,
            seed=self.seed,
            kernel_initializer=keras.initializers.serialize(self.kernel_initializer),
            kernel_regularizer=keras.regularizers.serialize(self.kernel_regularizer),
        )
        return config
