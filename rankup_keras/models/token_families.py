"""RankUp's token families: of each, what it reads, how many tokens it has, and what makes them.

To add a family, write a subclass of `TokenFamily` here and put it into `FAMILIES`; what it is
given are arguments of `RankUp`, by name in `settings`.
"""

import functools
from collections.abc import Mapping
from typing import Any

import keras_rs

from rankup_keras.features import FeatureSet, Pretrained
from rankup_keras.features import Sequence as SequenceFeature
from rankup_keras.layers.tokens import (
    CrossedTokens,
    FactorizationMachine,
    GlobalToken,
    SemanticTokenizer,
    SequenceTokens,
    TargetAttention,
)
from rankup_keras.models.embedded_row import EmbeddedRow, Fields, side_by_side
from rankup_keras.models.layer_choice import is_own_layer, kind_and_arguments, own_layer
from rankup_keras.models.sparse_tokens import Sparse
from rankup_keras.models.table_sets import fields_by_set, sets_by_family
from rankup_keras.models.token_family import TokenFamily, one_of

GLOBAL_FUNCTIONS = ("mlp", "fm", "dcnv2")
ENCODERS = ("mean", "attention")


class Global(TokenFamily):
    """One token of all fields per table set."""

    name = table_set = "global"

    def wanted(self) -> bool:
        return self.settings["global_units"] is not None

    def tokens(self, token_dim: int) -> list[Any]:
        units, tokens = self.settings["global_units"], []
        for table_set, ending in self.each_set():
            fields = self.row.pooled(table_set)
            x = self._interact(
                self.row.drop(fields.tensor, f"global{ending}_dropout"), fields, ending
            )
            token = GlobalToken(
                token_dim, units, name=f"global_token{ending}", dtype=self.row.dtype
            )
            tokens.append(token(x))
        return tokens

    def _interact(self, x: Any, fields: Fields, ending: str) -> Any:
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
            x = FactorizationMachine(fields.dims, name=f"global_fm{ending}", dtype=dtype)(x)
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
    """One token of the numeric columns, and of the pretrained vectors in no cross."""

    name = "dense"

    def _vectors(self) -> list[str]:
        crossed = {name for pair in self.settings["crosses"] for name in pair}
        names = [feature.name for feature in self.features.of_type(Pretrained)]
        return [name for name in names if name not in crossed]

    def wanted(self) -> bool:
        return bool(self.features.numeric_names() or self._vectors())

    def count(self) -> int:
        return 1

    def tokens(self, token_dim: int) -> list[Any]:
        numeric = [x for name, x in self.row.inputs.items() if name == "encoded_numeric"]
        vectors = self.row.vectors()
        x = side_by_side([*numeric, *(vectors[name] for name in self._vectors())])
        return [GlobalToken(token_dim, name="dense_token", dtype=self.row.dtype)(x)]


class Sequences(TokenFamily):
    """One token of every behaviour sequence per table set."""

    name, table_set = "sequence", "sparse"

    def wanted(self) -> bool:
        one_of("sequence_encoder", self.settings["sequence_encoder"], ENCODERS)
        return bool(self.features.of_type(SequenceFeature))

    def count(self) -> int:
        return sum(len(self.row.history_names(table_set)) for table_set in self.sets)

    def tokens(self, token_dim: int) -> list[Any]:
        tokens = []
        for table_set, ending in self.each_set():
            histories = self.row.histories(table_set)
            if not histories:
                continue
            items = [
                self.row.drop(history.items, f"sequence{ending}_{index}_dropout")
                for index, history in enumerate(histories)
            ]
            ids = [history.ids for history in histories]
            common = {"name": f"sequence_tokens{ending}", "dtype": self.row.dtype}
            if self.settings["sequence_encoder"] == "mean":
                combiners = [history.combiner for history in histories]
                tokens.append(SequenceTokens(token_dim, combiners, **common)(items, ids))
                continue
            vectors = [
                TargetAttention(
                    name=f"sequence_tokens{ending}_attention_{index + 1}", dtype=self.row.dtype
                )(items[index], ids[index], self.row.field(table_set, history.of))
                for index, history in enumerate(histories)
            ]
            # One group per sequence: each has a projection of its own.
            groups = [[index] for index in range(len(vectors))]
            dims = [vector.shape[-1] for vector in vectors]
            layer = SemanticTokenizer(token_dim, dims, groups, **common)
            tokens.append(layer(side_by_side(vectors)))
        return tokens


