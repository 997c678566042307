"""The ids of a text enter; what kind of character each of them is leaves: a partition, so that shares add up to one.

    line end         \\n or \\r
    space            any other white space
    digit            a decimal digit
    capital          an upper-case letter
    first letter     any other letter, unless a letter, a mark or an apostrophe stands right before it
    inside a word    any other letter, or mark, when one of these does
    punctuation      everything else

Of byte tokens, those above 127 are parts of letters.
"""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.text.vocabulary import Vocabulary

Ids = npt.NDArray[np.integer[Any]]
Kinds = npt.NDArray[np.int8]

KINDS = ("inside a word", "first letter", "capital", "digit", "space", "line end", "punctuation")
INSIDE, FIRST, CAPITAL, DIGIT, SPACE, LINE_END, PUNCTUATION = range(len(KINDS))


def kind_of(character: str) -> int:
    """The kind of a character by itself; a letter that is no capital counts as inside a word."""
    category = unicodedata.category(character)
    if character in "\n\r":
        return LINE_END
    if character.isspace():
        return SPACE
    if category == "Nd":
        return DIGIT
    if category in ("Lu", "Lt"):
        return CAPITAL
    return INSIDE if category[0] in "LM" else PUNCTUATION


class KindsOf:
    """Kinds for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary):
        characters = vocabulary.characters
        kinds = [kind_of(character) for character in characters]
        joins = [kind in (INSIDE, CAPITAL) or c in "'’" for kind, c in zip(kinds, characters, strict=True)]
        if vocabulary.tokens == "bytes":
            kinds[128:], joins[128:] = [INSIDE] * 128, [True] * 128
        self._kinds = np.array(kinds, np.int8)  # (V,)
        self._joins = np.array(joins)  # (V,)

    def __call__(self, ids: Ids, before: int) -> Kinds:
        """The kind of each of ``ids`` (N,), an index into ``KINDS``; ``before`` is the character before them."""
        kinds = self._kinds[ids]
        follows = self._joins[np.append(before, ids[:-1]).astype(np.int64)]
        kinds[(kinds == INSIDE) & ~follows] = FIRST
        return kinds
