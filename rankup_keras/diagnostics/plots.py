"""Pictures of measurements. Figures are made without pyplot, so they work anywhere."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rankup_keras.diagnostics.record import RankProfile

_GREY = "#767676"


def new_figure(width: float, height: float) -> Any:
    """A Matplotlib figure that no global state knows of."""
    # Imported late: a training job without pictures needs no Matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def rank_figure(profiles: Sequence["RankProfile"], view: str = "sample") -> Any:
    """Rank along the network, one line a moment; and rank over time, one line a layer."""
    if not profiles:
        raise ValueError("There is nothing to draw: no measurement has been taken.")
    names = list(profiles[-1].layers)
    figure = new_figure(6.0 + max(5.0, 0.45 * len(names)), 4.2)
    depth, course = figure.subplots(1, 2)
    _along_depth(depth, profiles, names, view)
    _over_time(course, profiles, names, view)
    return figure


def _along_depth(axes: Any, profiles: Sequence["RankProfile"], names: list[str], view: str) -> None:
    places = range(len(names))
    trained = [profile for profile in profiles if profile.label != "untrained"]
    for profile in profiles:
        if profile.label == "untrained":
            values = [profile.layers[name].value(view) for name in names]
            axes.plot(places, values, "--", color=_GREY, marker="o", ms=4, label="untrained")
    shown = trained if len(trained) <= 5 else [trained[i] for i in _evenly(len(trained), 5)]
    for number, profile in enumerate(shown):
        values = [profile.layers[name].value(view) for name in names]
        color = colour(number, len(shown))
        last = number == len(shown) - 1
        width = 2.2 if last else 1.2
        axes.plot(places, values, color=color, marker="o", ms=4, lw=width, label=profile.label)
        if last and view == "sample":
            ranks = [profile.layers[name] for name in names]
            low = [r.quantiles[0] / r.ceiling for r in ranks]
            high = [r.quantiles[-1] / r.ceiling for r in ranks]
            axes.fill_between(places, low, high, color=color, alpha=0.15, lw=0)
    axes.set_xticks(list(places), names, rotation=45, ha="right")
    axes.set_title(
        "along the network (band: 5–95 % of samples)"
        if view == "sample"
        else "along the network (mean over tokens)",
        fontsize=10,
    )
    axes.set_ylabel(f"effective rank, {view} view, share of ceiling")
    axes.set_ylim(floor_of(profiles, view), 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)


def _over_time(axes: Any, profiles: Sequence["RankProfile"], names: list[str], view: str) -> None:
    steps = [profile.step for profile in profiles]
    for number, name in enumerate(names):
        values = [profile.layers[name].value(view) for profile in profiles]
        axes.plot(steps, values, color=colour(number, len(names)), marker=".", label=name)
    axes.set_title("over training", fontsize=10)
    axes.set_xlabel("training steps (0: untrained)")
    axes.set_ylim(floor_of(profiles, view), 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False, ncols=1 + (len(names) > 9))


def heat_figure(profiles: Sequence["RankProfile"], view: str = "sample") -> Any:
    """Layers by moments, as a heat map of the share of the ceiling."""
    names = list(profiles[-1].layers)
    values = [[profile.layers[name].value(view) for profile in profiles] for name in names]
    figure = new_figure(max(5.0, 2.6 + 0.42 * len(profiles)), 1.6 + 0.32 * len(names))
    axes = figure.subplots()
    marks = [profile.label for profile in profiles]
    _heat_map(figure, axes, values, names, marks, floor_of(profiles, view))
    axes.set_title(f"effective rank, {view} view, share of ceiling", fontsize=10)
    return figure


def token_figure(profile: "RankProfile") -> Any:
    """Tokens by layers, as a heat map of each token's effective rank."""
    names = list(profile.layers)
    tokens = max(ranks.tokens for ranks in profile.layers.values())
    values = [
        [r.token_ranks[t] / r.token_ceiling if t < r.tokens else math.nan for t in range(tokens)]
        for r in profile.layers.values()
    ]
    figure = new_figure(max(5.0, 2.6 + 0.3 * tokens), 1.6 + 0.32 * len(names))
    axes = figure.subplots()
    _heat_map(figure, axes, values, names, [str(token) for token in range(tokens)], 0.0)
    axes.set_xlabel("token")
    axes.set_title(f"token view, each token, share of ceiling ({profile.label})", fontsize=10)
    return figure


