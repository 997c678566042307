"""A text enters, is looked up in one block of a longer text after the other, and the passages that stand in both leave.

At each place of the text, the longest passage that begins there is all that need be known: passages are those that no
other contains, and what they cover is copied.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charnn.text.corpus import Ids, release
from charnn.text.suffixes import Suffixes

Lengths = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]

HABIT = 0.01
"""The share of a text that may stand in it twice by chance or by habit."""

QUOTED = 100
"""Characters that nobody writes twice without copying."""

AT_ONCE = 1 << 18
"""Characters looked up at once."""

COUNTED = 1 << 24
"""Characters among which line ends are counted at once."""


@dataclass(frozen=True, eq=False)
class Passages:
    """P passages of a text: where each begins, how long it is, and where it stands in the longer text, (P,) each."""

    starts: Places
    lengths: Places
    places: Places


class Search:
    """A text that is looked up in one block after the other: the longest passage at each place, and where it stands.

    ``corpus_places`` say where in the training text a part of it stands, or -1: there, passages must stand twice.
    """

    def __init__(self, ids: Ids, corpus_places: Places | None = None):
        self.ids, self.corpus_places = ids, corpus_places
        self.lengths = np.zeros(len(ids), np.int32)
        self.places = np.zeros(len(ids), np.int64)

    def look_in(self, start: int, suffixes: Suffixes) -> None:
        """Keep what is longer in a block of the training text that begins at ``start``."""
        for first in range(0, len(self.ids), AT_ONCE):
            part = slice(first, first + AT_ONCE + suffixes.coding.depth)
            lengths, places = suffixes.longest(self.ids[part], self._least(part, start, len(suffixes.order)))
            better = np.flatnonzero(lengths > self.lengths[part])
            self.lengths[part][better] = lengths[better]
            self.places[part][better] = places[better].astype(np.int64) + start

    def _least(self, part: slice, start: int, length: int) -> Lengths | int:
        if self.corpus_places is None:
            return 1
        places = self.corpus_places[part]
        return np.where((start <= places) & (places < start + length), 2, 1).astype(np.int32)


def copied(lengths: Lengths, at_least: int) -> npt.NDArray[np.bool_]:
    """Which characters belong to a passage of so many, from the longest passage at each place."""
    at = np.arange(len(lengths))
    ends = np.where(lengths >= at_least, at + lengths, 0)
    return np.asarray(np.maximum.accumulate(ends) > at)


def habitual(lengths: Lengths) -> int:
    """The length from which neither chance nor habit explains that a text holds a passage twice."""

    def is_rare(at_least: int) -> bool:
        return bool(copied(lengths, at_least).mean() - copied(lengths, QUOTED).mean() <= HABIT)

    return 1 + bisect_left(range(1, QUOTED), True, key=is_rare)


def passages(search: Search, at_least: int) -> Passages:
    """All passages of so many characters that are part of no other, in order.

    One that goes on where another is cut, here as there, is the same: very long ones are found in pieces.
    """
    lengths, at = search.lengths, np.arange(len(search.lengths))
    shift, long = search.places - at, lengths >= at_least
    goes_on = long[1:] & long[:-1] & (shift[1:] == shift[:-1])
    starts = np.flatnonzero(long & ~np.append(False, goes_on))
    ends = np.maximum.reduceat(np.where(long, at + lengths, 0), starts) if len(starts) else starts
    whole = ends > np.append(0, np.maximum.accumulate(ends))[:-1]
    starts, ends = starts[whole], ends[whole]
    return Passages(starts, ends - starts, search.places[starts])


def line_numbers(ids: Ids, line_end: int, places: Places) -> Places:
    """The line of each place of a text, from 1 on."""
    lines = np.ones(len(places), np.int64)
    for start in range(0, len(ids), COUNTED):
        ends = np.flatnonzero(ids[start : start + COUNTED] == line_end) + start
        lines += np.searchsorted(ends, places)
        release(ids)
    return lines
