"""A character and what stands around it enter; whether a terminal may be given it as it is leaves.

What would move the cursor, turn the reading direction or stay unseen is never shown as it is: control characters,
everything that steers the direction (marks, embeddings, overrides, isolates), line and paragraph separators, tags, the
soft hyphen, which each terminal draws otherwise, the word joiner, invisible operators and letters that are blanks.

Other characters are as invisible, and scripts cannot be read without them. They are shown where they do what they are
there for, and only there, so that nothing can be hidden in a text:

    combining marks       on a character, as many as the tallest letters in use have
    jamo of Hangul        after others, where they become parts of one syllable
    variation selectors   right after a character that has variants of that kind
    joiners               where letters or emoji do join, or would
    word spaces           of zero width, in scripts that put no others between words

The tables are those of Python's ``unicodedata``. It knows no scripts, but the names of their characters begin with
them; and it knows less with older Pythons: what it does not know is not shown.
"""

from __future__ import annotations

import unicodedata
from enum import Enum, auto
from functools import cache

MARKS_AT_MOST = 8
"""On one character. The tallest stack in use, of Tibetan, has eight; a Hebrew letter with points and accents five."""

ZERO_WIDTH_SPACE, NON_JOINER, JOINER = "\u200b", "\u200c", "\u200d"
GRAPHEME_JOINER = "\u034f"
MONGOLIAN_SEPARATOR = "\u180e"

_WITHIN_WORDS = {
    ZERO_WIDTH_SPACE: ("KHMER", "LAO", "MYANMAR", "THAI"),
    MONGOLIAN_SEPARATOR: ("MONGOLIAN",),
}
"""Invisible characters that stand between letters of these scripts."""

_BLANK_LETTERS = "\u115f\u1160\u17b4\u17b5\u3164\uffa0"
"""Fillers of Hangul and two vowels of Khmer: letters by their category, and nothing to see."""

_EMOJI_AMONG_OTHERS = "#*0123456789\u203c\u2049\u2139\u3030"
"""What may be an emoji and is no symbol by its category: keycaps, exclamation marks, an i, a wavy dash."""

_FIRST_PICTURE = "\u2190"
"""From the arrows on symbols are pictures; those before, such as the degree sign, are parts of text."""


class Kind(Enum):
    """What it takes for a character to be shown."""

    ALONE = auto()  # nothing
    MARK = auto()
    JAMO = auto()
    SELECTOR = auto()
    JOINER = auto()
    NEVER = auto()


@cache
def kind(character: str) -> Kind:
    """The kind of a character."""
    category = unicodedata.category(character)
    if character in (NON_JOINER, JOINER) or character in _WITHIN_WORDS:
        return Kind.JOINER
    if character in _BLANK_LETTERS or category in ("Cc", "Cn", "Co", "Cs", "Zl", "Zp"):
        return Kind.NEVER
    if category == "Cf":
        # Signs that reach around numbers, such as the end of a verse in the Quran, are the only ones to be seen.
        return Kind.ALONE if unicodedata.bidirectional(character) == "AN" else Kind.NEVER
    if _is_selector(character):
        return Kind.SELECTOR
    if "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff":
        return Kind.JAMO
    return Kind.MARK if category[0] == "M" else Kind.ALONE


def _is_selector(character: str) -> bool:
    mongolian = "\u180b" <= character <= "\u180d" or character == "\u180f"
    return mongolian or "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


@cache
def selects(base: str, selector: str) -> bool:
    """Whether a character has variants of the kind that the selector chooses from."""
    if selector in "\ufe0e\ufe0f":  # as text, as an emoji
        return unicodedata.category(base) in ("So", "Sm") or base in _EMOJI_AMONG_OTHERS
    if selector >= "\U000e0100":
        return unicodedata.name(base, "").startswith("CJK UNIFIED IDEOGRAPH")
    if selector < "\ufe00":
        return _script(base) == "MONGOLIAN"
    wide_punctuation = unicodedata.category(base)[0] == "P" and unicodedata.east_asian_width(base) in "FW"
    in_script = _script(base) in ("CJK", "EGYPTIAN", "MANICHAEAN", "MYANMAR", "PHAGS-PA")
    return in_script or wide_punctuation or unicodedata.category(base) == "Sm" or base == "0"


def joins(base: str, last: str, joiner: str, after: str) -> bool:
    """Whether a joiner does something between ``last``, which is ``base`` or on it, and ``after``, if anything.

    In Latin, Greek, Cyrillic and Chinese text, for example, it does nothing that a terminal would show.
    """
    if not base or kind(last) is Kind.JOINER:
        return False
    if joiner in _WITHIN_WORDS:
        return {_script(base), _script(after)} <= {*_WITHIN_WORDS[joiner]}
    if unicodedata.combining(last) == 9:  # a virama: the joiner says how the consonants stand that it binds
        return True
    if joiner == JOINER and is_picture(base) and is_picture(after):
        return True
    if joiner == JOINER and _is_arabic(base):  # it keeps the form of a letter that goes on, as abbreviations do
        return True
    return _can_join(base) and _can_join(after)


def is_picture(character: str) -> bool:
    """Whether this may be a part of an emoji: a symbol, or a colour of skin."""
    return character >= _FIRST_PICTURE and unicodedata.category(character)[0] == "S"


def is_hangul(character: str) -> bool:
    return _script(character) == "HANGUL"


@cache
def _can_join(character: str) -> bool:
    """Whether this is a letter, or a mark on one, of a script in which letters may change with their neighbours.

    Scripts with capitals do not join, except those written from right to left; neither do wide characters.
    """
    if not character or unicodedata.east_asian_width(character) in "FW":
        return False
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    return category in ("Lo", "Lm", "Mn", "Mc") or (category[0] == "L" and direction == "R")


def _is_arabic(character: str) -> bool:
    return unicodedata.bidirectional(character) == "AL" and unicodedata.category(character)[0] == "L"


@cache
def _script(character: str) -> str:
    """The first word of a character's name: its script, where it has one."""
    return unicodedata.name(character, "?").split()[0] if character else ""
