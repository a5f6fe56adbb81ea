"""Pictures of measurements, drawn by Matplotlib without pyplot, so that they work anywhere.

A panel is a function that draws on one pair of axes. `picture` puts panels side by side in a figure
for files and TensorBoard; `svg` makes one of them part of a page.
"""

import functools
import html
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rankup_keras.diagnostics.record import VIEWS, RankProfile, control_of, evenly, trained

Panel = Callable[[Any], None]

WIDTH = 420  # of a chart on a page, in the units of its font size (12)
_GREY, _BLUE = "#8b949e", "#3b6a9c"
_MOMENTS, _CELLS = 5, 18
# Drawn in these colors, which `svg` replaces by the page's own, light or dark.
_PAGE_COLOURS = {"#010203": "var(--soft)", "#030201": "var(--line)", "#fefdfc": "var(--card)"}
_INK, _LINE, _CARD = _PAGE_COLOURS
_PAGE_STYLE: dict[Any, Any] = {
    "font.size": 12, "text.color": _INK, "xtick.color": _INK, "ytick.color": _INK,
    "axes.labelcolor": _INK, "axes.edgecolor": _LINE, "grid.color": _LINE,
    "axes.facecolor": _CARD, "figure.facecolor": _CARD, "axes.labelsize": 12,
    "xtick.labelsize": 12, "ytick.labelsize": 12, "legend.fontsize": 12,
    "lines.linewidth": 2.0, "svg.fonttype": "none",
}  # fmt: skip


def picture(
    panels: Mapping[str, Panel], width: float, height: float, columns: int | None = None
) -> Any:
    """A figure of panels side by side.

    Args:
        panels: What to draw, by title.
        width: Inches.
        height: Inches.
        columns: Panels in one row. `None` puts all in one.
    """
    # Imported late: a training job without pictures needs no Matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # With some space at the edges, for a browser's font may be larger.
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    figure = Figure(figsize=(width, height), dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    columns = min(columns or len(panels), len(panels))
    parts = figure.subfigures(math.ceil(len(panels) / columns), columns, squeeze=False)
    for (title, draw), part in zip(panels.items(), parts.flat, strict=False):
        axes = part.subplots()
        draw(axes)
        axes.set_title(_plain(title), fontsize=10)
    return figure


def svg(title: str, draw: Panel, width: float = WIDTH, height: float = 340) -> str:
    """One panel as an SVG element in the colors of the report's page.

    Equal panels give equal text: no dates, and ids that depend on the title and content alone.
    """
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever style the user has chosen
        mpl.rcParams.update({**_PAGE_STYLE, "svg.hashsalt": title})
        figure = picture({"": draw}, width / 72, height / 72)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    # Without its head, and without names of groups, which every picture of the page would repeat.
    text = re.sub(r'<g id="[a-zA-Z]+[\d_.]*">', "<g>", text[text.index("<svg") :])
    for drawn, shown in _PAGE_COLOURS.items():
        text = text.replace(drawn, shown)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)


def png(figure: Any) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def rank_figure(profiles: Sequence[RankProfile], view: str = "sample") -> Any:
    """Rank along the network, one line per moment; and over time, one line per layer."""
    if not profiles:
        raise ValueError("There is nothing to draw: no measurement has been taken.")
    band = "band: 5–95 % of samples" if view == "sample" else "mean over tokens"
    panels = {
        f"along the network ({band})": along_network(profiles, view),
        "over training": over_time(profiles, view),
    }
    figure = picture(panels, 6.0 + max(5.0, 0.45 * len(profiles[-1].layers)), 4.6)
    figure.supylabel(f"normalized effective rank, {view} view", fontsize=9)
    return figure


def training_figures(profiles: Sequence[RankProfile]) -> dict[str, Any]:
    """The pictures of a run for TensorBoard, by name."""
    last = profiles[-1]
    count = len(last.layers)

    def map_of(title: str, draw: Panel, columns: int) -> Any:
        return picture({title: draw}, max(5.0, 2.6 + 0.42 * columns), 1.6 + 0.32 * count)

    figures = {
        f"layers_by_time/{view}_view": map_of(
            f"normalized effective rank, {view} view",
            layers_by_time(profiles, view),
            min(len(profiles), _CELLS),
        )
        for view in VIEWS
    }
    title = f"normalized effective rank of each token, {last.label}"
    columns = min(4, count)
    spectrum = picture(
        spectra(profiles), 1.0 + 2.6 * columns, 0.8 + 2.1 * math.ceil(count / columns), columns
    )
    spectrum.supylabel("share of the sum of singular values", fontsize=9)
    spectrum.supxlabel(f"singular value, {last.label} (dashed: untrained)", fontsize=9)
    return {
        **figures,
        "along_the_network": rank_figure(profiles),
        "tokens_by_layer": map_of(title, tokens_by_layer(last), most_tokens(last)),
        "spectra": spectrum,
    }


