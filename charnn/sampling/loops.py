"""A text enters as it is drawn; tokens that would repeat one of its passages leave, or whether it runs in a loop."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable

from charnn.text.vocabulary import Vocabulary

LOOP = 200
"""Characters at the end of a text that have to be one passage, over and over."""

ROUNDS = 3
"""How often they have to hold it."""

LONGEST_PASSAGE = 1000
"""Longer ones are not looked for."""


class Passages:
    """The passages of ``length`` tokens in a text that grows, and which tokens would now complete one a second time.

    A word that has begun may go on to its end: another letter in its midst would only misspell it. Where the passage
    is nothing but letters, as in a script without spaces, there is no such end to wait for.

    For every ``length`` - 1 tokens in a row, by their hash, the tokens that have followed them are kept. So a step
    costs the same however long the text is.
    """

    def __init__(self, length: int, vocabulary: Vocabulary, ids: Iterable[int] = ()):
        self._in_words = _in_words(vocabulary)
        self._recent: deque[int] = deque(maxlen=length - 1)
        self._word = 0
        """Letters since the last token that is none."""
        self._followers: dict[int, list[int]] = {}
        for token in ids:
            self.take(token)

    def take(self, token: int) -> None:
        """The text has one more token."""
        if len(self._recent) == self._recent.maxlen:
            followers = self._followers.setdefault(hash(tuple(self._recent)), [])
            if token not in followers:
                followers.append(token)
        self._recent.append(token)
        self._word = self._word + 1 if self._in_words[token] else 0

    def barred(self) -> list[int]:
        """The tokens that may not come next."""
        followers = self._followers.get(hash(tuple(self._recent)), [])
        if not self._word:
            return followers
        return [token for token in followers if self._in_words[token]] if self._word >= len(self._recent) else []


def _in_words(vocabulary: Vocabulary) -> list[bool]:
    """Whether each token is a letter, or goes on in a word as one does; of bytes, those above 127 are parts of some."""
    whole = vocabulary.tokens != "bytes"
    return [
        c.isalpha() or c in "'’" or unicodedata.category(c)[0] == "M" if whole or c.isascii() else True
        for c in vocabulary.characters
    ]


def loop_length(text: str) -> int:
    """How long the passage is that the end of the text holds over and over, or 0 where it is in no loop."""
    for period in range(1, min(len(text) // ROUNDS, LONGEST_PASSAGE) + 1):
        end = text[-max(LOOP, ROUNDS * period) :]
        if len(end) >= LOOP and end[period:] == end[:-period]:
            return period
    return 0
