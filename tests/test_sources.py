"""The way of a text from arguments to code points: which files are read, how they are decoded, what is refused."""

from __future__ import annotations

import io
import os
import socket
import stat
import tempfile
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import complaint, names
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.errors import ConfigError, StorageError, printable
from charnn.text.corpus import survey
from charnn.text.options import ReadOptions
from charnn.text.sources import Sources, code_points, open_sources

TRICKY = "ae1 \n\r\x00é\u0301\u0300\u0315\u0323ạ\u1100\u1161\u11a8각가\u0f71\u0f72\u0f73\u212b\u09c7\u09be\U00016d67😀"
tricky = st.text(st.sampled_from(TRICKY), min_size=1, max_size=30)
needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
needs_a_user = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")


def text_of(sources: Sources) -> str:
    return "".join(codes.astype("<u4").tobytes().decode("utf-32-le") for codes in code_points(sources))


def read(path: Path, content: bytes, block_size: int = 1 << 20, **options: Any) -> str:
    """The text of a file with this content."""
    path.write_bytes(content)
    with open_sources([path], path.parent, ReadOptions(**options)) as sources:
        return text_of(replace(sources, block_size=block_size))


@pytest.fixture(scope="module")
def scratch() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "text.txt"


# Decoding


@given(
    st.text(min_size=1, max_size=20),
    st.integers(1, 7),
    st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "gb18030"]),
)
def test_any_text_in_any_encoding_is_read_alike_in_blocks_of_any_size(
    scratch: Path, text: str, block_size: int, encoding: str
) -> None:
    content = text.encode(encoding)
    if not text.startswith("\ufeff"):
        assert read(scratch, content, block_size, encoding=encoding) == text


@pytest.mark.parametrize("text", ["a\r\nb", "a\rb\r", "a\u2028b\x85c\x0b\x0c", "a\x00b", "\n\n", "a\ufeffb"])
def test_line_ends_and_odd_characters_stay_as_they_are(file: Path, text: str) -> None:
    for block_size in (1, 2, 1 << 20):
        assert read(file, text.encode(), block_size) == text
        assert read(file, text.encode(), block_size, tokens="bytes").encode("latin-1") == text.encode()


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"\xef\xbb\xbfhej", "utf-8"),
        (b"\xef\xbb\xbfhej", "UTF8"),
        (b"\xef\xbb\xbfhej", "utf-8-sig"),
        (b"\xff\xfeh\0e\0j\0", "utf-16"),
        (b"\xfe\xff\0h\0e\0j", "utf-16"),
        (b"\xff\xfeh\0e\0j\0", "utf-16-le"),
        (b"\xfe\xff\0h\0e\0j", "utf-16-be"),
        (b"\xff\xfe\0\0h\0\0\0e\0\0\0j\0\0\0", "utf-32"),
    ],
)
def test_a_byte_order_mark_is_left_out_with_a_notice(file: Path, content: bytes, encoding: str) -> None:
    file.write_bytes(content)
    with open_sources([file], file.parent, ReadOptions(encoding=encoding)) as sources:
        for block_size in (1, 1 << 20):
            seen = survey(replace(sources, block_size=block_size))
            assert "".join(map(chr, seen.code_points)) == "ehj"
            assert len(seen.notices) == 1
            assert "byte order mark" in seen.notices[0] and str(file) in seen.notices[0]


def test_byte_tokens_keep_a_byte_order_mark(file: Path) -> None:
    assert read(file, b"\xef\xbb\xbfa", tokens="bytes") == "\xef\xbb\xbfa"


def test_utf_16_without_a_byte_order_mark_is_read_as_little_endian(file: Path) -> None:
    assert read(file, "hej".encode("utf-16-le"), encoding="utf-16") == "hej"


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 1 << 20])
def test_invalid_bytes_are_reported_with_offset_line_and_what_to_try(file: Path, block_size: int, start: bytes) -> None:
    before = start + "één\r\ntwo\rthree\nf".encode()
    what = complaint(lambda: read(file, before + b"\xe9 end", block_size))
    assert f"{file} is not utf-8: byte 0xe9 at offset {len(before)}, line 4" in what
    assert "--encoding NAME (for example latin-1) or --tokens bytes" in what


def test_a_line_may_end_right_before_an_invalid_byte(file: Path) -> None:
    assert "offset 2, line 2" in complaint(lambda: read(file, b"a\r\xff"))


def test_an_invalid_byte_after_many_blocks_is_found(file: Path) -> None:
    what = complaint(lambda: read(file, b"line\n" * 500_000 + b"\xff"))
    assert "byte 0xff at offset 2,500,000, line 500,001" in what


@pytest.mark.parametrize("block_size", [1, 2, 1 << 20])
def test_a_character_cut_off_at_the_end_is_reported(file: Path, block_size: int) -> None:
    assert "byte 0xe2 at offset 3, line 2" in complaint(lambda: read(file, b"ab\n\xe2\x82", block_size))
    assert "byte 0x81 at offset 2," in complaint(lambda: read(file, b"ab\x81", block_size, encoding="shift_jis"))


