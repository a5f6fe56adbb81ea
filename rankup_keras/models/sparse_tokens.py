"""RankUp's sparse tokens, whose number is what the other families leave room for."""

import functools
import itertools
from typing import Any

from rankup_keras.layers.embeddings import TakeColumns
from rankup_keras.layers.tokens import PermutationTokenizer, SemanticTokenizer, SliceTokenizer
from rankup_keras.models.embedded_row import Fields
from rankup_keras.models.stack import needs_divisor
from rankup_keras.models.token_counts import choose_sparse_tokens, choose_width
from rankup_keras.models.token_family import TokenFamily, one_of
from rankup_keras.models.token_streams import ITEM, USER, shares

TOKENIZERS = ("permutation", "semantic", "slice")


class Sparse(TokenFamily):
    """Tokens of the categorical fields of all its table sets: one per field at most, or slices."""

    name = table_set = "sparse"

    @functools.cached_property
    def categorical(self) -> Fields:
        """The fields to make tokens of, one table set after the other."""
        fields = sum(map(self.row.categorical, self.sets), start=Fields([], [], []))
        if not fields.dims:
            raise ValueError(
                "RankUp needs at least one Categorical feature to make sparse tokens of. "
                f"Received features: {[feature.name for feature in self.features.features]}."
            )
        return fields

    def sizes(self, others: int) -> tuple[int, int]:
        """Width of a token and number of sparse tokens, as asked for or as fits.

        Args:
            others: number of all other tokens.
        """
        fields, wanted = self.categorical, self.settings["num_sparse_tokens"]
        tokenizer = one_of("tokenizer", self.settings["tokenizer"], TOKENIZERS)
        limit, token_dim = self.settings["max_tokens"], self.settings["token_dim"]
        if tokenizer == "semantic":
            groups = len(self._groups(fields))
            if wanted not in (None, groups):
                raise ValueError(
                    "tokenizer='semantic' makes one token per group of features. "
                    f"Received: num_sparse_tokens={wanted}, and there are {groups} groups."
                )
            wanted = groups
        number = len(fields.dims)
        if token_dim is None:
            token_dim = choose_width(others, number, wanted, limit)
        if not needs_divisor(self.settings["mixing"]):
            return token_dim, wanted or max(1, min(number, limit - others))
        # A slice may be smaller than a field.
        pieces = sum(fields.dims) if tokenizer == "slice" and wanted else number
        return token_dim, choose_sparse_tokens(token_dim, others, pieces, wanted, limit)

    def _groups(self, fields: Fields) -> list[list[int]]:
        """Places of the fields of each named group; those without one together, the last."""
        group_of = {feature.name: feature.group for feature in self.features.features}
        groups: dict[str | None, list[int]] = {}
        for place, name in enumerate(fields.names):
            groups.setdefault(group_of[name], []).append(place)
        rest = groups.pop(None, None)
        if not groups:
            raise ValueError(
                "tokenizer='semantic' needs features with a `group`, such as "
                f"Categorical({fields.names[0]!r}, group='...'). Received none among "
                f"{fields.names}."
            )
        return [*groups.values(), *([rest] if rest else [])]

    def tokens_of(self, token_dim: int, num_tokens: int) -> tuple[Any, list[int] | None]:
        """The tokens (batch, T, D), and the permutation of fields where there is one."""
        x = self.row.drop(self.categorical.tensor, "sparse_dropout")
        tokenizer = self._tokenizer(token_dim, num_tokens)
        return tokenizer(x), getattr(tokenizer, "permutation", None)

    def tokens_by_side(self, token_dim: int, num_tokens: int) -> dict[str, Any]:
        """Tokens of the user's fields and of the candidate's, a list each; see `token_streams`."""
        if self.settings["tokenizer"] != "permutation" or self.settings["permutation"] is not None:
            raise ValueError(
                "`user_item_mask` needs tokenizer='permutation', drawn from `permutation_seed`: "
                "fields of the user and of the candidate share no token. "
                f"Received: tokenizer={self.settings['tokenizer']!r}, "
                f"permutation={self.settings['permutation']}."
            )
        fields, sides = self.categorical, {f.name: f.side for f in self.features.features}
        ends = list(itertools.accumulate(fields.dims))
        places: dict[str, list[int]] = {USER: [], ITEM: []}
        for place, name in enumerate(fields.names):
            places[USER if sides[name] == "user" else ITEM].append(place)
        if not all(places.values()):
            raise ValueError(
                "`user_item_mask` needs a Categorical feature of side='user' and one of another "
                f"side. Received sides: {sides}."
            )
        counts = shares(num_tokens, {stream: len(own) for stream, own in places.items()})
        found = {}
        for stream, own in places.items():
            columns = [(ends[i] - fields.dims[i], ends[i]) for i in own]
            of = [fields.names[i] for i in own]
            x = TakeColumns(columns, of, dtype=self.row.dtype)(fields.tensor)
            tokenizer = PermutationTokenizer(
                counts[stream],
                token_dim,
                [fields.dims[i] for i in own],
                seed=self.settings["permutation_seed"],
                name=f"{stream}tokenizer",
                dtype=self.row.dtype,
            )
            found[stream] = [tokenizer(self.row.drop(x, f"{stream}sparse_dropout"))]
        return found

    def _tokenizer(self, token_dim: int, num_tokens: int) -> Any:
        kind, fields = self.settings["tokenizer"], self.categorical
        common = {"name": "tokenizer", "dtype": self.row.dtype}
        if kind == "slice":
            return SliceTokenizer(num_tokens, token_dim, **common)
        if kind == "semantic":
            return SemanticTokenizer(token_dim, fields.dims, self._groups(fields), **common)
        return PermutationTokenizer(
            num_tokens,
            token_dim,
            fields.dims,
            permutation=self.settings["permutation"],
            seed=self.settings["permutation_seed"],
            **common,
        )
