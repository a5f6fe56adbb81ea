"""Measurements as text tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rankup_keras.diagnostics.record import LayerRanks, RankProfile

_COLUMNS = 9


def profile_table(profile: "RankProfile") -> str:
    """One measurement, one line a layer."""
    rows = [
        ["layer", "tokens", "sample view", "of ceiling", "5 % .. 95 %", "token view",
         "of ceiling", "stable", "cosine"]
    ]  # fmt: skip
    for name, ranks in profile.layers.items():
        rows.append(
            [
                name,
                f"{ranks.tokens} x {ranks.width}",
                f"{ranks.mean:.2f} of {ranks.ceiling}",
                f"{ranks.normalized:.3f}",
                f"{ranks.quantiles[0]:.2f} .. {ranks.quantiles[-1]:.2f}",
                f"{ranks.token_mean:.2f} of {ranks.token_ceiling}",
                f"{ranks.token_normalized:.3f}",
                f"{ranks.stable:.2f}",
                f"{ranks.cosine:.3f}",
            ]
        )
    samples = next(iter(profile.layers.values())).samples
    parts = [f"effective rank, {profile.label}, {samples} samples", aligned(rows)]
    if profile.tables:
        tables = [["embedding table", "rows", "information abundance", "of ceiling"]]
        for name, table in profile.tables.items():
            measured = "" if table.measured == table.rows else f" ({table.measured} read)"
            tables.append(
                [
                    name,
                    f"{table.rows}{measured}",
                    f"{table.abundance:.2f} of {table.ceiling}",
                    f"{table.normalized:.3f}",
                ]
            )
        parts.append(aligned(tables))
    return "\n".join(parts)


def history_table(profiles: Sequence["RankProfile"], view: str, normalized: bool) -> str:
    """Layers by moments: the first column is the untrained network where it was measured."""
    if not profiles:
        return "effective rank: nothing measured yet"
    shown = _some_of(profiles)
    last = shown[-1].layers
    unit = "share of its ceiling" if normalized else "number of directions"
    title = f"effective rank, {view} view, {unit}"
    if not normalized:
        title += ", ceilings " + ", ".join(sorted({_ceiling(r, view) for r in last.values()}))
    rows = [["layer", *(profile.label for profile in shown)]]
    digits = 3 if normalized else 2
    for name in last:
        values = [profile.layers[name].value(view, normalized) for profile in shown]
        rows.append([name, *(f"{value:.{digits}f}" for value in values)])
    return f"{title}\n{aligned(rows)}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _ceiling(ranks: "LayerRanks", view: str) -> str:
    return str(ranks.ceiling if view == "sample" else ranks.token_ceiling)


def _some_of(profiles: Sequence["RankProfile"]) -> list["RankProfile"]:
    """First, last, and others at even distances, so that a line fits a terminal."""
    count = len(profiles)
    if count <= _COLUMNS:
        return list(profiles)
    picked = {round(i * (count - 1) / (_COLUMNS - 1)) for i in range(_COLUMNS)}
    return [profiles[i] for i in sorted(picked)]
