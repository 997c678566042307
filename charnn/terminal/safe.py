"""Text from models, corpora, file names and metadata enters; text that cannot control a terminal leaves.

What would move the cursor, turn the reading direction or stay unseen is written as an escape that can be read; what it
takes to read a script is not (``charnn/terminal/scripts.py``).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from itertools import zip_longest
from types import TracebackType
from typing import TextIO

from rich.text import Text

from charnn.errors import printable
from charnn.terminal.scripts import (
    GRAPHEME_JOINER,
    MARKS_AT_MOST,
    Kind,
    is_hangul,
    joins,
    kind,
    selects,
)
from charnn.text.unicode import bytes_of


class Escaper:
    """Says of one character after another what stands for it on a terminal. What it shows as it is depends on what
    it has shown before, and for joiners on the character after."""

    def __init__(self, encoding: str | None = "utf-8") -> None:
        self._encoding = _known(encoding)
        self._base = ""
        """The character that marks now would be on; none at the beginning of a line and after an escape."""
        self._last = ""
        self._marks = 0

    def show(self, character: str, after: str = "") -> str:
        """The character, or its escape: ``\\x1b``, ``\\u202e``, ``\\U000e0001``. Newlines and tabs stay."""
        if character in "\n\t":
            self._base = self._last = ""
            return character
        what = kind(character)
        if not (self._fits(character, what, after) and _encodable(character, self._encoding)):
            self._base = self._last = ""
            return _visible(character)
        if what is Kind.ALONE:
            self._base, self._marks = character, 0
        elif what in (Kind.MARK, Kind.JAMO):
            self._marks += 1
        self._last = character
        return character

    def _fits(self, character: str, what: Kind, after: str) -> bool:
        """Whether the character does here what characters of its kind are shown for."""
        if what is Kind.ALONE:
            return True
        if not self._base or what is Kind.NEVER:
            return False
        if what is Kind.SELECTOR:
            return self._last == self._base and selects(self._base, character)
        if what is Kind.JOINER:
            return joins(self._base, self._last, character, after)
        if self._marks == MARKS_AT_MOST:
            return False
        if character == GRAPHEME_JOINER:  # between marks it keeps their order
            return self._marks > 0
        return what is Kind.MARK or is_hangul(self._base)


def escape(text: str, encoding: str | None = "utf-8") -> str:
    """The text with newlines and tabs as they are, and an escape for each character that is not shown as it is."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    escaper = Escaper(encoding)
    return "".join(escaper.show(character, after) for character, after in with_next(text))


def with_next(text: str) -> Iterator[tuple[str, str]]:
    """Each character with the one after, which is empty for the last."""
    return zip_longest(text, text[1:], fillvalue="")


def one_line(text: str, encoding: str | None = "utf-8") -> str:
    """Like ``escape``, with newlines and tabs escaped too: for labels, titles and table cells."""
    return escape(text, encoding).replace("\n", r"\n").replace("\t", r"\t")


def plain(text: str, encoding: str | None = "utf-8") -> Text:
    """A rich text that shows ``text`` literally: escaped, without markup, emoji codes or highlighting."""
    return Text(escape(text, encoding))


class TextWriter:
    """Writes generated text as it comes: readable and harmless on a terminal, byte for byte into files and pipes.

    ``raw`` asks for the exact bytes on a terminal too. Errors of the stream (BrokenPipeError, disk full) pass through,
    at the latest from ``flush``.
    """

    def __init__(self, stream: TextIO, raw: bool = False) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._exact = raw or not self._terminal
        self._binary = getattr(stream, "buffer", None)
        self._escaper = Escaper(stream.encoding)
        self._held = ""
        """A joiner that waits for the character after it."""
        stream.flush()  # what was printed before comes first

    def write(self, text: str) -> None:
        if not self._exact:
            self._stream.write(self._escaped(text))
        elif self._binary is None:
            self._stream.write(text)
        else:
            self._binary.write(bytes_of(text))
        if self._terminal:
            self._flush()

    def flush(self) -> None:
        """Write what is held back as well."""
        if self._held:
            self._stream.write(self._escaper.show(self._held))
            self._held = ""
        self._flush()

    def _escaped(self, text: str) -> str:
        text = self._held + text
        self._held = text[-1] if text and kind(text[-1]) is Kind.JOINER else ""
        shown = with_next(text)
        return "".join(self._escaper.show(character, after) for character, after in shown if after or not self._held)

    def _flush(self) -> None:
        if self._binary is not None and self._exact:
            self._binary.flush()
        else:
            self._stream.flush()

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.flush()


def _encodable(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _visible(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return r"\r" if character == "\r" else printable(character).encode("ascii", "backslashreplace").decode("ascii")


def _known(encoding: str | None) -> str:
    try:
        return codecs.lookup(encoding or "utf-8").name
    except LookupError:
        return "ascii"
