"""Nothing that is shown can control the terminal, and nothing that is piped is changed."""

from __future__ import annotations

import errno
import io
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from charnn.terminal.safe import TextWriter, escape, one_line, plain

ANY_TEXT = st.text(st.characters(), max_size=60)  # surrogates and unassigned code points included
BLANKS = "\u115f\u1160\u3164\uffa0"  # letters that are not seen
PRINTS = st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters=BLANKS).filter(
    lambda c: not ("\u1160" <= c <= "\u11ff" or "\ud7b0" <= c <= "\ud7ff")  # parts of a syllable before them
)
DANGEROUS = "\x1b]52;c;aGk=\x07\x9b31m\u202ereversed\u2066\u200b\u2028\U000e0041\ud800\x7f\x00"


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal and remembers its bytes."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self) -> bool:
        return True

    def bytes(self) -> bytes:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


def piped() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\r\n")


@given(ANY_TEXT)
def test_escaped_text_holds_no_control_bidi_or_format_character(text: str) -> None:
    left = {c for c in escape(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}}
    signs = {c for c in left if unicodedata.category(c) == "Cf" and unicodedata.bidirectional(c) == "AN"}
    assert left - signs <= {"\n", "\t", "\u200b", "\u200c", "\u200d", "\u180e"}


@given(ANY_TEXT, st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8", "no-such-encoding", None]))
def test_escaped_text_can_be_written_in_the_encoding_it_was_made_for(text: str, encoding: str | None) -> None:
    escape(text, encoding).encode("ascii" if encoding == "no-such-encoding" else encoding or "utf-8")


@given(ANY_TEXT)
def test_one_line_is_one_line(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert "\t" not in one_line(text)


@given(st.text(PRINTS, max_size=60))
def test_text_that_prints_is_unchanged(text: str) -> None:
    assert escape(text + "\n\t") == text + "\n\t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\rb"),
        ("\u202e", r"\u202e"),
        ("\U000e0001", r"\U000e0001"),
        ("\x9b", r"\x9b"),
        ("\udc80\udcff", r"\x80\xff"),
        ("\udc7f", r"\udc7f"),
        ("\ue000", r"\ue000"),
        ("日本\u3000語 é", "日本\u3000語 é"),
    ],
)
def test_escapes_can_be_read(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_terminal_without_unicode_gets_escapes() -> None:
    assert escape("naïve 日 😀", "ascii") == r"na\xefve \u65e5 \U0001f600"
    assert escape("naïve 日", "latin-1") == r"naïve \u65e5"


def test_markup_and_emoji_codes_stay_literal() -> None:
    console = Console(width=80, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(plain("[/x] [red]a[/red] :smile: 42 'q' http://a.b \x1b[31m"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "[/x] [red]a[/red] :smile: 42 'q' http://a.b \\x1b[31m\n"


def test_the_writer_is_byte_exact_when_piped() -> None:
    stream = piped()
    stream.write("before ")
    with TextWriter(stream) as writer:
        for character in "a\r\n\x1b[31m日\u202e😀\n":
            writer.write(character)
    assert stream.buffer.getvalue() == "before a\r\n\x1b[31m日\u202e😀\n".encode()  # type: ignore[attr-defined]


@given(st.binary(max_size=60))
def test_the_writer_never_fails_on_a_byte(data: bytes) -> None:
    stream = piped()
    with TextWriter(stream) as writer:
        writer.write(data.decode("utf-8", "surrogateescape"))
    assert stream.buffer.getvalue() == data  # type: ignore[attr-defined]


def test_the_writer_escapes_on_a_terminal_and_flushes_every_push() -> None:
    terminal = Terminal()
    writer = TextWriter(terminal)
    writer.write("")
    writer.write("é\x1b")
    assert terminal.bytes() == "é\\x1b".encode()
    writer.write("[2J\n")
    assert terminal.bytes() == "é\\x1b[2J\n".encode()


def test_the_writer_escapes_what_an_ascii_terminal_lacks() -> None:
    terminal = Terminal("ascii")
    TextWriter(terminal).write("é日")
    assert terminal.bytes() == rb"\xe9\u65e5"


def test_raw_sends_exact_bytes_to_a_terminal_too() -> None:
    terminal = Terminal("ascii")
    TextWriter(terminal, raw=True).write(DANGEROUS.replace("\ud800", ""))
    assert terminal.bytes() == DANGEROUS.replace("\ud800", "").encode()


def test_a_reader_that_went_away_is_reported() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    writer = TextWriter(stream)
    writer.write("text")
    with pytest.raises(BrokenPipeError):
        writer.flush()
    with pytest.raises(BrokenPipeError):
        stream.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported() -> None:
    stream = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")
    writer = TextWriter(stream)
    writer.write("text")
    with pytest.raises(OSError, match="space") as caught:
        writer.flush()
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="space"):
        stream.close()
