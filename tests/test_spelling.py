"""A text is read in the form that a vocabulary knows, and what no form of it has is an error, replaced or left out."""

from __future__ import annotations

import unicodedata

import pytest
from helpers import complaint
from hypothesis import given
from hypothesis import strategies as st

from charnn.errors import ConfigError, UnknownCharacters
from charnn.text.spelling import nearest, same_text, spell, written
from charnn.text.vocabulary import Vocabulary

COMPOSED, APART = "caf\u00e9", "cafe\u0301"


def vocabulary(characters: str, normalize: str = "none") -> Vocabulary:
    return Vocabulary("".join(sorted(set(characters))), normalize=normalize)


def test_accents_are_joined_or_taken_apart_as_the_vocabulary_has_them() -> None:
    assert spell(APART, vocabulary(COMPOSED)).text == COMPOSED
    assert spell(COMPOSED, vocabulary(APART)).text == APART
    korean = "\ud55c\uad6d"
    assert spell(korean, vocabulary(unicodedata.normalize("NFD", korean))).text == unicodedata.normalize("NFD", korean)


def test_line_ends_become_lf_where_the_vocabulary_has_no_cr() -> None:
    assert spell("a\r\nb\rc", vocabulary("abc\n")).text == "a\nb\nc"
    assert spell("a\r\nb", vocabulary("ab\r\n")).text == "a\r\nb"


def test_the_same_text_is_looked_for_before_anything_is_left_out() -> None:
    assert spell(f"{APART}\r\nx", vocabulary(f"{COMPOSED}\n"), "skip").text == f"{COMPOSED}\n"
    assert same_text(f"{APART}\r\nx", vocabulary(f"{COMPOSED}\n")) == f"{COMPOSED}\nx"


@given(st.text(max_size=20))
def test_a_text_that_is_known_stays_as_it_is(text: str) -> None:
    known = vocabulary(text.encode(errors="ignore").decode() + "a")
    text = known.without_unknown(text)
    assert spell(text, known).text == text


@pytest.mark.parametrize(
    ("character", "known", "near"),
    [
        ("\u00c9", "\u00e9Ee", "\u00e9"),  # the other case
        ("\u00c9", "Ee", "E"),  # without the accent
        ("\u00c9", "e", "e"),  # both
        ("\u2019", "'", "'"),
        ("'", "\u2019", "\u2019"),
        ("\u201e", '"', '"'),
        ("\u2014", "-", "-"),
        ("\u2026", ".", "..."),
        ("\u00a0", " ", " "),
        ("\t", " ", " "),
        ("\ufb01", "fi", "fi"),
        ("\u00df", "s", "ss"),
        ("\u00c6", "ae", "ae"),
        ("\u00c6", "AE", "AE"),
        ("\u0142", "l", "l"),
        ("\u0301", "e", ""),
        ("\u200b", "e", ""),
        ("\u0436", "abc", None),
        ("\U0001f600", "abc", None),
        ("\x1b", "abc", None),
    ],
)
def test_what_is_near_a_character(character: str, known: str, near: str | None) -> None:
    assert nearest(character, vocabulary(known)) == near


def test_near_characters_stand_for_unknown_ones_and_are_told() -> None:
    spelling = spell("Caf\u00e9 \u2019n\u2026", vocabulary("cafen' ."), "nearest")
    assert spelling.text == "cafe 'n..."
    assert spelling.instead == {"C": "c", "\u00e9": "e", "\u2019": "'", "\u2026": "..."}


@pytest.mark.parametrize("normalize", ["nfc", "nfd"])
def test_near_characters_do_not_compose_into_unknown_ones(normalize: str) -> None:
    known = vocabulary(unicodedata.normalize(normalize.upper(), "aeu \u00e4"), normalize)  # type: ignore[arg-type]
    text = spell("\u00e4\u00eb\u00fc \u0435\u0308".replace("\u0435", "e"), known, "nearest").text
    assert not known.unknown(text)
    assert unicodedata.normalize("NFC", text) in ("\u00e4eu e", "\u00e4\u00eb\u00fc \u00eb")


def test_the_error_names_each_character_and_what_is_near_it() -> None:
    known = vocabulary("abce ")
    told = complaint(lambda: spell("\u00e9\u0436", known), UnknownCharacters)
    assert told.startswith("the model has never seen: '\u00e9' (U+00E9, near 'e'), '\u0436' (U+0436)")
    assert "--unknown skip" in told
    assert "--unknown nearest" in complaint(lambda: spell("\u00e9", known), UnknownCharacters)
    assert "and 5 more" in complaint(lambda: spell("".join(map(chr, range(0x400, 0x40F))), known), UnknownCharacters)
    assert "'\u0436'" in complaint(lambda: spell("\u00e9\u0436", known, "nearest"), UnknownCharacters)


def test_what_is_left_out_is_told_and_something_must_be_left() -> None:
    known = vocabulary("abc")
    spelling = spell("a\u0436b\u0436", known, "skip")
    assert (spelling.text, spelling.instead) == ("ab", {"\u0436": ""})
    assert "any character" in complaint(lambda: spell("\u0436\u0436", known, "skip"), UnknownCharacters)
    assert "any character" in complaint(lambda: spell("\u0301", known, "nearest"), UnknownCharacters)
    assert spell("", known, "skip").text == ""


def test_another_word_for_what_to_do_is_refused() -> None:
    assert "error, nearest, skip" in complaint(lambda: spell("x", vocabulary("a"), "ignore"), ConfigError)


def test_a_text_is_written_as_the_decoder_writes_it() -> None:
    for normalize in ("nfc", "nfd"):
        known = vocabulary(unicodedata.normalize(normalize.upper(), COMPOSED), normalize)  # type: ignore[arg-type]
        assert written(APART, known) == written(COMPOSED, known) == COMPOSED
        assert known.decode(known.encode(APART)) == COMPOSED
    assert written(APART, vocabulary(APART)) == APART
    complaint(lambda: written("z", vocabulary("abc")), UnknownCharacters)


def test_endless_marks_are_not_normalized_in_vain() -> None:
    text = "e" + "\u0301" * 100_000
    assert spell(text, vocabulary("e"), "skip").text == "e"
