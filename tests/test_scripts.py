"""Scripts can be read on a terminal: what letters, marks and emoji need is shown, and nothing is shown that hides."""

from __future__ import annotations

import io
import unicodedata

import numpy as np
import pytest
from rich.cells import cell_len, get_character_cell_size
from rich.console import Console

from charnn.terminal.cells import clusters, measurable, text_width
from charnn.terminal.console import PlainConsole
from charnn.terminal.painting import PaintedText, characters, drawn
from charnn.terminal.safe import TextWriter, escape, one_line
from charnn.terminal.score import SURPRISE
from charnn.terminal.scripts import MARKS_AT_MOST
from charnn.text.vocabulary import Vocabulary

READABLE = {
    "Persian, with non-joiners": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0646\u0645\u06cc\u200c\u062f",
    "Arabic, with vowels on letters": "\u0643\u0650\u062a\u064e\u0627\u0628\u064c",
    "Arabic, the end of a verse": "\u0627\u0644\u0639\u0627\u0644\u0645\u064a\u0646 \u06dd\u0662",
    "an Arabic letter that goes on, in an abbreviation": "\u0661\u0664\u0660\u0660 \u0647\u200d.",
    "Hindi, a half letter": "\u0915\u094d\u200d\u0937 \u0928\u092e\u0938\u094d\u0924\u0947",
    "Hindi, a letter kept apart": "\u0915\u094d\u200c\u0937",
    "Hindi, a half letter that ends a word": "\u0915\u094d\u200d ",
    "Bengali, a joiner before the virama": "\u09b0\u200d\u09cd\u09af\u09be\u09ac",
    "Malayalam, a final consonant": "\u0d05\u0d35\u0d28\u0d4d\u200d",
    "Sinhala": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "Hebrew, with points": "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "Hebrew, with an accent between points that keep their order": "\u05dc\u05b7\u034f\u05b4\u0596\u05dd",
    "Korean": "\ud55c\uad6d\uc5b4",
    "Korean, in parts": unicodedata.normalize("NFD", "\ud55c\uad6d\uc5b4"),
    "Vietnamese, in parts": unicodedata.normalize("NFD", "Vi\u1ec7t"),
    "Thai": "\u0e19\u0e49\u0e33\u0e43\u0e19\u0e17\u0e35\u0e48",
    "Khmer, with spaces that are not seen": "\u1781\u17d2\u1789\u17bb\u17c6\u200b\u179f\u17d2\u179a",
    "Tibetan, the tallest stack": "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82",
    "Mongolian, variants and a separator": "\u1828\u180b\u1820 \u1828\u180e\u1820",
    "Adlam, written from the right, with capitals": "\U0001e900\u200d\U0001e922",
    "Japanese, a variant of an ideograph": "\u845b\U000e0100\u98fe",
    "Chinese, full width": "\u4f60\u597d\u3000\u4e16\u754c\uff0c",
    "a variant of a mathematical sign": "\u2229\ufe00",
    "an emoji and a text variant": "\u2764\ufe0f \u2764\ufe0e",
    "a keycap": "1\ufe0f\u20e3",
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "a family with colours of skin": "\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468\U0001f3fb",
    "a head that nods": "\U0001f642\u200d\u2195\ufe0f",
    "flags": "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 \U0001f3f3\ufe0f\u200d\U0001f308",
    "an accent alone, on a space": "the sign \u0301 is acute",
}

BIDI_CONTROLS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
INVISIBLE = "\u00ad\u2060\u2061\u2062\u2063\u2064\u206a\u206f\ufeff\ufff9\ufffa\ufffb"
BLANKS = "\u115f\u1160\u3164\uffa0\u17b4\u17b5"
SEPARATORS = "\u2028\u2029\x85\x0b\x0c\x1c"
CONTROLS = "".join(map(chr, [*range(9), *range(13, 32), *range(127, 160)]))
TAGS = "".join(map(chr, range(0xE0000, 0xE0080)))
SELECTORS = "".join(map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x180B, 0x180C, 0x180D]))
CONTEXTS = ["{}", "a{}b", "\u05e9{}\u05dc", "\u0628{}\u0628", "\u0915\u094d{}\u0937", "\ud55c{}\uad6d", "e\u0301{}e"]
"""Around what must not be shown: nothing, and letters of many scripts."""


