"""Characters and ids: the round trip, the streaming decoder, and everything a stored vocabulary must not be."""

from __future__ import annotations

import time
import unicodedata

import numpy as np
import pytest
from helpers import complaint
from hypothesis import given
from hypothesis import strategies as st

from charnn.errors import CheckpointError, ConfigError, CorpusError, UnknownCharacters, printable
from charnn.text.unicode import bytes_of, readable
from charnn.text.vocabulary import Vocabulary

# Letters, marks in and out of order, Hangul as syllables and as jamo, a mark that is no mark by its class (U+0F73),
# a letter that composes with itself (U+16D67), vowel signs that compose, singletons, and the odd control character.
TRICKY = (
    "ae1 \n\x00\r\u2028é\u0301\u0300\u0315\u0323ạ\u1100\u1161\u11a8각가\u0f71\u0f72\u0f73\u212b\u09c7\u09be\U00016d67😀"
)
tricky = st.text(st.sampled_from(TRICKY), max_size=20)
anything = st.text(max_size=20)


def of(text: str, normalize: str = "none") -> Vocabulary:
    form = unicodedata.normalize(normalize.upper(), text) if normalize != "none" else text
    return Vocabulary.from_code_points(np.array([ord(c) for c in form + "x"], np.uint32), normalize)


def stream(vocabulary: Vocabulary, ids: list[int]) -> str:
    decoder = vocabulary.decoder()
    return "".join(map(decoder.push, ids)) + decoder.flush()


def test_ids_are_positions_in_code_point_order() -> None:
    vocabulary = Vocabulary.from_code_points(np.array([98, 97, 0x1F600, 97], np.uint32))
    assert (vocabulary.characters, len(vocabulary), vocabulary.size) == ("ab😀", 3, 3)
    assert vocabulary.encode("b😀a").tolist() == [1, 2, 0]


@pytest.mark.parametrize(("size", "name"), [(2, "uint8"), (256, "uint8"), (257, "uint16"), (70000, "uint32")])
def test_ids_take_the_smallest_type_that_holds_them(size: int, name: str) -> None:
    codes = np.array([code for code in range(80000) if not 0xD800 <= code <= 0xDFFF][:size], np.uint32)
    vocabulary = Vocabulary.from_code_points(codes)
    assert vocabulary.id_type == np.dtype(name)
    assert vocabulary.encode(vocabulary.characters).dtype == vocabulary.id_type
    assert vocabulary.encode_code_points(codes).tolist() == list(range(size))


@given(anything)
def test_decoding_gives_back_every_text(text: str) -> None:
    vocabulary = of(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert stream(vocabulary, vocabulary.encode(text).tolist()) == text


@given(st.one_of(tricky, anything), st.sampled_from(["nfc", "nfd"]))
def test_decoding_a_normalized_text_gives_its_composed_form(text: str, normalize: str) -> None:
    vocabulary = of(text, normalize)
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text)
    assert stream(vocabulary, ids.tolist()) == vocabulary.decode(ids)


@given(st.one_of(tricky, anything))
def test_bytes_give_back_every_text(text: str) -> None:
    vocabulary = Vocabulary.bytes_()
    ids = vocabulary.encode(text)
    assert ids.tobytes() == text.encode()
    assert vocabulary.decode(ids) == text
    assert stream(vocabulary, ids.tolist()) == text


@given(st.lists(st.integers(0, 255), max_size=12))
def test_bytes_in_any_order_decode_alike_at_once_and_one_by_one(ids: list[int]) -> None:
    vocabulary = Vocabulary.bytes_()
    text = vocabulary.decode(ids)
    assert stream(vocabulary, ids) == text
    assert readable(text) == bytes(ids).decode(errors="replace")


@given(st.lists(st.integers(0, 255), max_size=12))
def test_bytes_that_are_no_text_come_back_as_they_were(ids: list[int]) -> None:
    vocabulary = Vocabulary.bytes_()
    text = vocabulary.decode(ids)
    assert bytes_of(text) == bytes(ids)
    assert vocabulary.unknown(text) == ""
    assert vocabulary.encode(text).tolist() == ids


def test_all_256_bytes_come_back_in_any_order() -> None:
    vocabulary = Vocabulary.bytes_()
    for ids in (list(range(256)), list(range(255, -1, -1))):
        assert bytes_of(stream(vocabulary, ids)) == bytes(ids)
        assert vocabulary.encode(vocabulary.decode(ids)).tolist() == ids


