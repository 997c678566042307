"""A text's length enters; the places that S parallel streams read side by side leave, T steps at a time.

This knows numbers alone. A stream that begins in the middle of a text first reads the ``BURN_IN`` characters before its
part, which do not count: then its state is as warm as if it had read everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]

BURN_IN = 512
"""Characters read before a stream's first one that counts: long memories need a few hundred."""

MIN_STREAM = 1024
"""Characters a stream should have at least, so that the burn-in stays cheap."""


@dataclass(frozen=True)
class Span:
    """T steps of S streams, which predict the characters at ``at`` (T, S) from those just before.

    ``counts`` (T, S) is False during the burn-in and past the end of the text; ``cold`` (S,) is True where a stream's
    state must be set to zero before this span.
    """

    at: Places
    counts: npt.NDArray[np.bool_]
    cold: npt.NDArray[np.bool_]


def stream_count(characters: int, most: int = 64) -> int:
    """How many parallel streams to read a text of this length with."""
    return max(1, min(most, characters // MIN_STREAM))


def side_by_side(starts: Places, length: int, steps: int) -> Iterator[Places]:
    """The places (T, S) of ``length`` characters from each of ``starts`` (S,) on; T is ``steps``, the last may be less.

    T does not grow with the text, so that memory does not either.
    """
    for done in range(0, length, steps):
        yield starts + (done + np.arange(min(steps, length - done)))[:, None]


def spans(before: int, characters: int, streams: int, steps: int) -> Iterator[Span]:
    """Spans in which each of ``characters`` counts once, after ``before`` characters that are only read.

    Places count from the first character before. Where there is none, nothing predicts the very first character, and it
    does not count.
    """
    last = before + characters - 1
    first = max(1, before)
    length = -(-(last + 1 - first) // streams)  # characters of a stream that count
    starts = first + np.arange(streams) * length
    burn_in = BURN_IN if streams > 1 or before else 0
    enough = starts - 1 - burn_in >= 0  # streams that have the whole burn-in before them
    everywhere, nowhere = np.ones(streams, bool), np.zeros(streams, bool)
    cold = everywhere
    for at in side_by_side(starts - burn_in, burn_in, steps):
        yield Span(np.clip(at, 1, last), np.zeros(at.shape, bool), cold)
        cold = nowhere
    cold = cold | ~enough
    for at in side_by_side(starts, length, steps):
        yield Span(np.clip(at, 1, last), (at <= last) & (at < starts + length), cold)
        cold = nowhere
