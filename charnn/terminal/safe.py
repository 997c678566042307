"""Text from models, corpora, file names and metadata enters; text that cannot control a terminal leaves.

What would move the cursor, turn the reading direction or stay invisible is written as an escape that can be read.
"""

from __future__ import annotations

import codecs
import unicodedata
from types import TracebackType
from typing import TextIO

from rich.text import Text

from charnn.errors import printable
from charnn.text.unicode import bytes_of


def escape(text: str, encoding: str | None = "utf-8") -> str:
    """The text with newlines and tabs as they are and everything that does not print, or that ``encoding`` lacks,
    as ``\\x1b``, ``\\u202e`` or ``\\U000e0001``."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    known = _known(encoding)
    return "".join(c if c in "\n\t" or _shows(c, known) else _visible(c) for c in text)


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
        stream.flush()  # what was printed before comes first

    def write(self, text: str) -> None:
        if not self._exact:
            self._stream.write(escape(text, self._stream.encoding))
        elif self._binary is None:
            self._stream.write(text)
        else:
            self._binary.write(bytes_of(text))
        if self._terminal:
            self.flush()

    def flush(self) -> None:
        if self._binary is not None and self._exact:
            self._binary.flush()
        else:
            self._stream.flush()

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.flush()


def _shows(character: str, encoding: str) -> bool:
    blank = unicodedata.category(character) == "Zs"  # such as the ideographic space
    return (character.isprintable() or blank) and _encodable(character, encoding)


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
