"""The way of a corpus from text to ids: what is counted, what is stored, what is refused, and the cut."""

from __future__ import annotations

import hashlib
import itertools
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import complaint, names

from charnn.errors import CheckpointError, StorageError
from charnn.text.corpus import encode, open_ids, survey
from charnn.text.options import ReadOptions
from charnn.text.sources import open_sources
from charnn.text.split import Parts
from charnn.text.vocabulary import Vocabulary


def whole(length: int) -> Parts:
    """The parts of a single file of which nothing is held out."""
    return np.array([[length, 0, 0]])


needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")

# Two passes


@pytest.mark.parametrize("options", [{}, {"tokens": "bytes"}, {"normalize": "nfc"}, {"normalize": "nfd"}])
def test_ids_on_disk_decode_to_the_text(file: Path, options: dict[str, str]) -> None:
    text = "Ça, naïve\r\n日本語 한국어 \x00\u2028😀\rend"
    file.write_bytes(text.encode())
    with open_sources([file], file.parent, ReadOptions(**options)) as sources:
        seen = survey(sources)
        if options.get("tokens") == "bytes":
            vocabulary = Vocabulary.bytes_()
        else:
            vocabulary = Vocabulary.from_code_points(seen.code_points, sources.options.normalize)
        path = file.with_name("ids.npy")
        fingerprint = encode(sources, path, vocabulary.encode_code_points, vocabulary.id_type, whole(seen.characters))
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
        fingerprint = encode(sources, file.with_name("i"), lambda codes: codes - np.uint32(0x100), ">u2", whole(512))
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
    with open_sources([file], file.parent, ReadOptions(tokens="bytes")) as sources:
        seen = survey(sources)
    assert (seen.controls, seen.code_points.tolist()) == (1, [0, 97, 0x85, 255])


def test_progress_and_stop_are_called_for_every_block_of_both_passes(file: Path) -> None:
    file.write_bytes(b"abcdefghij")
    calls: list[tuple[int, int]] = []
    stops: list[int] = []
    with open_sources([file], file.parent) as opened:
        sources = replace(opened, block_size=4)
        survey(sources, lambda done, total: calls.append((done, total)), lambda: stops.append(1))
        encode(sources, file.with_name("i"), lambda c: c, "u1", whole(10), lambda d, t: calls.append((d, t)))
    assert calls == [(4, 10), (8, 10), (10, 10)] * 2
    assert len(stops) == 3


def test_a_stop_leaves_no_file_behind(file: Path) -> None:
    file.write_bytes(b"abcdefghij")

    def stop() -> None:
        raise KeyboardInterrupt

    with open_sources([file], file.parent) as sources, pytest.raises(KeyboardInterrupt):
        encode(sources, file.with_name("i"), lambda codes: codes, "u1", whole(10), stop=stop)
    assert names(file.parent) == ["text.txt"]


@pytest.mark.parametrize("later", [b"abcdefghija", b"abc", b"", b"abcdefghiZ"])
def test_a_corpus_that_changes_between_the_passes_is_noticed(file: Path, later: bytes) -> None:
    file.write_bytes(b"abcdefghij")
    path = file.with_name("ids.npy")
    with open_sources([file], file.parent) as sources:
        seen = survey(sources)
        vocabulary = Vocabulary.from_code_points(seen.code_points)
        file.write_bytes(later)
        what = complaint(lambda: encode(sources, path, vocabulary.encode_code_points, vocabulary.id_type, whole(10)))
    assert "changed while it was read" in what
    assert names(file.parent) == ["text.txt"]


def test_a_stale_temporary_file_is_in_nobodys_way(file: Path) -> None:
    file.write_bytes(b"ab")
    path = file.with_name("ids.npy")
    stale = path.with_name(f".ids.npy.1-{'0' * 16}.tmp")
    stale.write_bytes(b"half of something")
    with open_sources([file], file.parent) as sources:
        encode(sources, path, lambda codes: codes, "u1", whole(2))
    assert names(file.parent) == [stale.name, "ids.npy", "text.txt"]


def test_a_folder_that_is_missing_or_a_file_cannot_take_the_ids(file: Path) -> None:
    file.write_bytes(b"ab")
    with open_sources([file], file.parent) as sources:
        for path in (file.with_name("missing") / "ids.npy", file / "ids.npy"):
            assert str(path) in complaint(lambda p=path: encode(sources, p, lambda c: c, "u1", whole(2)), StorageError)


def test_a_full_disk_is_reported_with_the_path(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"ab")
    path = file.with_name("ids.npy")

    def no_space(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with open_sources([file], file.parent) as sources, monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        what = complaint(lambda: encode(sources, path, lambda codes: codes, "u1", whole(2)), StorageError)
    assert what.startswith(f"cannot write {path}: No space left on device")
    assert names(file.parent) == ["text.txt"]


def test_a_disk_that_fills_up_while_ids_are_written_is_reported(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b"ab" * 100_000)
    real = os.write

    def filling_up(descriptor: int, data: memoryview) -> int:
        if len(data) > 128:  # more than the header
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", filling_up)
    with open_sources([file], file.parent) as sources:
        what = complaint(
            lambda: encode(sources, file.with_name("i"), lambda codes: codes, "u1", whole(200_000)), StorageError
        )
    assert "No space left" in what


def test_memory_stays_the_same_for_a_larger_corpus(file: Path) -> None:
    def peak(megabytes: int) -> int:
        file.write_bytes(b"To be, or not to be\n" * 50_000 * megabytes)
        tracemalloc.start()
        with open_sources([file], file.parent) as sources:
            seen = survey(sources)
            encode(sources, file.with_name("i"), lambda codes: codes, "u1", whole(seen.characters))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    assert peak(8) < peak(2) + 1_000_000 < 60_000_000


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
        return path, encode(sources, path, lambda codes: codes, "u1", whole(200))


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
