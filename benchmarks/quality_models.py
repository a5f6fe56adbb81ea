"""The models of `benchmarks.quality`, brought to equal numbers of parameters.

RankUp sets the size. The others get tables as large as all its table sets together, where that
leaves room for the rest, and a width with which the whole is within 10 % of RankUp.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import rankup_keras as rk
from benchmarks.crossed import VECTORS
from rankup_keras.models import cost

TOLERANCE = 0.1

# Found on validation rows of seed 0, with RankUp; the same for every model and data set.
RECIPE: dict[str, Any] = {"learning_rate": 1e-3, "dropout": 0.1, "embedding_dropout": 0.3}

TOKENS: dict[str, Any] = {"token_dim": 32, "num_blocks": 2}
UP: dict[str, Any] = {**TOKENS, "token_norm": True}


def _expansion(settings: dict[str, Any], width: int) -> dict[str, Any]:
    return {**settings, "expansion": width / 16}


def _crosses(settings: dict[str, Any], width: int) -> dict[str, Any]:
    return {**settings, "cross_rank": max(4, width // 4), "hidden_units": [4 * width, 2 * width]}


def _networks(settings: dict[str, Any], width: int) -> dict[str, Any]:
    return {**settings, "top_units": [4 * width, 2 * width]}


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model, its settings, and how a width changes them."""

    model: Any
    settings: dict[str, Any]
    widen: Callable[[dict[str, Any], int], dict[str, Any]] = _expansion
    tables: int = 1  # table sets that it makes of one `embedding_dim`
    crossed: bool = False  # whether it reads MovieLens's pretrained vectors


CONTENDERS: dict[str, Contender] = {
    "rankup": Contender(rk.RankUp, UP, tables=2),
    "rankup_slices": Contender(rk.RankUp, {**UP, "tokenizer": "slice"}, tables=2),
    "rankup_one_table_set": Contender(rk.RankUp, {**UP, "multi_embedding": False}),
    "rankup_no_global": Contender(rk.RankUp, {**UP, "global_units": None}),
    "rankup_no_task_token": Contender(rk.RankUp, {**UP, "task_tokens": False}, tables=2),
    "rankup_gelu": Contender(rk.RankUp, {**UP, "ffn": "gelu"}, tables=2),
    "rankup_no_token_norm": Contender(rk.RankUp, {**UP, "token_norm": False}, tables=2),
    "rankup_crossed": Contender(rk.RankUp, {**UP, "crosses": [VECTORS]}, tables=2, crossed=True),
    "rankmixer": Contender(rk.RankMixer, TOKENS),
    "rankelastor_paper": Contender(rk.RankElastor, {"form": "paper"}),
    "rankelastor_code": Contender(rk.RankElastor, {"form": "code"}),
    "dcnv2": Contender(rk.DCNv2, {}, _crosses),
    "dlrm": Contender(rk.DLRM, {}, _networks),
}

# The part of each model that a component is left out of is named in the table.
EMBEDDING_DIM = 16


def matched(
    name: str, features: rk.FeatureSet, columns: rk.FeatureSet, task: str, recipe: dict[str, Any]
) -> dict[str, Any]:
    """Settings of a model with which it has as many parameters as RankUp, to `TOLERANCE`.

    `features` are the model's own, `columns` those without pretrained vectors, which RankUp reads.
    """
    base = CONTENDERS["rankup"]
    shared = {k: recipe[k] for k in ("dropout", "embedding_dropout")}
    reference = {**base.settings, **shared, "embedding_dim": EMBEDDING_DIM}
    if name == "rankup":
        return reference
    target = cost(base.model, columns, [task], **reference).parameters
    own = CONTENDERS[name]

    def size(settings: dict[str, Any]) -> int:
        return cost(own.model, features, [task], **settings).parameters

    widest = EMBEDDING_DIM * base.tables // own.tables
    for embedding_dim in (widest, *range(widest - 2, 3, -2)):
        start = {**own.settings, **shared, "embedding_dim": embedding_dim}
        low, high = 4, 512
        if size(own.widen(start, low)) > (1 + TOLERANCE) * target:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (
                (middle, high) if size(own.widen(start, middle)) <= target else (low, middle)
            )
        settings = own.widen(start, low)
        if abs(size(settings) / target - 1) <= TOLERANCE:
            return settings
    raise ValueError(f"No width brings {name} within {TOLERANCE:.0%} of {target:,} parameters.")
