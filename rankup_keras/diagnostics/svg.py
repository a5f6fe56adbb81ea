"""Charts as SVG text, for pages that need no script and no picture files."""

import dataclasses
import html
import math
from collections.abc import Callable, Sequence

WIDTH = 420
_LEFT, _RIGHT, _TOP = 46, 14, 10

# Light to dark, so that order survives print and colour blindness.
_SCALE = ["#fde725", "#8fd744", "#35b779", "#21908d", "#31688e", "#443a83", "#440154"]


@dataclasses.dataclass
class Line:
    """One line of a chart.

    Attributes:
        label: Its name in the legend.
        values: One number a place; NaN leaves a gap.
        color: CSS colour.
        dashed: Whether it is dashed.
        band: Lower and upper edge of a shaded band around it, or `None`.
    """

    label: str
    values: Sequence[float]
    color: str
    dashed: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None


def line_chart(
    title: str,
    lines: Sequence[Line],
    marks: Sequence[str],
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    height: int = 230,
    legend: bool = True,
    width: int = WIDTH,
) -> str:
    """Lines over named places.

    Args:
        title: What the chart shows, for those who cannot see it.
        lines: The lines.
        marks: Names of the places; long ones are turned.
        low: Lower end of the axis; `None` fits it to the values.
        high: Upper end of the axis.
        log: Whether the axis is logarithmic.
        height: Height of the plot, without marks and legend.
        legend: Whether to name the lines.
        width: Width of the drawing; text keeps its size within it.
    """
    seen = [v for line in lines for v in line.values if math.isfinite(v)]
    seen += [v for line in lines if line.band for edge in line.band for v in edge if v == v]
    if log:
        seen = [math.log10(v) for v in seen if v > 0.0]
        low, high = (None if v is None else math.log10(v) for v in (low, high))
    bottom, top = _ends(seen, low, high)
    ticks = _ticks(bottom, top, log)

    def y_of(value: float) -> float:
        value = math.log10(value) if log else value
        share = (min(max(value, bottom), top) - bottom) / (top - bottom)
        return _TOP + height * (1.0 - share)

    def x_of(place: int) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * (place + 0.5) / len(marks)

    def shown(value: float) -> bool:
        return math.isfinite(value) and (not log or value > 0.0)

    parts = []
    for tick in ticks:
        y = y_of(10.0**tick if log else tick)
        text = f"1e{tick:g}" if log else f"{tick:.10g}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    turned = max(len(mark) for mark in marks) * len(marks) > width / 10
    parts += _marks(marks, x_of, _TOP + height, turned, width)
    for line in lines:
        if line.band:
            edges = [(x_of(i), y_of(v)) for i, v in enumerate(line.band[0]) if shown(v)]
            back = [(x_of(i), y_of(v)) for i, v in enumerate(line.band[1]) if shown(v)]
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*edges, *reversed(back)])
            parts.append(f'<polygon points="{points}" fill="{line.color}" opacity=".18"/>')
    for line in lines:
        points_of = [(x_of(i), y_of(v), v, i) for i, v in enumerate(line.values) if shown(v)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points_of)
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{line.color}" stroke-width="2"{dash}/>'
        )
        for x, y, value, i in points_of:
            tip = html.escape(f"{line.label}, {marks[i]}: {value:.4g}")
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{line.color}"><title>{tip}</title>'
                "</circle>"
            )
    total = _TOP + height + _marks_height(marks, turned)
    chart = _frame(title, parts, width, total)
    return chart + (_legend(lines) if legend else "")


