"""The sections of the report, each from measurements to HTML."""

import html
import math
from collections.abc import Iterator, Sequence
from typing import Any

from rankup_keras.diagnostics import svg
from rankup_keras.diagnostics.insights import Insight
from rankup_keras.diagnostics.plots import floor_of
from rankup_keras.diagnostics.record import RankProfile
from rankup_keras.diagnostics.report_page import card, table

_MOMENTS = 18
_METRICS = 12
_SMALL, _WIDE = 290, 1000
_GREY = "#8b949e"
_READING = """\
The effective rank counts the directions that a token matrix uses: equal singular values count \
fully, small ones little. A share of 1 means that every direction up to the ceiling is used evenly.

Token mixing reshapes: identical tokens, which have rank 1, can read almost full rank after it. So \
compare equal positions, and with the same network before training (the dashed grey lines). More \
tokens raise the ceiling, so compare models of different token counts by their raw numbers too.

A high rank is no goal by itself: look at it beside the metrics."""
_NOTES = {
    "sample": (
        "Effective rank of each sample's tokens x width matrix, mean, as a share of its ceiling. "
        "Band: 5 to 95 % of the samples, last measurement."
    ),
    "token": (
        "Effective rank of each token's samples x width matrix, mean over tokens, as a share of "
        "its ceiling."
    ),
}


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


def insight_list(insights: Sequence[Insight]) -> str:
    """What the numbers say."""
    items = []
    for insight in insights:
        lead = {"problem": "<b>Problem.</b>", "good": "<b>Fine.</b>"}.get(insight.level, "")
        items.append(f'<li class="{insight.level}">{lead}{html.escape(insight.text)}</li>')
    return card("What it says", "", f'<ul class="insights">{"".join(items)}</ul>', wide=True)


def along_network(profiles: Sequence[RankProfile], view: str) -> str:
    """Rank from layer to layer, at a few moments."""
    names = list(profiles[-1].layers)
    lines = []
    trained = [profile for profile in profiles if profile.label != "untrained"]
    if len(trained) < len(profiles):
        values = [profiles[0].layers[name].value(view) for name in names]
        lines.append(svg.Line("untrained", values, _GREY, dashed=True))
    shown = _evenly(trained, 4)
    for number, profile in enumerate(shown):
        values = [profile.layers[name].value(view) for name in names]
        band = None
        if view == "sample" and number == len(shown) - 1:
            ranks = [profile.layers[name] for name in names]
            band = (
                [r.quantiles[0] / r.ceiling for r in ranks],
                [r.quantiles[-1] / r.ceiling for r in ranks],
            )
        lines.append(
            svg.Line(profile.label, values, svg.line_colour(number, len(shown)), band=band)
        )
    heading = f"Along the network, {view} view"
    note = _NOTES[view]
    low = floor_of(profiles, view)
    return card(heading, note, svg.line_chart(heading, lines, names, low, 1.0))


def layers_by_time(profiles: Sequence[RankProfile]) -> str:
    """The heat map of all layers at all moments."""
    names, shown = list(profiles[-1].layers), _evenly(profiles, _MOMENTS)
    values = [[profile.layers[name].normalized for profile in shown] for name in names]
    heading = "Layers by time"
    marks = [profile.label for profile in shown]
    body = svg.heat_map(heading, values, names, marks, floor_of(profiles, "sample"))
    return card(heading, "Sample view, share of the ceiling.", body)


