"""The values of a chart enter; ranges, round ticks and points thinned to the resolution of the drawing leave.

Text and vector pictures share this, so both show the same thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

_HUGE = 1e300  # beyond it differences overflow
_BODY = 0.9  # the share of the values that must stay readable ...
_ROOM = 5.0  # ... on at least one part in this many of the height
_FEW = 20  # with fewer values nothing is cut off
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))

Format = Callable[[float], str]
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Measured values. None, NaN and infinities are gaps."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    style: str
    marker: Literal["line", "dots"] = "line"


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with. One that is not ``always`` in view leaves the curves their room: where they
    do not come near it, it is named in the legend only."""

    label: str
    y: float
    style: str
    always: bool = True


@dataclass(frozen=True)
class Mark:
    """One point worth pointing at, always in view."""

    x: float
    y: float
    label: str
    style: str


@dataclass(frozen=True)
class Tick:
    value: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A range of values, and where in it a value lies."""

    low: float
    high: float
    log: bool = False

    def fraction(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            low = math.log(self.low)
            return (math.log(value) - low) / (math.log(self.high) - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int, text: Format | None = None) -> list[Tick]:
        """About ``most`` round values inside the range, labelled alike; on a log axis decades where there are two."""
        decades = self._decades(max(most, 1)) if self.log else []
        if decades:
            show = text or _powers(decades)
            return [Tick(value, show(value)) for value in decades]
        step = nice_step(self.high - self.low, max(most, 1))
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        values = [k * step for k in range(first, last + 1) if k > 0 or not self.log]
        show = text or _alike(step, max(abs(self.low), abs(self.high)))
        return [Tick(value, show(value)) for value in values]

    def _decades(self, most: int) -> list[float]:
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        if first >= last:
            return []
        every = math.ceil((last - first + 1) / most)
        return [10.0**k for k in range(first, last + 1) if k % every == 0]


@dataclass(frozen=True)
class Frame:
    """What to draw: the two ranges and, for each series, the runs of points between its gaps."""

    x: Axis
    y: Axis
    runs: list[list[list[Point]]]
    peak: float | None  # the highest value measured, where the drawing does not reach up to it


@dataclass(frozen=True)
class ChartSpec:
    """What a chart shows, however it is drawn."""

    series: Sequence[Series] = ()
    levels: Sequence[Level] = ()
    marks: Sequence[Mark] = ()
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    x_format: Format | None = None
    log_y: bool = False
    x_below: Format | None = None
    """A second line of labels: the same places in another unit."""
    x_from: float | None = None
    """A place that the x axis includes even where nothing was measured there."""

    def frame(self, columns: int) -> Frame | None:
        """Ranges and points for a drawing of ``columns`` dots or pixels; None where there is nothing to draw."""
        measured = [list(runs(series, self.log_y)) for series in self.series]
        xs = [x for run in chain(*measured) for x, _ in run] + [mark.x for mark in self.visible_marks()]
        if not xs:
            return None
        start = xs if self.x_from is None else [*xs, self.x_from]
        x = _range(min(start), max(start), grain=60)
        thin = [_thinned(one, its_runs, x, columns) for one, its_runs in zip(self.series, measured, strict=True)]
        values = [y for run in chain(*thin) for _, y in run]
        y = self._y_axis(values)
        cut = max(values, default=y.high) > y.high
        return Frame(x, y, thin, max(y for run in chain(*measured) for _, y in run) if cut else None)

    def visible_levels(self) -> list[Level]:
        return [level for level in self.levels if drawable(level.y, self.log_y)]

    def levels_in(self, y: Axis) -> list[Level]:
        """The levels that are drawn as lines; the others are only named."""
        return [level for level in self.visible_levels() if level.always or y.low <= level.y <= y.high]

    def visible_marks(self) -> list[Mark]:
        return [mark for mark in self.marks if drawable(mark.x) and drawable(mark.y, self.log_y)]

    def _y_axis(self, values: list[float]) -> Axis:
        fixed = [level.y for level in self.visible_levels() if level.always] + [mark.y for mark in self.visible_marks()]
        if self.log_y:
            return _log_range(values + fixed)
        return _range(min(values + fixed), max([*ceiling(values), *fixed]), grain=30)


def ceiling(values: Sequence[float]) -> list[float]:
    """The highest value to show, if any: the maximum, unless that would squeeze the lower nine tenths of the values
    into less than a fifth of the height. The first losses of a run, or a spike, then leave the chart at the top."""
    ordered = sorted(values)
    if len(ordered) < _FEW:
        return ordered[-1:]
    body = ordered[int(_BODY * (len(ordered) - 1))] - ordered[0]
    return [min(ordered[-1], ordered[0] + _ROOM * body) if body > 0 else ordered[-1]]


def runs(series: Series, log: bool = False) -> Iterator[list[Point]]:
    """The points between gaps."""
    points = zip(series.xs, series.ys, strict=False)
    for good, group in groupby(points, key=lambda point: drawable(point[0]) and drawable(point[1], log)):
        if good:
            yield [(x, y) for x, y in group if y is not None]


def drawable(value: float | None, log: bool = False) -> bool:
    """Whether a number can stand on an axis: finite, not beyond all arithmetic, positive on a log axis."""
    return value is not None and abs(value) < _HUGE and not (log and value < 1 / _HUGE)


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts ``span`` into at most ``most`` parts."""
    least = span / most * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least), 10 * power)


