"""RankUp's token families, and the table sets that each of them reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import keras_rs

from rankup_keras.layers.tokens import (
    CrossedTokens,
    FactorizationMachine,
    GlobalToken,
    PermutationTokenizer,
    SemanticTokenizer,
    SequenceTokens,
    SliceTokenizer,
    TargetAttention,
)
from rankup_keras.models.embedded_row import EmbeddedRow, side_by_side

FAMILIES = ("sparse", "global", "sequence", "interaction")
TOKENIZERS = ("permutation", "semantic", "slice")
GLOBAL_FUNCTIONS = ("mlp", "fm", "dcnv2")
ENCODERS = ("mean", "attention")


def one_of(value: Any, argument: str, known: Sequence[Any]) -> Any:
    """`value`, or an error that names the argument and what would work."""
    if value not in known:
        raise ValueError(f"`{argument}` must be one of {tuple(known)}. Received: {value!r}.")
    return value


def sets_by_family(
    multi_embedding: bool | str | Mapping[str, str | Sequence[str]], families: Sequence[str]
) -> dict[str, list[str]]:
    """The table sets that each family reads.

    Args:
        multi_embedding: see `RankUp`.
        families: the families that the model has.
    """
    if isinstance(multi_embedding, Mapping):
        unknown = sorted(set(multi_embedding) - set(FAMILIES))
        if unknown:
            raise ValueError(
                f"`multi_embedding` must name token families out of {FAMILIES}. "
                f"Received: {unknown}."
            )
        given = {
            family: [sets] if isinstance(sets, str) else list(sets)
            for family, sets in multi_embedding.items()
        }
        empty = [family for family, sets in given.items() if not sets]
        if empty:
            raise ValueError(f"`multi_embedding` gives no table set to {empty}.")
    elif isinstance(multi_embedding, bool) or multi_embedding == "joined":
        own = bool(multi_embedding)
        given = {family: [family if own else "sparse"] for family in ("global", "interaction")}
    else:
        raise ValueError(
            "`multi_embedding` must be a bool, 'joined', or a dict from token family to table "
            f"sets. Received: {multi_embedding!r}."
        )
    given.setdefault("sparse", ["sparse"])
    # A history and its candidate are compared, and so lie in one set.
    return {family: given.get(family, given["sparse"][:1]) for family in families}


def table_sets(
    by_family: Mapping[str, Sequence[str]],
    table_fields: Mapping[str, Sequence[str]] | None,
    interactions: Sequence[Sequence[str]],
) -> dict[str, list[str] | None]:
    """Table set → the fields that it holds, `None` for all."""
    sets: dict[str, list[str] | None] = {
        name: None for names in by_family.values() for name in names
    }
    others = {
        name for family, names in by_family.items() if family != "interaction" for name in names
    }
    for name in by_family.get("interaction", ()):
        if name not in others:
            sets[name] = list(dict.fromkeys(field for pair in interactions for field in pair))
    unknown = sorted(set(table_fields or {}) - set(sets))
    if unknown:
        raise ValueError(
            f"`table_fields` must name table sets that a family reads, {sorted(sets)}. "
            f"Received: {unknown}."
        )
    return {**sets, **{name: list(fields) for name, fields in (table_fields or {}).items()}}


class TokenFamilies:
    """Makes the token families of one row; every method returns (batch, tokens, D).

    Args:
        row: the embedded row.
        token_dim: width D.
        embedding_dropout: dropout rate on embeddings.
    """

    def __init__(self, row: EmbeddedRow, token_dim: int, embedding_dropout: float) -> None:
        self.row, self.token_dim, self.dtype = row, token_dim, row.dtype
        self.embedding_dropout = embedding_dropout

    def _drop(self, x: Any, where: str) -> Any:
        if not self.embedding_dropout:
            return x
        return keras.layers.Dropout(
            self.embedding_dropout, dtype=self.dtype, name=f"{where}_dropout"
        )(x)

    def sparse(self, sets: Sequence[str], kind: str, num_tokens: int, **settings: Any) -> Any:
        """Tokens of the fields of all `sets`, and the tokenizer that made them."""
        fields, dims = sparse_fields(self.row, sets)
        tokenizer: Any
        if kind == "slice":
            tokenizer = SliceTokenizer(
                num_tokens, self.token_dim, name="tokenizer", dtype=self.dtype
            )
        elif kind == "semantic":
            tokenizer = SemanticTokenizer(
                self.token_dim,
                dims,
                semantic_groups(self.row, sets),
                name="tokenizer",
                dtype=self.dtype,
            )
        else:
            tokenizer = PermutationTokenizer(
                num_tokens, self.token_dim, dims, name="tokenizer", dtype=self.dtype, **settings
            )
        return tokenizer(self._drop(side_by_side(fields), "sparse")), tokenizer

    def global_tokens(
        self, sets: Sequence[str], func: str | Mapping[str, Any], units: Sequence[int]
    ) -> list[Any]:
        """One token of all fields a table set."""
        tokens = []
        for index, table_set in enumerate(sets):
            ending = "" if len(sets) == 1 else f"_{index + 1}"
            pieces, dims = self.row.pooled(table_set)
            whole = self._drop(side_by_side(pieces), f"global{ending}")
            whole = self._interact(whole, dims, func, ending)
            token = GlobalToken(
                self.token_dim, units, name=f"global_token{ending}", dtype=self.dtype
            )
            tokens.append(token(whole))
        return tokens

    def _interact(self, x: Any, dims: list[int], func: str | Mapping[str, Any], ending: str) -> Any:
        given: dict[str, Any] = {"kind": func} if isinstance(func, str) else dict(func)
        kind = one_of(given.pop("kind", None), "global_func", GLOBAL_FUNCTIONS)
        if kind == "fm":
            return FactorizationMachine(dims, name=f"global_fm{ending}", dtype=self.dtype)(x)
        if kind == "dcnv2":
            start = x
            for number in range(1, given.pop("num_crosses", 2) + 1):
                x = keras_rs.layers.FeatureCross(
                    projection_dim=given.get("rank"),
                    name=f"global_cross{ending}_{number}",
                    dtype=self.dtype,
                )(start, x)
            given.pop("rank", None)
        if given:
            raise ValueError(
                f"`global_func` of kind {kind!r} has no arguments {sorted(given)}. "
                "'dcnv2' has `num_crosses` and `rank`."
            )
        return x

    def dense(self, numeric: Any) -> Any:
        """One token of all numeric columns."""
        return GlobalToken(self.token_dim, name="dense_token", dtype=self.dtype)(numeric)

    def sequence(self, sets: Sequence[str], encoder: str) -> list[Any]:
        """One token of every sequence a table set."""
        tokens = []
        for index, table_set in enumerate(sets):
            ending = "" if len(sets) == 1 else f"_{index + 1}"
            items, ids, combiners = self.row.sequences(table_set)
            if not items:
                continue
            items = [self._drop(x, f"sequence{ending}_{i}") for i, x in enumerate(items)]
            name = f"sequence_tokens{ending}"
            if encoder == "attention":
                tokens.append(self._attended(table_set, items, ids, name))
            else:
                layer = SequenceTokens(self.token_dim, combiners, name=name, dtype=self.dtype)
                tokens.append(layer(items, ids))
        return tokens

    def _attended(self, table_set: str, items: list[Any], ids: list[Any], name: str) -> Any:
        candidates = self.row.candidates(table_set)
        vectors = [
            TargetAttention(name=f"{name}_attention_{index + 1}", dtype=self.dtype)(*triple)
            for index, triple in enumerate(zip(items, ids, candidates, strict=True))
        ]
        dims = [vector.shape[-1] for vector in vectors]
        # One group a sequence: each has a projection of its own.
        groups = [[index] for index in range(len(dims))]
        layer = SemanticTokenizer(self.token_dim, dims, groups, name=name, dtype=self.dtype)
        return layer(side_by_side(vectors))

    def crossed(self, crosses: Sequence[Sequence[str]]) -> Any:
        """A token of every pair of pretrained vectors."""
        vectors = self.row.vectors()
        for pair in crosses:
            if len(pair) != 2 or any(name not in vectors for name in pair):
                raise ValueError(
                    "`crosses` must be pairs of names of Pretrained features, of which there are "
                    f"{sorted(vectors)}. Received: {list(pair)}."
                )
        layer = CrossedTokens(self.token_dim, name="crossed_tokens", dtype=self.dtype)
        return layer([vectors[a] for a, _ in crosses], [vectors[b] for _, b in crosses])

    def interaction(self, sets: Sequence[str], interactions: Sequence[Sequence[str]]) -> list[Any]:
        """A token of every pair of fields a table set: their embeddings' product, projected."""
        tokens = []
        for index, table_set in enumerate(sets):
            ending = "" if len(sets) == 1 else f"_{index + 1}"
            sides: tuple[list[Any], list[Any]] = ([], [])
            for number, pair in enumerate(interactions):
                if len(pair) != 2:
                    raise ValueError(
                        f"`interactions` must be pairs of names of fields. Received: {list(pair)}."
                    )
                for side, name in zip(sides, pair, strict=True):
                    where = f"interaction{ending}_{number + 1}_{name}"
                    side.append(self._drop(self.row.field(table_set, name), where))
            layer = CrossedTokens(
                self.token_dim, name=f"interaction_tokens{ending}", dtype=self.dtype
            )
            tokens.append(layer(*sides))
        return tokens


def sparse_fields(row: EmbeddedRow, sets: Sequence[str]) -> tuple[list[Any], list[int]]:
    """The fields of all `sets`, one set after the other, and their widths."""
    pairs = [row.categorical(table_set) for table_set in sets]
    return [x for fields, _ in pairs for x in fields], [dim for _, dims in pairs for dim in dims]


def semantic_groups(row: EmbeddedRow, sets: Sequence[str]) -> list[list[int]]:
    """Places of the fields of each named group; those of no group make one together, the last."""
    group_of = {feature.name: feature.group for feature in row.features.features}
    names = [name for table_set in sets for name in row.field_names(table_set)]
    groups: dict[str | None, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(group_of[name], []).append(place)
    rest = groups.pop(None, None)
    if not groups:
        raise ValueError(
            "tokenizer='semantic' needs features with a `group`, such as "
            f"Categorical({names[0]!r}, group='...'). Received none among {names}."
        )
    return [*groups.values(), *([rest] if rest else [])]
