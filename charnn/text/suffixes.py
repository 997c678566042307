"""A long text of ids enters, and its places leave in the order of what follows them: a suffix array (Manber and Myers,
1990). With it, for each place of another text, the longest passage leaves that stands word for word in the long one.

Sorting doubles: who is sorted by ``h`` characters is sorted by ``2 h`` by looking up the rank of the place ``h``
further on (Karp, Miller and Rosenberg, 1972), and only places that are still tied are sorted again (Larsson and
Sadakane, 1999). Searching doubles alike, for all places of a text at once: the places where ``2 h`` characters stand
are those of the first ``h`` whose rank ``h`` further on is among those of the next ``h``. No step compares characters,
so a text that repeats itself for ever costs no more than another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.unsignedinteger[Any]]
Indices = npt.NDArray[np.int32]
Keys = npt.NDArray[np.int64]

REACH = 1 << 16
"""Characters by which places are sorted at least; passages are followed no further than that."""

KEY_BITS = 63


@dataclass(frozen=True)
class Coding:
    """Characters side by side in one integer, which sorts as they do. ``size`` is the number of distinct ids.

    The end of the sorted text is 0, before every character; what is in no text, and the end of a text that is looked
    for, is ``size + 1``.
    """

    size: int

    @property
    def bits(self) -> int:
        return (self.size + 1).bit_length()

    @property
    def length(self) -> int:
        """Characters in a key."""
        return KEY_BITS // self.bits

    @property
    def depth(self) -> int:
        """The length of a key, doubled at least once and until it is no less than ``REACH``."""
        depth = 2 * self.length
        while depth < REACH:
            depth *= 2
        return depth

    def keys(self, ids: Ids, end: int) -> Keys:
        """For each place, and the one after the last, the characters that follow: (N + 1,)."""
        symbols = np.full(len(ids) + self.length, end, np.int64)
        symbols[: len(ids)] = ids
        symbols[: len(ids)] = np.minimum(symbols[: len(ids)], self.size) + 1
        keys = np.zeros(len(ids) + 1, np.int64)
        for k in range(self.length):
            keys <<= self.bits
            keys |= symbols[k : k + len(keys)]
        return keys

    def common(self, difference: Keys) -> Keys:
        """How many leading characters two keys share, from what is different in them."""
        limits = [1 << (self.bits * k) for k in range(self.length - 1, -1, -1)]
        shared: Keys = np.sum([difference < limit for limit in limits], axis=0)
        return shared


def sort_suffixes(ids: Ids, size: int) -> Indices:
    """The places of ``ids`` (N,), all below ``size``, sorted by the ``depth`` characters from each on."""
    coding, N = Coding(size), len(ids)
    keys = coding.keys(ids, 0)[:N]
    order = keys.argsort().astype(np.int32)
    new = _differs(keys[order])
    del keys
    rank = np.full(N + 1, -1, np.int32)
    at, length = np.arange(N, dtype=np.int32), coding.length
    while True:
        places = order[at]
        rank[places] = np.maximum.accumulate(np.where(new, at, 0))
        at = at[~(new & np.append(new[1:], True))]
        if not len(at) or length >= coding.depth:
            return order
        places = order[at]
        ties = rank[places].astype(np.int64) * (N + 2) + rank[np.minimum(places + length, N)] + 1
        by = ties.argsort()
        order[at] = places[by]
        new = _differs(ties[by])
        length *= 2


def _differs(values: Keys) -> npt.NDArray[np.bool_]:
    """Where a sorted array goes on to another value: True at the first."""
    new = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    return new


@dataclass(frozen=True, eq=False)
class Ranges:
    """For each place of a text, where the next characters stand: at ``order[low:high]``, (n + 1,) each."""

    length: int
    low: Indices
    high: Indices


class Suffixes:
    """A text with its places sorted, to look up others in. Raises ValueError where ``order`` is not this text's."""

    def __init__(self, ids: Ids, size: int, order: Indices):
        self.coding, self.order, N = Coding(size), order, len(ids)
        if order.shape != (N,) or order.dtype != np.int32 or not 0 <= order.min() <= order.max() < N:
            raise ValueError("the order is not one of these places")
        self._rank = np.full(N + 1, -1, np.int32)
        self._rank[order] = np.arange(N, dtype=np.int32)
        self._keys = self.coding.keys(ids, 0)
        self._sorted = self._keys[order]
        if np.count_nonzero(self._rank < 0) > 1 or (self._sorted[1:] < self._sorted[:-1]).any():
            raise ValueError("the order is not that of these characters")

    def longest(self, ids: Ids, least: Indices | int = 1) -> tuple[Indices, Indices]:
        """For each place of ``ids`` (n,), the longest passage that stands here ``least`` times or more (1 or 2).

        Its length (n,), at most ``depth``, and a place (n,) where it stands. Ids from ``size`` on stand nowhere.
        """
        n = len(ids)
        keys = self.coding.keys(ids, self.coding.size + 1)
        least = np.broadcast_to(np.asarray(least, np.int32), n)
        low, high = np.zeros(n, np.int32), np.full(n, len(self.order), np.int32)
        length = np.zeros(n, np.int32)
        for ranges in reversed(self._doublings(keys)):
            ahead = np.arange(n) + length
            after = self._narrowed(low, high, length, ranges.low[ahead], ranges.high[ahead])
            longer = np.flatnonzero(after[1] - after[0] >= least)
            low[longer], high[longer] = after[0][longer], after[1][longer]
            length[longer] += ranges.length
        return self._ends(keys[np.arange(n) + length], low, high, length, least)

    def _doublings(self, keys: Keys) -> list[Ranges]:
        """Where the next characters stand that a key holds, twice as many, and so on, as long as any stand here."""
        by = keys.argsort()
        low, high = np.empty(len(keys), np.int32), np.empty(len(keys), np.int32)
        low[by] = np.searchsorted(self._sorted, keys[by], "left")
        high[by] = np.searchsorted(self._sorted, keys[by], "right")
        found = [Ranges(self.coding.length, low, high)]
        while found[-1].length < self.coding.depth // 2 and (low < high).any():
            half = found[-1]
            ahead = np.minimum(np.arange(len(keys)) + half.length, len(keys) - 1)  # where nothing follows
            low, high = self._narrowed(half.low, half.high, half.length, half.low[ahead], half.high[ahead])
            found.append(Ranges(2 * half.length, low, high))
        return found

    def _narrowed(
        self, low: Indices, high: Indices, length: Indices | int, ahead_low: Indices, ahead_high: Indices
    ) -> tuple[Indices, Indices]:
        """Of ``order[low:high]``, the places whose rank ``length`` further on is in ``ahead_low``..``ahead_high``."""
        length = np.broadcast_to(length, len(low))
        first, last = np.zeros_like(low), np.zeros_like(high)
        fresh = length == 0
        first[fresh], last[fresh] = ahead_low[fresh], ahead_high[fresh]
        both = np.flatnonzero(~fresh & (low < high) & (ahead_low < ahead_high))
        low, high, length = low[both], high[both], length[both]
        first[both] = self._first(self._rank, low, high, length, ahead_low[both])
        last[both] = self._first(self._rank, first[both], high, length, ahead_high[both])
        return first, last

    def _first(self, values: Any, low: Indices, high: Indices, length: Indices, wanted: Any) -> Indices:
        """The first x from ``low`` on with ``values[order[x] + length] >= wanted``, or else ``high``: binary search."""
        low, high = low.copy(), high.copy()
        searching = np.flatnonzero(low < high)
        while len(searching):
            middle = (low[searching] + high[searching]) // 2
            before = values[self.order[middle] + length[searching]] < wanted[searching]
            low[searching[before]] = middle[before] + 1
            high[searching[~before]] = middle[~before]
            searching = searching[low[searching] < high[searching]]
        return low

    def _ends(
        self, keys: Keys, low: Indices, high: Indices, length: Indices, least: Indices
    ) -> tuple[Indices, Indices]:
        """The last characters, fewer than a key holds: the neighbours of where the text would stand share the most."""
        at = self._first(self._keys, low, high, length, keys)
        beside = at + np.arange(-2, 2, dtype=np.int32)[:, None]  # (4, n)
        inside = (low <= beside) & (beside < high)
        places = self.order[np.clip(beside, 0, len(self.order) - 1)]
        common = self.coding.common(self._keys[np.where(inside, places + length, 0)] ^ keys)
        common[~inside] = -1
        best = np.argsort(-common, axis=0, kind="stable")  # (4, n)
        shared = np.take_along_axis(common, best[least - 1, np.arange(len(at))][None], axis=0)[0]
        place = np.take_along_axis(places, best[:1], axis=0)[0]
        return (length + np.maximum(shared, 0)).astype(np.int32), place
