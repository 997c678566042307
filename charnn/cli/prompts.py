"""Words of the command line enter, and files that they name; the texts that they mean leave, as a run can read them.

A word means what it says but for escapes, as in most languages: ``\\n`` is a line end. A file is taken as it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charnn.cli import note
from charnn.errors import ConfigError, CorpusError, StorageError, UnknownCharacters, printable

if TYPE_CHECKING:
    from charnn.runs.snapshot import Snapshot
    from charnn.sampling.sampler import Sampling
    from charnn.text.vocabulary import Vocabulary

LONGEST = 2**24
"""Bytes of a prompt in a file."""

BYTE_ORDER_MARK = "\ufeff"

ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))", re.DOTALL)
ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}

NAMED_AT_MOST = 10


@dataclass(frozen=True)
class Prompt:
    """A prompt as it was given: the word, or what the file or standard input that it names holds."""

    word: str
    literal: bool = False
    data: bytes | None = None

    @classmethod
    def read(cls, word: str, literal: bool = False) -> Prompt:
        """Raises CorpusError for a file that is missing or too long, StorageError."""
        if literal or (not word.startswith("@") and word != "-") or word.startswith("@@"):
            return cls(word, literal)
        name = "standard input" if word == "-" else word[1:]
        try:
            with sys.stdin.buffer if word == "-" else Path(name).open("rb") as file:
                data = file.read(LONGEST + 1)
        except FileNotFoundError as error:
            hint = "a prompt that begins with @ is written @@"
            raise CorpusError(f"{printable(name)}: no such prompt file", hint) from error
        except OSError as error:
            raise StorageError(f"cannot read the prompt from {printable(name)}: {error.strerror}") from error
        if len(data) > LONGEST:
            raise CorpusError(f"the prompt in {printable(name)} is longer than {LONGEST:,} bytes")
        return cls(word, data=data)

    def text(self, bytewise: bool) -> str:
        """What is meant. Networks of bytes read a file as it is; others read text, without a byte order mark."""
        if self.data is not None:
            text = self.data.decode("utf-8", "surrogateescape")
            return text if bytewise else text.removeprefix(BYTE_ORDER_MARK)
        if self.literal:
            return as_utf_8(self.word)
        return unescaped(as_utf_8(self.word).removeprefix("@" * self.word.startswith("@@")), bytewise)


def unescaped(word: str, bytewise: bool = False) -> str:
    """The text that a word with escapes means: \\n, \\r, \\t, \\\\, \\xNN, \\uNNNN and \\UNNNNNNNN.

    For a network of bytes \\xNN is a byte, otherwise a character. Raises ConfigError for any other escape.
    """

    def meant(escape: re.Match[str]) -> str:
        byte, *codes, name = escape.groups()
        code = int(byte or codes[0] or codes[1] or "0", 16)
        if name in ESCAPED:
            return ESCAPED[name]
        if name is not None or code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            hint = r"\\ is a backslash; --literal takes the text as it stands"
            raise ConfigError(f"{printable(escape[0])} is no escape", hint)
        return chr(code + 0xDC00) if bytewise and byte and code > 0x7F else chr(code)

    return ESCAPE.sub(meant, word)


def escaped(text: str) -> str:
    """The word that means a text as a prompt."""
    names = {character: f"\\{name}" for name, character in ESCAPED.items()}
    word = "".join(names.get(character) or printable(character) for character in text)
    return f"@{word}" if word.startswith("@") else word


def known_prompt(prompt: Prompt, loaded: Snapshot, unknown: str) -> str:
    """The prompt as the run can read it. Raises UnknownCharacters, with a command that would do where there is one."""
    text = loaded.as_read(prompt.text(loaded.vocabulary.tokens == "bytes"))
    try:
        return known(text, loaded.vocabulary, unknown)
    except UnknownCharacters as error:
        near = _nearest(text, loaded.vocabulary)
        if unknown != "error" or near is None:
            raise
        typed = prompt.data is None
        hint = _command_with(prompt.word, near if prompt.literal else escaped(near)) if typed else _command_nearest()
        raise UnknownCharacters(error.characters, error.message, hint) from None


def known(text: str, vocabulary: Vocabulary, unknown: str) -> str:
    """The text as the vocabulary can spell it, with a note about what had to be changed.

    Raises UnknownCharacters, and CorpusError for bytes that are no text, where the vocabulary is not of bytes.
    """
    from charnn.text.spelling import spell

    if vocabulary.tokens != "bytes":
        _check_text(text)
    spelling = spell(text, vocabulary, unknown)
    note_instead(spelling.instead)
    return spelling.text


def known_stops(settings: Sampling, loaded: Snapshot, unknown: str, literal: bool) -> Sampling:
    """The settings with their stops as the network would write them.

    Raises UnknownCharacters for a stop that it can never write.
    """
    from charnn.text.spelling import written

    bytewise = loaded.vocabulary.tokens == "bytes"
    stops = []
    for word in settings.stop:
        text = loaded.as_read(word if literal else unescaped(word, bytewise))
        try:
            stops.append(written(text, loaded.vocabulary, "nearest" if unknown == "nearest" else "error"))
        except UnknownCharacters as error:
            message = f"the network can never write the stop {printable(repr(word))}: {error.message}"
            near = _nearest(text, loaded.vocabulary)
            hint = _command_with(word, near if literal else escaped(near)) if near else "leave it out"
            raise UnknownCharacters(error.characters, message, hint) from None
    return dataclasses.replace(settings, stop=tuple(stops))


@contextlib.contextmanager
def offering_nearest() -> Iterator[None]:
    """Where a text has unknown characters and something is near all of them, the error names the command to give."""
    from charnn.text.spelling import TAKE_NEAREST

    try:
        yield
    except UnknownCharacters as error:
        if error.hint != TAKE_NEAREST:
            raise
        raise UnknownCharacters(error.characters, error.message, _command_nearest()) from None


def note_instead(instead: Mapping[str, str], count: int | None = None) -> None:
    """Say what stands instead of characters that a model has never seen; ``count`` is how often nothing does."""
    near = [f"{_shown(character)} as {_shown(found)}" for character, found in instead.items() if found]
    nothing = [_shown(character) for character, found in instead.items() if not found]
    if near:
        note(f"read {_listed(near)}")
    if nothing:
        many = "" if count is None else f"{count:,} "
        note(f"left out {many}character{'s'[count == 1 :]} that the model has never seen: {_listed(nothing)}")


def as_utf_8(word: str) -> str:
    """A word of the command line read as UTF-8, as all text is, whatever the locale says; else as it came."""
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode("utf-8"))
        raise CorpusError(f"the text is not UTF-8 at byte {place}", "a network of bytes could read it") from None


def _nearest(text: str, vocabulary: Vocabulary) -> str | None:
    """The text with something near in the place of all unknown characters, if there is something."""
    from charnn.text.spelling import spell

    try:
        return spell(text, vocabulary, "nearest").text
    except UnknownCharacters:
        return None


def _command_with(old: str, new: str) -> str:
    """The command that is running, with ``new`` in the place of the prompt or stop ``old``."""
    flags = ("-p", "--prompt", "--stop")
    glued = {f"{flag}{joint}{old}": f"{flag}{joint}{new}" for flag in flags for joint in ("", "=")}
    words = ["charnn"]
    for before, word in pairwise(["", *_words()]):
        words.append(new if before in flags and word == old else glued.get(word, word))
    return shlex.join(words)


def _command_nearest() -> str:
    return shlex.join(["charnn", *_words(), "--unknown", "nearest"])


def _words() -> list[str]:
    """The words after ``charnn``."""
    words: list[str] = click.get_current_context().meta.get("charnn.words", [])
    return words


def _shown(text: str) -> str:
    return printable(repr(text))


def _listed(names: list[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
