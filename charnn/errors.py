"""What can go wrong, as one tree: each class carries the exit code of the command line and may carry a hint.

CharnnError                1   a bug in charnn, or the base of what follows
├── ConfigError            2   a command line, a configuration or a call that makes no sense
├── CorpusError            3   text that is missing, undecodable, too small or outside the vocabulary
│   └── UnknownCharacters
├── CheckpointError        4   a run or checkpoint that is missing, damaged or incompatible
├── DivergenceError        5   training that blew up
├── StorageError           6   a disk that is full, a folder without write permission
├── WorkerError            6   a worker process that died: killed, or out of memory
└── RunBusyError           7   a run folder in which another process is training
"""

from __future__ import annotations

from collections.abc import Callable

Warn = Callable[[str], None]
"""Where a note or a warning goes that is no reason to stop: one sentence, as in an error."""


def ignore(message: str) -> None:
    """A ``Warn`` that says nothing."""


class CharnnError(Exception):
    """Anything charnn reports on purpose: what happened, with the value, and what to try.

    ``message`` is one sentence without a final period; ``hint`` says what to do next, or is empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(CharnnError):
    """A command line, a configuration file or a call whose values make no sense."""

    exit_code = 2


class CorpusError(CharnnError):
    """Text that is missing, empty, undecodable, too small, or outside the vocabulary."""

    exit_code = 3


class UnknownCharacters(CorpusError):
    """Text with characters that the vocabulary lacks; ``characters`` holds each of them once, sorted."""

    def __init__(self, characters: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.characters = characters


class CheckpointError(CharnnError):
    """A run or a checkpoint that is missing, damaged or incompatible."""

    exit_code = 4


class DivergenceError(CharnnError):
    """A loss or a gradient that is not finite, or a loss that exploded."""

    exit_code = 5


class StorageError(CharnnError):
    """The operating system refused to read or write: disk full, no permission, a path in the way."""

    exit_code = 6


class WorkerError(CharnnError):
    """A process that shared the work is gone: killed, or out of memory."""

    exit_code = 6


class RunBusyError(CharnnError):
    """Another process is training in this run folder."""

    exit_code = 7


def printable(text: str) -> str:
    """The text with everything that does not simply print as an escape, so that it cannot control a terminal.

    Control characters, bidi controls, line separators, surrogates and unassigned code points become \\xNN, \\uNNNN or
    \\UNNNNNNNN; all else, spaces included, stays as it is.
    """
    return "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def _escape(code_point: int) -> str:
    if code_point < 0x100:
        return f"\\x{code_point:02x}"
    return f"\\u{code_point:04x}" if code_point < 0x10000 else f"\\U{code_point:08x}"
