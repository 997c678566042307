"""Named arrays and one JSON document enter, and become one safetensors file that is on disk whole or not at all.
What leaves is exactly what entered, checked against a SHA-256, or a CheckpointError that says what the file looks like.

    length of header | {"__metadata__": {"charnn": document}, name: {dtype, shape, data_offsets}, ...} | tensors

The safetensors package writes the file. It is read here, so that a hostile one costs no more memory than its size and a
little: the header is judged before anything else is read, and every array is a view of one buffer.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from charnn.errors import CheckpointError, StorageError, printable
from charnn.storage.disk import files_in, open_to_read, remove, storage_errors, write_atomically

SCHEMA = 1
SUFFIX = ".safetensors"

KEY = "charnn"
MAX_HEADER = 2**20  # parsing JSON can take thirty times its size; every character of Unicode fits in half of this
MAX_DIMENSIONS = 32
WARNINGS = 5

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "BOOL": np.dtype("?"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
}  # fmt: skip
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

SIGNATURES = {
    "a pickle": tuple(bytes([0x80, protocol]) for protocol in range(2, 6)),
    "a zip archive, such as PyTorch's .pt or NumPy's .npz": (b"PK",),
    "an HDF5 file": (b"\x89HDF",),
    "a NumPy .npy file": (b"\x93NUMPY",),
    "a gzip archive": (b"\x1f\x8b",),
}

NOT_FILES = {errno.EISDIR: "a folder", errno.ENXIO: "a pipe, a socket or a device"}

CHECKPOINT = re.compile(r"step-([0-9]{8,})" + re.escape(SUFFIX))

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file held. The arrays are writable views of one private buffer; the document is what write got."""

    arrays: dict[str, Array]
    document: dict[str, Any]
    path: Path


class _Missing(CheckpointError):
    """There is no such file, or it vanished between listing and reading."""


class _Refused(Exception):
    """Why a file is not a checkpoint to load, as the end of a sentence that begins with its name."""


def write(path: Path, arrays: Mapping[str, Array], document: Mapping[str, Any]) -> None:
    """Replace ``path`` by these values, atomically. What no checkpoint can hold is a ValueError or a TypeError.

    Raises StorageError.
    """
    write_atomically(path, _encode(arrays, document))


def _encode(arrays: Mapping[str, Array], document: Mapping[str, Any]) -> bytes:
    if reserved := {"schema", "sha256"} & document.keys():
        raise ValueError(f"the document may not hold {', '.join(sorted(reserved))}: charnn adds it")
    plain = {name: _plain(name, array) for name, array in arrays.items()}
    signed = {**document, "schema": SCHEMA}
    text = _canonical({**signed, "sha256": _digest(plain, signed)})
    if _canonical(_parse(text)) != text:
        raise ValueError("the document holds a key or a text that JSON does not bring back unchanged")
    try:
        data = safetensors.numpy.save(plain, metadata={KEY: text})
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"safetensors cannot hold these arrays: {printable(str(error))}") from error
    if (length := int.from_bytes(data[:8], "little")) > MAX_HEADER:
        raise CheckpointError(f"the header of the checkpoint takes {length:,} bytes, more than {MAX_HEADER:,}")
    return data


def _plain(name: str, array: Array) -> Array:
    """Little-endian and contiguous: safetensors copies the bytes as they lie."""
    plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if plain.dtype not in DTYPE_NAMES or plain.ndim > MAX_DIMENSIONS or name == "__metadata__":
        raise ValueError(f"a checkpoint cannot hold {name!r}: {plain.dtype} in {plain.ndim} dimensions")
    return plain


def _digest(arrays: Mapping[str, Array], document: Mapping[str, Any]) -> str:
    """SHA-256 of every name, type, shape and content, and of the document, each after its length."""
    hasher = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        _feed(hasher, _canonical([name, DTYPE_NAMES[array.dtype], array.shape]).encode())
        _feed(hasher, array.reshape(-1).view(np.uint8).data)
    _feed(hasher, _canonical(document).encode())
    return hasher.hexdigest()


def _feed(hasher: hashlib._Hash, part: bytes | memoryview) -> None:
    hasher.update(len(part).to_bytes(8, "little"))
    hasher.update(part)


def _canonical(value: Any) -> str:
    """The one JSON text of a value. Lone surrogates (from file names that are not UTF-8) stay escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file, exactly as written. CheckpointError says what the file is instead."""
    name = printable(str(path))
    try:
        with storage_errors("read", path):
            return _read(path)
    except _Refused as refusal:
        raise CheckpointError(f"{name} {refusal}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} is damaged: its header is not what charnn writes") from error
    except MemoryError as error:
        raise CheckpointError(f"{name} does not fit in memory") from error


