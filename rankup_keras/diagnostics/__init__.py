"""What the representation is doing: rank measures, and the callback that watches them."""

from rankup_keras.diagnostics.ranks import (
    effective_rank,
    information_abundance,
    numerical_rank,
    singular_values,
    stable_rank,
    token_view,
)

__all__ = [
    "effective_rank",
    "information_abundance",
    "numerical_rank",
    "singular_values",
    "stable_rank",
    "token_view",
]
