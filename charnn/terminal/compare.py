"""What became of several cells enters; their curves and one table leave, on standard output."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from charnn.insight.compare import Standing
from charnn.terminal.console import output_console
from charnn.terminal.inspection import loss_chart
from charnn.terminal.words import count, loss


def print_standings(standings: Sequence[Standing], console: Console | None = None) -> None:
    """The curves over time, and the contestants from the best to the worst."""
    console = console or output_console()
    console.print(loss_chart([one.report for one in standings], "time", height=16))
    console.print()
    table = Table(box=None, pad_edge=False)
    for name in ("cell", "hidden", "parameters", "loss", "gain", "steps", "chars/s", "memory", "half-life"):
        table.add_column(name, justify="left" if name == "cell" else "right")
    for one in sorted(standings, key=lambda one: math.inf if one.loss is None else one.loss):
        table.add_row(
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
    console.print(table)


def _number(value: float | None) -> str:
    return (
        "-" if value is None else "beyond" if math.isinf(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    )
