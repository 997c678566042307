"""A benchmark's events enter: what is being measured leaves on standard error, and the report's tables at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from charnn.benchmark.rows import LIMIT, Row
from charnn.benchmark.suite import STREAMS, Measured, Measuring, Report
from charnn.terminal import words
from charnn.terminal.console import can_redraw, notes_console

NAMES = {"torch": "PyTorch"}
"""How a kind of work is called in a table."""

UNITS = {
    "FLOP/s": lambda value: f"{value / 1e9:,.1f} GFLOP/s",
    "bytes/s": lambda value: f"{value / 1e9:,.1f} GB/s",
    "bytes": lambda value: words.size(value),
    "seconds": lambda value: f"{value:.3f} s",
    "characters/s": lambda value: f"{value:,.0f}",
}
"""A figure of each unit in words."""


class Waiting:
    """What is being measured: on a terminal one line that is kept up to date, elsewhere a line for every row done."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or notes_console()
        self._started = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Waiting:
        if can_redraw(self.console):
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: Measuring | Measured | Report) -> None:
        """Take one event into the picture."""
        if isinstance(event, Measuring) and self._live is not None:
            self._live.update(Text(self._line(event), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif isinstance(event, Measured):
            self.console.print(Text(_summary(event.row)), soft_wrap=True)

    def _line(self, event: Measuring) -> str:
        elapsed = words.duration(time.monotonic() - self._started)
        what = f"{_title(event.row)}: {_name(event.variant.kind)}, {event.variant.setting}"
        return f"{event.number}/{event.total}  {elapsed}  {what}, repeat {event.repeat}"


def _name(kind: str) -> str:
    return NAMES.get(kind, kind)


def _title(row: Row) -> str:
    """What a row measures: ``training lstm 2x128``."""
    streams = row.facts.get("streams", 1)
    many = f"{streams} streams " if streams > 1 else ""
    return row.name if row.part in ("machine", "startup") else f"{row.part} {many}{row.name}"


def _summary(row: Row) -> str:
    """A row in one line, as soon as it is known."""
    if len(row.kinds) == 1:
        return f"{_title(row)}: {_figure(row, row.kinds[0])}"
    parts = [f"{_name(kind)} {_figure(row, kind)}" for kind in row.kinds]
    return f"{_title(row)}: {'; '.join(parts)}"


def _figure(row: Row, kind: str) -> str:
    median = row.median(kind)
    return "-" if median is None else UNITS[row.unit](median)


def _share(row: Row, kind: str) -> str:
    share = row.ratio(kind, LIMIT)
    return "-" if share is None else f"{share:.0%}"


def _ratio(row: Row, other: str) -> str:
    ratio = row.ratio(row.kinds[0], other)
    return "-" if ratio is None else f"{ratio:.2f}"


def _setting(row: Row, kind: str) -> str:
    best = row.best(kind)
    return "-" if best is None else best.setting


def _beside(row: Row, kind: str) -> str:
    setting = _setting(row, kind)
    return f"{NAMES[kind]}, {setting}" if kind in NAMES else setting


@dataclass(frozen=True)
class ReportTables:
    """A rich renderable: the machine, then a table for each part that was measured, within 80 columns."""

    report: Report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._machine():
            yield Text(line)
        tables = {
            "training": self._training(),
            "sampling one stream": self._one_stream(),
            f"sampling {STREAMS} streams at once": self._many_streams(),
            "memory while training, workers, start-up": self._others(),
        }
        for title, table in tables.items():
            if table.row_count:
                yield Text(f"\n{title}", "bold")
                yield table
        yield Text(f"\n{self._method()}", "dim")

    def _machine(self) -> Iterator[str]:
        m = self.report.machine
        blas = " ".join(filter(None, (m["blas"], m["blas_version"])))
        kernels = f", {m['blas_kernels']} kernels" if m["blas_kernels"] else ""
        yield f"{m['cpu']}, {m['cores']} core{'' if m['cores'] == 1 else 's'}"
        yield f"Python {m['python']}, NumPy {m['numpy']} with {blas or 'an unknown BLAS'}{kernels}"
        if "torch" in m:
            yield f"PyTorch {m['torch']}"
        for row in self.report.part("machine"):
            yield f"{row.name}: {_figure(row, row.kinds[0])}"
        if forced := m["environment"].get("OPENBLAS_CORETYPE"):
            yield f"Note: OPENBLAS_CORETYPE={forced} chooses OpenBLAS's kernels; this CPU's own may be faster."

    def _training(self) -> Table:
        table = _table("network", "batch", "charnn", "limit", *self._rival_headings())
        for row in self.report.part("training"):
            batch = f"{row.facts['batch_size']}x{row.facts['seq_length']}"
            table.add_row(row.name, batch, _figure(row, "charnn"), _share(row, "charnn"), *self._rival_cells(row))
        return table

    def _one_stream(self) -> Table:
        table = _table("network", "charnn", "limit", *self._rival_headings())
        for row in self._sampling(1):
            table.add_row(row.name, _figure(row, "charnn"), _share(row, "charnn"), *self._rival_cells(row))
        return table

    def _many_streams(self) -> Table:
        table = _table("network", "charnn", "limit", "over one", *self._rival_headings())
        for row in self._sampling(STREAMS):
            figures = _figure(row, "charnn"), _share(row, "charnn"), _ratio(row, "one stream")
            table.add_row(row.name, *figures, *self._rival_cells(row))
        return table

    def _sampling(self, streams: int) -> list[Row]:
        return [row for row in self.report.part("sampling") if row.facts["streams"] == streams]

    def _rival_headings(self) -> tuple[str, ...]:
        rival = self.report.settings.against
        return (NAMES[rival], "limit", "ratio", "its best") if rival else ()

    def _rival_cells(self, row: Row) -> tuple[str, ...]:
        """The rival's speed, its share of the limit, charnn's speed over it, and the setting that was its best."""
        rival = self.report.settings.against
        return (_figure(row, rival), _share(row, rival), _ratio(row, rival), _setting(row, rival)) if rival else ()

    def _others(self) -> Table:
        """What has no limit of the machine, beside what it is compared to."""
        table = _table("", "charnn", "beside", "", "ratio")
        for row in (row for part in ("memory", "workers", "startup") for row in self.report.part(part)):
            others = [(_beside(row, kind), _figure(row, kind), _ratio(row, kind)) for kind in row.kinds[1:]]
            for beside in others or [("-", "-", "-")]:
                table.add_row(_title(row), _figure(row, "charnn"), *beside)
        return table

    def _method(self) -> str:
        repeats = self.report.settings.repeats
        return (
            f"Figures are characters per second where no unit is given, medians of {repeats}. Ratios are charnn's over "
            "the other's, paired within a repeat. limit: the share of what the cores can do at best, multiplying "
            "square matrices (training, many streams) or reading an array as large as the weights (one stream). "
            "charnn samples with one BLAS thread or with one a core, whichever is faster here. "
            f"Measured in {words.duration(self.report.seconds)}."
        )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        left = heading in ("network", "batch", "", "beside", "its best")
        table.add_column(heading, justify="left" if left else "right", overflow="fold")
    return table
