"""What units tell, and a text with a unit's values, enter; tables and coloured text leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.insight.neurons import Finding, Gates, Neurons, Unit
from charnn.insight.properties import LAST_CHARACTER
from charnn.insight.reading import Ids
from charnn.terminal.charts.chart import Chart, Series
from charnn.terminal.painting import Legend, PaintedText, Scale, characters
from charnn.terminal.safe import one_line
from charnn.text.vocabulary import Vocabulary

ACTIVATION = Scale(
    limits=(-0.75, -0.45, -0.15, 0.15, 0.45, 0.75),
    styles=(
        "#ffffff on #2166ac",
        "#000000 on #67a9cf",
        "#000000 on #d1e5f0",
        "",
        "#000000 on #fddbc7",
        "#000000 on #ef8a62",
        "#ffffff on #b2182b",
    ),
    marks=("N", "n", "-", " ", "+", "p", "P"),
    names=("-1", "-.6", "-.3", "0", ".3", ".6", "1"),
    adds=False,
)
"""Shares of the largest value that a unit takes: from negative in blue to positive in red."""

LAYERS = ("cyan", "yellow", "green", "magenta", "blue", "red")


@dataclass(frozen=True)
class Findings:
    """A rich renderable: for every property the units that tell it best, with the correlation that chance reaches."""

    neurons: Neurons
    heading: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(one_line(self.heading, options.encoding), "bold")
        others = max(0, min(6, (options.max_width - 46) // 17))
        table = _table("property", "unit", "r", "chance", *(["next best"] if others else []), no_wrap=True)
        for name in self.neurons.properties.names:
            shown = Text(one_line(name, options.encoding), "dim" if name in LAST_CHARACTER else "")
            table.add_row(shown, *self._cells(name, others))
        yield table

    def _cells(self, name: str, others: int) -> list[str]:
        found = self.neurons.best(name, 1 + others)
        if not found:
            chance = float(self.neurons.chance[self.neurons.properties.names.index(name)])
            return ["none", "", f"{chance:.2f}"]
        best, *rest = found
        cells = [str(best.unit), f"{best.r:+.2f}", f"{best.chance:.2f}"]
        return [*cells, "  ".join(f"{one.unit} ({one.r:+.2f})" for one in rest)] if others else cells


@dataclass(frozen=True)
class Ranking:
    """A rich renderable: single units, each with the property it tells best."""

    findings: Sequence[Finding]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _table("unit", "best property", "r", "chance")
        for one in self.findings:
            name = Text(one_line(one.property, options.encoding))
            table.add_row(str(one.unit), name, f"{one.r:+.2f}", f"{one.chance:.2f}")
        yield table


@dataclass(frozen=True)
class Passage:
    """A rich renderable: text coloured by one unit's value after each character."""

    unit: Unit
    vocabulary: Vocabulary
    ids: Ids  # (n,)
    values: npt.NDArray[np.float32]  # (n,)
    largest: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Legend(f"unit {self.unit}, shares of {self.largest:.2f}:", ACTIVATION)
        text = characters(self.vocabulary, self.ids, self.values / self.largest, ACTIVATION.adds)
        yield PaintedText(text, ACTIVATION)


@dataclass(frozen=True)
class GateTable:
    """A rich renderable: how much of the time gates are nearly shut or open, by layer: means over the units."""

    gates: Gates

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _table("layer", *(f"{name} {side}" for name in self.gates.names for side in ("< 0.1", "> 0.9")))
        for layer, (lefts, rights) in enumerate(zip(self.gates.left, self.gates.right, strict=True)):
            both = (f"{side.mean():.1%}" for pair in zip(lefts, rights, strict=True) for side in pair)
            table.add_row(f"{layer}", *both)
        yield table


def gate_charts(gates: Gates) -> Iterator[Chart]:
    """A chart for each gate: every unit by the share of the time it is nearly open and nearly shut."""
    for index, name in enumerate(gates.names):
        series = [
            Series(f"layer {n}", gates.right[n, index].tolist(), gates.left[n, index].tolist(), LAYERS[n % 6], "dots")
            for n in range(len(gates.left))
        ]
        title, label = f"gate {name}: share of the time below 0.1", "share of the time above 0.9"
        yield Chart(series=series, title=title, x_label=label, height=14)


def _table(*headings: str, no_wrap: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        left = heading in ("property", "unit", "best property", "next best")
        table.add_column(heading, justify="left" if left else "right", no_wrap=no_wrap)
    return table
