"""Nothing enters; what this machine and its operating system offer leaves: signals, memory, priority, BLAS threads.

What only POSIX has is looked for here, and where it is missing the rest of charnn does without.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables from which BLAS libraries read the number of their threads as they are loaded."""

LOWEST_PRIORITY = 19

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask training to save and stop."""


def lower_priority() -> None:
    """Run this process only when no other wants the core."""
    if hasattr(os, "nice"):
        os.nice(LOWEST_PRIORITY)


def physical_memory() -> int | None:
    """Bytes of main memory, or None where the system does not say."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def peak_memory(processes: int = 1) -> int | None:
    """Bytes that this process and its ``processes`` - 1 largest children took at most; None where nobody counts."""
    try:
        import resource
    except ImportError:
        return None
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * (own + (processes - 1) * child)