def tokens_by_layer(profile: RankProfile) -> str:
    """The heat map of all tokens after all layers."""
    names = list(profile.layers)
    count = max(ranks.tokens for ranks in profile.layers.values())
    values = [
        [r.token_ranks[t] / r.token_ceiling if t < r.tokens else math.nan for t in range(count)]
        for r in profile.layers.values()
    ]
    heading = f"Tokens by layer, {profile.label}"
    marks = [str(token) for token in range(count)]
    width = min(_WIDE, max(svg.WIDTH, 140 + 36 * count))
    body = svg.heat_map(heading, values, names, marks, 0.0, width=width)
    # A wide map is scrolled on a phone, not shrunk until nobody can read it.
    style = f"min-width:{width * 3 // 4 if width > svg.WIDTH else 0}px;max-width:{width * 5 // 4}px"
    note = "Token view, share of the ceiling, each token by itself."
    return card(
        heading,
        note,
        f'<div class="scroll"><div class="broad" style="{style}">{body}</div></div>',
        True,
    )


def over_time(profiles: Sequence[RankProfile]) -> str:
    """Rank over training, one line a layer."""
    names, shown = list(profiles[-1].layers), _evenly(profiles, 40)
    lines = [
        svg.Line(
            name,
            [profile.layers[name].normalized for profile in shown],
            svg.line_colour(number, len(names)),
        )
        for number, name in enumerate(names)
    ]
    heading = "Over training"
    marks = [profile.label for profile in shown]
    body = svg.line_chart(heading, lines, marks, floor_of(profiles, "sample"), 1.0)
    return card(heading, "Sample view, share of the ceiling; darker is deeper.", body)


def metric_charts(profiles: Sequence[RankProfile]) -> Iterator[str]:
    """Losses and metrics that `fit` reported, training and validation together."""
    epochs = [profile for profile in profiles if profile.label.startswith("epoch")]
    keys = {key for profile in epochs for key in profile.logs}
    names = sorted(
        {key.removeprefix("val_") for key in keys}, key=lambda n: (n != "loss", "loss" not in n, n)
    )
    charts = []
    for name in names[:_METRICS]:
        lines = []
        for key, label, color in (
            (name, "training", _GREY),
            (f"val_{name}", "validation", "#31688e"),
        ):
            if key in keys:
                values = [profile.logs.get(key, math.nan) for profile in epochs]
                lines.append(svg.Line(label, values, color))
        marks = [str(profile.epoch) for profile in epochs]
        chart = svg.line_chart(f"{name} by epoch", lines, marks, height=120, width=_SMALL)
        charts.append(f"<div><h3>{html.escape(name)}</h3>{chart}</div>")
    if charts:
        yield card(
            "Losses and metrics", "By epoch.", f'<div class="small">{"".join(charts)}</div>', True
        )


def spectra(profiles: Sequence[RankProfile]) -> str:
    """The singular values behind the numbers, one small chart a layer."""
    control = profiles[0] if profiles[0].label == "untrained" and len(profiles) > 1 else None
    last = profiles[-1]
    positive = [v for r in last.layers.values() for v in r.spectrum if v > 0.0]
    low = min(0.01, max(1e-6, 0.5 * min(positive, default=1.0)))
    charts = []
    for name, ranks in last.layers.items():
        lines = [svg.Line(last.label, ranks.spectrum, "#31688e")]
        if control is not None and name in control.layers:
            lines.insert(0, svg.Line("untrained", control.layers[name].spectrum, _GREY, True))
        marks = [str(place + 1) for place in range(ranks.ceiling)]
        chart = svg.line_chart(
            f"spectrum of {name}", lines, marks, low, 1.0, True, 110, legend=False, width=_SMALL
        )
        charts.append(f"<div><h3>{html.escape(name)}</h3>{chart}</div>")
    return card(
        "Spectra",
        "Mean share of each singular value of a sample's matrix, largest first, logarithmic. "
        "Dashed grey: untrained. A flat line is full rank; a steep one is a collapse.",
        f'<div class="small">{"".join(charts)}</div>',
        wide=True,
    )


