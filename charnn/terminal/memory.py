"""A measured memory enters; a chart and a table of the loss by context leave."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.insight.memory import GAIN, Memory
from charnn.terminal.charts.chart import Chart, Level, Mark, Series
from charnn.terminal.safe import one_line


@dataclass(frozen=True)
class MemoryReport:
    """A rich renderable: chart, table and verdict under a heading."""

    memory: Memory
    heading: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(one_line(self.heading, options.encoding), "bold")
        yield memory_chart(self.memory)
        yield Text()
        yield _table(self.memory)
        yield Text()
        yield Text(verdict(self.memory))


def memory_chart(memory: Memory) -> Chart:
    """Loss over the length of context, on an axis of doublings."""
    series = [Series("model", [math.log2(k) for k in memory.contexts], memory.losses.tolist(), "cyan")]
    if len(memory.baseline):
        contexts = [math.log2(k) for k in range(1, len(memory.baseline) + 1)]
        losses = memory.baseline.mean(axis=1).tolist()
        series.insert(0, Series("n-gram baseline, n = context + 1", contexts, losses, "yellow"))
    marks = []
    if math.isfinite(memory.length):
        marks.append(
            Mark(math.log2(memory.length), memory.whole_loss + GAIN, f"after {memory.length:.0f} characters", "magenta")
        )
    return Chart(
        series=series,
        levels=[Level("full context", memory.whole_loss, "green")],
        marks=marks,
        title="loss, nats per character",
        x_label="characters of context",
        x_format=lambda doublings: f"{2**doublings:.0f}" if doublings == int(doublings) else "",
        height=16,
    )


def _table(memory: Memory) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("context", "model", "gap to full context", "±", "baseline"):
        table.add_column(name, justify="right")
    losses = memory.baseline.mean(axis=1)
    for k, loss, missing, error in zip(memory.contexts, memory.losses, memory.missing, memory.errors, strict=True):
        counted = f"{losses[k - 1]:.3f}" if k <= len(losses) else "-"
        table.add_row(f"{k}", f"{loss:.3f}", f"{missing:.3f}", f"{error:.3f}", counted)
    table.add_row("full", f"{memory.whole_loss:.3f}", "0", "", "", style="bold")
    return table


def verdict(memory: Memory) -> str:
    """The memory in words."""
    if math.isinf(memory.length):
        return f"memory: more than {memory.contexts[-1]} characters (what came before still gains {GAIN} nats)"
    return f"memory: {memory.length:.0f} characters (all that came before them gains less than {GAIN} nats)"
