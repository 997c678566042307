"""The ids of a text enter; what is true of the text at every character, as far as it has been read, leaves.

A property is a number a character: 1 or 0 where something holds or not, a count where something is counted. None of
them looks ahead, so each could be known to a network that has read up to there.

Quotes and brackets are forgotten at an empty line, so that one that is never closed spoils a paragraph and no more.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charnn.insight.reading import Ids
from charnn.text.vocabulary import Vocabulary

Values = npt.NDArray[np.float32]

OPENING, CLOSING = "([{", ")]}"

FARTHEST = 200
"""Counts of characters since something stop here."""

LAST_CHARACTER = frozenset({"after a line end", "inside a word", "after a space", "capital", "digit"})
"""Properties that the last character alone tells: no memory is needed for them."""


@dataclass(frozen=True, eq=False)
class Properties:
    """F named properties of N characters."""

    names: tuple[str, ...]
    values: Values  # (N, F)


def properties_of(vocabulary: Vocabulary, ids: Ids, since: Sequence[str] = ()) -> Properties:
    """All properties of a text (N,), and the characters since each of ``since``; those that never change are left out.

    Of byte tokens, every byte above 127 is taken for the character of that number in Latin-1.
    """
    text = "".join(vocabulary.characters[i] for i in ids)
    letters = {c for c in vocabulary.characters if c.isalpha()}
    columns: dict[str, Iterable[float]] = {
        "inside quotes": inside_quotes(text),
        "inside brackets": (depth > 0 for depth in bracket_depth(text)),
        "bracket depth": bracket_depth(text),
        "position in the line": since_any(text, "\n"),
        "indentation": indentation(text),
        "position in the word": since_any(text, set(vocabulary.characters) - letters),
        "since a sentence end": since_any(text, ".!?"),
        **{f"since {character!r}": since_any(text, character) for character in since},
        "after a line end": (c == "\n" for c in text),
        "inside a word": (c in letters for c in text),
        "after a space": (c == " " for c in text),
        "capital": map(str.isupper, text),
        "digit": (unicodedata.category(c) == "Nd" for c in text),
    }
    arrays = {name: np.fromiter(values, np.float32, len(text)) for name, values in columns.items()}
    kept = {name: array for name, array in arrays.items() if len(array) and array.min() < array.max()}
    stacked = np.stack(list(kept.values()), 1) if kept else np.empty((len(text), 0), np.float32)
    return Properties(tuple(kept), stacked)


def since_any(text: str, characters: Iterable[str]) -> Iterable[int]:
    """Characters since the last of ``characters``, which itself counts 0; ``FARTHEST`` at most."""
    resets, count = frozenset(characters), 0
    for c in text:
        count = 0 if c in resets else min(count + 1, FARTHEST)
        yield count


def inside_quotes(text: str) -> Iterable[bool]:
    """Whether a double quotation mark is open, the opening one included; an apostrophe is no quotation mark."""
    inside, before = False, ""
    for c in text:
        if c in "“«„":
            inside = True
        elif c in "”»" or (c == before == "\n"):
            inside = False
        elif c == '"':
            inside = not inside
        yield inside
        before = c


def bracket_depth(text: str) -> Iterable[int]:
    """How many brackets of any kind are open, the opening ones included."""
    depth, before = 0, ""
    for c in text:
        if c in OPENING:
            depth += 1
        elif c in CLOSING:
            depth = max(0, depth - 1)
        elif c == before == "\n":
            depth = 0
        yield depth
        before = c


def indentation(text: str) -> Iterable[int]:
    """Spaces that the line began with, as far as it has been read; a tab counts as eight."""
    depth, leading = 0, True
    for c in text:
        if c == "\n":
            depth, leading = 0, True
        elif leading and c in " \t":
            depth += 1 if c == " " else 8
        else:
            leading = False
        yield depth
