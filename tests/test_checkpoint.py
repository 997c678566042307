"""A checkpoint that loads is exactly the one that was written; everything else is refused at once, by name."""

from __future__ import annotations

import errno
import gzip
import io
import json
import math
import os
import pickle
import random
import socket
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from charnn.errors import CheckpointError, StorageError
from charnn.storage import checkpoint
from charnn.storage.checkpoint import (
    checkpoint_name,
    list_checkpoints,
    newest_good,
    prune,
    read,
    write,
)

ARRAYS = {
    "model.rnn.weight_hh_l0": np.arange(12, dtype=np.float32).reshape(3, 4),
    "optimizer.v": np.linspace(-1, 1, 5),
    "carry.h": np.zeros((0, 3), np.float32),
    "position": np.array(7, np.int64),
}
DOCUMENT: dict[str, Any] = {
    "step": 10,
    "vocabulary": "\n ab\u00e9\u4e00\U0001f600",
    "best": {"loss": 1.25, "step": None},
}


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / checkpoint_name(10)
    write(path, ARRAYS, DOCUMENT)
    return path


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype.newbyteorder("=")
        assert actual[name].shape == array.shape
        assert actual[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the tensors of a file."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def join(header: dict[str, Any] | str, body: bytes) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + body


def sign(header: dict[str, Any], body: bytes, document: dict[str, Any] | None = None) -> bytes:
    """The file as a forger would write it: with a SHA-256 that is right wherever the tensors can be read at all."""
    document = {**DOCUMENT, "schema": 1} if document is None else document
    try:
        tensors = {name: spec for name, spec in header.items() if name != "__metadata__"}
        arrays = {
            name: np.frombuffer(body[slice(*spec["data_offsets"])], checkpoint.DTYPES[spec["dtype"]])
            for name, spec in tensors.items()
        }
        arrays = {name: array.reshape(tensors[name]["shape"]) for name, array in arrays.items()}
        digest = checkpoint._digest(arrays, document)
    except (ValueError, TypeError, KeyError, OverflowError):
        digest = "0" * 64
    text = json.dumps({**document, "sha256": digest})
    return join({"__metadata__": {"charnn": text}, **header}, body)


def tensors_of(path: Path) -> tuple[dict[str, Any], bytes]:
    header, body = split(path.read_bytes())
    del header["__metadata__"]
    return header, body


# Round trips


names = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
arrays = st.dictionaries(
    names,
    hnp.arrays(
        st.sampled_from(["<f4", "<f8", ">f4", "<i4", "<i8", "<u2", "<u4", "u1", "i1", "?"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    max_size=4,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text(max_size=4), values, max_size=4)


@settings(max_examples=60, deadline=None)
@given(arrays=arrays, document=documents)
def test_what_is_read_is_what_was_written(
    arrays: dict[str, np.ndarray], document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("round") / "any.safetensors"
    write(path, arrays, document)
    loaded = read(path)
    assert_same(loaded.arrays, arrays)
    assert loaded.document == document
    assert loaded.path == path
    assert_same(safetensors.numpy.load(path.read_bytes()), arrays)


def test_the_same_input_gives_the_same_bytes_in_whatever_order_it_comes(good: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    write(other, dict(reversed(ARRAYS.items())), dict(reversed(DOCUMENT.items())))
    assert other.read_bytes() == good.read_bytes()


def test_arrays_of_any_memory_layout_are_written_as_they_read(tmp_path: Path) -> None:
    grid = np.arange(24, dtype=np.float32).reshape(4, 6)
    odd = {"transposed": grid.T, "strided": grid[::2, ::-3], "big-endian": grid.astype(">f4"), "scalar": grid[0, 1]}
    write(tmp_path / "odd", {name: np.asarray(array) for name, array in odd.items()}, {})
    assert_same(read(tmp_path / "odd").arrays, {name: np.asarray(array) for name, array in odd.items()})


def test_loaded_arrays_can_be_written_to_and_do_not_touch_the_file(good: Path) -> None:
    before = good.read_bytes()
    for array in read(good).arrays.values():
        array[...] = 1
    assert good.read_bytes() == before


def test_a_file_name_that_is_not_utf8_survives_in_the_document(tmp_path: Path) -> None:
    document = {"corpus": os.fsdecode(b"caf\xe9.txt")}
    write(tmp_path / "a", {}, document)
    assert read(tmp_path / "a").document == document


@pytest.mark.parametrize(
    "document", [{"loss": math.nan}, {"loss": math.inf}, {"steps": {10: 1, 9: 2}}, {"sha256": ""}, {"schema": 1}]
)
def test_a_document_that_would_not_come_back_is_not_written(document: dict[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write(tmp_path / "a", {}, document)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.zeros(1, complex), np.zeros(1, np.float16)])
def test_an_array_of_a_type_that_would_not_come_back_is_not_written(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot hold 'a'"):
        write(tmp_path / "a", {"a": array}, {})


def test_every_character_of_unicode_fits_and_far_more_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assigned = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    write(tmp_path / "a", {}, {"vocabulary": assigned})
    assert read(tmp_path / "a").document == {"vocabulary": assigned}
    with pytest.raises(CheckpointError, match="header"):
        write(tmp_path / "b", {}, {"vocabulary": "x" * 2**20})
    assert not (tmp_path / "b").exists()


# Refusals


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, a=np.zeros(3))
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def pt() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return file.getvalue()


STRANGERS = {
    "empty": (b"", "is empty"),
    "pickle 2": (pickle.dumps({"a": 1}, protocol=2), "a pickle"),
    "pickle 4": (pickle.dumps(list(range(300)), protocol=4), "a pickle"),
    "pickle 5": (pickle.dumps({"a": 1}, protocol=5), "a pickle"),
    "npz": (npz(), "a zip archive"),
    "pt": (pt(), "a zip archive"),
    "npy": (npy(), "a NumPy .npy file"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "gzip": (gzip.compress(b"hello", mtime=0), "a gzip archive"),
    "text": ("To be, or not to be: caf\u00e9".encode() * 20, "text"),
    "json": (b'{"step": 10, "loss": 1.5}', "text"),
    "yaml": (b"a: b\nc: {d: e}\n", "text"),
    "binary": (bytes(range(200, 256)) * 9, "unknown binary data"),
    "zeros": (bytes(4096), "unknown binary data"),
    "header of 16 MB": ((2**24 + 1).to_bytes(8, "little") + b"{" + bytes(2**10), "claims 16,777,217 bytes"),
    "header past the end": ((1000).to_bytes(8, "little") + b"{}", "truncated"),
    "header of 2**64 bytes": (b"\xff" * 8 + b"{" * 20, "unknown binary data"),
    "foreign safetensors": (safetensors.numpy.save({"a": np.zeros(3)}), "not one that charnn wrote"),
    "foreign metadata": (safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}), "not one that charnn wrote"),
    "metadata that is a list": (join({"__metadata__": []}, b""), "not one that charnn wrote"),
    "more metadata": (join({"__metadata__": {"charnn": "{}", "b": ""}}, b""), "not one document"),
    "document that is a number": (join({"__metadata__": {"charnn": 1}}, b""), "not one document"),
    "document that is a list": (join({"__metadata__": {"charnn": "[]"}}, b""), "not one document"),
    "document that is no JSON": (join({"__metadata__": {"charnn": "{]"}}, b""), "damaged"),
    "document without schema": (join({"__metadata__": {"charnn": "{}"}}, b""), "no schema number"),
    "document of schema true": (join({"__metadata__": {"charnn": '{"schema":true}'}}, b""), "no schema number"),
    "header that is no JSON": (join("{'a': 1}", b""), "damaged"),
    "header that is not UTF-8": (b"\x03" + bytes(7) + b"{\xff}", "damaged"),
    "keys twice": (join('{"a":1,"a":1}', b""), "damaged"),
    "deep nesting": (join('{"a":' + "[" * 200_000, b""), "damaged"),
    "deep document": (join({"__metadata__": {"charnn": "[" * 200_000}}, b""), "damaged"),
    "long number": (join({"__metadata__": {"charnn": '{"schema":' + "9" * 5000 + "}"}}, b""), "damaged|newer"),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_is_refused_by_saying_what_it_looks_like(stranger: str, tmp_path: Path) -> None:
    data, looks = STRANGERS[stranger]
    path = tmp_path / "stranger.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=looks) as caught:
        read(path)
    assert str(path) in caught.value.message


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize(
    ("make", "looks"),
    [
        (lambda path: None, "there is no checkpoint"),
        (lambda path: path.symlink_to("nowhere"), "there is no checkpoint"),
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "a pipe"),
        (make_socket, "a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
def test_what_is_no_file_is_refused_without_waiting(make: Callable[[Path], None], looks: str, tmp_path: Path) -> None:
    make(tmp_path / "odd")
    with pytest.raises(CheckpointError, match=looks):
        read(tmp_path / "odd")


def test_a_path_through_a_file_leads_to_no_checkpoint(good: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read(good / "below")


def test_a_file_that_the_system_refuses_to_open_is_a_storage_error(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    with pytest.raises(StorageError, match=r"cannot read .*step-00000010\.safetensors: Permission denied"):
        read(good)


def test_messages_cannot_control_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[2J.safetensors"
    path.write_bytes(join({"__metadata__": {"charnn": '{"schema":1}'}, "\x1b[2J": 1}, b""))
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert "\x1b" not in caught.value.message


def test_a_newer_schema_asks_for_an_upgrade(good: Path) -> None:
    header, body = tensors_of(good)
    good.write_bytes(sign(header, body, {**DOCUMENT, "schema": 2}))
    with pytest.raises(CheckpointError, match=r"newer charnn.*upgrade"):
        read(good)


def test_every_truncation_is_refused(good: Path) -> None:
    data = good.read_bytes()
    for length in range(len(data)):
        good.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="is truncated" if length > 8 else "is not a checkpoint"):
            read(good)


def test_a_single_changed_bit_in_a_tensor_is_damage(good: Path) -> None:
    data = bytearray(good.read_bytes())
    data[-1] ^= 1
    good.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        read(good)


def test_a_change_of_the_document_or_of_a_name_is_damage(good: Path) -> None:
    for old, new in [(b"1.25", b"1.26"), (b"carry.h", b"carry.c"), (b"position", b"Position")]:
        good.write_bytes(good.read_bytes().replace(old, new))
        with pytest.raises(CheckpointError, match="SHA-256"):
            read(good)


def mutate(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        place = chance.randrange(len(mutant))
        what = chance.randrange(5)
        if what == 0:
            mutant[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            mutant[place] = chance.randrange(256)
        elif what == 2:
            mutant[place:place] = chance.randbytes(chance.choice([1, 8]))
        elif what == 3:
            del mutant[place : place + chance.choice([1, 8])]
        else:
            other = chance.randrange(len(mutant))
            mutant[place : place + 8] = mutant[other : other + 8]
    return bytes(mutant)


def test_a_thousand_random_mutants_are_refused_or_load_exactly_what_was_written(good: Path) -> None:
    data, chance = good.read_bytes(), random.Random(1)
    refused = 0
    for _ in range(1000):
        good.write_bytes(mutate(data, chance))
        try:
            loaded = read(good)
        except CheckpointError:
            refused += 1
        else:
            assert_same(loaded.arrays, ARRAYS)
            assert loaded.document == DOCUMENT
    assert refused > 900


SHAPES = [
    [3, 5],
    [12, 2],
    [-3, -4],
    [3.0, 4],
    [True, 12],
    "34",
    None,
    {},
    [[3, 4]],
    [1] * 33 + [12],
    [2**64],
    [0, 2**62, 2**62],
]
TYPES = ["F16", "f32", "F64", "BF16", "O", "", None, 1, ["F32"], {}, "<f4", "I8"]
OFFSETS = [
    [0, 47],
    [1, 49],
    [48, 0],
    [-48, 0],
    [0, 2**70],
    [0.0, 48],
    [0],
    [0, 48, 96],
    None,
    "ab",
    [True, 48],
    {},
    [8, 56],
]
ENTRIES = [
    None,
    [],
    1,
    {},
    {"dtype": "F32", "shape": [0]},
    {"dtype": "F32", "shape": [], "data_offsets": [0, 4], "x": 1},
]


def restructure(header: dict[str, Any], body: bytes, chance: random.Random) -> tuple[dict[str, Any], bytes]:
    """One change to the structure after which no two readers could agree on the tensors."""
    name = "model.rnn.weight_hh_l0"
    what = chance.randrange(7)
    if what == 0:
        header[name]["shape"] = chance.choice(SHAPES)
    elif what == 1:
        header[name]["dtype"] = chance.choice(TYPES)
    elif what == 2:
        header[name]["data_offsets"] = chance.choice(OFFSETS)
    elif what == 3:
        header[chance.choice(list(header))] = chance.choice(ENTRIES)
    elif what == 4:
        header["overlap \ud800" if chance.random() < 0.5 else "overlap"] = dict(header[name])
    elif what == 5:
        del header[chance.choice([name, "position", "optimizer.v"])]
    else:
        body = body + bytes(chance.randrange(1, 9)) if chance.random() < 0.5 else body[: -chance.randrange(1, 9)]
    return header, body


def test_structural_mutants_with_a_forged_signature_are_refused_as_checkpoint_errors(good: Path) -> None:
    data, chance = good.read_bytes(), random.Random(2)
    for _ in range(200):
        header, body = split(data)
        del header["__metadata__"]
        good.write_bytes(sign(*restructure(header, body, chance)))
        with pytest.raises(CheckpointError) as caught:
            read(good)
        assert "SHA-256" not in caught.value.message  # the structure is refused, not the signature
    good.write_bytes(data)
    good.write_bytes(sign(*tensors_of(good)))
    assert_same(read(good).arrays, ARRAYS)


def test_truth_values_other_than_0_and_1_are_refused(good: Path) -> None:
    header = {"mask": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}}
    good.write_bytes(sign(header, b"\x01\x02"))
    with pytest.raises(CheckpointError, match="truth values"):
        read(good)


BOMBS = ["[],", "{},", '{"":0},', "1.5,", '"",', "[[0]],", "99,"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_header_built_to_fill_memory_takes_less_than_64_megabytes(bomb: str, good: Path) -> None:
    items = (bomb * ((2**20 - 200) // len(json.dumps(bomb)[1:-1])))[:-1]
    text = f'{{"schema":1,"sha256":"","\U0001f600":[{items}]}}'
    data = join(json.dumps({"__metadata__": {"charnn": text}}, ensure_ascii=False), b"")
    assert 2**20 - 300 < len(data) < 2**20
    good.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="SHA-256"):
            read(good)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_reading_holds_the_tensors_once(tmp_path: Path) -> None:
    write(tmp_path / "a", {"a": np.zeros(2**22, np.float32), "b": np.ones(2**20)}, {})
    tracemalloc.start()
    try:
        read(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 25 * 2**20
    finally:
        tracemalloc.stop()


# Writing when the system fails


def failing(code: int) -> Callable[..., Any]:
    def fail(*args: object, **options: object) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


def test_the_file_is_synced_and_verified_before_it_is_renamed_and_the_folder_after(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace, pread = os.fsync, os.replace, os.read

    def record_fsync(descriptor: int) -> None:
        calls.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        calls.append("replace")
        replace(source, target)

    def record_read(descriptor: int, size: int) -> bytes:
        calls.append("read back")
        return pread(descriptor, size)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(os, "read", record_read)
    write(good, ARRAYS, DOCUMENT)
    assert list(dict.fromkeys(calls)) == ["fsync file", "read back", "replace", "fsync folder"]


@pytest.mark.parametrize("later_too", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "lseek", "read", "replace", "close"])
def test_a_failing_system_call_leaves_a_whole_file_and_no_litter(
    call: str, later_too: bool, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(os, call)
    before, after = good.read_bytes(), checkpoint._encode(ARRAYS, {"step": 11})
    for failing_call in range(1, 20):
        calls = 0

        def fail_on_turn(*args: Any, turn: int = failing_call) -> Any:
            nonlocal calls
            calls += 1
            if call == "close":
                original(*args)
            if calls == turn or (later_too and calls > turn):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return None if call == "close" else original(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail_on_turn)
            try:
                write(good, ARRAYS, {"step": 11})
            except StorageError as error:
                assert str(good) in error.message and "No space left" in error.message
        assert [path.name for path in good.parent.iterdir()] == [good.name]
        assert good.read_bytes() in (before, after)
        if calls < failing_call:
            break
    assert failing_call > 1
    assert good.read_bytes() == after


def test_a_failed_sync_of_the_file_is_not_tried_again_and_keeps_the_old_file(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, calls = good.read_bytes(), []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        write(good, ARRAYS, {})
    assert len(calls) == 1
    assert good.read_bytes() == before


def test_short_writes_are_continued(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: whole(descriptor, bytes(data[:100])))
    write(good, ARRAYS, {"step": 12})
    assert read(good).document == {"step": 12}


def test_an_interrupt_leaves_the_old_file_and_no_litter(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*paths: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(good, ARRAYS, {})
    assert list(good.parent.iterdir()) == [good]
    assert read(good).document == DOCUMENT


# Folders of checkpoints


def fill(folder: Path, *steps: int) -> None:
    for step in steps:
        write(folder / checkpoint_name(step), ARRAYS, {"step": step})


def damage(folder: Path, step: int) -> None:
    path = folder / checkpoint_name(step)
    path.write_bytes(path.read_bytes()[:-1])


def steps_in(folder: Path) -> list[int]:
    return [int(path.stem[5:]) for path in list_checkpoints(folder)]


def test_checkpoints_are_listed_by_step_and_everything_else_is_ignored(tmp_path: Path) -> None:
    fill(tmp_path, 100, 99_999_999, 100_000_000, 20)
    for name in [
        "step-5.safetensors",
        "step-000000020.safetensors",
        "step-\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661.safetensors",
    ]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / checkpoint_name(7)).mkdir()
    (tmp_path / ".step-00000009.safetensors.1-0123456789abcdef.tmp").write_bytes(b"")
    (tmp_path / "step-00000009.safetensors\n").write_bytes(b"")
    assert checkpoint_name(1000) == "step-00001000.safetensors"
    assert steps_in(tmp_path) == [100_000_000, 99_999_999, 100, 20]
    assert list_checkpoints(tmp_path / "missing") == []


def test_the_newest_good_checkpoint_is_found_behind_damaged_ones_with_a_warning_each(tmp_path: Path) -> None:
    fill(tmp_path, 10, 20, 30, 40)
    damage(tmp_path, 30)
    (tmp_path / checkpoint_name(40)).write_bytes(pickle.dumps({}))
    warnings: list[str] = []
    assert newest_good(tmp_path, warnings.append).document == {"step": 20}
    assert len(warnings) == 2
    assert "step-00000040" in warnings[0] and "pickle" in warnings[0]
    assert "step-00000030" in warnings[1] and "truncated" in warnings[1]


def test_no_good_checkpoint_is_an_error_that_tells_none_from_all_damaged(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        newest_good(tmp_path, pytest.fail)
    fill(tmp_path, 10)
    damage(tmp_path, 10)
    with pytest.raises(CheckpointError, match="every checkpoint is damaged"):
        newest_good(tmp_path, lambda warning: None)


def test_a_checkpoint_pruned_under_the_reader_sends_it_back_to_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 10)

    def list_then_replace(folder: Path) -> list[Path]:
        monkeypatch.setattr(checkpoint, "list_checkpoints", list_checkpoints)
        listed = list_checkpoints(folder)
        (tmp_path / checkpoint_name(10)).unlink()
        fill(tmp_path, 20)
        return listed

    monkeypatch.setattr(checkpoint, "list_checkpoints", list_then_replace)
    assert newest_good(tmp_path, pytest.fail).document == {"step": 20}


def test_pruning_keeps_the_newest_and_the_best(tmp_path: Path) -> None:
    fill(tmp_path, 10, 20, 30, 40, 50)
    prune(tmp_path, 2, [20, 999])
    assert steps_in(tmp_path) == [50, 40, 20]


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_pruning_never_removes_the_newest_checkpoint_that_loads(keep: int, tmp_path: Path) -> None:
    fill(tmp_path, 10, 20, 30, 40)
    damage(tmp_path, 30)
    damage(tmp_path, 40)
    prune(tmp_path, keep, [])
    assert steps_in(tmp_path) == [*[40, 30][:keep], 20]
    assert newest_good(tmp_path, lambda warning: None).document == {"step": 20}


def test_a_checkpoint_that_cannot_be_removed_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, 10, 20)
    monkeypatch.setattr(Path, "unlink", failing(errno.EACCES))
    with pytest.raises(StorageError, match=r"cannot remove .*step-00000010"):
        prune(tmp_path, 1, [])