def relation_maps(relation: Any) -> str:
    """Token-to-token matrices of one layer."""
    tokens = len(relation.cosine)
    marks = [str(token) for token in range(tokens)]
    information = [
        [math.nan if i == j else float(v) for j, v in enumerate(row)]
        for i, row in enumerate(relation.mutual_information)
    ]
    top = max([0.05, *(v for row in information for v in row if math.isfinite(v))])
    cosine = relation.cosine.tolist()
    maps = {
        "mutual information by clusters (1: equal)": (information, 0.0, top),
        "cosine similarity": (cosine, -1.0, 1.0),
    }
    charts = [
        f"<div><h3>{name}</h3>{svg.heat_map(name, values, marks, marks, low, high, _SMALL)}</div>"
        for name, (values, low, high) in maps.items()
    ]
    if relation.label_information:
        tasks = relation.label_information
        lines = [
            svg.Line(task, values.tolist(), svg.line_colour(number, len(tasks)))
            for number, (task, values) in enumerate(tasks.items())
        ]
        chart = svg.line_chart("label information", lines, marks, low=0.0, height=150, width=_SMALL)
        charts.append(
            f"<div><h3>share of the label's entropy explained, by token</h3>{chart}</div>"
        )
    body = f'<div class="small">{"".join(charts)}</div>'
    return card(f"How the tokens of '{relation.layer}' relate", "", body, wide=True)


def layer_table(profiles: Sequence[RankProfile]) -> str:
    """All headline numbers of the last measurement, the untrained ones beside them."""
    control = profiles[0] if profiles[0].label == "untrained" and len(profiles) > 1 else None
    rows = [
        ["layer", "ceiling", "sample view", "share", "untrained", "stable rank", "numerical",
         "token view", "share", "cosine", "idle tokens"]
    ]  # fmt: skip
    for name, ranks in profiles[-1].layers.items():
        before = control.layers.get(name) if control is not None else None
        rows.append(
            [
                name,
                str(ranks.ceiling),
                f"{ranks.mean:.2f}",
                f"{ranks.normalized:.3f}",
                "" if before is None else f"{before.normalized:.3f}",
                f"{ranks.stable:.2f}",
                f"{ranks.numerical:.2f}",
                f"{ranks.token_mean:.2f} of {ranks.token_ceiling}",
                f"{ranks.token_normalized:.3f}",
                f"{ranks.cosine:.3f}",
                ", ".join(str(t) for t in sorted({*ranks.dead, *ranks.constant})) or "none",
            ]
        )
    return card(
        f"Layers, {profiles[-1].label}",
        "Four different numbers: effective (entropy) rank in two views, stable rank, numerical "
        "rank. Idle tokens are zero or the same in every sample; a task token is so by design "
        "until it is mixed.",
        table(rows),
        wide=True,
    )


def embedding_table(profiles: Sequence[RankProfile]) -> str:
    """Information abundance of the embedding tables."""
    control = profiles[0] if profiles[0].label == "untrained" and len(profiles) > 1 else None
    rows = [["table", "rows", "read", "information abundance", "share of ceiling", "untrained"]]
    for name, each in profiles[-1].tables.items():
        before = control.tables.get(name) if control is not None else None
        rows.append(
            [
                name,
                f"{each.rows:,}",
                f"{each.measured:,}",
                f"{each.abundance:.2f} of {each.ceiling}",
                f"{each.normalized:.3f}",
                "" if before is None else f"{before.normalized:.3f}",
            ]
        )
    note = (
        "Sum of the singular values over the largest. Rows that were never looked up stay random."
    )
    return card("Embedding tables", note, table(rows), wide=True)


def how_to_read() -> str:
    """The caveats that belong to the numbers."""
    paragraphs = _READING.split("\n\n")
    body = "".join(f"<p>{html.escape(text)}</p>" for text in paragraphs)
    return card("How to read this", "", body, wide=True)


def _evenly(profiles: Sequence[RankProfile], wanted: int) -> list[RankProfile]:
    count = len(profiles)
    if count <= wanted:
        return list(profiles)
    return [
        profiles[i] for i in sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})
    ]
