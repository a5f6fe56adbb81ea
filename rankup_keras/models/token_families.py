"""RankUp's token families: of each, what it reads, how many tokens it has, and what makes them.

To add a family, write a subclass of `TokenFamily` here and put it into `FAMILIES`; what it is
given are arguments of `RankUp`, by name in `settings`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import keras_rs

from rankup_keras.features import Events, FeatureSet, History, Pretrained
from rankup_keras.layers.tokens import (
    CrossedTokens,
    FactorizationMachine,
    GlobalToken,
)
from rankup_keras.models.embedded_row import EmbeddedRow, side_by_side
from rankup_keras.models.layer_choice import is_own_layer, kind_and_arguments, own_layer
from rankup_keras.models.sequence_family import Sequences
from rankup_keras.models.sparse_tokens import Sparse
from rankup_keras.models.table_sets import fields_by_set, sets_by_family
from rankup_keras.models.token_family import TokenFamily

GLOBAL_FUNCTIONS = ("mlp", "fm", "dcnv2")


class Global(TokenFamily):
    """One token of all fields per table set."""

    name = table_set = "global"

    def wanted(self) -> bool:
        return self.settings["global_units"] is not None

    def fields(self) -> list[str] | None:
        # Events are read where their candidate is, in one table set.
        events = {name for e in self.features.of_type(Events) for name in e.fields}
        return [f.name for f in self.features.fields() if f.name not in events] if events else None

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        fields = self.row.pooled(table_set)
        x = self.row.drop(fields.tensor, f"global{ending}_dropout")
        x = self._interact(x, fields.dims, ending)
        units, name = self.settings["global_units"], f"global_token{ending}"
        return [GlobalToken(token_dim, units, name=name, dtype=self.row.dtype)(x)]

    def _interact(self, x: Any, dims: list[int], ending: str) -> Any:
        func, dtype = self.settings["global_func"], self.row.dtype
        if is_own_layer(func):
            x = own_layer("global_func", func, f"global_func{ending}", dtype)(x)
            if len(x.shape) != 2:
                raise ValueError(
                    "`global_func` must be a layer that makes (batch, width) of (batch, width). "
                    f"Received one that makes {x.shape}."
                )
            return x
        kind, given = kind_and_arguments("global_func", func, GLOBAL_FUNCTIONS)
        if kind == "fm":
            x = FactorizationMachine(dims, name=f"global_fm{ending}", dtype=dtype)(x)
        elif kind == "dcnv2":
            start, rank = x, given.pop("rank", None)
            for number in range(1, given.pop("num_crosses", 2) + 1):
                x = keras_rs.layers.FeatureCross(
                    projection_dim=rank, name=f"global_cross{ending}_{number}", dtype=dtype
                )(start, x)
        if given:
            raise ValueError(
                f"`global_func` of kind {kind!r} has no arguments {sorted(given)}. "
                "'dcnv2' has `num_crosses` and `rank`."
            )
        return x


class Dense(TokenFamily):
    """One token of numeric columns, events' matches, and pretrained vectors in no cross."""

    name = "dense"

    def _vectors(self) -> list[str]:
        crossed = {name for pair in self.settings["crosses"] for name in pair}
        names = [feature.name for feature in self.features.of_type(Pretrained)]
        return [name for name in names if name not in crossed]

    def wanted(self) -> bool:
        numbers = self.features.numeric_names() or self.features.matches()
        return bool(numbers or self._vectors())

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        vectors = self.row.vectors()
        x = side_by_side([*self.row.numbers, *(vectors[name] for name in self._vectors())])
        return [GlobalToken(token_dim, name="dense_token", dtype=self.row.dtype)(x)]


class Interactions(TokenFamily):
    """One token of every pair of fields per table set: their embeddings' product, projected."""

    name = table_set = "interaction"

    def wanted(self) -> bool:
        return bool(self.settings["interactions"])

    def fields(self) -> list[str]:
        return [name for pair in self.settings["interactions"] for name in pair]

    def count(self) -> int:
        return len(self.sets) * len(self.settings["interactions"])

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        sides: tuple[list[Any], list[Any]] = ([], [])
        for number, pair in enumerate(self.settings["interactions"], start=1):
            if len(pair) != 2:
                raise ValueError(
                    f"`interactions` must be pairs of names of fields. Received: {list(pair)}."
                )
            for side, field in zip(sides, pair, strict=True):
                place = f"interaction{ending}_{number}_{field}_dropout"
                side.append(self.row.drop(self.row.field(table_set, field), place))
        name = f"interaction_tokens{ending}"
        return [CrossedTokens(token_dim, name=name, dtype=self.row.dtype)(*sides)]


