"""Something to repeat enters; its median time and the memory it takes leave."""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

AT_LEAST = 5
"""Times that anything timed is repeated, however long that takes."""

POLL_SECONDS = 0.01


def median_seconds(step: Callable[[], object], seconds: float) -> float:
    """The median time of a call, over about ``seconds``, after a warm-up of a quarter of that."""
    repeat(step, seconds / 4, 2)
    return statistics.median(repeat(step, seconds, AT_LEAST))


def repeat(step: Callable[[], object], seconds: float, at_least: int) -> list[float]:
    """Call ``step`` for ``seconds`` and ``at_least`` so many times; the time each call took."""
    times: list[float] = []
    started = now = time.perf_counter()
    while now - started < seconds or len(times) < at_least:
        before = now
        step()
        now = time.perf_counter()
        times.append(now - before)
    return times


def peak_memory(step: Callable[[], object], seconds: float) -> int | None:
    """The most memory that this process and its workers take together while ``step`` is repeated, in bytes.

    Pages that several processes share count once. None where the system does not say (/proc/*/smaps_rollup of Linux).
    """
    with _MemoryWatch() as watch:
        repeat(step, seconds, 2)
    return watch.peak


class _MemoryWatch(threading.Thread):
    """Looks at the memory every few milliseconds while entered."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: int | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        while True:
            now = team_memory()
            self.peak = max(now, self.peak or 0) if now else self.peak
            if self._ended.wait(POLL_SECONDS):
                return

    def __enter__(self) -> _MemoryWatch:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()


def team_memory() -> int:
    """Bytes that this process and its workers hold now, each page divided among those that share it; 0 if unknown."""
    if not hasattr(os, "getsid"):
        return 0
    ours, total = os.getsid(0), 0  # workers share what setsid(2) gave their parent
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):  # the process is gone, or somebody else's
            if os.getsid(int(folder.name)) == ours:
                total += _proportional_set_size(folder)
    return total


def _proportional_set_size(folder: Path) -> int:
    for line in (folder / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
