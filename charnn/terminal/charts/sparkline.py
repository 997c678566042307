"""Values enter; their course leaves, as one word of bars."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from charnn.terminal.charts.spec import drawable

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=+*#@"


def sparkline(values: Iterable[float | None], width: int, ascii_only: bool = False) -> str:
    """The course of some values in one word of at most ``width`` characters; a gap is a space."""
    bars = _ASCII_BARS if ascii_only else _BARS
    means = _means(list(values), width)
    known = [mean for mean in means if mean is not None]
    low = min(known, default=0.0)
    span = max(known, default=0.0) - low
    return "".join(" " if m is None else bars[int((m - low) / span * 7.999) if span else 3] for m in means)


def _means(values: list[float | None], width: int) -> list[float | None]:
    """The mean of the known values in each of at most ``width`` equal parts."""
    parts = max(1, min(len(values), width))
    cuts = [part * len(values) // parts for part in range(parts + 1)]
    known = ([v for v in values[start:end] if v is not None and drawable(v)] for start, end in pairwise(cuts))
    return [sum(part) / len(part) if part else None for part in known]
