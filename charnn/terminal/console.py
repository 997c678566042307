"""The environment enters; consoles leave: one for the product, one for everything else.

NO_COLOR, FORCE_COLOR, TERM and COLUMNS are honoured by rich; here is what it leaves open: ASCII where the locale is
not UTF-8, and whether the screen can be drawn anew.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from rich.console import Console


class PlainConsole(Console):
    """A console that takes text as it is: no markup, no emoji codes, no highlighting."""

    @property
    def encoding(self) -> str:
        """That of the stream, or ASCII where the locale says so."""
        return super().encoding if locale_is_utf8(os.environ) else "ascii"

    def on_broken_pipe(self) -> None:
        """Training goes on without its reader, and other commands end as the command line decides."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def output_console() -> Console:
    """Standard output, for the product."""
    return PlainConsole(highlight=False, markup=False, emoji=False)


def notes_console() -> Console:
    """Standard error, for what is not the product."""
    return PlainConsole(stderr=True, highlight=False, markup=False, emoji=False)


def can_redraw(console: Console) -> bool:
    """Whether this is a terminal on which lines can be overwritten, whatever FORCE_COLOR says of colours."""
    return console.is_terminal and console.file.isatty() and not console.is_dumb_terminal


def locale_is_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the user asked for UTF-8 or for nothing.

    Python itself takes the C locale for UTF-8, and says so in LC_CTYPE; who sets LC_ALL or LANG to C means ASCII.
    """
    chosen = environment.get("LC_ALL") or environment.get("LANG") or environment.get("LC_CTYPE") or "UTF-8"
    if not environment.get("LC_ALL") and chosen not in ("C", "POSIX"):
        chosen = environment.get("LC_CTYPE") or chosen
    return "utf" in chosen.lower()
