"""What a measurement says is wrong, where, and what to try."""

import dataclasses
from collections.abc import Iterator, Sequence

from rankup_keras.diagnostics.record import LayerRanks, RankProfile

_ADVICE = {
    "not_finite": "Its ranks leave them out. Look at the loss, the learning rate and float16's "
    "range.",
    "dead": "Look for features that are missing in all rows, or a ReLU or gate that never opens.",
    "constant": "Its FFN passes nothing of the row on: look at its activation and at the residual "
    "path.",
    "collapse": "Try fewer blocks, pre-norm, a gated FFN, or a smaller learning rate.",
    "collapse_without_control": "Compare it with the untrained network.",
    "collapse_by_construction": "So it is built in, not learned: look for tokens that are made "
    "alike (one table, one projection or one input for several tokens).",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing wrong with one layer.

    Attributes:
        kind: `"collapse"`, `"dead"`, `"constant"` or `"not_finite"`.
        layer: The layer's name.
        what: What was measured, in one sentence.
        advice: What to look at or try.

    Example:
    ```python
    import rankup_keras as rk

    finding = rk.diagnostics.Finding("dead", "tokens", "Token 3 is zero.", "Look at its feature.")
    assert str(finding) == "Token 3 is zero. Look at its feature."
    ```
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
        collapse_below: Normalized effective rank (sample view) under which a
            layer counts as collapsed. Defaults to 0.3.

    Returns:
        Findings in the order of the network.

    Example:
    ```python
    import numpy as np
    import rankup_keras as rk

    equal = np.ones((64, 8, 1)) * np.random.normal(size=(64, 1, 16))  # eight equal tokens
    profile = rk.diagnostics.rank_profile(None, equal, activations=lambda x: {"tokens": x})
    (finding,) = rk.diagnostics.find_problems(profile)
    assert (finding.kind, finding.layer) == ("collapse", "tokens")
    ```
    """
    return list(_problems(profile, control, collapse_below))


def _problems(
    profile: RankProfile, control: RankProfile | None, collapse_below: float
) -> Iterator[Finding]:
    when = profile.label
    varied: set[int] = set()
    for name, ranks in profile.layers.items():
        dead = f"Layer '{name}' has dead tokens ({when}):"
        if ranks.not_finite:
            share = f"{ranks.not_finite} of {ranks.samples} samples"
            what = f"Layer '{name}' holds NaN or infinity in {share} ({when})."
            yield Finding("not_finite", name, what, _ADVICE["not_finite"])
        if ranks.branch:
            continue
        if ranks.normalized < collapse_below:
            yield _collapse(name, ranks, control.layers.get(name) if control else None, when)
        if ranks.dead:
            what = f"{dead} {listed(ranks.dead)} of {ranks.tokens} are zero in every sample."
            yield Finding("dead", name, what, _ADVICE["dead"])
        # A token that no sample changes is by design until it has met others:
        # a task token is a learned vector. Once it varied, it should not stop.
        lost = [token for token in ranks.constant if token in varied]
        if lost:
            what = f"{dead} {listed(lost)} came in different for every sample and left the same."
            yield Finding("constant", name, what, _ADVICE["constant"])
        varied |= set(range(ranks.tokens)) - set(ranks.constant) - set(ranks.dead)


def _collapse(name: str, ranks: LayerRanks, before: LayerRanks | None, when: str) -> Finding:
    what = (
        f"Layer '{name}' has collapsed ({when}): effective rank {ranks.mean:.2f} of "
        f"{ranks.ceiling}, {ranks.normalized:.0%} of its ceiling"
    )
    cause = "collapse"
    if before is None:
        what, cause = f"{what}.", "collapse_without_control"
    elif before.normalized < 1.5 * ranks.normalized:
        what += f"; the untrained network reads {before.normalized:.0%}."
        cause = "collapse_by_construction"
    else:
        what += f", down from {before.normalized:.0%} untrained."
    return Finding("collapse", name, what, _ADVICE[cause])


def listed(tokens: Sequence[int]) -> str:
    """The first tokens, and how many more there are."""
    shown = ", ".join(str(token) for token in tokens[:8])
    return f"{shown} and {len(tokens) - 8} more" if len(tokens) > 8 else shown
