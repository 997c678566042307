"""Numbers enter, the words for them leave: times, counts, and how a loss compares with the n-gram baseline."""

from __future__ import annotations

from charnn.baseline.ngrams import Baseline
from charnn.terminal.cells import clusters, text_width


def duration(seconds: float) -> str:
    """Seconds in words: 8s, 3m 20s, 2h 05m, 3d 04h."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m {total % 60:02d}s"
    if total < 48 * 3600:
        return f"{total // 3600}h {total // 60 % 60:02d}m"
    return f"{total // 86400}d {total // 3600 % 24:02d}h"


def option_of(seconds: float) -> str:
    """Seconds as an option takes them: 90s, 10m, 2h."""
    for unit, name in ((3600, "h"), (60, "m")):
        if seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds:g}s"


def moment(seconds: float) -> str:
    """Seconds as a label of an axis: 0.5s, 20s, 3m 20s."""
    return f"{seconds:g}s" if seconds < 60 else duration(seconds)


def count(value: float) -> str:
    """A number in at most five characters: 950, 1.2k, 35k, 1.2M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            scaled = value / size
            return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"
    return f"{value:.0f}"


def size(count: float) -> str:
    """Bytes in words: 730 bytes, 1.5 MB."""
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if count >= power:
            return f"{count / power:.1f} {unit}"
    return f"{count:.0f} bytes"


def loss(value: float | None) -> str:
    """Nats per character to the digit that matters."""
    return "-" if value is None else f"{value:.3f}"


def baseline_name(baseline: Baseline) -> str:
    """``5-gram baseline``."""
    return f"{baseline.order}-gram baseline"


def against(value: float, baseline: Baseline) -> str:
    """The distance of a loss to the baseline's: ``0.15 below the 5-gram baseline``."""
    distance = value - baseline.loss
    if abs(distance) < 0.005:
        return f"level with the {baseline_name(baseline)}"
    return f"{abs(distance):.2f} {'below' if distance < 0 else 'above'} the {baseline_name(baseline)}"


def judged(value: float, baseline: Baseline | None) -> str:
    """A validation loss with its distance to the baseline, where one is known."""
    return loss(value) if baseline is None else f"{loss(value)}, {against(value, baseline)}"


def end_of(text: str, width: int) -> str:
    """A path in ``width`` columns; its end says more than its beginning."""
    if text_width(text) <= width:
        return text
    kept = list(clusters(text))
    while sum(map(text_width, kept)) > width - 2:
        kept.pop(0)
    return f"..{''.join(kept)}"
