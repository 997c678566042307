"""The three standard streams enter as they were inherited, and leave such that nothing fails on account of them:
a closed one is open again, and a character that an encoding lacks is written as an escape.
"""

from __future__ import annotations

import contextlib
import os
import sys


def repair() -> None:
    """Make standard input, output and error usable. To be called first: a file opened later must not take their place.

    A closed standard output becomes one that may not be written to, so that whoever writes meets an error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor < 2 else os.O_WRONLY)  # takes the lowest free number
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def abandon_output() -> None:
    """Forget what could not be written: without this, Python tries again as it exits, and fails aloud."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
