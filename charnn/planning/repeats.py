"""The code points of a text enter, block by block; how much of it repeats, word for word, leaves.

Every window of ``WINDOW`` characters has a hash; those whose hash falls into a fixed small set are kept, so that the
same words are sampled wherever they occur (U. Manber, 1994, Finding similar files in a large file system). Two sampled
windows with the same 64-bit hash are the same text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.unsignedinteger[Any]]
Hashes = npt.NDArray[np.uint64]

WINDOW = 64
"""Characters that must agree for a repetition: longer than a common phrase."""

SAMPLES = 1 << 19
"""Windows sampled at most, about: 8 MB."""

BASE = 0xD1342543DE82EF95
INVERSE = pow(BASE, -1, 1 << 64)
MIXER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Repeats:
    """Shares from 0 to 1 of the windows: ``anywhere`` stood in the text before; ``leaked`` are windows of the
    validation part that stand in the training part, and so flatter the validation loss."""

    anywhere: float
    leaked: float


def find_repeats(pieces: Iterable[tuple[int, Codes]], length: int) -> Repeats:
    """Look at a text of about ``length`` characters, in pieces with the part they belong to: 0 train, 1 validation."""
    bits = np.uint64(64 - max(4, (length // SAMPLES).bit_length()))
    kept: list[tuple[Hashes, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]] = []
    tail, tail_parts = np.zeros(0, np.uint64), np.zeros(0, np.int8)
    for part, piece in pieces:
        codes = np.concatenate([tail, piece.astype(np.uint64) + np.uint64(1)])
        parts = np.concatenate([tail_parts, np.full(len(piece), part, np.int8)])
        hashes = window_hashes(codes)
        chosen = np.flatnonzero((hashes * MIXER) >> bits == 0)
        first, last = parts[chosen], parts[chosen + WINDOW - 1]
        kept.append((hashes[chosen], first == 0, (first == 1) & (last == 1)))
        tail, tail_parts = (array[max(0, len(codes) - WINDOW + 1) :] for array in (codes, parts))
    if not kept:
        return Repeats(0.0, 0.0)
    hashes, trained, held_out = map(np.concatenate, zip(*kept, strict=True))
    return Repeats(
        anywhere=(len(hashes) - len(np.unique(hashes))) / max(1, len(hashes)),
        leaked=float(np.isin(hashes[held_out], hashes[trained]).mean()) if held_out.any() else 0.0,
    )


def window_hashes(codes: Hashes) -> Hashes:
    """The hash of each window of ``codes`` (N,): (N - WINDOW + 1,), the same for the same characters anywhere.

    A polynomial in ``INVERSE``, modulo 2^64: the difference of two prefix sums, freed of its place.
    """
    count = len(codes) - WINDOW + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    powers = np.cumprod(np.full(len(codes), INVERSE, np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers)])  # (N + 1,)
    back = np.cumprod(np.full(count, BASE, np.uint64))
    hashes: Hashes = (sums[WINDOW:] - sums[:count]) * back
    return hashes
