"""Signals enter, a flag leaves: Ctrl-C and SIGTERM ask training to save and stop; a second Ctrl-C quits at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

FORCED_EXIT = 130


def _nothing() -> None:
    """A terminal that needs no restoring."""


class StopSignals:
    """While entered, SIGINT and SIGTERM set ``received`` instead of ending the process.

    A signal that was inherited as ignored (nohup, a shell's background job) stays ignored. ``restore`` leaves the
    terminal as it was: it is called before the second SIGINT quits, and before Ctrl-Z suspends; ``back`` undoes it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.restore: Callable[[], None] = _nothing
        self.back: Callable[[], None] = _nothing
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        handlers = {signal.SIGINT: self._receive, signal.SIGTERM: self._receive, signal.SIGTSTP: self._suspend}
        for number, handler in handlers.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it; 0 if none came."""
        return 0 if self.received is None else 128 + self.received

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            self.restore()
            os._exit(FORCED_EXIT)
        self.received = number

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the shell its terminal, stop, and go on here when brought back to the foreground."""
        self.restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._suspend)
        self.back()
