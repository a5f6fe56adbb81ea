"""What RankUp asks of a token family."""

from collections.abc import Mapping, Sequence
from typing import Any

from rankup_keras.features import FeatureSet


def one_of(argument: str, value: Any, known: Sequence[Any]) -> Any:
    """`value`, or an error that names the argument and what would work."""
    if value not in known:
        raise ValueError(f"`{argument}` must be one of {tuple(known)}. Received: {value!r}.")
    return value


class TokenFamily:
    """One kind of tokens in one model.

    Attributes:
        name: what `multi_embedding` calls the family, if it reads tables.
        table_set: the table set that it reads where `multi_embedding` is
            `True`, `None` where it reads no tables.
        features: the adapted `FeatureSet`.
        settings: RankUp's arguments by name.
        sets: the table sets that it reads in this model.
        row: the `EmbeddedRow`; `None` while `wanted` and `fields` run.
    """

    name = ""
    table_set: str | None = None

    def __init__(self, features: FeatureSet, settings: Mapping[str, Any]) -> None:
        self.features, self.settings = features, settings
        self.sets: list[str] = []
        self.row: Any = None

    def wanted(self) -> bool:
        """Whether the model has tokens of this family."""
        return True

    def fields(self) -> list[str] | None:
        """The features whose tables it reads, `None` for all."""
        return None

    def count(self) -> int:
        """How many tokens it makes; asked before `make`. Defaults to one per table set."""
        return len(self.each_set())

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        """The tokens of one table set, in tensors (batch, n, D).

        Args:
            token_dim: D.
            table_set: the table set, `""` where the family reads none.
            ending: what the names of the layers for this set end in.
        """
        raise NotImplementedError  # abstract: each family makes its own tokens

    def each_set(self) -> list[tuple[str, str]]:
        """The table sets, and what the names of the layers for each end in."""
        if len(self.sets) < 2:
            return [(self.sets[0] if self.sets else "", "")]
        return [(name, f"_{index}") for index, name in enumerate(self.sets, start=1)]

    def tokens(self, token_dim: int) -> list[Any]:
        """The tokens of all table sets."""
        return [x for place in self.each_set() for x in self.make(token_dim, *place)]
