"""The way of a corpus from files to ids: what is read, what is counted, what is refused, and the cut."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import socket
import stat
import tempfile
import tracemalloc
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.corpus import Sources, code_points, encode, open_ids, open_sources, split, survey
from charnn.errors import CharnnError, CheckpointError, ConfigError, CorpusError, StorageError, printable
from charnn.vocabulary import Vocabulary

TRICKY = "ae1 \n\r\x00é\u0301\u0300\u0315\u0323ạ\u1100\u1161\u11a8각가\u0f71\u0f72\u0f73\u212b\u09c7\u09be\U00016d67😀"
tricky = st.text(st.sampled_from(TRICKY), min_size=1, max_size=30)
needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
needs_a_user = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")


def text_of(sources: Sources) -> str:
    return "".join(codes.astype("<u4").tobytes().decode("utf-32-le") for codes in code_points(sources))


def read(path: Path, content: bytes, block_size: int = 1 << 20, **options: Any) -> str:
    """The text of a file with this content."""
    path.write_bytes(content)
    with open_sources([path], path.parent, **options) as sources:
        return text_of(replace(sources, block_size=block_size))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def complaint(call: Callable[[], object], error: type[CharnnError] = CorpusError) -> str:
    """What an error says, which always prints harmlessly."""
    with pytest.raises(error) as caught:
        call()
    message = f"{caught.value.message} ({caught.value.hint})"
    assert message == printable(message)
    return message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


@pytest.fixture(scope="module")
def scratch() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "text.txt"


# Two passes


@pytest.mark.parametrize("options", [{}, {"tokens": "bytes"}, {"normalize": "nfc"}, {"normalize": "nfd"}])
def test_ids_on_disk_decode_to_the_text(file: Path, options: dict[str, str]) -> None:
    text = "Ça, naïve\r\n日本語 한국어 \x00\u2028😀\rend"
    file.write_bytes(text.encode())
    with open_sources([file], file.parent, **options) as sources:  # type: ignore[arg-type]
        seen = survey(sources)
        if options.get("tokens") == "bytes":
            vocabulary = Vocabulary.bytes_()
        else:
            vocabulary = Vocabulary.from_code_points(seen.code_points, sources.normalize)
        path = file.with_name("ids.npy")
        fingerprint = encode(sources, path, vocabulary.encode_code_points, vocabulary.id_type, seen.characters)
    ids = open_ids(path, fingerprint)
    assert vocabulary.decode(ids) == text
    assert ids.tolist() == vocabulary.encode(text).tolist()
    assert (ids.shape, ids.dtype, ids.flags.writeable) == ((seen.characters,), vocabulary.id_type, False)
    assert fingerprint == "sha256:" + hashlib.sha256(ids.tobytes()).hexdigest()
    assert np.load(path).tolist() == ids.tolist()
    assert names(file.parent) == ["ids.npy", "text.txt"]


def test_ids_above_a_byte_are_stored_little_endian(file: Path) -> None:
    file.write_bytes("".join(map(chr, range(0x100, 0x300))).encode())
    with open_sources([file], file.parent) as sources:
        fingerprint = encode(sources, file.with_name("i"), lambda codes: codes - np.uint32(0x100), ">u2", 512)
    assert file.with_name("i").read_bytes()[128:132] == b"\x00\x00\x01\x00"
    assert open_ids(file.with_name("i"), fingerprint).tolist() == list(range(512))
    with file.with_name("i").open("ab") as copy:
        copy.write(b"\0")
    assert "is damaged" in complaint(lambda: open_ids(file.with_name("i")), CheckpointError)


def test_the_survey_counts_characters_lines_line_ends_and_controls(file: Path) -> None:
    file.write_bytes(b"one\r\ntwo\nthree\r\r\n\tfour\x00\x1b\xc2\x85")
    for block_size in (1, 2, 3, 1 << 20):
        with open_sources([file], file.parent) as sources:
            seen = survey(replace(sources, block_size=block_size))
        assert (seen.characters, seen.bytes, seen.files) == (25, 26, (str(file),))
        assert (seen.lines, seen.crlf, seen.lone_cr, seen.controls) == (5, 2, 1, 3)
        counted = dict(zip(map(chr, seen.code_points), seen.counts.tolist(), strict=True))
        assert counted["o"] == 3 and counted["\r"] == 3 and counted["\x85"] == 1
        assert sum(counted.values()) == 25 and list(counted) == sorted(counted)


def test_bytes_above_127_are_no_control_characters(file: Path) -> None:
    file.write_bytes(b"a\x85\x00\xff")
    with open_sources([file], file.parent, tokens="bytes") as sources:
        seen = survey(sources)
    assert (seen.controls, seen.code_points.tolist()) == (1, [0, 97, 0x85, 255])


def test_progress_and_stop_are_called_for_every_block_of_both_passes(file: Path) -> None:
    file.write_bytes(b"abcdefghij")
    calls: list[tuple[int, int]] = []
    stops: list[int] = []
    with open_sources([file], file.parent) as opened:
        sources = replace(opened, block_size=4)
        survey(sources, lambda done, total: calls.append((done, total)), lambda: stops.append(1))
        encode(sources, file.with_name("i"), lambda c: c, "u1", 10, lambda d, t: calls.append((d, t)))
    assert calls == [(4, 10), (8, 10), (10, 10)] * 2
    assert len(stops) == 3


def test_a_stop_leaves_no_file_behind(file: Path) -> None:
    file.write_bytes(b"abcdefghij")

    def stop() -> None:
        raise KeyboardInterrupt

    with open_sources([file], file.parent) as sources, pytest.raises(KeyboardInterrupt):
        encode(sources, file.with_name("i"), lambda codes: codes, "u1", 10, stop=stop)
    assert names(file.parent) == ["text.txt"]


@pytest.mark.parametrize("later", [b"abcdefghija", b"abc", b"", b"abcdefghiZ"])
def test_a_corpus_that_changes_between_the_passes_is_noticed(file: Path, later: bytes) -> None:
    file.write_bytes(b"abcdefghij")
    path = file.with_name("ids.npy")
    with open_sources([file], file.parent) as sources:
        seen = survey(sources)
        vocabulary = Vocabulary.from_code_points(seen.code_points)
        file.write_bytes(later)
        what = complaint(lambda: encode(sources, path, vocabulary.encode_code_points, vocabulary.id_type, 10))
    assert "changed while it was read" in what
    assert names(file.parent) == ["text.txt"]


def test_a_stale_temporary_file_is_in_nobodys_way(file: Path) -> None:
    file.write_bytes(b"ab")
    path = file.with_name("ids.npy")
    path.with_name("ids.npy.tmp").write_bytes(b"half of something")
    with open_sources([file], file.parent) as sources:
        encode(sources, path, lambda codes: codes, "u1", 2)
    assert names(file.parent) == ["ids.npy", "text.txt"]


def test_a_folder_that_is_missing_or_a_file_cannot_take_the_ids(file: Path) -> None:
    file.write_bytes(b"ab")
    with open_sources([file], file.parent) as sources:
        for path in (file.with_name("missing") / "ids.npy", file / "ids.npy"):
            assert str(path) in complaint(lambda p=path: encode(sources, p, lambda c: c, "u1", 2), StorageError)


def test_a_full_disk_is_reported_with_the_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"ab")
    path = file.with_name("ids.npy")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_sources([file], file.parent) as sources, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        what = complaint(lambda: encode(sources, path, lambda codes: codes, "u1", 2), StorageError)
    assert what.startswith(f"cannot write {path}: No space left on device")
    assert names(file.parent) == ["text.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_ids_are_written_is_reported(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"ab" * 100_000)
    real = Path.open

    def full(path: Path, mode: str = "r", *rest: Any) -> Any:
        return real(Path("/dev/full"), "wb") if mode == "xb" else real(path, mode, *rest)

    monkeypatch.setattr(Path, "open", full)
    with open_sources([file], file.parent) as sources:
        what = complaint(lambda: encode(sources, file.with_name("i"), lambda codes: codes, "u1", 200_000), StorageError)
    assert "No space left" in what


def test_memory_stays_the_same_for_a_larger_corpus(file: Path) -> None:
    def peak(megabytes: int) -> int:
        file.write_bytes(b"To be, or not to be\n" * 50_000 * megabytes)
        tracemalloc.start()
        with open_sources([file], file.parent) as sources:
            seen = survey(sources)
            encode(sources, file.with_name("i"), lambda codes: codes, "u1", seen.characters)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(8) < peak(2) + 1_000_000 < 60_000_000


# Decoding


@settings(deadline=None)
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
    with open_sources([file], file.parent, encoding=encoding) as sources:
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
    what = complaint(lambda: open_sources([file], file.parent, encoding="latin-11"), ConfigError)
    assert "there is no encoding 'latin-11'" in what and "latin_1" in what
    for name in ("", "\x1b[2J", "utf-8\0", "é", "\udc80", "x" * 10_000, "../os"):
        assert len(complaint(lambda name=name: open_sources([file], file.parent, encoding=name), ConfigError)) < 200


NO_PLAIN_ENCODINGS = """hex rot13 zip bz2 base64 uu quopri idna punycode undefined unicode_escape raw_unicode_escape
    utf-7 hz iso2022_jp ISO-2022-KR"""


@pytest.mark.parametrize("encoding", NO_PLAIN_ENCODINGS.split())
def test_a_codec_that_is_no_plain_encoding_is_refused(file: Path, encoding: str) -> None:
    file.write_bytes(b"ab")
    assert "no encoding for a corpus" in complaint(
        lambda: open_sources([file], file.parent, encoding=encoding), ConfigError
    )


# Normal forms


@settings(deadline=None, max_examples=200)
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


def test_a_mark_at_the_beginning_of_a_file_joins_the_end_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "1").write_bytes(b"e")
    (tmp_path / "2").write_bytes("\u0301".encode())
    with open_sources([tmp_path / "1", tmp_path / "2"], tmp_path, normalize="nfc") as sources:
        assert text_of(sources) == "é"


def test_endless_combining_marks_are_refused_rather_than_sorted(file: Path) -> None:
    marks = ("a" + "\u0315\u0300" * 512).encode()
    assert len(read(file, marks, 100, normalize="nfc")) == 1024
    for block_size in (100, 1 << 20):
        what = complaint(lambda b=block_size: read(file, marks + "\u0315".encode(), b, normalize="nfc"))
        assert "more than 1024 combining marks" in what


# What a corpus argument may be


def test_files_are_read_in_the_order_given_with_nothing_between(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name * 2)
    with open_sources([tmp_path / "b", str(tmp_path / "a"), tmp_path / "b"], tmp_path) as sources:
        assert text_of(sources) == "bbaabb"
        assert survey(sources).files == tuple(str(tmp_path / name) for name in "bab")


def test_a_folder_is_every_file_below_it_by_path_but_hidden_ones(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("b.txt", "a/z.txt", "a/b/c.txt", ".hidden", ".git/config", "a/.x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"<{name}>")
    with open_sources([folder], tmp_path) as sources:
        assert text_of(sources) == "<a/b/c.txt><a/z.txt><b.txt>"


@needs_posix
def test_a_folder_skips_cycles_broken_links_and_pipes_with_a_notice(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text").write_text("abc")
    (folder / "link").symlink_to(folder / "text")
    (folder / "cycle").symlink_to(folder)
    (folder / "loop").symlink_to(folder / "loop")
    (folder / "broken").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    with open_sources([folder], tmp_path) as sources:
        seen = survey(sources)
    assert seen.files == (str(folder / "link"), str(folder / "text"))
    assert len(seen.notices) == 1 and str(folder / "broken") in seen.notices[0] and "4 in all" in seen.notices[0]


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
    (tmp_path / "a").write_text("<a>")
    stdin = io.BytesIO("ça\r\n".encode())
    with open_sources([tmp_path / "a", "-"], tmp_path, stdin=stdin) as sources:
        assert [text_of(sources), text_of(sources)] == ["<a>ça\r\n"] * 2
        seen = survey(sources)
        assert (seen.files[1], seen.bytes) == ("standard input", 8)
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
        complaint(lambda a=arguments, o=options: open_sources(a, file.parent, **o), ConfigError)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the corpus is empty: 0 characters in 1 file"),
        (b"\xef\xbb\xbf", "the corpus is empty"),
        ("é".encode(), "holds 1 character in 1 file"),
        (b"\x1b" * 2500, r"holds 2,500 characters, and each of them is '\x1b' (U+001B)"),
    ],
)
def test_a_corpus_with_nothing_to_learn_is_refused_with_the_numbers(file: Path, content: bytes, words: str) -> None:
    file.write_bytes(content)
    with open_sources([file], file.parent) as sources:
        assert words in complaint(lambda: survey(sources))


# The private copy


@pytest.fixture
def ids(file: Path) -> tuple[Path, str]:
    file.write_bytes(b"abcdefghij" * 20)
    path = file.with_name("ids.npy")
    with open_sources([file], file.parent) as sources:
        return path, encode(sources, path, lambda codes: codes, "u1", 200)


def test_changing_the_corpus_after_encoding_has_no_effect(file: Path, ids: tuple[Path, str]) -> None:
    mapped = open_ids(*ids)
    file.unlink()
    assert bytes(mapped[:10]) == b"abcdefghij"


def test_every_flipped_bit_of_the_copy_is_found(ids: tuple[Path, str]) -> None:
    path, fingerprint = ids
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    for position, bit in itertools.product(rng.integers(len(good), size=30).tolist(), (1, 128)):
        bad = bytearray(good)
        bad[position] ^= bit
        path.write_bytes(bad)
        assert str(path) in complaint(lambda: open_ids(path, fingerprint), CheckpointError)


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: b"",
        lambda good: good[:-1],
        lambda good: good[:100],
        lambda good: good[:128],
        lambda good: good + b"a",
        lambda good: good.replace(b"(200,)", b"(900,)"),
        lambda good: good.replace(b"'|u1'", b"'|O'  "),
        lambda good: b"PK\x03\x04" + good[4:],
        lambda good: b"\x80\x04" + good[2:],
    ],
)
def test_a_copy_that_is_no_file_of_ids_is_refused(ids: tuple[Path, str], damage: Callable[[bytes], bytes]) -> None:
    path, _ = ids
    path.write_bytes(damage(path.read_bytes()))
    assert "is damaged" in complaint(lambda: open_ids(path), CheckpointError)


@needs_posix
def test_a_missing_copy_a_folder_or_a_pipe_in_its_place_are_refused(ids: tuple[Path, str], tmp_path: Path) -> None:
    path, fingerprint = ids
    path.unlink()
    os.mkfifo(path)
    for place in (path, tmp_path, tmp_path / "missing"):
        assert "is damaged" in complaint(lambda p=place: open_ids(p, fingerprint), CheckpointError)


def test_checking_the_copy_can_be_stopped(ids: tuple[Path, str]) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_ids(*ids, stop=stop)


# The cut


def test_the_cut_is_exact() -> None:
    cut = split(1_115_394, 0.1, 0)
    assert (cut.train, cut.validation, cut.test) == (
        slice(0, 1_003_854),
        slice(1_003_854, 1_115_394),
        slice(1_115_394, 1_115_394),
    )
    assert split(10, 0.1, 0.2).test == slice(8, 10)
    assert split(100, 0.07, 0.07).train.stop == 86  # 100 * (1 - 0.07 - 0.07) is 85.99999999999999 in floating point
    assert split(100, 0, 0).train == slice(0, 100)


@given(st.integers(0, 10**12), st.integers(0, 99), st.integers(0, 99))
def test_the_parts_follow_each_other_without_gaps(length: int, val: int, test: int) -> None:
    if val + test >= 100:
        complaint(lambda: split(length, val / 100, test / 100), ConfigError)
        return
    cut = split(length, val / 100, test / 100)
    assert 0 == cut.train.start <= cut.train.stop == cut.validation.start
    assert cut.validation.stop == cut.test.start <= cut.test.stop == length
    assert cut.train.stop == length * (100 - val - test) // 100
    assert val or cut.validation.start == cut.validation.stop
    assert test or cut.test.start == cut.test.stop


@pytest.mark.parametrize(("val", "test"), [(1.0, 0), (-0.1, 0), (float("nan"), 0), (0, float("inf")), (0.5, 0.5)])
def test_fractions_that_make_no_sense_are_refused(val: float, test: float) -> None:
    complaint(lambda: split(100, val, test), ConfigError)
