"""Pictures of measurements. Figures are made without pyplot, so they work anywhere."""

import math
from collections.abc import Sequence
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
    axes.set_ylim(_floor(profiles, view), 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False)


def _over_time(axes: Any, profiles: Sequence["RankProfile"], names: list[str], view: str) -> None:
    steps = [profile.step for profile in profiles]
    for number, name in enumerate(names):
        values = [profile.layers[name].value(view) for profile in profiles]
        axes.plot(steps, values, color=colour(number, len(names)), marker=".", label=name)
    axes.set_title("over training", fontsize=10)
    axes.set_xlabel("training steps (0: untrained)")
    axes.set_ylim(_floor(profiles, view), 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8, frameon=False, ncols=1 + (len(names) > 9))


def _floor(profiles: Sequence["RankProfile"], view: str) -> float:
    """Where the axis starts: low enough for all, never so high that a ripple looks like a fall."""
    least = min(ranks.value(view) for profile in profiles for ranks in profile.layers.values())
    return max(0.0, min(0.7, math.floor(10.0 * least - 0.5) / 10.0)) if least == least else 0.0


def colour(number: int, count: int) -> Any:
    """The `number`-th of `count` colours from light to dark, told apart without hue too."""
    from matplotlib import colormaps

    return colormaps["viridis_r"](0.15 + 0.85 * number / max(1, count - 1))


def _evenly(count: int, wanted: int) -> list[int]:
    return sorted({round(i * (count - 1) / (wanted - 1)) for i in range(wanted)})
