"""The values of a chart enter; a frame leaves: what is in view, and the points, no finer than the drawing.

Text and vector pictures share this, so both show the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Literal

from charnn.terminal.charts.axes import HUGE, Axis, linear_range, log_range
from charnn.terminal.charts.labels import Format

_BODY = 0.9  # the share of the values that must stay readable ...
_ROOM = 5.0  # ... on at least one part in this many of the height
_FEW = 20  # with fewer values nothing is cut off

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
        x = linear_range(min(start), max(start), grain=60)
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
            return log_range(values + fixed)
        return linear_range(min(values + fixed), max([*ceiling(values), *fixed]), grain=30)


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
    return value is not None and abs(value) < HUGE and not (log and value < 1 / HUGE)


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
