"""Somebody at a terminal, or a script in a pipe, enters; lines leave, one by one, with Ctrl-C as neither's end.

On a terminal a line can be edited and older ones come back, where the standard library has readline.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Protocol

import click

from charnn.cli import tell
from charnn.errors import CorpusError, printable

MAX_LINE = 2**20
"""Bytes of a line of a script."""


class Lines(Protocol):
    """Where lines come from. ``attended`` if somebody is there who can mend what was wrong."""

    attended: bool

    def next(self, prompt: str, begun: str = "") -> str | None:
        """The next line without its end, or None after the last; ``begun`` is there already, to be mended."""

    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed since the last line came."""


class Script:
    """The lines of standard input, where nobody is there to be asked."""

    attended = False

    def __init__(self) -> None:
        self._number = 0

    def next(self, prompt: str, begun: str = "") -> str | None:
        """Raises CorpusError for a line that is too long or no UTF-8."""
        self._number += 1
        line = sys.stdin.buffer.readline(MAX_LINE + 1)
        if len(line) > MAX_LINE:
            raise CorpusError(f"line {self._number} of standard input is longer than {MAX_LINE:,} bytes")
        try:
            return line.decode("utf-8").removesuffix("\n").removesuffix("\r") if line else None
        except UnicodeDecodeError as error:
            raise CorpusError(f"line {self._number} of standard input is not UTF-8 at byte {error.start}") from error

    def interrupted(self) -> bool:
        """Ctrl-C ends the process."""
        return False


class Keyboard:
    """Lines typed at a terminal. While entered, Ctrl-C gives up a line that is being typed, and else is only noted."""

    attended = True

    def __init__(self) -> None:
        self._readline: Any = None
        if sys.stdout.isatty():
            with contextlib.suppress(ImportError):
                import readline

                self._readline = readline
        self._waiting = self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> Keyboard:
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def next(self, prompt: str, begun: str = "") -> str | None:
        while True:
            try:
                with self._waits():
                    return self._ask(prompt, begun)
            except KeyboardInterrupt:
                tell("")
                begun = ""
            except EOFError:
                tell("")
                return None
            except UnicodeDecodeError:
                tell("that line cannot be decoded; write it again")

    def interrupted(self) -> bool:
        return self._interrupted

    def _ask(self, prompt: str, begun: str) -> str:
        prompt = printable(prompt)
        if not sys.stdout.isatty():  # input() would write the prompt into the text
            click.echo(prompt, nl=False, err=True)
            prompt = ""
        if self._readline is None:
            return input(prompt)
        self._readline.set_startup_hook(lambda: self._readline.insert_text(begun))
        try:
            return input(prompt)
        finally:
            self._readline.set_startup_hook()

    @contextlib.contextmanager
    def _waits(self) -> Iterator[None]:
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = self._interrupted = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self._interrupted = True
        if self._waiting:
            raise KeyboardInterrupt
