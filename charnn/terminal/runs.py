"""Reports of runs enter, a table leaves: one run a line, with as many columns as the width allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from charnn.runs.summary import RunReport, Summary
from charnn.terminal import words
from charnn.terminal.charts.sparkline import sparkline
from charnn.terminal.safe import one_line

CURVE = 16
SHORTEST_NAME = 18
STATUS_STYLES = {"running": "bold green", "finished": "", "stopped": "dim"}


@dataclass(frozen=True)
class RunTable:
    """A rich renderable. Where it is too wide, whole columns are left out; then the names are shortened."""

    reports: Sequence[RunReport]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [_Column("run", 0, [self.name(report, options) for report in self.reports], left=True)]
        columns += [
            _Column("network", 2, [f"{s.cell} {s.layers}x{s.hidden}" for s in self.summaries], left=True),
            _Column("params", 7, [words.count(s.parameters) for s in self.summaries]),
            _Column("epoch", 5, [f"{s.epoch:.1f}" for s in self.summaries]),
            _Column("training", 6, [words.loss(s.train_loss) for s in self.summaries]),
            _Column("best val", 1, [words.loss(s.best_val_loss) for s in self.summaries]),
            _Column("baseline", 8, [words.loss(s.baseline_loss) for s in self.summaries]),
            _Column("time", 9, [words.duration(s.elapsed_seconds) for s in self.summaries]),
            _Column("status", 3, [s.status for s in self.summaries], left=True),
            _Column("loss", 4, [self.curve(report, options.ascii_only) for report in self.reports], left=True),
        ]
        yield from _fitted(columns, options.max_width)

    @property
    def summaries(self) -> list[Summary]:
        return [report.summary for report in self.reports]

    def name(self, report: RunReport, options: ConsoleOptions) -> str:
        return one_line(report.summary.run, "ascii" if options.ascii_only else options.encoding)

    def curve(self, report: RunReport, ascii_only: bool) -> str:
        return sparkline([line["train_loss"] for line in report.metrics], CURVE, ascii_only)


@dataclass(frozen=True)
class _Column:
    """A heading and its cells; the higher the rank, the sooner it is left out."""

    heading: str
    rank: int
    cells: Sequence[str]
    left: bool = False

    @property
    def width(self) -> int:
        return max(map(cell_len, [self.heading, *self.cells]))


def _fitted(columns: list[_Column], width: int) -> list[Text]:
    """The lines of the table, none of them wider than ``width``."""
    names, *rest = columns
    room = width - min(names.width, SHORTEST_NAME)
    while rest and sum(column.width + 2 for column in rest) > room:
        rest.remove(max(rest, key=lambda column: column.rank))
    left = max(SHORTEST_NAME, width - sum(column.width + 2 for column in rest))
    names = _Column(names.heading, 0, [words.end_of(cell, left) for cell in names.cells], left=True)
    kept = [names, *rest]
    heading = "  ".join(_cell(column, column.heading) for column in kept)
    lines = [Text(heading.rstrip(), "dim", no_wrap=True)]
    for row in range(len(names.cells)):
        cells = [(_cell(column, column.cells[row]), STATUS_STYLES.get(column.cells[row], "")) for column in kept]
        line = Text("  ").join(Text(text, style) for text, style in cells)
        line.no_wrap = True
        line.rstrip()
        lines.append(line)
    return lines


def _cell(column: _Column, text: str) -> str:
    padding = " " * (column.width - cell_len(text))
    return text + padding if column.left else padding + text
