"""A spec enters; one self-contained SVG document leaves: no scripts, no fonts, no identifiers.

All coordinates are in pixels, y downward.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape as for_xml

from rich.cells import cell_len
from rich.errors import StyleSyntaxError
from rich.style import Style

from charnn.terminal.charts.axes import Axis
from charnn.terminal.charts.labels import number
from charnn.terminal.charts.spec import ChartSpec, Frame, Level, Point, Series
from charnn.terminal.safe import one_line

_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
_LETTER = 7.0  # an upper estimate of the mean width of a letter at 12 px
_NEUTRAL = "#6e7781"  # a contrast above 4 on white and on #0d1117
_THEMES = {None: ("", _NEUTRAL), False: ("#ffffff", "#3d444d"), True: ("#0d1117", "#b7bdc8")}  # background, text
# black, red, green, yellow, blue, magenta, cyan, white: middle tones for both kinds of background
_TONES = ("", "#d1444c", "#2f9e44", "#b7791f", "#3b82d6", "#a55fd0", "#1398a8", "")


def draw_svg(spec: ChartSpec, width: int, height: int, dark: bool | None) -> str:
    """The chart as an SVG document."""
    background, ink = _THEMES[dark]
    return "\n".join(_Picture(spec, spec.frame(width), width, height, background, ink).elements()) + "\n"


@dataclass
class _Picture:
    spec: ChartSpec
    frame: Frame | None
    width: int
    height: int
    background: str
    ink: str

    def __post_init__(self) -> None:
        self.legend_lines = list(self.packed())
        self.below = 16 * bool(self.spec.x_below)
        self.top = 20 + 22 * bool(self.spec.title) + 22 * bool(self.spec.y_label)
        self.bottom = self.height - 36 - self.below - 20 * max(len(self.legend_lines), bool(self.spec.x_label))
        names = [cell_len(self.named(level.label, level.y)) for level in self.near_levels()]
        self.right = self.width - 28 - min(self.width * 0.3, _LETTER * max(names, default=0))
        self.left = 20.0

    def elements(self) -> Iterator[str]:
        title = one_line(self.spec.title) or "chart"
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="{_FONT}" font-size="12" role="img">'
        )
        yield f"<title>{for_xml(title)}</title>"
        if self.background:
            yield f'<rect width="100%" height="100%" fill="{self.background}"/>'
        yield from self.header()
        if self.frame is None:
            yield self.text(self.width / 2, self.height / 2, "no data yet", anchor="middle")
        else:
            yield from self.body(self.frame)
        yield "</svg>"

    def header(self) -> Iterator[str]:
        if self.spec.title:
            yield self.text(20, 28, self.spec.title, extra=' font-size="15" font-weight="600"')
        if self.spec.y_label:
            yield self.text(20, self.top - 14, self.spec.y_label)

    def body(self, frame: Frame) -> Iterator[str]:
        ticks = frame.y.ticks(max(2, int(self.bottom - self.top) // 45))
        self.left += _LETTER * max((cell_len(one_line(tick.label)) for tick in ticks), default=0) + 8
        for tick in ticks:
            y = self.y(frame.y, tick.value)
            yield self.rule(self.left, y, self.right, y, opacity=0.22)
            yield self.text(self.left - 8, y + 4, tick.label, anchor="end")
        yield from self.x_axis(frame.x)
        yield from self.levels(frame.y)
        # Nested pictures cut off what sticks out; the margin is for the width of strokes.
        yield f'<svg x="0" y="{_px(self.top - 3)}" width="{self.width}" height="{_px(self.bottom - self.top + 6)}">'
        yield f'<g transform="translate(0 {_px(3 - self.top)})" stroke-linejoin="round" stroke-linecap="round">'
        for series, runs in zip(self.spec.series, frame.runs, strict=True):
            yield from self.series(frame, series, runs)
        yield "</g></svg>"
        yield from self.marks(frame)
        yield from self.legend()

    def x_axis(self, x: Axis) -> Iterator[str]:
        yield self.rule(self.left, self.bottom, self.right, self.bottom, opacity=0.8)
        for tick in self.x_ticks(x):
            at = self.x(x, tick[0])
            yield self.rule(at, self.bottom, at, self.bottom + 4, opacity=0.8)
            for row, label in enumerate(tick[1]):
                yield self.text(at, self.bottom + 18 + 16 * row, label, anchor="middle")

    def x_ticks(self, x: Axis) -> list[tuple[float, list[str]]]:
        below = self.spec.x_below
        for most in range(12, 0, -1):
            ticks = [
                (tick.value, [one_line(tick.label)] + ([one_line(below(tick.value))] if below else []))
                for tick in x.ticks(most, self.spec.x_format)
            ]
            needed = sum(max(map(cell_len, labels)) * _LETTER + 24 for _, labels in ticks)
            if needed <= self.right - self.left:
                break
        return ticks

    def levels(self, y: Axis) -> Iterator[str]:
        """Dashed lines, each with its name at its right end; names that are too close are pushed apart."""
        lowest = self.bottom + 18.0
        for level in sorted(self.near_levels(), key=lambda level: level.y):
            at, color = self.y(y, level.y), self.color(level.style)
            yield self.rule(self.left, at, self.right, at, 0.9, f' stroke="{color}" stroke-dasharray="2 4"')
            lowest = min(at + 4, lowest - 14)
            yield self.text(self.right + 8, lowest, self.named(level.label, level.y), extra=f' fill="{color}"')

    def near_levels(self) -> list[Level]:
        """The levels that lie where the curves are."""
        return self.spec.levels_in(self.frame.y) if self.frame else []

    def series(self, frame: Frame, series: Series, runs: list[list[Point]]) -> Iterator[str]:
        color = self.color(series.style)
        yield f'<g fill="none" stroke="{color}" stroke-width="1.6">'
        for run in runs:
            points = [(self.x(frame.x, x), self.y(frame.y, y)) for x, y in run]
            if series.marker == "line" and len(points) > 1:
                yield f'<polyline points="{" ".join(f"{_px(x)},{_px(y)}" for x, y in points)}"/>'
            else:
                yield from (f'<circle cx="{_px(x)}" cy="{_px(y)}" r="2.4" fill="{color}"/>' for x, y in points)
            for x in (self.x(frame.x, x) for x, y in run if y > frame.y.high):
                yield f'<path d="M{_px(x - 4)} {_px(self.top + 7)}h8l-4 -7z" fill="{color}" stroke="none"/>'
        yield "</g>"

    def marks(self, frame: Frame) -> Iterator[str]:
        dots = [(self.x(frame.x, x), self.y(frame.y, y)) for runs in frame.runs for run in runs for x, y in run]
        for mark in self.spec.visible_marks():
            x, y, color = self.x(frame.x, mark.x), self.y(frame.y, mark.y), self.color(mark.style)
            yield f'<path d="M{_px(x)} {_px(y - 6)}l6 6l-6 6l-6 -6z" fill="{color}"/>'
            text = self.named(mark.label, mark.y)
            lines = [(x, self.y(frame.y, level.y)) for level in self.near_levels()]
            at_x, at_y = self.free_spot(x, y, cell_len(text) * _LETTER / 2, dots + lines)
            yield self.text(at_x, at_y, text, anchor="middle", extra=f' fill="{color}" font-weight="600"')

    def free_spot(self, x: float, y: float, half: float, dots: list[Point]) -> Point:
        """Where near a mark the fewest points would lie under a text of twice ``half`` the width."""
        x = min(max(x, self.left + half), self.right - half + 20)
        spots = [y + off for off in (-14, 24, -28, 38, -42, 52) if self.top + 12 < y + off < self.bottom - 4]
        hidden = {at: sum(abs(dx - x) < half + 4 and at - 14 < dy < at + 6 for dx, dy in dots) for at in spots}
        return x, min(spots, key=lambda at: hidden[at], default=y - 14)

    def legend(self) -> Iterator[str]:
        for i, line in enumerate(self.legend_lines):
            spans = [
                f'<tspan dx="{18 * (j > 0)}" fill="{c}">{s}</tspan> {for_xml(t)}' for j, (s, c, t) in enumerate(line)
            ]
            y = self.bottom + self.below + 44 + 20 * i
            yield f'<text x="20" y="{_px(y)}" fill="{self.ink}">{"".join(spans)}</text>'
        if self.spec.x_label:
            yield self.text(self.right, self.bottom + self.below + 44, self.spec.x_label, anchor="end")

    def packed(self) -> Iterator[list[tuple[str, str, str]]]:
        """Lines of (sample, colour, name); the first keeps clear of the label of the x axis."""
        room = self.width - 40 - cell_len(one_line(self.spec.x_label)) * _LETTER
        line: list[tuple[str, str, str]] = []
        for entry in self.entries():
            needed = cell_len(entry[2]) * _LETTER + 40
            if line and needed > room:
                yield line
                line, room = [], self.width - 40.0
            line.append(entry)
            room -= needed
        if line:
            yield line

    def entries(self) -> Iterator[tuple[str, str, str]]:
        for series in self.spec.series:
            yield "●" if series.marker == "dots" else "━━", self.color(series.style), self.short(one_line(series.label))
        near = self.near_levels()
        for level in self.spec.visible_levels():
            if level not in near:
                above = self.frame is not None and level.y > self.frame.y.high
                yield "▲" if above else "▼", self.color(level.style), self.named(level.label, level.y)
        if self.frame and self.frame.peak is not None:
            yield "▲", self.ink, f"up to {number(self.frame.peak)}"

    def named(self, label: str, value: float) -> str:
        return self.short(f"{one_line(label)} {number(value)}".strip())

    def short(self, text: str) -> str:
        most = max(8, int(self.width * 0.3 / _LETTER))
        return text if cell_len(text) <= most else text[: most - 1] + "…"

    def text(self, x: float, y: float, text: str, anchor: str = "start", extra: str = "") -> str:
        fill = "" if "fill=" in extra else f' fill="{self.ink}"'
        return f'<text x="{_px(x)}" y="{_px(y)}" text-anchor="{anchor}"{fill}{extra}>{for_xml(one_line(text))}</text>'

    def rule(self, x1: float, y1: float, x2: float, y2: float, opacity: float, extra: str = "") -> str:
        stroke = "" if "stroke=" in extra else f' stroke="{self.ink}"'
        ends = f'x1="{_px(x1)}" y1="{_px(y1)}" x2="{_px(x2)}" y2="{_px(y2)}"'
        return f'<line {ends} stroke-opacity="{opacity}"{stroke}{extra}/>'

    def x(self, axis: Axis, value: float) -> float:
        return self.left + axis.fraction(value) * (self.right - self.left)

    def y(self, axis: Axis, value: float) -> float:
        return self.bottom - min(axis.fraction(value), 100.0) * (self.bottom - self.top)

    def color(self, style: str) -> str:
        """A colour for a rich style: own tones for the sixteen colours that a terminal would choose itself."""
        try:
            color = Style.parse(style).color
        except StyleSyntaxError:
            color = None
        if color is None or color.is_default:
            return self.ink
        if color.number is not None and color.number < 16:
            return _TONES[color.number % 8] or self.ink
        return color.get_truecolor().hex


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
