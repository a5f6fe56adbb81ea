"""The sections of the report, each from measurements to HTML."""

import html
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rankup_keras.diagnostics import plots
from rankup_keras.diagnostics.calibration import Reliability
from rankup_keras.diagnostics.insights import read_run
from rankup_keras.diagnostics.record import LayerRanks, RankProfile, TableRanks, control_of
from rankup_keras.diagnostics.report_page import card, table
from rankup_keras.diagnostics.token_sources import FAMILIES

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
    profiles: Sequence[RankProfile],
    relations: Mapping[str, Any],
    collapse_below: float,
    about: Mapping[str, str],
    tokens: Sequence[tuple[str, str]],
    attention: Any = None,
    calibration: Mapping[str, Reliability] | None = None,
) -> Iterator[str]:
    """All sections of the page, in order."""
    last = profiles[-1]
    if about:
        yield card("The run", "", table([("", ""), *about.items()], words=True), wide=True)
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
    if tokens:
        yield _token_sources(tokens)
    yield from _small_charts(
        "Losses and metrics",
        "By epoch.",
        dict(itertools.islice(plots.metrics(profiles).items(), _METRICS)),
        190,
    )
    yield from _calibration(calibration or {})
    note = (
        "Mean share of each singular value of a sample's matrix, largest first, logarithmic. "
        "Dashed grey: untrained. A flat line is full rank; a steep one is a collapse."
    )
    yield from _small_charts("Spectra", note, plots.spectra(profiles), 160)
    for relation in relations.values():
        heading = f"How the tokens of '{relation.layer}' relate"
        yield from _small_charts(heading, "", plots.relation_panels(relation), 260)
    if attention is not None:
        note = "Share of attention by the time from event to request; grey: share of the events."
        yield from _small_charts("Attention over time", note, attention.panels(), 260)
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


def _calibration(calibration: Mapping[str, Reliability]) -> Iterator[str]:
    note = (
        "Observed rate by predicted probability, in bins of about equally many rows. On the dashed "
        "line predictions are calibrated; above it they are too low."
    )
    panels = {task: plots.reliability(found.bins) for task, found in calibration.items()}
    yield from _small_charts("Calibration", note, panels, 260)
    for task, found in calibration.items():
        head = ("rows", "predicted", "observed", "predicted / observed")
        rows = [
            (str(number), *_compared(count, predicted, observed))
            for number, (predicted, observed, count) in enumerate(found.bins, start=1)
        ]
        yield card(f"Calibration of {task} by bin", "", table([("bin", *head), *rows]))
        if found.segments:
            rows = [
                (name, *_compared(count, predicted, observed), f"{entropy:.4f}")
                for name, (count, predicted, observed, entropy) in found.segments.items()
            ]
            heading = f"Calibration of {task} by {found.by}"
            yield card(heading, "", table([(found.by, *head, "NE"), *rows]))


def _compared(count: int, predicted: float, observed: float) -> tuple[str, ...]:
    ratio = f"{predicted / observed:.3f}" if observed else ""
    return f"{count:,}", f"{predicted:.4g}", f"{observed:.4g}", ratio


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


def _token_sources(tokens: Sequence[tuple[str, str]]) -> str:
    rows = [(str(number), *token) for number, token in enumerate(tokens)]
    families = dict(FAMILIES.values())
    there = dict.fromkeys(family for family, _ in tokens)
    note = " ".join(f"{name}: {families[name]}." for name in there if name in families)
    body = table([("token", "family", "of"), *rows], words=True)
    return card("What the tokens are made of", note, body, wide=True)


def _layer_table(profiles: Sequence[RankProfile]) -> str:
    last, control = profiles[-1], control_of(profiles)
    known = control.layers if control is not None else {}
    rows = last.layer_rows()
    rows[0] += ["untrained", "numerical", "idle tokens"]
    for row, (name, ranks) in zip(rows[1:], last.layers.items(), strict=True):
        idle = ", ".join(str(token) for token in sorted({*ranks.dead, *ranks.constant})) or "none"
        row += [_normalized(known.get(name)), f"{ranks.numerical:.2f}", idle]
    note = (
        "Four different numbers: effective (entropy) rank in two views, stable rank, numerical "
        "rank. Idle tokens are zero or the same in every sample; a task token is so by design "
        "until it is mixed."
    )
    return card(f"Layers, {last.label}", note, table(rows), wide=True)


def _embedding_tables(profiles: Sequence[RankProfile]) -> str:
    last, control = profiles[-1], control_of(profiles)
    known = control.tables if control is not None else {}
    rows = last.table_rows()
    rows[0].append("untrained")
    for row, name in zip(rows[1:], last.tables, strict=True):
        row.append(_normalized(known.get(name)))
    note = (
        "Sum of the singular values over the largest. Rows that were never looked up stay random."
    )
    return card("Embedding tables", note, table(rows), wide=True)


def _normalized(before: LayerRanks | TableRanks | None) -> str:
    return "" if before is None else f"{before.normalized:.3f}"
