"""Tokens of fields grouped by meaning."""

from collections.abc import Sequence
from typing import Any

from rankup_keras._registry import serializable
from rankup_keras.layers.tokens.group_tokenizer import GroupTokenizer


@serializable
class SemanticTokenizer(GroupTokenizer):
    """Makes one token of each named group of fields, fields kept whole.

    `x_t = concat(e_f for f in group t) W_t + b_t`

    Args:
        token_dim: int. Width D of a token.
        field_dims: list of ints, width of each field in the input.
        groups: list of lists of field indices, one per token. A field may stand
            in several groups; every group needs one.
        kernel_initializer: initializer of one token's projection.
        kernel_regularizer: regularizer of the projections. Defaults to none.

    Call arguments:
        x: float tensor (batch, sum of `field_dims`).

    Returns:
        Tensor (batch, number of groups, token_dim).

    Raises:
        ValueError: an empty group, or an index that is not a field's.

    Example:

    ```python
    import numpy as np
    import rankup_keras as rk

    embeddings = np.random.normal(size=(2, 8 + 4 + 4)).astype("float32")
    tokenizer = rk.layers.SemanticTokenizer(16, field_dims=[8, 4, 4], groups=[[0], [1, 2]])
    print(tokenizer(embeddings).shape)          # (2, 2, 16)
    ```

    References:
        - RankMixer, arXiv 2507.15551, section 3.2 (grouping by meaning).
    """

    def __init__(
        self,
        token_dim: int,
        field_dims: Sequence[int],
        groups: Sequence[Sequence[int]],
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            token_dim, field_dims, groups, kernel_initializer, kernel_regularizer, **kwargs
        )