def number(value: float) -> str:
    """A value in a label: three digits are enough to compare."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    if size < 1:
        return f"{value:.3g}"
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 100 else f"{value:.0f}"


def _range(low: float, high: float, grain: int) -> Axis:
    """From low to high, rounded outward to about one part in ``grain``; a constant gets room around it."""
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1 / _HUGE):
        room = abs(low) / 10 if abs(low) > 1 / _HUGE else 1.0
        low, high = low - room, high + room
    unit = nice_step(high - low, grain // 5) / 5
    return Axis(math.floor(low / unit + 1e-6) * unit, math.ceil(high / unit - 1e-6) * unit)


def _log_range(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    return Axis(low, high, log=True) if high > low * 1.001 else Axis(low / 2, high * 2, log=True)


def _thinned(series: Series, its_runs: list[list[Point]], axis: Axis, columns: int) -> list[list[Point]]:
    """The runs, a line with more points than ``columns`` reduced to the mean of each column."""
    if series.marker == "dots" or sum(map(len, its_runs)) <= columns:
        return its_runs
    return [_means(run, axis, columns) for run in its_runs]


def _means(run: Iterable[Point], axis: Axis, columns: int) -> list[Point]:
    grouped = groupby(run, key=lambda point: round(axis.fraction(point[0]) * (columns - 1)))
    return [_mean(list(points)) for _, points in grouped]


def _mean(points: list[Point]) -> Point:
    return sum(x / len(points) for x, _ in points), sum(y / len(points) for _, y in points)


def _alike(step: float, largest: float) -> Format:
    """One unit and as many decimals as ``step`` needs, for all ticks of an axis."""
    if largest >= 1e13 or largest < 1e-3:
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return lambda value: _exponent(value, digits)
    scale, unit = next(((s, u) for s, u in _UNITS if largest >= 10 * s), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    return lambda value: f"{value / scale:.{decimals}f}{unit}" if abs(value) > step / 2 or not unit else "0"


def _exponent(value: float, digits: int) -> str:
    mantissa, power = f"{value:.{digits}e}".split("e")
    return "0" if float(mantissa) == 0 else f"{mantissa}e{int(power)}"


def _powers(decades: Sequence[float]) -> Format:
    """Decades in full where all of them are short, else as powers of ten."""
    if decades[0] >= 1e-3 and decades[-1] < 1e5:
        return lambda value: f"{value:g}"
    return lambda value: "1" if value == 1 else f"1e{round(math.log10(value))}"
