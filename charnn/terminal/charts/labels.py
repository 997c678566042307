"""Values enter; how they are written on an axis or in a legend leaves: in one unit, to equally many decimals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Format = Callable[[float], str]

_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float) -> str:
    """A value in a label: three digits are enough to compare."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    if size < 1:
        return f"{value:.3g}"
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 100 else f"{value:.0f}"


def decimal_labels(step: float, largest: float) -> Format:
    """One unit and as many decimals as ``step`` needs, for all ticks of an axis."""
    if largest >= 1e13 or largest < 1e-3:
        digits = max(0, math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return lambda value: _exponent(value, digits)
    scale, unit = next(((s, u) for s, u in _UNITS if largest >= 10 * s), (1.0, ""))
    decimals = max(0, -math.floor(math.log10(step / scale) + 1e-9))
    return lambda value: f"{value / scale:.{decimals}f}{unit}" if abs(value) > step / 2 or not unit else "0"


def _exponent(value: float, digits: int) -> str:
    mantissa, power = f"{value:.{digits}e}".split("e")
    return "0" if float(mantissa) == 0 else f"{mantissa}e{int(power)}"


def decade_labels(decades: Sequence[float]) -> Format:
    """Decades in full where all of them are short, else as powers of ten."""
    if decades[0] >= 1e-3 and decades[-1] < 1e5:
        return lambda value: f"{value:g}"
    return lambda value: "1" if value == 1 else f"1e{round(math.log10(value))}"