def spectra_figure(profile: "RankProfile", control: "RankProfile | None" = None) -> Any:
    """Mean shares of the singular values of every layer, the untrained ones dashed."""
    names = list(profile.layers)
    columns = min(4, len(names))
    lines = math.ceil(len(names) / columns)
    figure = new_figure(1.0 + 2.6 * columns, 0.8 + 2.1 * lines)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    least = min((min(r.spectrum, default=1.0) for r in profile.layers.values()), default=1.0)
    low = min(0.01, max(1e-6, 0.5 * least))
    for name, axes in zip(names, grid.flat, strict=False):
        spectrum = profile.layers[name].spectrum
        axes.semilogy(range(1, len(spectrum) + 1), spectrum, color=colour(1, 2), marker=".", lw=1.5)
        if control is not None and name in control.layers:
            before = control.layers[name].spectrum
            axes.semilogy(range(1, len(before) + 1), before, "--", color=_GREY, lw=1.2)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
        axes.set_ylim(low, 1.0)
    figure.supylabel("share of the sum of singular values", fontsize=9)
    figure.supxlabel(f"singular value, {profile.label} (dashed: untrained)", fontsize=9)
    return figure


def relations_figure(
    layer: str,
    information: Any,
    cosine: Any,
    labels: Mapping[str, Any],
) -> Any:
    """Token-to-token matrices, and bars of what each token tells about each label."""
    tokens = len(information)
    figure = new_figure(10.0 + (4.0 if labels else 0.0), 4.4)
    axes = figure.subplots(1, 3 if labels else 2)
    # The diagonal is a token with itself and would set the scale alone.
    shown = [
        [math.nan if i == j else v for j, v in enumerate(r)] for i, r in enumerate(information)
    ]
    top = max((v for row in shown for v in row if v == v), default=1.0)
    panels = [
        (
            axes[0],
            shown,
            "mutual information by clusters (1: equal)",
            "viridis",
            0.0,
            max(top, 0.05),
        ),
        (axes[1], cosine, "cosine similarity", "RdBu_r", -1.0, 1.0),
    ]
    for axis, values, title, colours, low, high in panels:
        picture = axis.imshow(values, cmap=colours, vmin=low, vmax=high)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("token")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(picture, ax=axis, fraction=0.045, pad=0.02)
    axes[0].set_ylabel(f"token of {layer}")
    if labels:
        width = 0.8 / len(labels)
        for number, (task, values) in enumerate(labels.items()):
            places = [token + (number + 0.5) * width - 0.4 for token in range(tokens)]
            axes[2].bar(places, values, width, color=colour(number, len(labels)), label=task)
        axes[2].set_title("share of the label's entropy explained", fontsize=10)
        axes[2].set_xlabel("token")
        axes[2].xaxis.get_major_locator().set_params(integer=True)
        axes[2].legend(fontsize=8, frameon=False)
    return figure


def png(figure: Any) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _heat_map(
    figure: Any,
    axes: Any,
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
) -> None:
    picture = axes.imshow(values, aspect="auto", cmap="viridis", vmin=low, vmax=1.0)
    step = max(1, math.ceil(len(columns) / 16))
    shown = range(0, len(columns), step)
    turned = max(len(columns[i]) for i in shown) > 3
    axes.set_xticks(
        list(shown),
        [columns[i] for i in shown],
        rotation=45 if turned else 0,
        ha="right" if turned else "center",
    )
    axes.set_yticks(range(len(rows)), rows)
    if len(columns) <= 12:
        for i, line in enumerate(values):
            for j, value in enumerate(line):
                light = value < low + 0.6 * (1.0 - low)
                color = "white" if light else "black"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=color)
    figure.colorbar(picture, ax=axes, fraction=0.04, pad=0.02)


def floor_of(profiles: Sequence["RankProfile"], view: str) -> float:
    """Where the axis starts: low enough for all, never so high that a ripple looks like a fall."""
    least = min(ranks.value(view) for profile in profiles for ranks in profile.layers.values())
    return max(0.0, min(0.7, math.floor(10.0 * least - 0.5) / 10.0)) if least == least else 0.0


def colour(number: int, count: int) -> Any:
    """The `number`-th of `count` colours from light to dark, told apart without hue too."""
    from matplotlib import colormaps

    return colormaps["viridis_r"](0.15 + 0.85 * number / max(1, count - 1))


def _evenly(count: int, wanted: int) -> list[int]:
    return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})
