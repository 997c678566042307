"""A text enters and leaves as a vocabulary can spell it: in another form of the same text, or, where that is asked for,
with near characters in place of those that the vocabulary lacks, or without these."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from charnn.defaults import UNKNOWN
from charnn.errors import ConfigError, UnknownCharacters, printable
from charnn.text.unicode import has_endless_marks, with_lf
from charnn.text.vocabulary import Vocabulary

TAKE_NEAREST = "--unknown nearest takes those that are near"
"""The hint where something is near each unknown character."""

_NAMED_AT_MOST = 10

_ALIKE = (
    "'\u2019\u2018\u201a\u201b\u02bc\u2032`\u00b4",
    '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
)
"""Apostrophes, quotation marks and dashes: any of them may stand for another."""

_SPELLED_OUT = {
    "\u00df": "ss",
    "\u00e6": "ae",
    "\u0153": "oe",
    "\u00f8": "o",
    "\u0142": "l",
    "\u0111": "d",
    "\u00f0": "d",
    "\u00fe": "th",
    "\u0131": "i",
    "\u0127": "h",
}
"""Letters that Unicode does not take apart."""


@dataclass(frozen=True)
class Spelling:
    """A text without unknown characters, and what stands ``instead`` of each of those that it had: maybe nothing."""

    text: str
    instead: Mapping[str, str] = field(default_factory=dict)


def spell(text: str, vocabulary: Vocabulary, unknown: str = "error") -> Spelling:
    """The text as the vocabulary can spell it; ``unknown`` says what becomes of characters that no form of it has.

    With "nearest" something near stands in their place, with "skip" nothing. Raises UnknownCharacters with "error",
    with "nearest" where nothing is near, and where nothing would be left of the text; ConfigError for another word.
    """
    text = same_text(text, vocabulary)
    instead: dict[str, str] = {}
    while missing := vocabulary.unknown(text):  # what moves together may compose into something unknown again
        instead |= substitutes(missing, vocabulary, unknown)
        text = vocabulary.normalized(text)
        text = vocabulary.normalized(text.translate({ord(character): found for character, found in instead.items()}))
    if instead and not text:
        raise nothing_left("".join(instead))
    return Spelling(text, instead)


def written(text: str, vocabulary: Vocabulary, unknown: str = "error") -> str:
    """The text as a network writes it: what the vocabulary's normal form takes apart is joined again.

    Raises what ``spell`` raises: then the network can never write it.
    """
    spelled = spell(text, vocabulary, unknown).text
    return spelled if vocabulary.normalize == "none" else unicodedata.normalize("NFC", spelled)


def substitutes(missing: str, vocabulary: Vocabulary, unknown: str) -> dict[str, str]:
    """What stands instead of each of the characters that a vocabulary lacks. Raises what ``spell`` raises."""
    if unknown not in UNKNOWN:
        raise ConfigError(f"unknown is {unknown!r}", f"one of: {', '.join(UNKNOWN)}")
    if unknown == "skip":
        return dict.fromkeys(missing, "")
    near = {character: nearest(character, vocabulary) for character in missing}
    found = {character: one for character, one in near.items() if one is not None}
    if unknown == "error" or len(found) < len(near):
        raise _unknown_characters(missing if unknown == "error" else "".join(near.keys() - found.keys()), near)
    return found


def nothing_left(missing: str) -> UnknownCharacters:
    """The error for a text of unknown characters only."""
    return UnknownCharacters(missing, "the model has never seen any character of the text", "use another text")


def same_text(text: str, vocabulary: Vocabulary) -> str:
    """The one of the text's forms with the fewest unknown characters: line ends as LF, accents joined or apart.

    Characters that are alike, and nothing that a reader would call another text.
    """
    if not vocabulary.unknown(text):
        return text
    forms = [text, with_lf(text)]
    if not has_endless_marks(text):
        forms += [unicodedata.normalize(form, one) for form in ("NFC", "NFD") for one in forms]
    return min(forms, key=lambda one: len(vocabulary.unknown(one)))


def nearest(character: str, vocabulary: Vocabulary) -> str | None:
    """What may stand for a character that the vocabulary lacks: the other case, the letter without its accent, another
    apostrophe; nothing for a mark of its own. None where the vocabulary has nothing of that kind."""
    return next((one for one in _near(character) if not vocabulary.unknown(one)), None)


def _unknown_characters(missing: str, near: Mapping[str, str | None]) -> UnknownCharacters:
    """The error that names characters which a vocabulary lacks, and what is near them."""
    listed = ", ".join(_named(character, near[character]) for character in missing[:_NAMED_AT_MOST])
    more = f" and {len(missing) - _NAMED_AT_MOST} more" if len(missing) > _NAMED_AT_MOST else ""
    hint = "--unknown skip leaves them out" if None in near.values() else TAKE_NEAREST
    return UnknownCharacters(missing, f"the model has never seen: {listed}{more}", hint)


def _named(character: str, near: str | None) -> str:
    name = f"{printable(repr(character))} (U+{ord(character):04X}"
    return f"{name}, near {printable(repr(near))})" if near else f"{name})"


def _near(character: str) -> Iterator[str]:
    """What is near a character, the nearest first."""
    for alike in _ALIKE:
        if character in alike:
            yield from alike
    yield from _cases(character)
    plain = _plain(character)
    if plain != character:
        yield plain
        yield from _cases(plain)
    if character.isspace():
        yield from " \n"
    if unicodedata.category(character) in ("Cf", "Me", "Mn"):
        yield ""


def _cases(text: str) -> tuple[str, ...]:
    return text.swapcase(), text.lower(), text.upper()


def _plain(character: str) -> str:
    """The character without accents, in the characters that it is made of; as it is where these are none."""
    parts = [part for part in unicodedata.normalize("NFKD", character) if unicodedata.category(part) != "Mn"]
    plain = "".join(_SPELLED_OUT.get(part.lower(), part) for part in parts)
    return (plain.upper() if character.isupper() else plain) or character