class Crosses(TokenFamily):
    """One token of every crossed pair of pretrained vectors."""

    name = "crossed"

    def wanted(self) -> bool:
        return bool(self.settings["crosses"])

    def count(self) -> int:
        return len(self.settings["crosses"])

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        crosses, vectors = self.settings["crosses"], self.row.vectors()
        for pair in crosses:
            if len(pair) != 2 or any(name not in vectors for name in pair):
                raise ValueError(
                    "`crosses` must be pairs of names of Pretrained features, of which there are "
                    f"{sorted(vectors)}. Received: {list(pair)}."
                )
        layer = CrossedTokens(token_dim, name="crossed_tokens", dtype=self.row.dtype)
        return [layer([vectors[a] for a, _ in crosses], [vectors[b] for _, b in crosses])]


class Extra(TokenFamily):
    """Tokens made by the user's own layers, each from a few features."""

    name, table_set = "extra", "sparse"

    def wanted(self) -> bool:
        known = [f.name for f in self.features.features if not isinstance(f, History | Events)]
        for pair in self.settings["extra_tokens"]:
            fine = isinstance(pair, list | tuple) and len(pair) == 2 and is_own_layer(pair[0])
            if not fine or not pair[1] or not set(pair[1]) <= set(known):
                raise ValueError(
                    "`extra_tokens` must be pairs of a layer (an instance, not a class) and a "
                    "list of features that are not sequences, chosen from "
                    f"{known}. Received: {pair!r}."
                )
        return bool(self.settings["extra_tokens"])

    def fields(self) -> list[str]:
        read = {name for _, names in self.settings["extra_tokens"] for name in names}
        return [field.name for field in self.features.fields() if field.name in read]

    @functools.cached_property
    def _made(self) -> dict[str, list[Any]]:
        """The tokens by table set: only a layer's output tells how many it makes."""
        made: dict[str, list[Any]] = {}
        for table_set, ending in self.each_set():
            for number, (layer, features) in enumerate(self.settings["extra_tokens"], start=1):
                name = f"extra_tokens{ending}_{number}"
                parts = [self._read(table_set, feature, name) for feature in features]
                copy = own_layer("extra_tokens", layer, name, self.row.dtype)
                made.setdefault(table_set, []).append(copy(side_by_side(parts)))
        return made

    def _read(self, table_set: str, feature: str, place: str) -> Any:
        x = self.row.feature(table_set, feature)
        embedded = feature in self.fields()
        return self.row.drop(x, f"{place}_{feature}_dropout") if embedded else x

    def count(self) -> int:
        shapes = [x.shape for tokens in self._made.values() for x in tokens]
        for shape in shapes:
            if len(shape) != 3 or not shape[1]:
                raise ValueError(
                    "`extra_tokens` must be layers that make (batch, tokens, token_dim) of "
                    f"(batch, width), with a fixed number of tokens. Received: {shape}."
                )
        return sum(shape[1] for shape in shapes)

    def make(self, token_dim: int, table_set: str, ending: str) -> list[Any]:
        widths = sorted({x.shape[2] for x in self._made[table_set]} - {token_dim})
        if widths:
            raise ValueError(
                "`extra_tokens` must make tokens as wide as the others. "
                f"Received: token_dim={token_dim}, and layers that make widths {widths}."
            )
        return self._made[table_set]


# In the order of their tokens, behind the sparse ones.
FAMILIES: tuple[type[TokenFamily], ...] = (
    Global,
    Dense,
    Sequences,
    Interactions,
    Crosses,
    Extra,
)


class TokenFamilies:
    """The families that a model has, and the embedded row that they read.

    Args:
        features: the adapted `FeatureSet`.
        settings: RankUp's settings, see `settings_of`.
    """

    def __init__(self, features: FeatureSet, settings: Mapping[str, Any]) -> None:
        self.sparse = Sparse(features, settings)
        others = [kind(features, settings) for kind in FAMILIES]
        self.others = [family for family in others if family.wanted()]
        multi_embedding = settings["multi_embedding"]
        reads = sets_by_family(
            multi_embedding,
            {kind.name: kind.table_set for kind in (self.sparse, *others) if kind.table_set},
        )
        families = [self.sparse, *self.others]
        for family in families:
            family.sets = reads.get(family.name, [])
        held = fields_by_set([(f.sets, f.fields()) for f in families], settings["table_fields"])
        self.row = EmbeddedRow(features, settings, held, joined=multi_embedding == "joined")
        for family in families:
            family.row = self.row
