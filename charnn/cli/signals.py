"""Signals enter, a flag leaves: Ctrl-C, SIGTERM and a closed terminal ask training to save and stop.

A second Ctrl-C quits at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

from charnn.errors import CharnnError
from charnn.system import STOP_SIGNALS

FORCED_EXIT = 130


class Stopped(CharnnError):
    """A signal came while there was nothing to save yet."""


def _nothing() -> None:
    """A terminal that needs no restoring."""


class StopSignals:
    """While entered, the ``STOP_SIGNALS`` set ``received`` instead of ending the process.

    A signal that was inherited as ignored (nohup, a shell's background job) stays ignored. ``restore`` leaves the
    terminal as it was: it is called before the second SIGINT quits, and before Ctrl-Z suspends; ``back`` undoes it.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.restore: Callable[[], None] = _nothing
        self.back: Callable[[], None] = _nothing
        self._before: dict[int, Any] = {}
        self._interrupting = False
        self._interrupts = 0
        self._arrivals: _Arrivals | None = None

    def __enter__(self) -> StopSignals:
        self._arrivals = _Arrivals() if hasattr(os, "set_blocking") and os.name == "posix" else None
        handlers: dict[int, Any] = dict.fromkeys(STOP_SIGNALS, self._receive)
        if hasattr(signal, "SIGTSTP"):
            handlers[signal.SIGTSTP] = self._suspend
        for number, handler in handlers.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._arrivals is not None:
            self._arrivals.close()

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.received is not None

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[Callable[[], None]]:
        """While there is nothing to save, a signal raises Stopped, even out of a read that waits for its writer.

        What the context gives does the same when called: for code in which an exception out of nowhere gets lost.
        """
        self._interrupting = True
        try:
            yield self._raise_if_received
        finally:
            self._interrupting = False

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it; 0 if none came."""
        return 0 if self.received is None else 128 + self.received

    def _raise_if_received(self) -> None:
        if self.received is not None:
            raise Stopped("stopped before there was anything new to save")

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Python calls this between two of its instructions, and once for all that arrived during a long product.

        So arrivals are counted where the kernel delivers them.
        """
        if self._arrivals is not None:
            self._interrupts += self._arrivals.read().count(signal.SIGINT)
        if number == signal.SIGINT and (self.received is not None or self._interrupts > 1):
            try:
                self.restore()
            finally:
                os._exit(FORCED_EXIT)
        first = self.received is None
        self.received = self.received or number
        if first and self._interrupting:
            self._raise_if_received()

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the shell its terminal, stop, and go on here when brought back to the foreground."""
        self.restore()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, self._suspend)
        self.back()


class _Arrivals:
    """A pipe into which Python writes the number of every signal as it arrives."""

    def __init__(self) -> None:
        self._ends = os.pipe()
        for end in self._ends:
            os.set_blocking(end, False)
        self._before = signal.set_wakeup_fd(self._ends[1], warn_on_full_buffer=False)

    def read(self) -> bytes:
        """The numbers that arrived since the last look."""
        try:
            return os.read(self._ends[0], 4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        for end in self._ends:
            os.close(end)