def is_escape(text: str) -> bool:
    return text.isascii() and text.startswith("\\")


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_scripts_and_emoji_are_shown_as_they_are(text: str) -> None:
    assert escape(text) == one_line(text) == text
    assert escape(f"before {text}\nafter") == f"before {text}\nafter"


@pytest.mark.parametrize("around", [*CONTEXTS, "\U0001f468{}\U0001f469"])
@pytest.mark.parametrize("hidden", ["BIDI_CONTROLS", "INVISIBLE", "BLANKS", "SEPARATORS", "CONTROLS", "TAGS"])
def test_what_controls_or_hides_is_escaped_wherever_it_stands(hidden: str, around: str) -> None:
    before, after = around.split("{}")
    for character in globals()[hidden]:
        shown = escape(around.format(character))
        assert shown.startswith(before), ascii(character)
        assert is_escape(shown[len(before) :].removesuffix(after)), ascii(character)


@pytest.mark.parametrize("around", CONTEXTS)
def test_a_stray_variation_selector_is_escaped(around: str) -> None:
    for selector in SELECTORS:
        assert selector not in escape(around.format(selector)), ascii(selector)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\u2764\ufe0f\ufe0f\ufe0e", 1),  # the second has nothing more to select
        ("\u845b\U000e0100\U000e0101", 1),
        ("\u2764\ufe00", 0),
        ("\u3042\U000e0100", 0),
        ("x\ufe0f", 0),
        ("\u0301\ufe0f", 0),
    ],
)
def test_one_selector_selects_among_the_variants_that_there_are(text: str, kept: int) -> None:
    assert sum(character in escape(text) for character in set(text) & set(SELECTORS)) == kept


@pytest.mark.parametrize("text", ["a\u0308", "\u05e9\u05c1", "\u0e19\u0e49"])
def test_marks_beyond_the_tallest_stack_are_escaped(text: str) -> None:
    mark = text[1]
    shown = escape(text[0] + mark * 1000 + "b")
    assert shown.startswith(text[0] + mark * MARKS_AT_MOST + "\\u")
    assert shown.count(mark) == MARKS_AT_MOST


@pytest.mark.parametrize("before", ["", "\n", "a\t", "\x1b", "\u202e"])
@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u05b8", "\u1161", "\u11ab", "\u093e"])
def test_a_mark_on_nothing_is_escaped(before: str, mark: str) -> None:
    assert mark not in escape(before + mark)


@pytest.mark.parametrize("jamo", ["\u1161", "\u11ab", "\ud7b0"])
def test_jamo_join_hangul_and_nothing_else(jamo: str) -> None:
    assert escape(f"\u1112{jamo}") == f"\u1112{jamo}"
    assert jamo not in escape(f"a{jamo}") + escape(f"\u4e00{jamo}")
    assert escape("\u1112" + jamo * 100).count(jamo) == MARKS_AT_MOST


@pytest.mark.parametrize("joiner", ["\u200b", "\u200c", "\u200d", "\u034f", "\u180e"])
@pytest.mark.parametrize(
    "text", ["{}", "pa{}y", "a{}", "a {} b", "1{}2", "\u4f60{}\u597d", "\u0394{}\u03b4", "\u00b0{}"]
)
def test_a_joiner_that_joins_nothing_is_escaped(text: str, joiner: str) -> None:
    assert joiner not in escape(text.format(joiner))


@pytest.mark.parametrize("text", ["\u0645\u200c\u200c\u0645", "\u0915\u094d\u200d\u200d\u0937", "\u0647\u200d\u200d"])
def test_joiners_do_not_pile_up(text: str) -> None:
    shown = escape(text)
    assert sum(shown.count(joiner) for joiner in "\u200c\u200d") < sum(text.count(joiner) for joiner in "\u200c\u200d")