@given(st.lists(st.sampled_from(sorted(TRICKY)), max_size=20))
def test_characters_in_any_order_decode_alike_at_once_and_one_by_one(drawn: list[str]) -> None:
    vocabulary = Vocabulary("".join(sorted(TRICKY)), normalize="nfd")
    ids = [vocabulary.characters.index(character) for character in drawn]
    assert stream(vocabulary, ids) == vocabulary.decode(ids) == unicodedata.normalize("NFC", "".join(drawn))


def test_the_decoder_composes_a_syllable_as_soon_as_the_next_one_begins() -> None:
    vocabulary = of("한국", "nfd")
    decoder = vocabulary.decoder()
    pushed = [decoder.push(i) for i in vocabulary.encode("한국").tolist()]
    assert pushed == ["", "", "", "한", "", ""]
    assert (decoder.flush(), decoder.flush()) == ("국", "")


def test_the_decoder_holds_back_no_more_than_32_characters() -> None:
    vocabulary = of("a\u0301", "nfd")
    decoder = vocabulary.decoder()
    mark = vocabulary.characters.index("\u0301")
    emitted = [decoder.push(mark) for _ in range(100)]
    assert max(map(len, emitted)) == 32
    assert "".join(emitted) + decoder.flush() == "\u0301" * 100


def test_a_byte_decoder_starts_afresh_after_a_flush() -> None:
    decoder = Vocabulary.bytes_().decoder()
    assert (decoder.push(0xE2), decoder.flush(), decoder.push(0x41)) == ("", "\udce2", "A")


def test_unknown_characters_are_named_harmlessly() -> None:
    with pytest.raises(UnknownCharacters) as caught:
        of("ab").encode("a\x1b\u202eéé")
    assert caught.value.characters == "\x1bé\u202e"
    assert caught.value.message == (
        r"3 characters are not in the vocabulary: '\x1b' (U+001B), 'é' (U+00E9), '\u202e' (U+202E)"
    )
    assert "--unknown skip" in caught.value.hint


