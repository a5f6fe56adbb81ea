"""What one measurement holds, and how it lies on disk."""

import dataclasses
import json
import math
import os
from typing import Any

from rankup_keras.diagnostics import text

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclasses.dataclass
class LayerRanks:
    """The ranks of one layer's activations `(batch, tokens, width)`.

    Attributes:
        tokens: Number of tokens.
        width: Width of a token.
        samples: Number of rows measured.
        ceiling: `min(tokens, width)`, what the rank of a sample can reach.
        mean: Mean over samples of the effective rank of a sample's
            `tokens x width` matrix.
        quantiles: The same at 5, 25, 50, 75 and 95 % of the samples.
        stable: Mean over samples of the stable rank.
        numerical: Mean over samples of the numerical rank.
        token_ceiling: `min(samples, width)`.
        token_ranks: Effective rank of each token's `samples x width` matrix.
        cosine: Mean cosine similarity between different tokens of a sample.
        spectrum: Mean share of each singular value, largest first.
        token_spectrum: The same for the tokens' matrices, at most 64 values.
        dead: Tokens that are zero in every sample.
        constant: Tokens that are the same vector in every sample.
        not_finite: Samples that hold NaN or infinity; the ranks leave them out.
        branch: Whether a residual path leads around the layer. Its ranks are
            measured but not judged.
    """

    tokens: int
    width: int
    samples: int
    ceiling: int
    mean: float
    quantiles: list[float]
    stable: float
    numerical: float
    token_ceiling: int
    token_ranks: list[float]
    cosine: float
    spectrum: list[float]
    token_spectrum: list[float]
    dead: list[int]
    constant: list[int]
    not_finite: int = 0
    branch: bool = False

    @property
    def normalized(self) -> float:
        """`mean` as a share of its ceiling."""
        return self.mean / self.ceiling

    @property
    def token_mean(self) -> float:
        """Mean of `token_ranks`."""
        return sum(self.token_ranks) / max(1, len(self.token_ranks))

    @property
    def token_normalized(self) -> float:
        """`token_mean` as a share of its ceiling."""
        return self.token_mean / self.token_ceiling

    def value(self, view: str = "sample", normalized: bool = True) -> float:
        """The headline number: `view` is `"sample"` or `"token"`."""
        if view not in ("sample", "token"):
            raise ValueError(f'`view` must be "sample" or "token". Received: {view!r}.')
        if view == "sample":
            return self.normalized if normalized else self.mean
        return self.token_normalized if normalized else self.token_mean


@dataclasses.dataclass
class TableRanks:
    """Information abundance of one embedding table.

    Attributes:
        rows: Rows of the table.
        dim: Width of a row.
        measured: Rows that were measured.
        abundance: `sum(s) / max(s)` of the singular values.
        ceiling: `min(measured, dim)`.
    """

    rows: int
    dim: int
    measured: int
    abundance: float
    ceiling: int

    @property
    def normalized(self) -> float:
        """`abundance` as a share of its ceiling."""
        return self.abundance / self.ceiling


@dataclasses.dataclass
class RankProfile:
    """The ranks of a network at one moment.

    Attributes:
        label: `"untrained"` or the moment, such as `"epoch 3"`.
        step: Training steps taken before it.
        epoch: Epochs completed before it.
        layers: `LayerRanks` by layer, in the order of the network.
        tables: `TableRanks` by embedding table.
        logs: Losses and metrics of that moment, where there were any.
        seconds: What the measurement cost.
    """

    label: str
    step: int
    epoch: int
    layers: dict[str, LayerRanks]
    tables: dict[str, TableRanks] = dataclasses.field(default_factory=dict)
    logs: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0

    def numbers(self) -> dict[str, float]:
        """All headline numbers under the keys that `history` and TensorBoard show."""
        found: dict[str, float] = {}
        for name, ranks in self.layers.items():
            found[f"effective_rank/{name}"] = ranks.mean
            found[f"effective_rank_normalized/{name}"] = ranks.normalized
            found[f"token_effective_rank/{name}"] = ranks.token_mean
            found[f"token_effective_rank_normalized/{name}"] = ranks.token_normalized
            found[f"stable_rank/{name}"] = ranks.stable
            found[f"token_cosine/{name}"] = ranks.cosine
        judged = [ranks.normalized for ranks in self.layers.values() if not ranks.branch]
        if judged:
            found["effective_rank_normalized/min"] = min(judged)
        for name, table in self.tables.items():
            found[f"information_abundance/{name}"] = table.abundance
        return found

    def table(self) -> str:
        """The profile as text, one line a layer."""
        return text.profile_table(self)

    def __str__(self) -> str:
        return self.table()

    def to_json(self) -> str:
        """One line of JSON; NaN and infinity become null."""
        return json.dumps(_without_nan(dataclasses.asdict(self)), allow_nan=False)

    @classmethod
    def from_dict(cls, item: dict[str, Any]) -> "RankProfile":
        """The inverse of `to_json`, after `json.loads`."""
        item = dict(item)
        item["layers"] = {n: LayerRanks(**_with_nan(v)) for n, v in item["layers"].items()}
        item["tables"] = {n: TableRanks(**_with_nan(v)) for n, v in item["tables"].items()}
        item["logs"] = _with_nan(item["logs"])
        return cls(**item)


def read_profiles(path: str | os.PathLike[str]) -> list[RankProfile]:
    """Reads the JSON lines that `EffectiveRank(path=...)` wrote."""
    profiles = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                profiles.append(RankProfile.from_dict(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"Line {number} of '{os.fspath(path)}' is not a measurement of "
                    f"`EffectiveRank`: {error}"
                ) from error
    if not profiles:
        raise ValueError(f"'{os.fspath(path)}' holds no measurement.")
    return profiles


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _with_nan(value: dict[str, Any]) -> dict[str, Any]:
    def mend(item: Any) -> Any:
        if isinstance(item, list):
            return [mend(part) for part in item]
        return math.nan if item is None else item

    return {key: mend(item) for key, item in value.items()}
