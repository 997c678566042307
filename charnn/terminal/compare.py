"""What became of several cells enters; their curves and one table leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.insight.compare import Standing
from charnn.terminal.inspection import loss_chart
from charnn.terminal.words import count, loss


@dataclass(frozen=True)
class Standings:
    """A rich renderable: the curves over time, and the cells from the best to the worst."""

    standings: Sequence[Standing]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield loss_chart([one.report for one in self.standings], "time", height=16)
        yield Text()
        table = Table(box=None, pad_edge=False)
        for name in ("cell", "hidden", "parameters", "loss", "gain", "steps", "chars/s", "memory", "half-life"):
            table.add_column(name, justify="left" if name == "cell" else "right")
        for one in sorted(self.standings, key=lambda one: math.inf if one.loss is None else one.loss):
            table.add_row(*_row(one))
        yield table


def _row(one: Standing) -> tuple[str, ...]:
    return (
        one.cell,
        f"{one.hidden_size}",
        f"{one.parameters:,}",
        loss(one.loss),
        "-" if one.gain is None else f"{one.gain:+.3f}",
        f"{one.steps:,}",
        count(one.characters_per_second),
        _number(one.memory),
        _number(one.half_life),
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if math.isinf(value):
        return "beyond"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
