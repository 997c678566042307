"""The lowest and the highest value enter; an axis with round ends and round ticks leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charnn.terminal.charts.labels import Format, decade_labels, decimal_labels

HUGE = 1e300
"""Beyond it differences overflow."""


@dataclass(frozen=True)
class Tick:
    value: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A range of values, and where in it a value lies."""

    low: float
    high: float
    log: bool = False

    def fraction(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            low = math.log(self.low)
            return (math.log(value) - low) / (math.log(self.high) - low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int, text: Format | None = None) -> list[Tick]:
        """About ``most`` round values inside the range, labelled alike; on a log axis decades where there are two."""
        decades = self._decades(max(most, 1)) if self.log else []
        if decades:
            show = text or decade_labels(decades)
            return [Tick(value, show(value)) for value in decades]
        step = nice_step(self.high - self.low, max(most, 1))
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        values = [k * step for k in range(first, last + 1) if k > 0 or not self.log]
        show = text or decimal_labels(step, max(abs(self.low), abs(self.high)))
        return [Tick(value, show(value)) for value in values]

    def _decades(self, most: int) -> list[float]:
        first = math.ceil(math.log10(self.low) - 1e-9)
        last = math.floor(math.log10(self.high) + 1e-9)
        if first >= last:
            return []
        every = math.ceil((last - first + 1) / most)
        return [10.0**k for k in range(first, last + 1) if k % every == 0]


def nice_step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 times a power of ten that cuts ``span`` into at most ``most`` parts."""
    least = span / most * (1 - 1e-9)
    power = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least), 10 * power)


def linear_range(low: float, high: float, grain: int) -> Axis:
    """From low to high, rounded outward to about one part in ``grain``; a constant gets room around it."""
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1 / HUGE):
        room = abs(low) / 10 if abs(low) > 1 / HUGE else 1.0
        low, high = low - room, high + room
    unit = nice_step(high - low, grain // 5) / 5
    return Axis(math.floor(low / unit + 1e-6) * unit, math.ceil(high / unit - 1e-6) * unit)


def log_range(values: Sequence[float]) -> Axis:
    """From the lowest to the highest, not rounded; a constant gets room around it."""
    low, high = min(values), max(values)
    return Axis(low, high, log=True) if high > low * 1.001 else Axis(low / 2, high * 2, log=True)
