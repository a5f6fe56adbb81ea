"""What one measurement holds, its text, and how it lies on disk."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from rankup_keras.strict_json import strict_json
from rankup_keras.text_tables import aligned

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
VIEWS = ("sample", "token")
UNTRAINED = "untrained"
_COLUMNS = 9


@dataclasses.dataclass
class LayerRanks:
    """The ranks of one layer's activations `(batch, tokens, width)`.

    The normalized effective rank is the effective rank over its ceiling.

    Attributes:
        tokens: Number of tokens.
        width: Width of a token.
        samples: Number of rows measured.
        ceiling: `min(tokens, width)`, the highest rank that a sample can have.
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

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.random.normal(size=(64, 4, 8))
    profile = rk.diagnostics.rank_profile(None, x, activations=lambda x: {"tokens": x})
    ranks = profile.layers["tokens"]
    assert 1.0 <= ranks.mean <= ranks.ceiling == 4
    ```
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
        """Normalized effective rank of the sample view: `mean` over its ceiling."""
        return self.mean / self.ceiling

    @property
    def token_mean(self) -> float:
        """Mean of `token_ranks`."""
        return sum(self.token_ranks) / max(1, len(self.token_ranks))

    @property
    def token_normalized(self) -> float:
        """Normalized effective rank of the token view: `token_mean` over its ceiling."""
        return self.token_mean / self.token_ceiling

    def value(self, view: str = "sample", normalized: bool = True) -> float:
        """The headline number: `view` is `"sample"` or `"token"`."""
        if view not in VIEWS:
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

    Example:
    ```python
    import rankup_keras as rk

    table = rk.diagnostics.TableRanks(rows=50, dim=8, measured=50, abundance=6.0, ceiling=8)
    assert table.normalized == 0.75
    ```
    """

    rows: int
    dim: int
    measured: int
    abundance: float
    ceiling: int

    @property
    def normalized(self) -> float:
        """`abundance` over its ceiling."""
        return self.abundance / self.ceiling


@dataclasses.dataclass
class RankProfile:
    """The ranks of a network at one moment; `print` shows them as a table.

    Attributes:
        label: `"untrained"` or the moment, such as `"epoch 3"`.
        step: Training steps taken before it.
        epoch: Epochs completed before it.
        layers: `LayerRanks` by layer, in the order of the network.
        tables: `TableRanks` by embedding table.
        logs: Losses and metrics of that moment, where there were any.
        seconds: What the measurement cost.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.random.normal(size=(64, 4, 8))
    profile = rk.diagnostics.rank_profile(None, x, activations=lambda x: {"tokens": x})
    print(profile)
    assert profile.numbers()["effective_rank_normalized/tokens"] > 0.5
    ```
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

    def layer_rows(self) -> list[list[str]]:
        """The cells of a table of layers, its head first."""
        rows = [
            ["layer", "tokens", "sample view", "normalized", "5 % .. 95 %", "token view",
             "normalized", "stable", "cosine"]
        ]  # fmt: skip
        for name, r in self.layers.items():
            rows.append(
                [name, f"{r.tokens} x {r.width}", f"{r.mean:.2f} of {r.ceiling}",
                 f"{r.normalized:.3f}", f"{r.quantiles[0]:.2f} .. {r.quantiles[-1]:.2f}",
                 f"{r.token_mean:.2f} of {r.token_ceiling}", f"{r.token_normalized:.3f}",
                 f"{r.stable:.2f}", f"{r.cosine:.3f}"]
            )  # fmt: skip
        return rows

    def table_rows(self) -> list[list[str]]:
        """The cells of a table of embedding tables, its head first."""
        rows = [["embedding table", "rows", "read", "information abundance", "normalized"]]
        for name, t in self.tables.items():
            abundance = f"{t.abundance:.2f} of {t.ceiling}"
            rows.append([name, f"{t.rows:,}", f"{t.measured:,}", abundance, f"{t.normalized:.3f}"])
        return rows

    def table(self) -> str:
        """The profile as text, one line per layer and embedding table."""
        samples = next(iter(self.layers.values())).samples
        parts = [f"effective rank, {self.label}, {samples} samples", aligned(self.layer_rows())]
        return "\n".join([*parts, aligned(self.table_rows())] if self.tables else parts)

    def __str__(self) -> str:
        return self.table()

    def to_json(self) -> str:
        """One line of JSON; NaN and infinity become null."""
        return strict_json(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, item: dict[str, Any]) -> "RankProfile":
        """The inverse of `to_json`, after `json.loads`."""
        item = _mapped(item, lambda value: math.nan if value is None else value)
        item["layers"] = {name: LayerRanks(**value) for name, value in item["layers"].items()}
        item["tables"] = {name: TableRanks(**value) for name, value in item["tables"].items()}
        return cls(**item)


def read_profiles(path: str | os.PathLike[str]) -> list[RankProfile]:
    """Reads the JSON lines that `EffectiveRank(path=...)` wrote.

    Args:
        path: The file.

    Returns:
        The measurements in the order in which they were taken.

    Raises:
        ValueError: The file holds no measurement, or a line that is none.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    x = np.random.normal(size=(64, 4, 8))
    profile = rk.diagnostics.rank_profile(None, x, activations=lambda x: {"tokens": x})
    with open("ranks.jsonl", "w") as file:
        file.write(profile.to_json())
    assert rk.diagnostics.read_profiles("ranks.jsonl") == [profile]
    ```
    """
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


def history_table(profiles: Sequence[RankProfile], view: str, normalized: bool) -> str:
    """Layers by moments: the first column is the untrained network where it was measured."""
    if not profiles:
        return "effective rank: nothing measured yet"
    shown = evenly(profiles, _COLUMNS)
    last = shown[-1].layers
    title = f"normalized effective rank, {view} view"
    if not normalized:
        ceilings = {r.ceiling if view == "sample" else r.token_ceiling for r in last.values()}
        title = f"effective rank, {view} view, ceilings {', '.join(map(str, sorted(ceilings)))}"
    rows = [["layer", *(profile.label for profile in shown)]]
    digits = 3 if normalized else 2
    for name in last:
        values = [profile.layers[name].value(view, normalized) for profile in shown]
        rows.append([name, *(f"{value:.{digits}f}" for value in values)])
    return f"{title}\n{aligned(rows)}"


def control_of(profiles: Sequence[RankProfile]) -> RankProfile | None:
    """The measurement of the untrained network, where the run has one."""
    return profiles[0] if profiles and profiles[0].label == UNTRAINED else None


def trained(profiles: Sequence[RankProfile]) -> list[RankProfile]:
    """The measurements without that of the untrained network."""
    return [profile for profile in profiles if profile.label != UNTRAINED]


def evenly(profiles: Sequence[RankProfile], count: int) -> list[RankProfile]:
    """The first, the last, and others at even distances, at most `count`."""
    last = len(profiles) - 1
    if last < count:
        return list(profiles)
    return [profiles[i] for i in sorted({round(i * last / (count - 1)) for i in range(count)})]


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same dicts and lists with every value in them changed."""
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    return [_mapped(v, change) for v in value] if isinstance(value, list) else change(value)