def heat_map(
    title: str,
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
    high: float = 1.0,
    width: int = WIDTH,
) -> str:
    """A table of coloured cells, dark for low values."""
    left = 8 + 7 * max(len(row) for row in rows)
    cell_height = 24 if len(rows) <= 12 else 17
    cell = (width - left - _RIGHT) / len(columns)
    bottom = _TOP + cell_height * len(rows)

    def x_of(place: int) -> float:
        return left + cell * (place + 0.5)

    parts = []
    for i, row in enumerate(rows):
        y = _TOP + cell_height * i
        parts.append(
            f'<text class="tick" x="{left - 6}" y="{y + cell_height / 2 + 4:.1f}" '
            f'text-anchor="end">{html.escape(row)}</text>'
        )
        for j, value in enumerate(values[i]):
            known = math.isfinite(value)
            share = min(1.0, max(0.0, (value - low) / (high - low))) if known else 0.0
            fill = sequential(1.0 - share) if known else "none"
            tip = html.escape(f"{row}, {columns[j]}: {value:.3f}")
            parts.append(
                f'<rect x="{left + cell * j:.1f}" y="{y}" width="{cell - 0.8:.1f}" '
                f'height="{cell_height - 0.8:.1f}" fill="{fill}"><title>{tip}</title></rect>'
            )
            if known and cell >= 30:
                ink = "#fff" if share < 0.6 else "#111"
                parts.append(
                    f'<text class="cell" x="{x_of(j):.1f}" y="{y + cell_height / 2 + 4:.1f}" '
                    f'fill="{ink}" text-anchor="middle">{value:.2f}</text>'
                )
    turned = max(len(column) for column in columns) * len(columns) > (width - left) / 8.5
    parts += _marks(columns, x_of, bottom, turned, width)
    scale = (
        f'<p class="legend">{low:.2g} <span class="scale" style="background:linear-gradient(to '
        f'right,{",".join(reversed(_SCALE))})"></span> {high:.2g}</p>'
    )
    return _frame(title, parts, width, bottom + _marks_height(columns, turned)) + scale


def sequential(share: float) -> str:
    """A colour between light (0) and dark (1)."""
    place = min(1.0, max(0.0, share)) * (len(_SCALE) - 1)
    start = min(int(place), len(_SCALE) - 2)
    first, second = (_rgb(_SCALE[start + i]) for i in (0, 1))
    mixed = (round(a + (b - a) * (place - start)) for a, b in zip(first, second, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def line_colour(number: int, count: int) -> str:
    """The `number`-th of `count` line colours; the last is the darkest."""
    return sequential(0.25 + 0.65 * number / max(1, count - 1)) if count > 1 else "#31688e"


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _frame(title: str, parts: Sequence[str], width: int, height: float) -> str:
    name = html.escape(title, quote=True)
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(parts)}</svg>"
    )


def _marks(
    marks: Sequence[str], x_of: Callable[[int], float], y: float, turned: bool, width: int
) -> list[str]:
    step = max(1, math.ceil(len(marks) * 22 / width))
    parts = []
    for place in range(0, len(marks), step):
        x, text = x_of(place), html.escape(marks[place])
        if turned:
            at = f'transform="translate({x + 4:.1f},{y + 14:.1f}) rotate(-42)" text-anchor="end"'
        else:
            at = f'x="{x:.1f}" y="{y + 17:.1f}" text-anchor="middle"'
        parts.append(f'<text class="tick" {at}>{text}</text>')
    return parts


def _marks_height(marks: Sequence[str], turned: bool) -> float:
    return 20.0 + 4.8 * max(len(mark) for mark in marks) if turned else 26.0


def _legend(lines: Sequence[Line]) -> str:
    items = []
    for line in lines:
        style = "dashed" if line.dashed else "solid"
        items.append(
            f'<span><i style="border-top:3px {style} {line.color}"></i>'
            f"{html.escape(line.label)}</span>"
        )
    return f'<p class="legend">{"".join(items)}</p>'


def _ends(seen: Sequence[float], low: float | None, high: float | None) -> tuple[float, float]:
    bottom = low if low is not None else min(seen, default=0.0)
    top = high if high is not None else max(seen, default=1.0)
    if top - bottom < 1e-9:
        bottom, top = bottom - 0.5, top + 0.5
    pad = 0.06 * (top - bottom)
    return bottom - (pad if low is None else 0.0), top + (pad if high is None else 0.0)


def _ticks(bottom: float, top: float, log: bool) -> list[float]:
    if log:
        step = max(1, math.ceil((top - bottom) / 5))
        return [float(t) for t in range(math.ceil(bottom), math.floor(top) + 1, step)]
    raw = (top - bottom) / 5.0
    unit = 10.0 ** math.floor(math.log10(raw))
    size = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw - 1e-12)
    first = math.ceil(bottom / size - 1e-9)
    return [round(k * size, 12) for k in range(first, math.floor(top / size + 1e-9) + 1)]
