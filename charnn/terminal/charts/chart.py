"""Series, levels and marks enter; a chart leaves: braille dots for a terminal, plain ASCII where needed, or SVG.

Labels may come from anywhere: they are escaped.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment

from charnn.terminal.charts.drawing import draw_text
from charnn.terminal.charts.spec import ChartSpec, Level, Mark, Series
from charnn.terminal.charts.svg import draw_svg

__all__ = ["Chart", "Level", "Mark", "Series"]

_LEAST_WIDTH = 20


@dataclass(frozen=True)
class Chart(ChartSpec):
    """Curves over a common x, later ones over earlier ones; a rich renderable.

    A line with more points than the drawing has dots is shown by its mean in each column of dots. Outliers at the top
    do not flatten the rest: they leave the chart, and a ▲ in their column and in the legend says so. Levels and marks
    are labelled with their value in the drawing where there is room, and in the legend otherwise.

    ``height`` counts all rows; None takes the room given or the screen, but no more than half the width.
    """

    height: int | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        room = options.height or max(6, min(options.max_height - 1, width // 2))
        ascii_only = options.ascii_only or options.legacy_windows
        encoding = "ascii" if ascii_only else options.encoding
        colored = console.color_system is not None and not console.no_color
        for pieces in draw_text(self, width, self.height or room, encoding, colored):
            for text, style in pieces:
                yield Segment(text, console.get_style(style, default=""))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(_LEAST_WIDTH, options.max_width), options.max_width)

    def svg(self, width: int = 800, height: int = 420, dark: bool | None = None) -> str:
        """The same chart as a vector picture. ``dark`` chooses a background; None leaves it out and takes colours
        that can be read on white and on black."""
        return draw_svg(self, width, height, dark)