def _read(path: Path) -> Checkpoint:
    try:
        with open_to_read(path) as file:
            return Checkpoint(*_load(file), path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _Missing(
            f"there is no checkpoint {printable(str(path))}", "charnn runs lists the runs that exist"
        ) from error
    except OSError as error:
        if error.errno in NOT_FILES:
            raise _Refused(f"is not a checkpoint: it is {NOT_FILES[error.errno]}") from error
        raise


def _load(file: IO[bytes]) -> tuple[dict[str, Array], dict[str, Any]]:
    size = os.fstat(file.fileno()).st_size
    header = _read_header(file, size)
    document = _document(header.pop("__metadata__", None))
    room = size - file.tell()
    layout = _layout(header, room)
    buffer = np.empty(room, np.uint8)
    if file.readinto(buffer.data) != room:  # type: ignore[attr-defined]
        raise _Refused("is truncated: it shrank while it was read")
    arrays = {entry.name: _view(buffer, entry) for entry in layout}
    if document.pop("sha256", None) != _digest(arrays, document):
        raise _Refused("is damaged: its content does not match its SHA-256")
    del document["schema"]
    return arrays, document


def _read_header(file: IO[bytes], size: int) -> dict[str, Any]:
    start = file.read(256)
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{" or length > min(size - 8, MAX_HEADER):
        raise _Refused(_appearance(start, length, size))
    file.seek(8)
    header: dict[str, Any] = _parse(file.read(length).decode())
    return header


def _appearance(start: bytes, length: int, size: int) -> str:
    if not start:
        return "is not a checkpoint: it is empty"
    if start[8:9] == b"{" and length < 2**32:  # no text and no signature begins with such a small number
        fault = "is truncated" if length <= MAX_HEADER else "is not a checkpoint that charnn wrote"
        return f"{fault}: its header claims {length:,} bytes, in a file of {size:,}"
    kinds = (kind for kind, signatures in SIGNATURES.items() if start.startswith(signatures))
    return f"is not a checkpoint: it looks like {next(kinds, 'text' if _is_text(start) else 'unknown binary data')}"


def _is_text(start: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(start)
    return False


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("a key appears twice")
    return unique


def _document(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict) or KEY not in metadata:
        raise _Refused("is a safetensors file, but not one that charnn wrote")
    document = _parse(metadata[KEY]) if isinstance(metadata[KEY], str) else None
    if not isinstance(document, dict) or len(metadata) != 1:
        raise _Refused("is damaged: its metadata is not one document")
    schema = document.get("schema")
    if type(schema) is not int or schema < 1:
        raise _Refused("is damaged: its document has no schema number")
    if schema > SCHEMA:
        raise _Refused(f"was written by a newer charnn (schema {schema}, this one reads {SCHEMA}): upgrade charnn")
    return document


class _Entry(NamedTuple):
    begin: int
    end: int
    name: str
    dtype: np.dtype[Any]
    shape: list[int]


def _layout(header: dict[str, Any], room: int) -> list[_Entry]:
    """Where each tensor lies. Together they fill the room, with no gap and no overlap."""
    entries = sorted((_entry(name, spec) for name, spec in header.items()), key=lambda entry: entry[:2])
    position = 0
    for entry in entries:
        if entry.begin != position:
            raise _Refused(f"is damaged: tensor {printable(entry.name[:80])} does not follow the one before")
        position = entry.end
    if position != room:
        raise _Refused(f"is {'truncated' if room < position else 'damaged'}: {room:,} of {position:,} bytes of tensors")
    return entries


def _entry(name: str, spec: Any) -> _Entry:
    fault = f"is damaged: tensor {printable(name[:80])} has no possible"
    if not isinstance(spec, dict) or spec.keys() != {"dtype", "shape", "data_offsets"}:
        raise _Refused(f"{fault} description")
    kind, shape, offsets = spec["dtype"], spec["shape"], spec["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise _Refused(f"{fault} type: charnn reads {', '.join(DTYPES)}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise _Refused(f"{fault} shape or place")
    if offsets[1] - offsets[0] != math.prod(shape) * DTYPES[kind].itemsize:
        raise _Refused(f"{fault} size: type and shape do not match its bytes")
    return _Entry(offsets[0], offsets[1], name, DTYPES[kind], shape)


def _are_counts(values: Any) -> bool:
    if not isinstance(values, list) or len(values) > MAX_DIMENSIONS:
        return False
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def _view(buffer: Array, entry: _Entry) -> Array:
    part = buffer[entry.begin : entry.end]
    if entry.dtype == np.dtype("?") and part.max(initial=0) > 1:
        raise _Refused("is damaged: it holds truth values other than 0 and 1")
    return part.view(entry.dtype).reshape(entry.shape)


def checkpoint_name(step: int) -> str:
    return f"step-{step:08d}{SUFFIX}"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a folder by name, highest step first; none if there is no folder."""
    matches = [match for name in files_in(folder) if (match := CHECKPOINT.fullmatch(name))]
    steps = [int(match[1]) for match in matches if match[0] == checkpoint_name(int(match[1]))]
    return [folder / checkpoint_name(step) for step in sorted(steps, reverse=True)]


def newest_good(folder: Path, warn: Callable[[str], None]) -> Checkpoint:
    """The newest checkpoint that loads; ``warn`` hears of those passed over. A trainer may prune meanwhile."""
    passed: set[Path] = set()
    failures: list[CheckpointError | StorageError] = []
    good = None
    while good is None and (paths := [path for path in list_checkpoints(folder) if path not in passed]):
        passed.add(paths[0])
        try:
            good = read(paths[0])
        except _Missing:
            continue
        except (CheckpointError, StorageError) as error:
            failures.append(error)
    for failure in failures[:WARNINGS]:
        warn(f"{failure.message}; passing over it")
    if len(failures) > WARNINGS:
        warn(f"... and {len(failures) - WARNINGS} more like these; passing over them")
    if good is not None:
        return good
    fault = "every checkpoint is damaged" if failures else "there is no checkpoint"
    unreadable = (failure for failure in failures if isinstance(failure, StorageError))
    raise next(unreadable, CheckpointError(f"{fault} in {printable(str(folder))}"))


def prune(folder: Path, keep: int, also: Iterable[int]) -> None:
    """Remove all but the newest ``keep``, the steps in ``also`` and, whatever those are, the newest one that loads."""
    paths = list_checkpoints(folder)
    kept = {path.name for path in paths[:keep]} | {checkpoint_name(step) for step in also}
    surplus = [path for path in paths if path.name not in kept]
    if surplus:
        good = next((path for path in paths if _is_good(path)), None)
        remove(path for path in surplus if path != good)


def _is_good(path: Path) -> bool:
    with suppress(CheckpointError, StorageError):
        read(path)
        return True
    return False