def along_network(profiles: Sequence[RankProfile], view: str) -> Panel:
    """Rank from layer to layer, at a few moments; in the sample view with its spread."""
    names, control = list(profiles[-1].layers), control_of(profiles)
    shown = evenly(trained(profiles), _MOMENTS)

    def draw(axes: Any) -> None:
        places = range(len(names))
        if control is not None:
            values = [control.layers[name].value(view) for name in names]
            axes.plot(places, values, "--", color=_GREY, marker="o", ms=4, label="untrained")
        for number, profile in enumerate(shown):
            color, last = color_of(number, len(shown)), profile is shown[-1]
            values = [profile.layers[name].value(view) for name in names]
            axes.plot(places, values, color=color, marker="o", ms=4, lw=2.2 if last else 1.4,
                      label=_plain(profile.label))  # fmt: skip
            if last and view == "sample":
                ranks = [profile.layers[name] for name in names]
                low, high = ([r.quantiles[end] / r.ceiling for r in ranks] for end in (0, -1))
                axes.fill_between(places, low, high, color=color, alpha=0.15, lw=0)
        _name_places(axes, names)
        axes.set_ylim(floor_of(profiles, view), 1.02)
        _finish(axes)

    return draw


def over_time(profiles: Sequence[RankProfile], view: str) -> Panel:
    """Rank over training, one line per layer."""

    def draw(axes: Any) -> None:
        names = list(profiles[-1].layers)
        for number, name in enumerate(names):
            values = [profile.layers[name].value(view) for profile in profiles]
            steps = [profile.step for profile in profiles]
            axes.plot(
                steps, values, color=color_of(number, len(names)), marker=".", label=_plain(name)
            )
        axes.set_xlabel("training steps (0: untrained)")
        axes.set_ylim(floor_of(profiles, view), 1.02)
        _finish(axes)

    return draw


def layers_by_time(profiles: Sequence[RankProfile], view: str) -> Panel:
    """Heat map of all layers at all moments, or at as many as there is room for."""
    names, shown = list(profiles[-1].layers), evenly(profiles, _CELLS)
    values = [[profile.layers[name].value(view) for profile in shown] for name in names]
    marks, low = [profile.label for profile in shown], floor_of(profiles, view)
    return lambda axes: heat_map(axes, values, names, marks, low)


def tokens_by_layer(profile: RankProfile) -> Panel:
    """Heat map of all tokens after all layers."""
    tokens = range(most_tokens(profile))
    values = [
        [r.token_ranks[t] / r.token_ceiling if t < r.tokens else math.nan for t in tokens]
        for r in profile.layers.values()
    ]
    return lambda axes: heat_map(axes, values, list(profile.layers), [*map(str, tokens)], 0.0)


def spectra(profiles: Sequence[RankProfile]) -> dict[str, Panel]:
    """By layer, the mean share of each singular value, beside the untrained network's."""
    last, control = profiles[-1], control_of(profiles)
    positive = [v for ranks in last.layers.values() for v in ranks.spectrum if v > 0.0]
    low = min(0.01, max(1e-6, 0.5 * min(positive, default=1.0)))

    def draw(axes: Any, name: str) -> None:
        if control is not None and name in control.layers:
            before = control.layers[name].spectrum
            axes.plot(range(1, len(before) + 1), before, "--", color=_GREY)
        spectrum = last.layers[name].spectrum
        axes.plot(range(1, len(spectrum) + 1), spectrum, color=_BLUE, marker=".")
        axes.set(yscale="log", ylim=(low, 1.0))
        _finish(axes, axes.xaxis)

    return {name: functools.partial(draw, name=name) for name in last.layers}


def metrics(profiles: Sequence[RankProfile]) -> dict[str, Panel]:
    """Losses and metrics that `fit` reported by epoch, training and validation together."""
    epochs = [profile for profile in profiles if profile.label.startswith("epoch")]
    keys = {key for profile in epochs for key in profile.logs}
    names = sorted(
        {key.removeprefix("val_") for key in keys}, key=lambda n: (n != "loss", "loss" not in n, n)
    )

    def draw(axes: Any, name: str) -> None:
        for key, label, color in ((name, "training", _GREY), (f"val_{name}", "validation", _BLUE)):
            if key in keys:
                values = [profile.logs.get(key, math.nan) for profile in epochs]
                places = [profile.epoch for profile in epochs]
                axes.plot(places, values, color=color, marker=".", label=label)
        _finish(axes, axes.xaxis)

    return {name: functools.partial(draw, name=name) for name in names}


def reliability(bins: Sequence[tuple[float, float, int]]) -> Panel:
    """Observed rate by predicted probability, and the line on which they are equal."""
    predicted, observed = ([values[i] for values in bins] for i in (0, 1))

    def draw(axes: Any) -> None:
        high = 1.05 * max(*predicted, *observed, 1e-6)
        axes.plot([0, high], [0, high], "--", color=_GREY)
        axes.plot(predicted, observed, color=_BLUE, marker="o", ms=4)
        axes.set(xlim=(0, high), ylim=(0, high), xlabel="predicted", ylabel="observed")
        axes.locator_params(nbins=5)
        _finish(axes)

    return draw


