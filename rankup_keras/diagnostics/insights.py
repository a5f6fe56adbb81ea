"""What a run's measurements say, in sentences."""

import dataclasses
import itertools
import re
from collections.abc import Sequence

from rankup_keras.diagnostics.findings import find_problems
from rankup_keras.diagnostics.record import RankProfile

_BLOCK = re.compile(r"block_(\d+)_(mixer|ffn)")

# Changes of a share of the ceiling under this are not worth a sentence.
_VISIBLE = 0.01


@dataclasses.dataclass(frozen=True)
class Insight:
    """One sentence or two about a run.

    Attributes:
        level: `"problem"`, `"note"` or `"good"`.
        text: The sentences.
    """

    level: str
    text: str


def read_run(profiles: Sequence[RankProfile], collapse_below: float = 0.3) -> list[Insight]:
    """Reads the measurements of a run.

    Args:
        profiles: All measurements, the untrained control first if there is one.
        collapse_below: See `find_problems`.

    Returns:
        Problems first, then notes in the order in which one would look.
    """
    control = profiles[0] if profiles[0].label == "untrained" else None
    last = profiles[-1]
    found = [
        Insight("problem", str(finding)) for finding in find_problems(last, control, collapse_below)
    ]
    if not found:
        found.append(
            Insight("good", "No layer is collapsed, no token is dead, every value is finite.")
        )
    found += _depth(last, control)
    found += _mixers_and_ffns(last)
    if control is not None and last is not control:
        found += _largest_fall(last, control)
    found += _narrow_tokens(last)
    found += _tables(last, control)
    return found


def _depth(last: RankProfile, control: RankProfile | None) -> list[Insight]:
    trunk = [(name, ranks) for name, ranks in last.layers.items() if not ranks.branch]
    if len(trunk) < 2:
        return []
    (first_name, first), (last_name, end) = trunk[0], trunk[-1]
    change = end.normalized - first.normalized
    text = (
        f"From '{first_name}' to '{last_name}' the sample rank goes from {first.normalized:.1%} to "
        f"{end.normalized:.1%} of its ceiling"
    )
    if control is not None and control is not last:
        before = control.layers[last_name].normalized - control.layers[first_name].normalized
        text += f" ({change:+.1%}; untrained {before:+.1%})"
    text += ": " + _verdict(change, end.normalized)
    return [Insight("note", text)]


def _verdict(change: float, end: float) -> str:
    if change < -0.05:
        return "depth costs directions. Fewer blocks, or pre-norm and gated FFNs, may do as well."
    if end > 0.9:
        return "the last layer uses nearly all directions it has; wider or more tokens add room."
    if change > 0.05:
        return "depth adds directions."
    return "depth adds no directions. See whether fewer blocks score the same."


def _mixers_and_ffns(last: RankProfile) -> list[Insight]:
    names = [name for name in last.layers if name == "tokens" or _BLOCK.fullmatch(name)]
    steps: dict[str, list[float]] = {"mixer": [], "ffn": []}
    for before, name in itertools.pairwise(names):
        match = _BLOCK.fullmatch(name)
        if match:
            change = last.layers[name].normalized - last.layers[before].normalized
            steps[match.group(2)].append(change)
    mixers, ffns = steps["mixer"], steps["ffn"]
    if not mixers or not ffns:
        return []
    text = (
        f"Mixers change the sample rank by {_signed(mixers)} of the ceiling, block by block; FFNs "
        f"by {_signed(ffns)}."
    )
    net = last.layers[names[-1]].normalized - last.layers[names[0]].normalized
    opposed = sum(mixers) * sum(ffns) < 0.0
    damped = len(mixers) > 1 and abs(mixers[-1]) < 0.5 * abs(mixers[0])
    if opposed and damped and abs(net) < 0.05:
        text += (
            " They undo each other, less and less with depth: the damped oscillation that RankUp "
            "describes. Blocks after the first add little."
        )
    return [Insight("note", text)]


def _signed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.1%}".replace("-0.0%", "+0.0%") for value in values)


def _largest_fall(last: RankProfile, control: RankProfile) -> list[Insight]:
    falls = {
        name: control.layers[name].normalized - ranks.normalized
        for name, ranks in last.layers.items()
        if name in control.layers and not ranks.branch
    }
    name = max(falls, key=lambda key: falls[key])
    if falls[name] < _VISIBLE:
        return [Insight("note", "Training has lowered the sample rank of no layer by 1 % or more.")]
    return [
        Insight(
            "note",
            f"Training has lowered the sample rank most at '{name}': from "
            f"{control.layers[name].normalized:.1%} to {last.layers[name].normalized:.1%} of its "
            "ceiling.",
        )
    ]


def _narrow_tokens(last: RankProfile) -> list[Insight]:
    name, ranks = list(last.layers.items())[-1]
    if ranks.branch or ranks.tokens < 3:
        return []
    shares = [rank / ranks.token_ceiling for rank in ranks.token_ranks]
    middle = sorted(shares)[len(shares) // 2]
    narrow = [token for token, share in enumerate(shares) if share < 0.5 * middle]
    if not narrow:
        return []
    listed = ", ".join(str(token) for token in narrow[:8])
    return [
        Insight(
            "note",
            f"After '{name}', token(s) {listed} use less than half as many directions over the "
            f"samples as the median token ({middle:.0%} of the ceiling). Look at what feeds them.",
        )
    ]


def _tables(last: RankProfile, control: RankProfile | None) -> list[Insight]:
    found = []
    for name, table in last.tables.items():
        before = control.tables.get(name) if control is not None else None
        if before is not None and table.normalized < 0.5 * before.normalized:
            found.append(
                Insight(
                    "note",
                    f"Embedding table '{name}' has fallen from {before.abundance:.1f} to "
                    f"{table.abundance:.1f} of {table.ceiling} in information abundance: its "
                    "vectors gather along few directions. A smaller width would hold them, or a "
                    "table set of its own (multi-embedding) may keep them apart.",
                )
            )
    return found