def test_encoded_surrogates_are_invalid(file: Path) -> None:
    assert "byte 0xed at offset 1" in complaint(lambda: read(file, b"a\xed\xa0\x80"))
    assert "byte 0x00 at offset 2" in complaint(lambda: read(file, b"a\0\x00\xd8b\0", encoding="utf-16-le"))


@pytest.mark.parametrize(
    ("content", "likeness", "hint"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image", "latin-1"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "gzip-compressed data", "--tokens bytes"),
        (b"PK\x03\x04\x14\0\xff", "a zip archive", "--tokens bytes"),
        (b"abc\0\0\xff", "binary data", "--tokens bytes"),
        ("hello".encode("utf-16"), "UTF-16", "--encoding utf-16 or"),
        ("hello".encode("utf-32"), "UTF-32", "--encoding utf-32 or"),
        ("To be, or not".encode("utf-16-le"), "UTF-16-LE without a byte order mark", "--encoding utf-16-le or"),
        ("To be, or not".encode("utf-16-be"), "UTF-16-BE without a byte order mark", "--encoding utf-16-be or"),
    ],
)
def test_a_file_that_is_no_utf_8_is_recognized(file: Path, content: bytes, likeness: str, hint: str) -> None:
    what = complaint(lambda: read(file, content))
    assert f"looks like {likeness}" in what
    assert hint in what
    assert read(file, content, tokens="bytes").encode("latin-1") == content


def test_utf_16_is_not_taken_for_latin_1(file: Path) -> None:
    what = complaint(lambda: read(file, "hello".encode("utf-16"), encoding="latin-1"))
    assert "looks like UTF-16, not like iso8859-1" in what


def test_an_unknown_encoding_is_refused_with_near_misses(file: Path) -> None:
    file.write_bytes(b"ab")
    what = complaint(lambda: open_sources([file], file.parent, ReadOptions(encoding="latin-11")), ConfigError)
    assert "there is no encoding 'latin-11'" in what and "latin_1" in what
    for name in ("", "\x1b[2J", "utf-8\0", "é", "\udc80", "x" * 10_000, "../os"):
        options = ReadOptions(encoding=name)
        assert len(complaint(lambda o=options: open_sources([file], file.parent, o), ConfigError)) < 200


NO_PLAIN_ENCODINGS = """hex rot13 zip bz2 base64 uu quopri idna punycode undefined unicode_escape raw_unicode_escape
    utf-7 hz iso2022_jp ISO-2022-KR"""


@pytest.mark.parametrize("encoding", NO_PLAIN_ENCODINGS.split())
def test_a_codec_that_is_no_plain_encoding_is_refused(file: Path, encoding: str) -> None:
    file.write_bytes(b"ab")
    assert "no encoding for a corpus" in complaint(
        lambda: open_sources([file], file.parent, ReadOptions(encoding=encoding)), ConfigError
    )


# Normal forms


@settings(max_examples=200)
@given(st.one_of(tricky, st.text(min_size=1, max_size=20)), st.integers(1, 9), st.sampled_from(["nfc", "nfd"]))
def test_normalizing_block_by_block_equals_normalizing_the_whole(
    scratch: Path, text: str, block_size: int, normalize: str
) -> None:
    if not text.startswith("\ufeff"):
        whole = unicodedata.normalize(normalize.upper(), text)
        assert read(scratch, text.encode(), block_size, normalize=normalize) == whole


def test_every_pair_that_composes_composes_across_blocks(file: Path) -> None:
    decomposed = (unicodedata.normalize("NFD", chr(code)) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    text = "".join(d for d in decomposed if len(d) > 1)[:60_000]
    for normalize in ("nfc", "nfd"):
        whole = unicodedata.normalize(normalize.upper(), text)
        assert read(file, text.encode(), 5, normalize=normalize) == whole


def test_a_mark_at_the_beginning_of_a_file_stays_apart_from_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"e")
    (tmp_path / "2").write_bytes("\u0301e\u0301\n".encode())
    with open_sources([tmp_path / "1", tmp_path / "2"], tmp_path, ReadOptions(normalize="nfc")) as sources:
        assert text_of(sources) == "e\n\u0301é\n"


def test_endless_combining_marks_are_refused_rather_than_sorted(file: Path) -> None:
    marks = ("a" + "\u0315\u0300" * 512).encode()
    assert len(read(file, marks, 100, normalize="nfc")) == 1024
    for block_size in (100, 1 << 20):
        what = complaint(lambda b=block_size: read(file, marks + "\u0315".encode(), b, normalize="nfc"))
        assert "more than 1024 combining marks" in what


# What a corpus argument may be


def test_files_are_read_in_the_order_given_with_nothing_between(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name * 2 + "\n")
    with open_sources([tmp_path / "b", str(tmp_path / "a"), tmp_path / "b"], tmp_path) as sources:
        assert text_of(sources) == "bb\naa\nbb\n"
        assert survey(sources).files == tuple(str(tmp_path / name) for name in "bab")


