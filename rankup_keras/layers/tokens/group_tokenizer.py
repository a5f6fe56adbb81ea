"""What the tokenizers that keep fields whole share: one projection per group of fields."""

from collections.abc import Sequence
from typing import Any

import keras

from rankup_keras.layers.configured import ConfiguredLayer
from rankup_keras.layers.tokens.field_groups import FieldGroups
from rankup_keras.layers.tokens.per_token_dense import PerTokenDense


class GroupTokenizer(ConfiguredLayer):
    """Makes one token of each group of fields: `x_t = concat(e_f for f in group t) W_t + b_t`.

    Args:
        token_dim: int. Width D of a token.
        field_dims: list of ints, width of each field in the input.
        groups: list of lists of field indices, one per token.
        kernel_initializer: initializer of one token's projection.
        kernel_regularizer: regularizer of the projections.
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
        super().__init__(**kwargs)
        self.token_dim = token_dim
        self.field_dims = [int(dim) for dim in field_dims]
        self.groups = [[int(field) for field in group] for group in groups]
        fields = range(len(self.field_dims))
        for index, group in enumerate(self.groups):
            if not group or any(field not in fields for field in group):
                raise ValueError(
                    f"Every group in `groups` must hold field indices from 0 to {len(fields) - 1}. "
                    f"Received group {index}: {group}."
                )
        if not self.groups:
            raise ValueError("`groups` must hold at least one group. Received an empty list.")
        self.fields = FieldGroups(self.field_dims, self.groups)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

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
            fan_in=self.fields.widths,
            name="projection",
            dtype=self.dtype_policy,
        )
        self.projection.build((None, len(self.groups), self.fields.width))
        self.built = True

    def call(self, x: Any) -> Any:
        return self.projection(self.fields.gather(x))

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        return (input_shape[0], len(self.groups), self.token_dim)
