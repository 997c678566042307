"""A spec enters; lines of styled text leave: title, plot, axes, legend.

The dots come from a canvas of braille cells, or of plain characters where the encoding has no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from rich.cells import cell_len, set_cell_size

from charnn.terminal.charts.axes import Axis, Tick
from charnn.terminal.charts.canvas import Canvas, Pen
from charnn.terminal.charts.labels import Format, number
from charnn.terminal.charts.legend import Pieces, crop, pack, with_last
from charnn.terminal.charts.spec import ChartSpec, Frame, Level, Mark, Point
from charnn.terminal.safe import one_line

_AXIS = "dim"


def draw_text(spec: ChartSpec, width: int, height: int, encoding: str, colored: bool) -> Iterator[Pieces]:
    """The lines of a chart, none wider than ``width``; ``height`` of them where that is at least six.

    Several curves without colour are drawn in letters, since dots would look alike.
    """
    lines = sum(series.marker == "line" for series in spec.series)
    letters = encoding == "ascii" or (lines > 1 and not colored)
    for pieces in _Drawing(spec, width, height, encoding, letters).lines():
        yield crop(pieces, width)


@dataclass(frozen=True)
class _Glyphs:
    corner: str
    across: str
    down: str
    tick_below: str
    tick_left: str
    mark: str
    above: str
    below: str
    line: str
    level: str
    more: str


_UNICODE = _Glyphs("└", "─", "│", "┬", "┤", "◆", "▲", "▼", "━━", "┄┄", "…")
_ASCII = _Glyphs("+", "-", "|", "+", "+", "@", "^", "v", "", "--", "~")
_LETTERS = "*o+x#%&="


@dataclass
class _Drawing:
    """One rendering of a chart: the canvas fills first, so that the legend can take the labels it had no room for."""

    spec: ChartSpec
    width: int
    height: int
    encoding: str
    letters: bool
    extra: list[Pieces] = field(default_factory=list)  # legend entries that arise while drawing

    def __post_init__(self) -> None:
        self.glyphs = _ASCII if self.encoding == "ascii" else _UNICODE
        self.pens = [Pen(one.style, _LETTERS[i % 8]) for i, one in enumerate(self.spec.series)]

    def lines(self) -> Iterator[Pieces]:
        header = self.header() if self.height >= 8 else []
        frame = self.spec.frame(self.width * (1 if self.letters else 2))
        if frame is None:
            yield from [*header, *self.nothing(self.height - len(header))]
            return
        body, legend = self.body(frame, len(header))
        yield from [*header, *body, *legend]

    @property
    def axis_rows(self) -> int:
        """The line of the x axis, and its labels."""
        return 3 if self.below is not None else 2

    @property
    def below(self) -> Format | None:
        """The second line of labels, where there is room for one."""
        return self.spec.x_below if self.height >= 10 else None

    def header(self) -> list[Pieces]:
        title, unit = self.safe(self.spec.title), self.safe(self.spec.y_label)
        pieces = [(title, "bold"), ("  " if title and unit else "", ""), (unit, _AXIS)]
        return [pieces] if title or unit else []

    def nothing(self, rows: int) -> Iterator[Pieces]:
        for row in range(rows):
            yield [("no data yet".center(self.width).rstrip(), _AXIS)] if row == rows // 2 else []

    def body(self, frame: Frame, above: int) -> tuple[list[Pieces], list[Pieces]]:
        """The plot with its axes, and the legend. Labels that find no room lengthen the legend, which shortens the
        plot, so this may take a second try."""
        legend_rows = len(self.legend())
        for _ in range(3):
            self.extra = []
            body = self.plot(frame, max(2, self.height - above - self.axis_rows - legend_rows))
            legend = self.legend()
            if len(legend) <= legend_rows:
                break
            legend_rows = len(legend)
        return body, legend + [[]] * (legend_rows - len(legend))

    def plot(self, frame: Frame, rows: int) -> list[Pieces]:
        y = frame.y
        labels = [(tick, self.safe(tick.label)) for tick in y.ticks(min(15, max(2, rows * 2 // 5)))]
        gutter = max([cell_len(label) for _, label in labels], default=0)
        canvas = Canvas(max(2, self.width - gutter - 2), rows, self.letters)
        self.paint(canvas, frame)
        at_row = {_row(canvas, y, tick.value): label for tick, label in reversed(labels)}
        plot: list[Pieces] = []
        for row, cells in enumerate(canvas.lines()):
            tick = self.glyphs.tick_left if row in at_row else self.glyphs.down
            plot.append([(f"{at_row.get(row, ''):>{gutter}} {tick}", _AXIS), *cells])
        return [*plot, *self.x_axis(canvas, frame.x, gutter)]

    def paint(self, canvas: Canvas, frame: Frame) -> None:
        x, y = frame.x, frame.y
        levels, marks = self.spec.visible_levels(), self.spec.visible_marks()
        near = self.spec.levels_in(y)
        for level in near:
            self.level_line(canvas, y, level)
        for series, its_runs, pen in zip(self.spec.series, frame.runs, self.pens, strict=True):
            for run in its_runs:
                self.curve(canvas, x, y, run, pen, series.marker == "line")
        if frame.peak is not None:
            self.extra.append([(f"{self.glyphs.above} up to {number(frame.peak)}", _AXIS)])
        for mark in marks:
            canvas.write(_column(canvas, x, mark.x), _row(canvas, y, mark.y), self.glyphs.mark, mark.style)
        for mark in marks:
            self.mark_label(canvas, mark, _column(canvas, x, mark.x), _row(canvas, y, mark.y))
        for level in near:
            self.level_label(canvas, y, level)
        for level in levels:
            if level not in near:
                where = self.glyphs.above if level.y > y.high else self.glyphs.below
                self.extra.append([(f"{where} ", level.style), (self.named(level.label, level.y), "")])

    def curve(self, canvas: Canvas, x: Axis, y: Axis, run: list[Point], pen: Pen, joined: bool) -> None:
        points = [_position(canvas, x, y, point) for point in run]
        if joined and len(points) > 1:
            for start, end in pairwise(points):
                canvas.line(start, end, pen)
        else:
            for point in points:
                _blob(canvas, point, pen)
        for dot, _ in (position for position, (_, value) in zip(points, run, strict=True) if value > y.high):
            canvas.write(round(dot) // canvas.across, 0, self.glyphs.above, pen.style)

    def level_line(self, canvas: Canvas, y: Axis, level: Level) -> None:
        dot = round((1 - y.fraction(level.y)) * (canvas.height - 1))
        pen = Pen(level.style, "-", faint=True)
        for across in range(0, canvas.width, 2):
            canvas.dot(across, dot, pen)

    def level_label(self, canvas: Canvas, y: Axis, level: Level) -> None:
        text = self.named(level.label, level.y)
        row, width = _row(canvas, y, level.y), cell_len(text) + 2
        places = [(column, row + off) for column in range(canvas.columns - width, -1, -1) for off in (0, -1, 1)]
        if not _place(canvas, f" {text} ", places, level.style):
            self.extra.append([(f"{self.glyphs.level} ", level.style), (text, "")])

    def mark_label(self, canvas: Canvas, mark: Mark, column: int, row: int) -> None:
        text = self.named(mark.label, mark.y)
        width = cell_len(text)
        middle = min(max(0, column - width // 2), canvas.columns - width)
        places = [(column + 2, row), (column - 1 - width, row)]
        places += [(at, row + off) for off in (-1, 1, -2, 2, -3, 3) for at in (middle, column + 1, column - width)]
        if not _place(canvas, text, places, mark.style):
            self.extra.append([(f"{self.glyphs.mark} ", mark.style), (text, "")])

    def x_axis(self, canvas: Canvas, x: Axis, gutter: int) -> list[Pieces]:
        ticks = self.x_ticks(canvas, x)
        line = [self.glyphs.across] * canvas.columns
        labels = Canvas(self.width, self.axis_rows - 1, letters=True)
        for tick, names in ticks:
            line[_column(canvas, x, tick.value)] = self.glyphs.tick_below
            for row, (name, start) in enumerate(names):
                labels.write(start + gutter + 2, row, name, _AXIS)
        return [[(" " * (gutter + 1) + self.glyphs.corner + "".join(line), _AXIS)], *labels.lines()]

    def x_ticks(self, canvas: Canvas, x: Axis) -> list[tuple[Tick, list[tuple[str, int]]]]:
        """As many round values as have room for their labels, each with its labels and where these start."""
        for most in range(min(12, max(2, canvas.columns // 10)), 0, -1):
            placed = [(tick, self.tick_labels(canvas, x, tick)) for tick in x.ticks(most, self.spec.x_format)]
            if all(_apart(left, right) for (_, left), (_, right) in pairwise(placed)):
                return placed
        return placed[:1]

    def tick_labels(self, canvas: Canvas, x: Axis, tick: Tick) -> list[tuple[str, int]]:
        """The labels of a tick from top to bottom, each with the column of the canvas where it starts."""
        column = _column(canvas, x, tick.value)
        names = [self.safe(tick.label)] + ([self.safe(self.below(tick.value))] if self.below else [])
        return [(name, min(column - cell_len(name) // 2, canvas.columns - cell_len(name))) for name in names]

    def legend(self) -> list[Pieces]:
        """The entries in lines, the label of the x axis at the end on the right; too many are counted."""
        entries = [*self.names(), *self.extra]
        label: Pieces = [(self.safe(self.spec.x_label), _AXIS)] if self.spec.x_label else []
        most = max(1, self.height // 5)
        for kept in range(len(entries), -1, -1):
            left_out: list[Pieces] = [[(f"+{len(entries) - kept} more", _AXIS)]] if kept < len(entries) else []
            lines = pack([*entries[:kept], *left_out], self.width)
            if len(lines) <= most:
                break
        return with_last(lines, label, self.width, most)

    def names(self) -> Iterator[Pieces]:
        for series, pen in zip(self.spec.series, self.pens, strict=True):
            dots = series.marker == "dots"
            sample = pen.letter if self.letters else "⠶" if dots else self.glyphs.line
            yield [(f"{sample} ", series.style), (self.short(self.safe(series.label)), "")]

    def named(self, label: str, value: float) -> str:
        return f"{self.short(self.safe(label))} {number(value)}".strip()

    def safe(self, text: str) -> str:
        return one_line(text, self.encoding)

    def short(self, text: str) -> str:
        most = max(8, self.width // 2)
        return text if cell_len(text) <= most else set_cell_size(text, most - 1) + self.glyphs.more


def _apart(left: list[tuple[str, int]], right: list[tuple[str, int]]) -> bool:
    """Whether the labels of two neighbours leave two columns between them."""
    return all(start + cell_len(name) + 2 <= other for (name, start), (_, other) in zip(left, right, strict=True))


def _place(canvas: Canvas, text: str, places: list[tuple[int, int]], style: str) -> bool:
    """Writes words at the first place where they hide nothing; False where there is none."""
    for column, row in places:
        if not canvas.taken(column, row, cell_len(text)):
            canvas.write(column, row, text, style)
            return True
    return False


def _position(canvas: Canvas, x: Axis, y: Axis, point: Point) -> Point:
    return x.fraction(point[0]) * (canvas.width - 1), (1 - y.fraction(point[1])) * (canvas.height - 1)


def _column(canvas: Canvas, x: Axis, value: float) -> int:
    return round(x.fraction(value) * (canvas.width - 1)) // canvas.across


def _row(canvas: Canvas, y: Axis, value: float) -> int:
    return round((1 - y.fraction(value)) * (canvas.height - 1)) // canvas.down


def _blob(canvas: Canvas, point: Point, pen: Pen) -> None:
    """A point on its own: one dot is too faint to see."""
    if point[1] < 0:
        return
    size = min(2, canvas.across)
    left = min(round(point[0]), canvas.width - size)
    top = min(round(point[1]), canvas.height - size)
    for x in range(left, left + size):
        for y in range(top, top + size):
            canvas.dot(x, y, pen)
