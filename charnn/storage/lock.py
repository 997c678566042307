"""The descriptor of an open file enters; whether this process has the file for itself leaves.

The lock is the kernel's: whoever dies gives it free at once, so nothing that a crash leaves behind can keep it.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

FAR = 2**30
"""On Windows a locked byte can be read by nobody else, so it is one that no file here has."""


def _module(name: str) -> Any:
    """A module that only some systems have."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl, _msvcrt = _module("fcntl"), _module("msvcrt")


def try_lock(descriptor: int, shared: bool = False) -> bool:
    """Lock a file without waiting; False if another process has it. Several may have it ``shared``. Raises OSError.

    A system with neither kind of lock, such as Python in a browser, runs one process alone: there it is always free.
    """
    try:
        if _fcntl is not None:
            _fcntl.flock(descriptor, (_fcntl.LOCK_SH if shared else _fcntl.LOCK_EX) | _fcntl.LOCK_NB)
        elif _msvcrt is not None:
            os.lseek(descriptor, FAR, os.SEEK_SET)
            _msvcrt.locking(descriptor, _msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True