class Interactions(TokenFamily):
    """One token of every pair of fields per table set: their embeddings' product, projected."""

    name = table_set = "interaction"

    def wanted(self) -> bool:
        return bool(self.settings["interactions"])

    def fields(self) -> list[str]:
        return [name for pair in self.settings["interactions"] for name in pair]

    def count(self) -> int:
        return len(self.sets) * len(self.settings["interactions"])

    def tokens(self, token_dim: int) -> list[Any]:
        tokens = []
        for table_set, ending in self.each_set():
            sides: tuple[list[Any], list[Any]] = ([], [])
            for number, pair in enumerate(self.settings["interactions"], start=1):
                if len(pair) != 2:
                    raise ValueError(
                        f"`interactions` must be pairs of names of fields. Received: {list(pair)}."
                    )
                for side, name in zip(sides, pair, strict=True):
                    place = f"interaction{ending}_{number}_{name}_dropout"
                    side.append(self.row.drop(self.row.field(table_set, name), place))
            layer = CrossedTokens(
                token_dim, name=f"interaction_tokens{ending}", dtype=self.row.dtype
            )
            tokens.append(layer(*sides))
        return tokens


class Crosses(TokenFamily):
    """One token of every crossed pair of pretrained vectors."""

    name = "crossed"

    def wanted(self) -> bool:
        return bool(self.settings["crosses"])

    def count(self) -> int:
        return len(self.settings["crosses"])

    def tokens(self, token_dim: int) -> list[Any]:
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
    """Tokens of layers of the user's, each of which reads a few features."""

    name, table_set = "extra", "sparse"

    def wanted(self) -> bool:
        known = [f.name for f in self.features.features if not isinstance(f, SequenceFeature)]
        for pair in self.settings["extra_tokens"]:
            fine = isinstance(pair, list | tuple) and len(pair) == 2 and is_own_layer(pair[0])
            if not fine or not pair[1] or not set(pair[1]) <= set(known):
                raise ValueError(
                    "`extra_tokens` must be pairs of a layer and a list of features that are not "
                    f"sequences, out of {known}. Received: {pair!r}."
                )
        return bool(self.settings["extra_tokens"])

    def fields(self) -> list[str]:
        read = {name for _, names in self.settings["extra_tokens"] for name in names}
        return [field.name for field in self.features.fields() if field.name in read]

    @functools.cached_property
    def _made(self) -> list[Any]:
        tokens = []
        for table_set, ending in self.each_set():
            for number, (layer, names) in enumerate(self.settings["extra_tokens"], start=1):
                name = f"extra_tokens{ending}_{number}"
                copy = own_layer("extra_tokens", layer, name, self.row.dtype)
                tokens.append(copy(side_by_side([self._read(table_set, n, name) for n in names])))
        return tokens

    def _read(self, table_set: str, feature: str, place: str) -> Any:
        x = self.row.feature(table_set, feature)
        embedded = feature in self.fields()
        return self.row.drop(x, f"{place}_{feature}_dropout") if embedded else x

    def count(self) -> int:
        for x in self._made:
            if len(x.shape) != 3 or not x.shape[1]:
                raise ValueError(
                    "`extra_tokens` must be layers that make (batch, tokens, token_dim) of "
                    f"(batch, width), with a fixed number of tokens. Received one that makes "
                    f"{x.shape}."
                )
        return sum(x.shape[1] for x in self._made)

    def tokens(self, token_dim: int) -> list[Any]:
        widths = {x.shape[2] for x in self._made} - {token_dim}
        if widths:
            raise ValueError(
                "`extra_tokens` must make tokens as wide as the others. "
                f"Received: token_dim={token_dim}, and layers that make widths {sorted(widths)}."
            )
        return self._made


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
        kinds: tuple[type[TokenFamily], ...] = (Sparse, *FAMILIES)
        self.sparse = Sparse(features, settings)
        others = [kind(features, settings) for kind in FAMILIES]
        self.others = [family for family in others if family.wanted()]
        families = [self.sparse, *self.others]
        multi_embedding = settings["multi_embedding"]
        reads = sets_by_family(
            multi_embedding, {kind.name: kind.table_set for kind in kinds if kind.table_set}
        )
        for family in families:
            family.sets = reads.get(family.name, [])
        table_sets = fields_by_set(
            [(family.sets, family.fields()) for family in families], settings["table_fields"]
        )
        joined = multi_embedding == "joined"
        self.row = EmbeddedRow(features, settings, table_sets, joined)
        for family in families:
            family.row = self.row
