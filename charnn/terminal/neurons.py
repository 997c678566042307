"""What units tell, and a text with a unit's values, enter; tables, coloured text and a page leave."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from rich.text import Text

from charnn.insight.neurons import Finding, Gates, Neurons, Unit
from charnn.insight.properties import LAST_CHARACTER
from charnn.insight.reading import Ids
from charnn.terminal.charts.chart import Chart, Series
from charnn.terminal.console import output_console
from charnn.terminal.painting import Scale, characters, has_color, paint
from charnn.terminal.safe import escape, one_line
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
)
"""Shares of the largest value that a unit takes: from negative in blue to positive in red."""

LAYERS = ("cyan", "yellow", "green", "magenta", "blue", "red")


def print_findings(neurons: Neurons, heading: str, console: Console | None = None) -> None:
    """For every property the units that tell it best, with the correlation that chance reaches."""
    console = console or output_console()
    console.print(Text(one_line(heading), style="bold"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    others = max(0, min(6, (console.width - 46) // 17))
    for name in ("property", "unit", "r", "chance", *(["next best"] if others else [])):
        table.add_column(name, justify="right" if name in ("r", "chance") else "left", no_wrap=True)
    for name in neurons.properties.names:
        found = neurons.best(name, 1 + others)
        shown = Text(one_line(name), style="dim" if name in LAST_CHARACTER else "")
        if not found:
            chance = float(neurons.chance[neurons.properties.names.index(name)])
            table.add_row(shown, "none", "", f"{chance:.2f}")
            continue
        rest = ["  ".join(f"{one.unit} ({one.r:+.2f})" for one in found[1:])] if others else []
        table.add_row(shown, str(found[0].unit), f"{found[0].r:+.2f}", f"{found[0].chance:.2f}", *rest)
    console.print(table)


def print_ranked(findings: Sequence[Finding], console: Console | None = None) -> None:
    """Single units, each with the property it tells best."""
    console = console or output_console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("unit", "best property", "r", "chance"):
        table.add_column(name, justify="right" if name in ("r", "chance") else "left")
    for one in findings:
        table.add_row(str(one.unit), Text(one_line(one.property)), f"{one.r:+.2f}", f"{one.chance:.2f}")
    console.print(table)


def print_unit(
    unit: Unit,
    vocabulary: Vocabulary,
    ids: Ids,
    values: npt.NDArray[np.float32],
    largest: float,
    console: Console | None = None,
) -> None:
    """A passage (n,) coloured by the unit's value after each character."""
    console = console or output_console()
    title = f"unit {unit}, shares of {largest:.2f}:"
    console.print(ACTIVATION.legend(title, has_color(console)))
    cells = characters(vocabulary, ids, values / largest)
    for row in paint(cells, ACTIVATION, console):
        console.print(row, soft_wrap=True)


def print_gates(gates: Gates, console: Console | None = None) -> None:
    """How much of the time gates are nearly shut or nearly open, by layer: means over the units."""
    console = console or output_console()
    if not gates.names:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer", justify="right")
    for name in gates.names:
        for heading in (f"{name} < 0.1", f"{name} > 0.9"):
            table.add_column(heading, justify="right")
    for layer, (lefts, rights) in enumerate(zip(gates.left, gates.right, strict=True)):
        both = (f"{side.mean():.1%}" for pair in zip(lefts, rights, strict=True) for side in pair)
        table.add_row(f"{layer}", *both)
    console.print(table)


def print_gate_charts(gates: Gates, console: Console | None = None) -> None:
    """One picture a gate: every unit by the share of the time it is nearly open and nearly shut."""
    console = console or output_console()
    for index, name in enumerate(gates.names):
        series = [
            Series(f"layer {n}", gates.right[n, index].tolist(), gates.left[n, index].tolist(), LAYERS[n % 6], "dots")
            for n in range(len(gates.left))
        ]
        title, label = f"gate {name}: share of the time below 0.1", "share of the time above 0.9"
        console.print(Chart(series=series, title=title, x_label=label, height=14))


HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff }}
pre {{ font: 14px/1.6 ui-monospace, monospace; white-space: pre-wrap; border: 1px solid #8884; padding: 1em }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818 }} }}
{steps}
</style></head><body>
<h1>{title}</h1>
<p>Each character is coloured by the value of one unit after it was read, from {low} to {high} of the largest value
that the unit takes.</p>
"""


def page(
    title: str,
    vocabulary: Vocabulary,
    ids: Ids,
    shown: Sequence[tuple[str, npt.NDArray[np.float32]]],
) -> str:
    """One self-contained page: the text (n,) once for each unit, given by its caption and its values (n,) in -1..1."""
    low, high = (f'<span class="s{step}">{name}</span>' for step, name in ((0, "-1"), (6, "1")))
    steps = "\n".join(
        f".s{step} {{ color: {style.split()[0]}; background: {style.split()[2]} }}"
        for step, style in enumerate(ACTIVATION.styles)
        if style
    )
    parts = [HEAD.format(title=_quoted(title), steps=steps, low=low, high=high)]
    for caption, values in shown:
        parts.append(f"<h2>{_quoted(caption)}</h2>\n<pre>{_spans(characters(vocabulary, ids, values))}</pre>\n")
    return "".join([*parts, "</body></html>\n"])


def _spans(cells: Sequence[tuple[str, float]]) -> str:
    """Neighbours of the same colour share a span."""
    parts = []
    for step, group in groupby(cells, key=lambda cell: ACTIVATION.step(cell[1])):
        text = _quoted("".join(character for character, _ in group))
        parts.append(f'<span class="s{step}">{text}</span>' if ACTIVATION.styles[step] else text)
    return "".join(parts)


def _quoted(text: str) -> str:
    return html.escape(escape(text))
