"""What a measurement says is wrong, where, and what to try."""

import dataclasses
from collections.abc import Sequence

from rankup_keras.diagnostics.record import LayerRanks, RankProfile


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing wrong with one layer.

    Attributes:
        kind: `"collapse"`, `"dead"`, `"constant"` or `"not_finite"`.
        layer: The layer's name.
        what: What was measured, in one sentence.
        advice: What to look at or try.
    """

    kind: str
    layer: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what} {self.advice}"


def find_problems(
    profile: RankProfile, control: RankProfile | None = None, collapse_below: float = 0.3
) -> list[Finding]:
    """Reads a measurement the way a reviewer would.

    Args:
        profile: The measurement.
        control: The same network with its initial weights, which tells a
            collapse by training from one by construction.
        collapse_below: Share of its ceiling under which a layer's sample rank
            counts as collapsed. Defaults to 0.3.

    Returns:
        Findings in the order of the network.
    """
    found: list[Finding] = []
    varied: set[int] = set()
    for name, ranks in profile.layers.items():
        if ranks.not_finite:
            found.append(_not_finite(name, ranks, profile.label))
        if ranks.branch:
            continue
        if ranks.normalized < collapse_below:
            before = control.layers.get(name) if control is not None else None
            found.append(_collapsed(name, ranks, before, profile.label))
        if ranks.dead:
            found.append(_dead(name, ranks, profile.label))
        # A token that no sample changes is by design until it has met others:
        # a task token is a learned vector. Once it varied, it should not stop.
        lost = [token for token in ranks.constant if token in varied]
        if lost:
            found.append(_constant(name, lost, profile.label))
        varied |= set(range(ranks.tokens)) - set(ranks.constant) - set(ranks.dead)
    return found


def _collapsed(name: str, ranks: LayerRanks, before: LayerRanks | None, when: str) -> Finding:
    what = (
        f"Layer '{name}' has collapsed ({when}): effective rank {ranks.mean:.2f} of "
        f"{ranks.ceiling}, {ranks.normalized:.0%} of its ceiling"
    )
    if before is None:
        return Finding("collapse", name, f"{what}.", "Compare it with the untrained network.")
    if before.normalized < 1.5 * ranks.normalized:
        return Finding(
            "collapse",
            name,
            f"{what}; the untrained network reads {before.normalized:.0%}.",
            "So it is built in, not learned: look for tokens that are made alike (one table, one "
            "projection or one input for several tokens).",
        )
    return Finding(
        "collapse",
        name,
        f"{what}, down from {before.normalized:.0%} untrained.",
        "Try fewer blocks, pre-norm, a gated FFN, or a smaller learning rate.",
    )


def _dead(name: str, ranks: LayerRanks, when: str) -> Finding:
    return Finding(
        "dead",
        name,
        f"Layer '{name}' has dead tokens ({when}): {_listed(ranks.dead)} of {ranks.tokens} are "
        "zero in every sample.",
        "Look for features that are missing in all rows, or a ReLU or gate that never opens.",
    )


def _constant(name: str, tokens: Sequence[int], when: str) -> Finding:
    return Finding(
        "constant",
        name,
        f"Layer '{name}' has dead tokens ({when}): {_listed(tokens)} came in different for every "
        "sample and left the same.",
        "Its FFN passes nothing of the row on: look at its activation and at the residual path.",
    )


def _not_finite(name: str, ranks: LayerRanks, when: str) -> Finding:
    return Finding(
        "not_finite",
        name,
        f"Layer '{name}' holds NaN or infinity in {ranks.not_finite} of {ranks.samples} samples "
        f"({when}).",
        "Its ranks leave them out. Look at the loss, the learning rate and float16's range.",
    )


def _listed(tokens: Sequence[int]) -> str:
    shown = ", ".join(str(token) for token in tokens[:8])
    return f"{shown} and {len(tokens) - 8} more" if len(tokens) > 8 else shown
