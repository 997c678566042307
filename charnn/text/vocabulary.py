"""Text enters and ids leave: one small integer per character, or per UTF-8 byte.
Ids come back as text, all at once (`decode`) or one by one as a model draws them (`decoder`).

The ids are the positions in `characters`, which is sorted by code point and stored with the run.
`normalize` settles which of several spellings of the same text a model sees: "é" is one character in NFC
and two in NFD, "e" and an accent. What NFD took apart, decoding puts together again.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from charnn.errors import CheckpointError, ConfigError, CorpusError, UnknownCharacters, printable
from charnn.text.unicode import MARKS_AT_MOST, NORMAL_FORMS, Codes, bytes_of, code_points_of, has_endless_marks, text_of

Ids = npt.NDArray[np.unsignedinteger[Any]]

TOKENS = ("chars", "bytes")
NORMALIZE = ("none", *NORMAL_FORMS)

_ALL_BYTES = "".join(map(chr, range(256)))
_MARKS_HELD = 32  # what the streaming decoder holds back at most
_NAMED_AT_MOST = 10


class Decoder(Protocol):
    """Ids, one at a time, into text as soon as the text is certain."""

    bytewise: bool
    """Whether an id is a byte, of which several may make a character."""

    def push(self, token_id: int) -> str:
        """Take one id; return the text that is now certain, often one character, sometimes none."""

    def flush(self) -> str:
        """Return the text still held back. The decoder then starts afresh."""


@dataclass(frozen=True)
class Vocabulary:
    """The V tokens of a model: `characters` sorted by code point, each once; ids are positions in it.

    `tokens` is "chars", or "bytes" where `characters` stands for the 256 byte values. `normalize` is "none", "nfc"
    or "nfd" and is applied to every text before it is encoded; bytes are never normalized.
    Raises ConfigError when the three do not fit together.
    """

    characters: str
    tokens: str = "chars"
    normalize: str = "none"

    def __post_init__(self) -> None:
        if self.tokens not in TOKENS:
            raise ConfigError(f"tokens is {self.tokens!r}", f"one of: {', '.join(TOKENS)}")
        if self.normalize not in NORMALIZE:
            raise ConfigError(f"normalize is {self.normalize!r}", f"one of: {', '.join(NORMALIZE)}")
        if self.tokens == "bytes" and (self.characters, self.normalize) != (_ALL_BYTES, "none"):
            raise ConfigError("a vocabulary of bytes holds all 256 of them, and bytes are not normalized")
        codes = code_points_of(self.characters)  # (V,)
        if not codes.size:
            raise ConfigError("a vocabulary needs at least one character")
        if np.any(codes[1:] <= codes[:-1]):
            raise ConfigError("the characters of a vocabulary are sorted by code point, each once")
        if np.any(_is_surrogate(codes)):
            raise ConfigError("a vocabulary holds a surrogate, which is half of a UTF-16 character")

    @classmethod
    def from_code_points(cls, code_points: Codes, normalize: str = "none") -> Vocabulary:
        """The vocabulary of the code points seen in a corpus, (N,) in any order and with repeats."""
        codes = np.unique(np.asarray(code_points, dtype=np.uint32))  # (V,)
        if codes.size and codes[-1] > 0x10FFFF:
            raise ConfigError(f"{int(codes[-1]):#x} is beyond the last code point, 0x10ffff")
        return cls(text_of(codes), "chars", normalize)

    @classmethod
    def bytes_(cls) -> Vocabulary:
        """The vocabulary of byte tokens: always all 256."""
        return cls(_ALL_BYTES, "bytes")

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def size(self) -> int:
        """V, the number of tokens."""
        return len(self.characters)

    @property
    def id_type(self) -> np.dtype[Any]:
        """The smallest unsigned integer type that holds every id: uint8, uint16 or uint32."""
        return np.min_scalar_type(self.size - 1)

    @property
    def start(self) -> int:
        """The id that stands before a text with nothing before it: the line end, or else the lowest."""
        return max(0, self.characters.find("\n"))

    def encode(self, text: str, unknown_id: int | None = None) -> Ids:
        """The ids (N,) of a text, normalized first. `unknown_id` stands for characters that have none.

        Without it, these raise UnknownCharacters, which names each of them.
        """
        text = self.normalized(text)
        if self.tokens == "chars":
            return self.encode_code_points(code_points_of(text), unknown_id)
        if surrogates := self.unknown(text):
            raise _unknown_characters(surrogates)
        return np.frombuffer(bytes_of(text), np.uint8)  # (N,)

    def encode_code_points(self, code_points: Codes, unknown_id: int | None = None) -> Ids:
        """The ids (N,) of code points (N,), or of byte values, that are normalized already.

        `unknown_id` stands for characters that have none; without it, these raise UnknownCharacters.
        """
        ids = self._table.take(code_points, mode="clip")  # (N,)
        if unknown_id is not None:
            return np.where(ids < 0, unknown_id, ids).astype(np.min_scalar_type(max(self.size - 1, unknown_id)))
        if ids.size and ids.min() < 0:
            raise _unknown_characters(text_of(np.unique(code_points[ids < 0])))
        return ids.astype(self.id_type)

    def unknown(self, text: str) -> str:
        """The characters of the normalized text that have no id, each once, sorted.

        Of bytes: the surrogates that stand for no byte.
        """
        codes = np.unique(code_points_of(self.normalized(text)))
        if self.tokens == "bytes":
            return text_of(codes[_is_surrogate(codes) & ~((codes >= 0xDC80) & (codes <= 0xDCFF))])
        return text_of(codes[self._table.take(codes, mode="clip") < 0])

    def without_unknown(self, text: str) -> str:
        """The normalized text without its unknown characters, so that `encode` takes it."""
        text = self.normalized(text)
        while unknown := self.unknown(text):  # what moves together may compose into something unknown again
            text = self.normalized(text.translate(dict.fromkeys(map(ord, unknown))))
        return text

    def decode(self, ids: Iterable[int] | Ids) -> str:
        """The text of ids (N,). A byte that is not UTF-8 becomes a surrogate (see `bytes_of`); what "nfd" split is
        composed (NFC).

        Raises ConfigError for an id outside 0..V-1.
        """
        chosen = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)  # (N,)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < self.size:
            raise _no_such_id(int(chosen.max() if chosen.min() >= 0 else chosen.min()), self.size)
        if self.tokens == "bytes":
            return chosen.astype(np.uint8).tobytes().decode("utf-8", "surrogateescape")
        text = text_of(code_points_of(self.characters)[chosen])
        if self.normalize != "nfd":
            return text
        if has_endless_marks(text):
            composer = self.decoder()
            return "".join(map(composer.push, chosen.tolist())) + composer.flush()
        return unicodedata.normalize("NFC", text)

    def decoder(self) -> Decoder:
        """A streaming decoder: pushing ids and flushing gives what `decode` gives.

        The one exception: of more than 32 combining marks in a row, NFD text is composed 32 at a time.
        """
        if self.tokens == "bytes":
            return _Bytes()
        return _Composer(self.characters) if self.normalize == "nfd" else _Characters(self.characters)

    def to_json(self) -> dict[str, str]:
        """The vocabulary as a JSON object, for `from_json`."""
        return {"tokens": self.tokens, "normalize": self.normalize, "characters": self.characters}

    @classmethod
    def from_json(cls, document: object) -> Vocabulary:
        """The vocabulary of a JSON object. Raises CheckpointError for anything but what `to_json` writes."""
        fields = {"tokens", "normalize", "characters"}
        if not isinstance(document, dict) or set(document) != fields:
            raise CheckpointError(f"the stored vocabulary is not an object of {', '.join(sorted(fields))}")
        if not all(isinstance(value, str) for value in document.values()):
            raise CheckpointError("the stored vocabulary holds something other than text")
        try:
            return cls(**document)
        except ConfigError as error:
            raise CheckpointError(f"the stored vocabulary makes no sense: {printable(error.message)[:200]}") from None

    @cached_property
    def _table(self) -> npt.NDArray[np.int32]:
        """Code point -> id, or -1. The last entry, -1, answers for every code point beyond the table."""
        codes = code_points_of(self.characters)  # (V,)
        table = np.full(int(codes[-1]) + 2, -1, dtype=np.int32)
        table[codes] = np.arange(codes.size, dtype=np.int32)
        return table

    def normalized(self, text: str) -> str:
        """The text in the normal form of the vocabulary, if it has one. Raises CorpusError."""
        if self.normalize == "none":
            return text
        if has_endless_marks(text):
            raise CorpusError(
                f"the text has more than {MARKS_AT_MOST} combining marks in a row", "leave some of them out"
            )
        return unicodedata.normalize(NORMAL_FORMS[self.normalize], text)


class _Characters:
    """Every id is a character at once."""

    bytewise = False

    def __init__(self, characters: str) -> None:
        self._characters = characters

    def push(self, token_id: int) -> str:
        return _character(self._characters, token_id)

    def flush(self) -> str:
        return ""


class _Bytes:
    """A byte waits until its UTF-8 sequence is complete, or cannot be completed any more."""

    bytewise = True

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def push(self, token_id: int) -> str:
        return self._utf8.decode(_character(_ALL_BYTES, token_id).encode("latin-1"))

    def flush(self) -> str:
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text


class _Composer:
    """A letter waits, with the marks or the jamo that join it, for the character that no longer does."""

    bytewise = False

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self._held = ""

    def push(self, token_id: int) -> str:
        character = _character(self._characters, token_id)
        if not _stands_apart(self._held, character) and len(self._held) < _MARKS_HELD:
            self._held += character
            return ""
        text, self._held = unicodedata.normalize("NFC", self._held), character
        return text

    def flush(self) -> str:
        text, self._held = unicodedata.normalize("NFC", self._held), ""
        return text


def _stands_apart(held: str, character: str) -> bool:
    """Whether no composition reaches across the border: a starter that does not join what is held."""
    parts = unicodedata.normalize("NFD", character)
    apart = unicodedata.normalize("NFC", held) + unicodedata.normalize("NFC", character)
    return unicodedata.combining(parts[0]) == 0 and unicodedata.normalize("NFC", held + character) == apart


def _is_surrogate(code_points: Codes) -> npt.NDArray[np.bool_]:
    return (code_points >= 0xD800) & (code_points <= 0xDFFF)


def _character(characters: str, token_id: int) -> str:
    if not 0 <= token_id < len(characters):
        raise _no_such_id(token_id, len(characters))
    return characters[token_id]


def _no_such_id(token_id: int, size: int) -> ConfigError:
    return ConfigError(f"no token has the id {token_id}", f"this vocabulary has the ids 0 to {size - 1}")


def _unknown_characters(characters: str) -> UnknownCharacters:
    """The error that names each character harmlessly: repr escapes whatever could control a terminal."""
    names = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in characters[:_NAMED_AT_MOST])
    more = f" and {len(characters) - _NAMED_AT_MOST} more" if len(characters) > _NAMED_AT_MOST else ""
    what = "1 character is" if len(characters) == 1 else f"{len(characters)} characters are"
    return UnknownCharacters(
        characters, f"{what} not in the vocabulary: {names}{more}", "--unknown skip leaves such characters out"
    )
