"""RankUp's tokenizer: randomized permutation splitting."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rankup_keras._registry import serializable
from rankup_keras.layers.tokens.field_groups import balanced_groups
from rankup_keras.layers.tokens.group_tokenizer import GroupTokenizer


@serializable
class PermutationTokenizer(GroupTokenizer):
    """Deals whole fields out to tokens at random, and projects each group to a token.

    The fields are permuted once, the permutation is cut into `num_tokens`
    groups whose sizes differ by at most one, a group's embeddings are
    concatenated, and each group has its own projection:

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
        ValueError: more tokens than fields, or `permutation` is not one.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    embeddings = np.random.normal(size=(2, 6 * 8)).astype("float32")
    tokenizer = rk.layers.PermutationTokenizer(num_tokens=3, token_dim=16, field_dims=[8] * 6)
    print(tokenizer(embeddings).shape, tokenizer.groups)    # (2, 3, 16), pairs of fields
    ```

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
        fields = len(field_dims)
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
        groups = balanced_groups(self.permutation, num_tokens)
        super().__init__(
            token_dim, field_dims, groups, kernel_initializer, kernel_regularizer, **kwargs
        )
        self.num_tokens = num_tokens
        self.seed = seed

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["groups"]  # they follow from the permutation
        return config
