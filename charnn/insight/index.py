"""The training text of a run enters, and its places sorted by what follows leave, a block at a time.

Sorting takes a fraction of a second a megabyte, once: the blocks, four bytes a character, are kept in the run's folder,
each with a SHA-256 and what it was sorted from, and sorted anew where they are missing, damaged or of another text.
Memory holds one block at a time, however long the text.

    RUN/copies/suffixes-00000000.safetensors    the block that begins at this character
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from charnn.storage.cache import Cache
from charnn.text.corpus import Ids, release
from charnn.text.suffixes import Coding, Indices, Suffixes, sort_suffixes

BLOCK = 1 << 21
"""Places in a block: sorting takes some 100 MB."""


def blocks(text: Ids, size: int, cache: Cache) -> Iterator[tuple[int, Suffixes]]:
    """Blocks of a text of ``size`` distinct ids, each with its place in the text.

    A block goes on into the next as far as passages are followed, so that each of these lies whole in one block.
    """
    overlap = Coding(size).depth
    for start in range(0, max(1, len(text) - overlap), BLOCK):
        ids = np.array(text[start : start + BLOCK + overlap])
        release(text)
        yield start, _kept(start, ids, size, cache) or _sorted(start, ids, size, cache)


def _kept(start: int, ids: Ids, size: int, cache: Cache) -> Suffixes | None:
    found = cache.read(_name(start))
    try:
        return None if found is None else Suffixes(ids, size, found.arrays["order"])
    except (KeyError, ValueError):
        return None


def _sorted(start: int, ids: Ids, size: int, cache: Cache) -> Suffixes:
    order: Indices = sort_suffixes(ids, size)
    cache.keep(_name(start), {"order": order}, {})
    return Suffixes(ids, size, order)


def _name(start: int) -> str:
    return f"suffixes-{start:08d}.safetensors"
