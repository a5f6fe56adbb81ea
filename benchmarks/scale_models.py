"""The models of `benchmarks.scale`, brought to a number of parameters at a depth.

Equal are the parameters outside tables; tables are equally wide for all, RankUp's two sets half as
wide each. Width and expansion follow from size and depth: the widest tokens with which an expansion
of about 1.5 fits, then the expansion that fits exactly.
"""

import dataclasses
import functools
import math
from typing import Any

import rankup_keras as rk
from rankup_keras.models import cost

TOKENS, WIDTH = 8, 16
SWIGLU: dict[str, Any] = {"ffn": "swiglu"}
LARGE: dict[str, Any] = {
    "mixing": {"kind": "tokenmixer_large", "num_heads": TOKENS},
    "norm": "rms_norm",
    "down_scale": 0.01,
    "inter_residual": 2,
    "auxiliary_loss": 0.1,
    "multi_embedding": False,
    "task_tokens": False,
}
LITE: dict[str, Any] = {"mixing": {"kind": "unimixing", "bases": 4, "rank": 16}, **SWIGLU}


@dataclasses.dataclass(frozen=True)
class Contender:
    """A model: its class and settings, and parameters of a block, `T D^2 (a + b k)`, roughly."""

    model: Any
    settings: dict[str, Any]
    a: float = 0
    b: float = 3
    tables: int = 1  # table sets that it makes of one `embedding_dim`


UP: dict[str, Any] = {"max_tokens": TOKENS}
MIX: dict[str, Any] = {"num_tokens": TOKENS}
CONTENDERS: dict[str, Contender] = {
    "rankmixer": Contender(rk.RankMixer, MIX, b=2),
    "rankup": Contender(rk.RankUp, UP, tables=2),
    "tokenmixer_large": Contender(rk.RankUp, {**UP, **LARGE}, b=6),
    "unimixer_lite": Contender(rk.RankMixer, {**MIX, **LITE, "norm": "siamese"}),
    "token_attention": Contender(
        rk.RankMixer, {**MIX, **SWIGLU, "mixing": "token_attention", "placement": "pre"}, a=3
    ),
    "rankelastor": Contender(rk.RankElastor, MIX, a=TOKENS + 1),
    "dcnv2": Contender(rk.DCNv2, {}),
}
# RankUp without each of its components.
WITHOUT: dict[str, Contender] = {
    f"rankup_{name}": Contender(rk.RankUp, {**UP, **settings}, b=b, tables=tables)
    for name, settings, b, tables in (
        ("slices", {"tokenizer": "slice"}, 3, 2),
        ("one_table_set", {"multi_embedding": False}, 3, 1),
        ("no_global", {"global_units": None}, 3, 1),
        ("no_task_token", {"task_tokens": False}, 3, 2),
        ("gelu", {"ffn": "gelu"}, 2, 2),
        ("no_token_norm", {"token_norm": False}, 3, 2),
    )
}
ALL = {**CONTENDERS, **WITHOUT}


def fitted(name: str, features: rk.FeatureSet, size: int, depth: int) -> dict[str, Any]:
    """Settings with which a model has `size` parameters outside tables, to 5 %."""
    own = ALL[name]
    tables = {"embedding_dim": WIDTH // own.tables}
    if name == "dcnv2":
        return _crossed(features, size, tables)

    @functools.cache
    def dense(width: int, blocks: int, expansion: float) -> int:
        settings = {**own.settings, **tables, "token_dim": width, "num_blocks": blocks}
        found = cost(own.model, features, ["click"], expansion=expansion, **settings)
        return found.dense_parameters

    width = math.sqrt(size / (depth * TOKENS * (own.a + 1.5 * own.b)))
    width = max(TOKENS, round(width / TOKENS) * TOKENS)
    while True:
        # Linear in blocks and in the expansion: three small models tell all others.
        one, deeper, wider = dense(width, 1, 1), dense(width, 2, 1), dense(width, 1, 2)
        expansion = 1 + (size - one - (depth - 1) * (deeper - one)) / (depth * (wider - one))
        if expansion >= 0.25 or width == TOKENS:
            break
        width -= TOKENS
    settings = {**own.settings, **tables, "token_dim": width, "num_blocks": depth}
    return {**settings, "expansion": max(1 / width, round(expansion * width) / width)}


def _crossed(features: rk.FeatureSet, size: int, tables: dict[str, Any]) -> dict[str, Any]:
    """DCNv2 has no tokens; two low-rank crosses, and two hidden layers that make up its size."""

    def settings(units: int) -> dict[str, Any]:
        return {**tables, "cross_rank": max(4, units // 4), "hidden_units": [units, units // 2]}

    low, high = 8, 8192
    while high - low > 1:
        middle = (low + high) // 2
        found = cost(rk.DCNv2, features, ["click"], **settings(middle)).dense_parameters
        low, high = (middle, high) if found <= size else (low, middle)
    return settings(low)
