"""How far gradients reach, for one or several networks, enters; a chart and a table leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.insight.flow import Flow
from charnn.terminal.charts.chart import Chart, Series
from charnn.terminal.safe import one_line

STYLES = ("cyan", "yellow", "green", "magenta", "blue", "red")
FLOOR = 1e-12
"""Where the chart ends: a gradient that has lost twelve decimals teaches nothing."""


@dataclass(frozen=True)
class FlowReport:
    """A rich renderable: chart, table and a verdict for each network, under a heading."""

    flows: Sequence[Flow]
    heading: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(one_line(self.heading, options.encoding), "bold")
        yield reach_chart(self.flows)
        yield Text()
        yield _table(self.flows)
        yield Text()
        for flow in self.flows:
            yield Text(verdict(flow))


def reach_chart(flows: Sequence[Flow]) -> Chart:
    """The mean norm of the gradient relative to one step back, over steps back; of one network both paths as well."""
    series = [
        Series(flow.label, range(1, len(flow.reach.mean) + 1), _relative(flow.reach.mean, flow.reach.mean[0]), style)
        for flow, style in zip(flows, cycle(STYLES), strict=False)
    ]
    if len(flows) == 1:
        reach = flows[0].reach
        for name, path, style in (
            ("direct path (no weights)", reach.elementwise.mean(axis=1), "yellow"),
            ("path through Wh", reach.product.mean(axis=1), "magenta"),
        ):
            if path.any() and reach.elementwise.any():
                series.append(Series(name, range(1, len(path) + 1), _relative(path, reach.mean[0]), style))
    return Chart(
        series=series,
        title="gradient k steps back",
        y_label="norm, relative to k = 1",
        x_label="steps back",
        log_y=True,
        height=16,
    )


def _relative(values: Iterable[float], first: float) -> list[float | None]:
    return [value / first if first and value / first >= FLOOR else None for value in values]


def _table(flows: Sequence[Flow]) -> Table:
    """The mean norm's way to 1/2 and 1/100 of itself, the typical norm's half-life, and the Jacobians."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("network", overflow="fold")
    for name in ("1/2", "1/100", "half-life", "factor", "radius", "norm", "clipped"):
        table.add_column(name, justify="right")
    for flow in flows:
        reach, jacobians = flow.reach, flow.jacobians
        table.add_row(
            Text(one_line(flow.label)),
            *(_steps(reach.steps_to(share)) for share in (0.5, 0.01)),
            _steps(reach.half_life),
            *(f"{value:.3f}" for value in (reach.factor, jacobians.typical_radius, jacobians.typical_norm)),
            "-" if flow.clipped is None else f"{flow.clipped:.1%}",
        )
    return table


def _steps(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.1f}" if value < 10 else f"{value:.0f}"


def verdict(flow: Flow) -> str:
    """What one network's figures say, and whether its Jacobians explain them."""
    reach, radius, norm = flow.reach, flow.jacobians.typical_radius, flow.jacobians.typical_norm
    if reach.factor < 1:
        what = f"in the long run a gradient halves every {_steps(reach.half_life)} steps"
    else:
        what = f"a gradient grows by {reach.factor - 1:.1%} each step"
    bound = "so it must vanish" if norm < 1 else "which alone would allow it to grow"
    return (
        f"{one_line(flow.label)}: {what} (factor {reach.factor:.3f}). A step's Jacobian has spectral radius "
        f"{radius:.3f} and norm {norm:.2f}, {bound}."
    )
