"""A stream enters; rich's console on it leaves. It shows text as it is, and tells its caller of a stream that is gone."""

from __future__ import annotations

import errno
import os
from typing import Any

import rich.console


class Console(rich.console.Console):
    """Without markup, emoji codes and highlighting: most of what charnn shows was written by others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Training goes on without its reader, and other commands end as the command line decides."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
