"""The sections of the report, each from measurements to HTML."""

import html
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.insights import read_run
from rankup_keras.diagnostics.record import RankProfile, control_of
from rankup_keras.diagnostics.report_page import card, table

_METRICS = 12
_SMALL = 290
_READING = """\
The effective rank counts the directions that a token matrix uses: equal singular values count \
fully, small ones little. A normalized effective rank of 1 means that every direction up to the \
ceiling is used evenly.

Token mixing reshapes: identical tokens, which have rank 1, can read almost full rank after it. So \
compare equal positions, and with the same network before training (the dashed grey lines). More \
tokens raise the ceiling, so compare models of different token counts by their raw numbers too.

A high rank is not a goal by itself: look at it beside the metrics."""
_NOTES = {
    "sample": (
        "Normalized effective rank of each sample's tokens x width matrix, mean over samples. "
        "Band: 5 to 95 % of the samples, last measurement."
    ),
    "token": "Normalized effective rank of each token's samples x width matrix, mean over tokens.",
}


def sections(
    profiles: Sequence[RankProfile], relations: Mapping[str, Any], collapse_below: float
) -> Iterator[str]:
    """All sections of the page, in order."""
    last = profiles[-1]
    yield _insights(profiles, collapse_below)
    for view, note in _NOTES.items():
        yield _chart(f"Along the network, {view} view", note, plots.along_network(profiles, view))
    if len(profiles) > 1:
        # As high as the chart beside it, or as its rows need.
        note, height = (
            "Normalized effective rank, sample view.",
            max(340, 110 + 24 * len(last.layers)),
        )
        draw = plots.layers_by_time(profiles, "sample")
        yield _chart("Layers by time", note, draw, height=height)
        note += " Darker is deeper."
        yield _chart("Over training", note, plots.over_time(profiles, "sample"), height=height)
    yield _tokens(last)
    yield from _small_charts(
        "Losses and metrics",
        "By epoch.",
        dict(itertools.islice(plots.metrics(profiles).items(), _METRICS)),
        190,
    )
    note = (
        "Mean share of each singular value of a sample's matrix, largest first, logarithmic. "
        "Dashed grey: untrained. A flat line is full rank; a steep one is a collapse."
    )
    yield from _small_charts("Spectra", note, plots.spectra(profiles), 160)
    for relation in relations.values():
        heading = f"How the tokens of '{relation.layer}' relate"
        yield from _small_charts(heading, "", plots.relation_panels(relation), 260)
    yield _layer_table(profiles)
    if last.tables:
        yield _embedding_tables(profiles)
    paragraphs = (f"<p>{html.escape(text)}</p>" for text in _READING.split("\n\n"))
    yield card("How to read this", "", "".join(paragraphs), wide=True)


def summary(profiles: Sequence[RankProfile]) -> str:
    """One line: what was measured, how often, and what it cost."""
    last = profiles[-1]
    ranks = next(iter(last.layers.values()))
    cost = sum(profile.seconds for profile in profiles)
    return (
        f"{len(last.layers)} layers, {ranks.tokens} tokens of width {ranks.width}, {ranks.samples} "
        f"samples; {len(profiles)} measurements up to step {last.step} ({last.label}), taking "
        f"{cost:.1f} s in all."
    )


def _chart(heading: str, note: str, draw: plots.Panel, **size: int) -> str:
    return card(heading, note, plots.svg(heading, draw, **size))


def _small_charts(
    heading: str, note: str, panels: Mapping[str, plots.Panel], height: int
) -> Iterator[str]:
    charts = [
        f"<div><h3>{html.escape(name)}</h3>"
        f"{plots.svg(f'{heading}: {name}', draw, _SMALL, height)}</div>"
        for name, draw in panels.items()
    ]
    if charts:
        yield card(heading, note, f'<div class="small">{"".join(charts)}</div>', wide=True)


def _insights(profiles: Sequence[RankProfile], collapse_below: float) -> str:
    items = []
    for insight in read_run(profiles, collapse_below):
        lead = {"problem": "<b>Problem.</b>", "good": "<b>Fine.</b>"}.get(insight.level, "")
        items.append(f'<li class="{insight.level}">{lead}{html.escape(insight.text)}</li>')
    return card("What it says", "", f'<ul class="insights">{"".join(items)}</ul>', wide=True)


def _tokens(profile: RankProfile) -> str:
    width = min(1000, max(plots.WIDTH, 190 + 36 * plots.most_tokens(profile)))
    heading = f"Tokens by layer, {profile.label}"
    height = 60 + 24 * len(profile.layers)
    picture = plots.svg(heading, plots.tokens_by_layer(profile), width, height)
    # A wide map is scrolled on a phone, not shrunk until nobody can read it.
    style = f"min-width:{width if width > plots.WIDTH else 0}px;max-width:{width}px"
    body = f'<div class="scroll"><div class="broad" style="{style}">{picture}</div></div>'
    note = "Token view, normalized effective rank of each token by itself."
    return card(heading, note, body, wide=True)


def _layer_table(profiles: Sequence[RankProfile]) -> str:
    control = control_of(profiles)
    rows = [
        ["layer", "ceiling", "sample view", "normalized", "untrained", "stable rank", "numerical",
         "token view", "normalized", "cosine", "idle tokens"]
    ]  # fmt: skip
    for name, r in profiles[-1].layers.items():
        before = control.layers.get(name) if control is not None else None
        idle = ", ".join(str(token) for token in sorted({*r.dead, *r.constant})) or "none"
        rows.append(
            [name, str(r.ceiling), f"{r.mean:.2f}", f"{r.normalized:.3f}",
             "" if before is None else f"{before.normalized:.3f}",
             f"{r.stable:.2f}", f"{r.numerical:.2f}", f"{r.token_mean:.2f} of {r.token_ceiling}",
             f"{r.token_normalized:.3f}", f"{r.cosine:.3f}", idle]
        )  # fmt: skip
    note = (
        "Four different numbers: effective (entropy) rank in two views, stable rank, numerical "
        "rank. Idle tokens are zero or the same in every sample; a task token is so by design "
        "until it is mixed."
    )
    return card(f"Layers, {profiles[-1].label}", note, table(rows), wide=True)


def _embedding_tables(profiles: Sequence[RankProfile]) -> str:
    control = control_of(profiles)
    rows = [["table", "rows", "read", "information abundance", "share of ceiling", "untrained"]]
    for name, t in profiles[-1].tables.items():
        before = control.tables.get(name) if control is not None else None
        rows.append(
            [name, f"{t.rows:,}", f"{t.measured:,}", f"{t.abundance:.2f} of {t.ceiling}",
             f"{t.normalized:.3f}", "" if before is None else f"{before.normalized:.3f}"]
        )  # fmt: skip
    note = (
        "Sum of the singular values over the largest. Rows that were never looked up stay random."
    )
    return card("Embedding tables", note, table(rows), wide=True)