def test_a_folder_is_every_file_below_it_by_path_but_hidden_ones(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".hidden", ".git/config", "a/.x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"<{name}>\n")
    with open_sources([folder], tmp_path) as sources:
        assert text_of(sources) == "<a/b/c.txt>\n<a/z.txt>\n<b.txt>\n"


@needs_posix
def test_a_folder_skips_cycles_broken_links_and_pipes_with_a_notice(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text").write_text("abc\n")
    (folder / "link").symlink_to(folder / "text")
    (folder / "cycle").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    with open_sources([folder], tmp_path) as sources:
        seen = survey(sources)
    assert seen.files == (str(folder / "link"), str(folder / "text"))
    assert len(seen.notices) == 1 and str(folder / "broken") in seen.notices[0] and "and 3 more" in seen.notices[0]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("abc")
    assert "holds no files" in complaint(lambda: open_sources([tmp_path], tmp_path))


@pytest.mark.parametrize("name", ["missing", "file/below", "n" * 300, "\0", "new\nline\x1b[2J", "\udc80"])
def test_a_path_with_nothing_there_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("abc")
    assert "there is no" in complaint(lambda: open_sources([tmp_path / name], tmp_path))


@needs_posix
def test_pipes_devices_and_sockets_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(tmp_path)  # the name of a socket must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero")):
            assert "neither a file nor a folder" in complaint(lambda p=path: open_sources([p], tmp_path))
    assert "there is no" in complaint(lambda: open_sources([tmp_path / "loop"], tmp_path))


@needs_posix
def test_a_file_that_turns_into_a_pipe_is_refused_without_waiting(file: Path) -> None:
    file.write_bytes(b"abc")
    with open_sources([file], file.parent) as sources:
        file.unlink()
        os.mkfifo(file)
        assert "not a regular file" in complaint(lambda: survey(sources))


def test_a_file_that_goes_away_is_reported(file: Path) -> None:
    file.write_bytes(b"abc")
    with open_sources([file], file.parent) as sources:
        file.unlink()
        assert f"there is no {file}" in complaint(lambda: survey(sources))


@needs_a_user
def test_a_file_or_folder_that_may_not_be_read_is_a_matter_of_storage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("abc")
    (tmp_path / "file").chmod(0)
    (tmp_path / "folder").mkdir(mode=0)
    with open_sources([tmp_path / "file"], tmp_path) as sources:
        assert "Permission denied" in complaint(lambda: survey(sources), StorageError)
    assert str(tmp_path / "folder") in complaint(lambda: open_sources([tmp_path / "folder"], tmp_path), StorageError)
    (tmp_path / "folder").chmod(stat.S_IRWXU)


def test_a_refused_open_is_a_matter_of_storage(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"abc")

    def refuse(*arguments: Any) -> int:
        raise PermissionError(13, "Permission denied")

    with open_sources([file], file.parent) as sources, monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        what = complaint(lambda: survey(sources), StorageError)
    assert what.startswith(f"cannot read {file}: Permission denied")


def test_file_names_cannot_control_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\u202e\n.txt"
    path.write_bytes(b"\xef\xbb\xbfab\xff")
    with open_sources([path], tmp_path) as sources:
        assert r"a\x1b[2J\u202e\x0a.txt" in complaint(lambda: survey(sources))
    path.write_bytes(b"\xef\xbb\xbfab")
    with open_sources([path], tmp_path) as sources:
        seen = survey(sources)
    assert all(printable(line) == line for line in (*seen.notices, *seen.files))


def test_standard_input_is_copied_and_read_twice(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("<a>\n")
    stdin = io.BytesIO("ça\r\n".encode())
    with open_sources([tmp_path / "a", "-"], tmp_path, stdin=stdin) as sources:
        assert [text_of(sources), text_of(sources)] == ["<a>\nça\r\n"] * 2
        seen = survey(sources)
        assert (seen.files[1], seen.bytes) == ("standard input", 9)
    assert names(tmp_path) == ["a"]


def test_standard_input_with_invalid_bytes_is_reported(tmp_path: Path) -> None:
    with open_sources(["-"], tmp_path, stdin=io.BytesIO(b"ab\n\xff")) as sources:
        assert "standard input is not utf-8: byte 0xff at offset 3, line 2" in complaint(lambda: survey(sources))


def test_standard_input_can_be_stopped_and_needs_a_folder(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_sources(["-"], tmp_path, stdin=io.BytesIO(b"abc"), stop=stop)
    missing = tmp_path / "missing"
    assert str(missing) in complaint(lambda: open_sources(["-"], missing, stdin=io.BytesIO(b"abc")), StorageError)


def test_arguments_that_make_no_sense_are_refused(file: Path) -> None:
    file.write_bytes(b"abc")
    for arguments, options in (
        ([], {}),
        (["-", file, "-"], {}),
        ([file], {"normalize": "nfkc"}),
        ([file], {"normalize": "nfc", "tokens": "bytes"}),
    ):
        complaint(lambda a=arguments, o=options: open_sources(a, file.parent, ReadOptions(**o)), ConfigError)