def test_only_the_first_unknown_characters_are_named() -> None:
    with pytest.raises(UnknownCharacters, match=r"26 characters .* and 16 more$") as caught:
        of("0").encode("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(caught.value.characters) == 26


@pytest.mark.parametrize("code", [0x79, 0x0, 0xDD, 0xD800, 0x10FFFF])
def test_a_code_point_below_between_or_beyond_the_known_ones_is_unknown(code: int) -> None:
    with pytest.raises(UnknownCharacters):
        of("az").encode_code_points(np.array([0x61, code], np.uint32))


@pytest.mark.parametrize("surrogate", ["\ud800", "\udc7f", "\udd00", "\udfff"])
def test_a_lone_surrogate_is_unknown_to_characters_and_to_bytes(surrogate: str) -> None:
    for vocabulary in (of("ab"), Vocabulary.bytes_()):
        with pytest.raises(UnknownCharacters) as caught:
            vocabulary.encode(f"a{surrogate}")
        assert caught.value.characters == vocabulary.unknown(f"a{surrogate}") == surrogate
        assert rf"'\u{ord(surrogate):04x}' (U+{ord(surrogate):04X})" in caught.value.message
        assert vocabulary.without_unknown(f"a{surrogate}b") == "ab"
    assert of("ab").unknown("a\udc80") == "\udc80"


@given(tricky, tricky, st.sampled_from(["none", "nfc", "nfd"]))
def test_without_its_unknown_characters_every_text_encodes(known: str, text: str, normalize: str) -> None:
    vocabulary = of(known, normalize)
    kept = vocabulary.without_unknown(text)
    assert vocabulary.unknown(kept) == ""
    assert vocabulary.encode(kept).size <= len(unicodedata.normalize("NFD", text))
    if not vocabulary.unknown(text):
        assert vocabulary.encode(kept).tolist() == vocabulary.encode(text).tolist()


def test_what_composes_once_an_unknown_mark_is_gone_may_be_unknown_too() -> None:
    vocabulary = Vocabulary("abx\u0301", normalize="nfc")
    assert vocabulary.without_unknown("a\u033f\u0301b") == "b"


def test_the_empty_text_has_no_ids() -> None:
    for vocabulary in (of("ab"), of("ab", "nfd"), Vocabulary.bytes_()):
        assert vocabulary.encode("").dtype == vocabulary.id_type
        assert (vocabulary.encode("").size, vocabulary.decode([]), vocabulary.unknown("")) == (0, "", "")


@pytest.mark.parametrize("token_id", [-1, 3, 10**12])
def test_an_id_outside_the_vocabulary_is_refused(token_id: int) -> None:
    vocabulary = of("ab")
    for call in (vocabulary.decoder().push, lambda i: vocabulary.decode([0, i])):
        with pytest.raises(ConfigError, match=str(token_id)):
            call(token_id)


def test_endless_combining_marks_neither_hang_encoding_nor_decoding() -> None:
    vocabulary = of("a\u0315\u0300", "nfd")
    marks = "\u0315\u0300" * 50_000
    start = time.perf_counter()
    with pytest.raises(CorpusError, match="combining marks"):
        vocabulary.encode(marks)
    ids = [vocabulary.characters.index(c) for c in marks]
    assert len(vocabulary.decode(ids)) == len(marks)
    assert time.perf_counter() - start < 5


def test_a_megabyte_is_encoded_in_a_moment() -> None:
    vocabulary = of("abcdefgh\n")
    text = "abcdefgh\n" * 110_000
    vocabulary.encode(text)
    start = time.perf_counter()
    vocabulary.encode(text)
    assert time.perf_counter() - start < 0.2  # about 0.003 s; the margin is for a busy machine


@given(st.one_of(tricky, anything), st.sampled_from(["none", "nfc", "nfd"]))
def test_json_gives_back_the_vocabulary(text: str, normalize: str) -> None:
    for vocabulary in (of(text, normalize), Vocabulary.bytes_()):
        assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


GOOD = {"tokens": "chars", "normalize": "none", "characters": "ab"}


SHAPELESS, WORDLESS = "is not an object of characters, normalize, tokens", "something other than text"
UNSORTED, NOT_BYTES = "sorted by code point, each once", "a vocabulary of bytes holds all 256"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, SHAPELESS),
        ([], SHAPELESS),
        ("ab", SHAPELESS),
        ({}, SHAPELESS),
        ({**GOOD, "more": 1}, SHAPELESS),
        ({"characters": "ab"}, SHAPELESS),
        ({**GOOD, "characters": ""}, "at least one character"),
        ({**GOOD, "characters": "ba"}, UNSORTED),
        ({**GOOD, "characters": "aab"}, UNSORTED),
        ({**GOOD, "characters": "a\ud800"}, "a surrogate"),
        ({**GOOD, "characters": ["a", "b"]}, WORDLESS),
        ({**GOOD, "characters": None}, WORDLESS),
        ({**GOOD, "tokens": "words"}, "tokens is 'words'"),
        ({**GOOD, "tokens": "\x1b[2J"}, r"tokens is '\x1b[2J'"),
        ({**GOOD, "tokens": "bytes"}, NOT_BYTES),
        ({**GOOD, "tokens": "bytes", "characters": "".join(map(chr, range(256))), "normalize": "nfc"}, NOT_BYTES),
        ({**GOOD, "normalize": "nfkc"}, "normalize is 'nfkc'"),
        ({**GOOD, "normalize": 3}, WORDLESS),
        ({**GOOD, "normalize": "x" * 100_000}, "normalize is 'xxx"),
    ],
)
def test_a_stored_vocabulary_that_makes_no_sense_is_refused(document: object, words: str) -> None:
    message = complaint(lambda: Vocabulary.from_json(document), CheckpointError)
    assert words in message
    assert len(message) < 300


def test_code_points_that_make_no_vocabulary_are_refused() -> None:
    for codes, words in (([], "at least one character"), ([0xD800], "surrogate"), ([0x110000], "beyond the last")):
        with pytest.raises(ConfigError, match=words):
            Vocabulary.from_code_points(np.array(codes, np.uint32))


def test_a_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        of("ab").characters = "c"  # type: ignore[misc]


def test_printable_text_stays_and_the_rest_becomes_escapes() -> None:
    assert printable("naïve 日本 [/x] :smile: \\") == "naïve 日本 [/x] :smile: \\"
    assert printable("\x1b]0;\x07\x00\n\x9b\x7f") == r"\x1b]0;\x07\x00\x0a\x9b\x7f"
    assert printable("\u202e\u2066\u2028\udc80\U000e0001") == r"\u202e\u2066\u2028\udc80\U000e0001"


@given(anything)
def test_what_is_made_printable_is_printable(text: str) -> None:
    assert printable(text).isprintable()