def relation_panels(relation: Any) -> dict[str, Panel]:
    """The matrices of a `TokenRelations`, and its label information where there is some."""
    # The diagonal is a token with itself and would set the scale alone.
    information = relation.mutual_information.copy()
    np.fill_diagonal(information, math.nan)
    top = max([0.05, *information[np.isfinite(information)]])
    by_label = relation.label_information

    def matrix(axes: Any, values: Any, low: float, high: float) -> None:
        _mesh(axes, values, low, high)
        axes.set(aspect="equal", xlabel="token", ylabel="token")
        _whole_numbers(axes.xaxis, axes.yaxis)

    def bars(axes: Any) -> None:
        width = 0.8 / len(by_label)
        for number, (task, values) in enumerate(by_label.items()):
            places = np.arange(len(values)) + (number + 0.5) * width - 0.4
            color = color_of(number, len(by_label))
            axes.bar(places, values, width, color=color, label=_plain(task))
        axes.set_xlabel("token")
        _finish(axes, axes.xaxis)

    panels: dict[str, Panel] = {
        "mutual information by clusters (1: equal)": lambda axes: matrix(
            axes, information, 0.0, top
        ),
        "cosine similarity": lambda axes: matrix(axes, relation.cosine, -1.0, 1.0),
    }
    return {**panels, "share of the label's entropy explained": bars} if by_label else panels


def heat_map(
    axes: Any,
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
) -> None:
    """Cells from `low` (dark) to 1 (light); unknown ones stay empty."""
    _mesh(axes, values, low, 1.0)
    _name_places(axes, columns)
    axes.set_yticks(range(len(rows)), [_plain(row) for row in rows])
    if len(columns) > _CELLS or max(map(len, columns)) > 3:
        return  # no room for the numbers
    for i, line in enumerate(values):
        for j, value in enumerate(line):
            color = "white" if value < low + 0.6 * (1.0 - low) else "black"
            text = f"{value:.2f}" if math.isfinite(value) else ""
            axes.text(j, i, text, ha="center", va="center", size="small", color=color)


def floor_of(profiles: Sequence[RankProfile], view: str) -> float:
    """Where the axis starts: low enough for all, never so high that a ripple looks like a fall."""
    least = min(ranks.value(view) for profile in profiles for ranks in profile.layers.values())
    return max(0.0, min(0.7, math.floor(10.0 * least - 0.5) / 10.0)) if least == least else 0.0


def most_tokens(profile: RankProfile) -> int:
    """The token count of the layer that has the most."""
    return max(ranks.tokens for ranks in profile.layers.values())


def color_of(number: int, count: int) -> Any:
    """The `number`-th of `count` colors from light to dark, seen on white and on black."""
    from matplotlib import colormaps

    return colormaps["viridis_r"](0.2 + 0.55 * number / max(1, count - 1))


def _mesh(axes: Any, values: Any, low: float, high: float) -> None:
    rows, columns = len(values), len(values[0])
    edges = ([place - 0.5 for place in range(count + 1)] for count in (columns, rows))
    gaps = {"edgecolors": axes.get_facecolor(), "linewidth": 0.8}
    mesh = axes.pcolormesh(*edges, values, cmap="viridis", vmin=low, vmax=high, **gaps)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(mesh, ax=axes, fraction=0.04, pad=0.02)
    bar.outline.set_visible(False)


def _name_places(axes: Any, names: Sequence[str]) -> None:
    """Names under the places 0, 1, ...: some of them where they are many, turned if long."""
    shown = range(0, len(names), max(1, math.ceil(len(names) / _CELLS)))
    turned = max(len(names[place]) for place in shown) > 3
    turn = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(list(shown), [_plain(names[place]) for place in shown], **turn)


def _finish(axes: Any, *whole: Any) -> None:
    """A light grid, whole numbers along the axes of `whole`, and the legend under the panel."""
    axes.set_axisbelow(True)
    axes.grid(axis="y")
    axes.spines[["top", "right"]].set_visible(False)
    _whole_numbers(*whole)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        points = 72 * axes.figure.bbox.width / axes.figure.dpi
        columns = max(1, int(points / (7 * max(map(len, labels)) + 45)))
        place = {"loc": "outside lower center", "frameon": False, "columnspacing": 1.2}
        axes.figure.legend(handles, labels, ncols=columns, **place)


def _whole_numbers(*axis: Any) -> None:
    for each in axis:
        each.get_major_locator().set_params(integer=True)


def _plain(text: str) -> str:
    """Text that Matplotlib draws as it is, a dollar sign included."""
    return text.replace("$", r"\$")
