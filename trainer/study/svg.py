"""Small line and bar charts as SVG text. Colours are CSS classes of the page, so that light and dark need one drawing.

Own code and not a plotting library: four kinds of marks, no dependency, 3 kB a chart, and they follow the page's theme.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from markupsafe import Markup

WIDTH: Final = 340
HEIGHT: Final = 300
LEFT: Final = 44
RIGHT: Final = 12
TOP: Final = 10
BOTTOM: Final = 40
TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
NUMBERED_TICKS: Final = tuple((tick, f"{tick:g}") for tick in TICKS)


@dataclass(frozen=True)
class Line:
    """A line through the points (x, y), 0 to 1, drawn in the CSS class `style`, with a title to hover over."""

    title: str
    style: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Bar:
    """A bar from x `low` to `high` and from 0 up to `height`, all 0 to 1."""

    title: str
    low: float
    high: float
    height: float


def chart(
    name: str,
    x_title: str,
    y_title: str,
    *,
    lines: Sequence[Line] = (),
    bars: Sequence[Bar] = (),
    rising: bool = False,
    x_ticks: Sequence[tuple[float, str]] = NUMBERED_TICKS,
) -> Markup:
    """Return one chart whose axes go from 0 to 1.

    Args:
        name: what it shows, for screen readers.
        x_title: the horizontal axis.
        y_title: the vertical axis.
        lines: drawn over the bars.
        bars: in the CSS class `bar`.
        rising: also the dashed line from (0, 0) to (1, 1).
        x_ticks: places on the horizontal axis, 0 to 1, and what stands there.
    """
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(name, quote=True)}">', _axes(x_ticks)]
    parts += [
        f'<rect class="bar" x="{_x(bar.low) + 0.5:.1f}" y="{_y(bar.height):.1f}" '
        f'width="{_x(bar.high) - _x(bar.low) - 1:.1f}" height="{_y(0) - _y(bar.height):.1f}">'
        f"<title>{escape(bar.title)}</title></rect>"
        for bar in bars
    ]
    if rising:
        parts.append(f'<path class="chance" d="M{_x(0)},{_y(0)} L{_x(1)},{_y(1)}"/>')
    parts += [
        f'<path class="line {line.style}" d="M{_points(line)}"><title>{escape(line.title)}</title></path>'
        for line in lines
    ]
    middle = (_y(0) + _y(1)) / 2
    parts += [
        f'<text class="axis" x="{(_x(0) + _x(1)) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>',
        f'<text class="axis" x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">'
        f"{escape(y_title)}</text>",
        "</svg>",
    ]
    return Markup("".join(parts))  # noqa: S704 - what is not a number is escaped above


def _x(value: float) -> float:
    return LEFT + value * (WIDTH - LEFT - RIGHT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)


def _points(line: Line) -> str:
    return " L".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(line.x, line.y, strict=True))


def _axes(x_ticks: Sequence[tuple[float, str]]) -> str:
    marks = []
    for tick in TICKS:
        marks.append(f'<path class="grid" d="M{_x(0)},{_y(tick)} H{_x(1)}"/>')
        marks.append(f'<text class="tick" x="{_x(0) - 6}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    for place, words in x_ticks:
        marks.append(f'<path class="grid" d="M{_x(place):.1f},{_y(0)} V{_y(1)}"/>')
        marks.append(
            f'<text class="tick" x="{_x(place):.1f}" y="{_y(0) + 16}" text-anchor="middle">{escape(words)}</text>'
        )
    return "".join(marks)
