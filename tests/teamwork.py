"""What the processes of a team do in tests; they import this module, so it is a light one."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from charnn.network.cells import Array
from charnn.training.team import Team, gather, share

TYPES = ("float32", "float64", "uint32")
SIZES = (1, 2, 3, 5, 64, 1001)
STREAMS = 7
CAPACITY = 8 * max(SIZES)


def numbers(rank: int, size: int, dtype: str) -> Array:
    """What one rank brings to a sum: of all magnitudes, so that the order of additions shows in the last bits."""
    rng = np.random.default_rng([rank, size])
    if dtype == "uint32":
        return rng.integers(0, 2**32, size, dtype)
    return (rng.standard_normal(size) * 10.0 ** rng.integers(-6, 6, size)).astype(dtype)


def rows(dtype: str) -> Array:
    """One row a stream, with zeros of either sign."""
    signs = np.where(np.arange(STREAMS * 3) % 2, -1.0, 1.0)
    values = np.arange(STREAMS * 3) % 4 // 2 * 0.1
    return (signs * values).reshape(STREAMS, 3).astype(dtype)


def exercise(team: Team, folder: str) -> None:
    """Add up and gather all kinds of arrays, twice each, and write down what this rank got."""
    got: dict[str, Array] = {}
    for dtype, size, time in itertools.product(TYPES, SIZES, (1, 2)):
        array = numbers(team.rank, size, dtype)
        team.sum(array)
        got[f"sum {dtype} {size} {time}"] = array
        buffer = team.buffer(size, dtype)
        buffer[:] = numbers(team.rank, size, dtype)
        team.sum(buffer)
        got[f"buffer {dtype} {size} {time}"] = buffer.copy()
    for dtype in ("float32", "float64"):
        got[f"gather {dtype}"] = gather(team, rows(dtype)[share(team, STREAMS)], STREAMS)
    np.savez(Path(folder) / f"{team.rank}.npz", **got)


def fail(team: Team) -> None:
    """Raise what nobody expects."""
    raise ValueError("no such \x1b[31mthing")