def test_a_terminal_that_lacks_a_mark_gets_its_escape() -> None:
    assert escape("e\u0301\u0302", "latin-1") == r"e\u0301\u0302"


class Terminal(io.TextIOWrapper):
    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_text_that_comes_character_by_character_is_shown_like_the_whole(text: str) -> None:
    terminal = Terminal()
    with TextWriter(terminal) as writer:
        for character in text:
            writer.write(character)
    assert terminal.text() == text


def test_a_joiner_waits_for_the_character_after_it() -> None:
    terminal = Terminal()
    with TextWriter(terminal) as writer:
        for character in "\u0645\u200c":
            writer.write(character)
        assert terminal.text() == "\u0645"
        writer.write("!")
        assert terminal.text() == "\u0645\\u200c!"
        writer.write("\u0645\u200c")
    assert terminal.text() == "\u0645\\u200c!\u0645\\u200c"


@pytest.mark.parametrize("text", READABLE.values(), ids=READABLE)
def test_clusters_are_the_text_and_only_their_first_character_takes_room(text: str) -> None:
    parts = list(clusters(text))
    assert "".join(parts) == text
    assert all(text_width(part) for part in parts)


@pytest.mark.parametrize(
    ("text", "count", "width"),
    [
        (READABLE["a family"], 1, None),
        (READABLE["flags"], 4, None),
        (READABLE["a keycap"], 1, None),
        ("\u0915\u094d\u200d\u0937", 2, 2),
        ("\u0645\u06cc\u200c\u062e", 3, 3),
        ("\u1112\u1161\u11ab", 1, 2),
        ("\u0647\u200d.", 2, 2),
        ("\U0001f468\U0001f3fb", 1, None),
    ],
)
def test_the_width_of_what_is_drawn_as_one(text: str, count: int, width: int | None) -> None:
    assert len(list(clusters(text))) == count
    if width is not None:
        assert text_width(text) == width
    assert cell_len(text) <= text_width(text)


def test_rich_pads_joined_letters_to_the_width_they_take() -> None:
    line = "\u0915\u094d\u200d\u0937\u0915\u094d\u200d\u0937"
    console = Console(width=10, file=io.StringIO(), force_terminal=True)
    (segments,) = console.render_lines(measurable(line), console.options, pad=True)
    assert sum(map(get_character_cell_size, "".join(segment.text for segment in segments))) == 10


def test_what_is_drawn_as_one_shares_its_surprise() -> None:
    text = [("e", 1.0), ("\u0301", 2.0), ("\u200d", 4.0), ("a", 8.0), ("\n", 16.0), ("\u0301", 32.0)]
    assert list(drawn(text, "utf-8")) == [
        ("e\u0301", 3.0),
        (r"\u200d", 4.0),
        ("a", 8.0),
        ("\n", 16.0),
        (r"\u0301", 32.0),
    ]
    assert next(drawn(text, "utf-8", adds=False)) == ("e\u0301", 2.0)


@pytest.mark.parametrize("color", [False, True])
def test_painted_text_keeps_joined_letters_together(color: bool) -> None:
    text = "\u0645\u06cc\u200c\u062e \U0001f468\u200d\U0001f469 \u0915\u094d\u200d\u0937\n"
    vocabulary = Vocabulary.from_code_points(np.array(list(map(ord, text))))
    cells = characters(vocabulary, vocabulary.encode(text), np.full(len(text), 1.5))
    file = io.StringIO()
    console = PlainConsole(file=file, width=60, force_terminal=color, color_system="truecolor" if color else None)
    console.print(PaintedText(cells, SURPRISE))
    for joined in ("\u06cc\u200c", "\U0001f468\u200d\U0001f469", "\u0915\u094d\u200d"):
        assert joined in file.getvalue()
    shown = text[:-1] + "\u21b5"
    assert color or file.getvalue() == f"{shown}\n1211441411\n"  # a mark for each column of what is drawn as one
