"""What a run's measurements say, in sentences."""

import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence

from rankup_keras.diagnostics.findings import find_problems, listed
from rankup_keras.diagnostics.record import LayerRanks, RankProfile, control_of

_BLOCK = re.compile(r"block_(\d+)_(mixer|ffn)")

# Changes of the normalized effective rank under this are not worth a sentence.
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
    control, last = control_of(profiles), profiles[-1]
    problems = find_problems(last, control, collapse_below)
    found = [Insight("problem", str(problem)) for problem in problems]
    if not problems:
        found = [Insight("good", "No layer is collapsed, no token is dead, every value is finite.")]
    if control is last:
        control = None
    notes = (
        _depth(last, control),
        _mixers_and_ffns(last),
        _largest_fall(last, control, "sample"),
        _largest_fall(last, control, "token"),
        _narrow_tokens(last),
        *_fallen_tables(last, control),
    )
    return found + [Insight("note", note) for note in notes if note]


def _trunk(profile: RankProfile) -> dict[str, LayerRanks]:
    return {name: ranks for name, ranks in profile.layers.items() if not ranks.branch}


def _depth(last: RankProfile, control: RankProfile | None) -> str | None:
    trunk = _trunk(last)
    if len(trunk) < 2:
        return None
    (first, start), *_, (final, end) = trunk.items()
    change = end.normalized - start.normalized
    text = (
        f"From '{first}' to '{final}' the sample rank goes from {start.normalized:.1%} to "
        f"{end.normalized:.1%} of its ceiling"
    )
    if control is not None:
        before = control.layers[final].normalized - control.layers[first].normalized
        text += f" ({change:+.1%}; untrained {before:+.1%})"
    return f"{text}: {_verdict(change, end.normalized)}"


def _verdict(change: float, end: float) -> str:
    if change < -0.05:
        return "depth costs directions. Fewer blocks, or pre-norm and gated FFNs, may do as well."
    if end > 0.9:
        return "the last layer uses nearly all directions it has; wider or more tokens add room."
    if change > 0.05:
        return "depth adds directions."
    return "depth adds no directions. See whether fewer blocks score the same."


def _mixers_and_ffns(last: RankProfile) -> str | None:
    names = [name for name in last.layers if name == "tokens" or _BLOCK.fullmatch(name)]
    ranks = [last.layers[name].normalized for name in names]
    mixers: list[float] = []
    ffns: list[float] = []
    for (_, before), (name, after) in itertools.pairwise(zip(names, ranks, strict=True)):
        if name != "tokens":
            (mixers if name.endswith("_mixer") else ffns).append(after - before)
    if not mixers or not ffns:
        return None
    text = (
        f"Mixers change the sample rank by {_signed(mixers)} of the ceiling, block by block; FFNs "
        f"by {_signed(ffns)}."
    )
    opposed = sum(mixers) * sum(ffns) < 0.0
    damped = len(mixers) > 1 and abs(mixers[-1]) < 0.5 * abs(mixers[0])
    if opposed and damped and abs(ranks[-1] - ranks[0]) < 0.05:
        text += (
            " They undo each other, less and less with depth: the damped oscillation that RankUp "
            "describes. Blocks after the first add little."
        )
    return text


def _signed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.1%}".replace("-0.0%", "+0.0%") for value in values)


def _largest_fall(last: RankProfile, control: RankProfile | None, view: str) -> str | None:
    if control is None:
        return None
    falls = {
        name: control.layers[name].value(view) - ranks.value(view)
        for name, ranks in _trunk(last).items()
        if name in control.layers
    }
    name = max(falls, key=lambda key: falls[key])
    if falls[name] < _VISIBLE:
        return f"Training has lowered the {view} rank of no layer by 1 % or more."
    return (
        f"Training has lowered the {view} rank most at '{name}': from "
        f"{control.layers[name].value(view):.1%} to {last.layers[name].value(view):.1%} of its "
        "ceiling."
    )


def _narrow_tokens(last: RankProfile) -> str | None:
    name, ranks = list(last.layers.items())[-1]
    if ranks.branch or ranks.tokens < 3:
        return None
    shares = [rank / ranks.token_ceiling for rank in ranks.token_ranks]
    middle = sorted(shares)[len(shares) // 2]
    narrow = [token for token, share in enumerate(shares) if share < 0.5 * middle]
    if not narrow:
        return None
    return (
        f"After '{name}', token(s) {listed(narrow)} use less than half as many directions over the "
        f"samples as the median token ({middle:.0%} of the ceiling). Look at what feeds them."
    )


def _fallen_tables(last: RankProfile, control: RankProfile | None) -> Iterator[str]:
    for name, table in last.tables.items():
        before = control.tables.get(name) if control is not None else None
        if before is not None and table.normalized < 0.5 * before.normalized:
            yield (
                f"Embedding table '{name}' has fallen from {before.abundance:.1f} to "
                f"{table.abundance:.1f} of {table.ceiling} in information abundance: its "
                "vectors gather along few directions. A smaller width would hold them, or a "
                "table set of its own (multi-embedding) may keep them apart."
            )
