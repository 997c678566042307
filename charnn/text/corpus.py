"""The code points of a text enter; a memory-mapped array of ids leaves, in three parts.
The text streams through twice in constant memory: `survey` sees which characters there are, `encode` writes their ids.

    code points -> counts (first pass), ids on disk (second pass) -> train, validation, test

Training maps only the private copy that `encode` wrote, so nothing that happens to the user's files later disturbs it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from charnn.errors import CheckpointError, CorpusError, UnknownCharacters, printable
from charnn.storage.disk import storage_errors, write_blocks_atomically
from charnn.text.files import Remarks, Stop, open_file, reading
from charnn.text.sources import ReadProgress, ReadWatch, Sources, code_points_by_file, read_blocks
from charnn.text.split import Parts
from charnn.text.unicode import Codes

Ids = npt.NDArray[np.unsignedinteger[Any]]

IN_MEMORY = 1 << 22
"""Bytes of a held-out part that wait in memory while the train part is written; more wait on disk."""

CRLF_BY_CHANCE = 0.01
"""A text in which a smaller share of the lines ends in CR LF is not one that was written so."""

_HEADER = 128  # bytes of the .npy header
_ID_TYPES = ("|u1", "<u2", "<u4")


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first pass saw. `lengths` are those of the files, in characters; of byte tokens a character is a byte.

    `code_points` (V,) are sorted, `counts` (V,) say how often each occurs. `controls` counts control characters other
    than tab and line ends.
    """

    lengths: tuple[int, ...]
    code_points: Codes
    counts: npt.NDArray[np.int64]
    lines: int
    crlf: int
    lone_cr: int
    controls: int
    notices: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int

    @property
    def characters(self) -> int:
        return sum(self.lengths)

    @property
    def only_crlf(self) -> bool:
        """Whether every line ends in CR LF."""
        return 0 < self.crlf == int(self.counts[self.code_points == 10].sum()) and not self.lone_cr


def survey(sources: Sources, progress: ReadProgress | None = None, stop: Stop | None = None) -> Survey:
    """The first pass: count every code point and look at the line ends.

    `progress(done, total)` in bytes and `stop()` are called for every block; `stop` may raise. Raises CorpusError for
    text that cannot be decoded, and for fewer than two characters or two distinct ones; StorageError.
    """
    remarks = Remarks()
    counts = np.zeros(0x110000, dtype=np.int64)
    lengths = [0] * len(sources.files)
    crlf, last = 0, 0
    for index, codes in code_points_by_file(sources, progress, stop, remarks):
        lengths[index] += codes.size
        seen = np.bincount(codes)
        counts[: seen.size] += seen
        crlf += int((last == 13) & (codes[0] == 10)) + int(np.count_nonzero((codes[:-1] == 13) & (codes[1:] == 10)))
        last = int(codes[-1])
    known = np.flatnonzero(counts)  # (V,)
    _check_large_enough(known, int(counts.sum()), len(sources.files))
    lone_cr = int(counts[13]) - crlf
    lines = int(counts[10]) + lone_cr + int(last not in (10, 13))
    controls = int(counts[:32].sum() - counts[[9, 10, 13]].sum() + counts[127])
    return Survey(
        lengths=tuple(lengths),
        code_points=known.astype(np.uint32),
        counts=counts[known],
        lines=lines,
        crlf=crlf,
        lone_cr=lone_cr,
        controls=controls + (int(counts[128:160].sum()) if sources.options.tokens == "chars" else 0),
        notices=(*sources.notices, *remarks.lines(), *_about_line_ends(lines, crlf)),
        files=tuple(source.name for source in sources.files),
        bytes=sources.bytes,
    )


def _about_line_ends(lines: int, crlf: int) -> Iterator[str]:
    """In binary data some bytes are CR LF by chance, fewer than one line end in a hundred."""
    if crlf > CRLF_BY_CHANCE * lines:
        yield f"{crlf:,} lines end in CR LF, and the network learns to write that: --line-ends lf reads LF instead"


def encode(
    sources: Sources,
    path: Path,
    encode_block: Callable[[Codes], Ids],
    id_type: npt.DTypeLike,
    parts: Parts,
    progress: ReadProgress | None = None,
    stop: Stop | None = None,
) -> str:
    """The second pass: write the ids (N,) to `path`, a .npy file, and return its fingerprint.

    `parts` (F, 3) are those of the files: what is trained on comes first, of all files, then what is validated on, then
    what is tested on. `encode_block` turns code points (N,) into ids (N,), which are stored as `id_type`. The file
    appears complete or not at all. The fingerprint is "sha256:" and the SHA-256, in hex, over the bytes of the ids.
    Raises CorpusError when the text is no longer what the survey saw, StorageError when `path` cannot be written.
    """
    digest, kind = hashlib.sha256(), np.dtype(id_type).newbyteorder("<")
    pieces = _id_blocks(pieces_of(sources, parts, progress, stop), encode_block, kind)
    blocks = _in_order(pieces, len(parts), path.parent)
    write_blocks_atomically(path, chain([_header(kind, int(parts.sum()))], _hashed(blocks, digest)))
    return f"sha256:{digest.hexdigest()}"


def fingerprint_of(
    sources: Sources,
    work: Path,
    encode_block: Callable[[Codes], Ids],
    id_type: npt.DTypeLike,
    parts: Parts,
    stop: Stop | None = None,
) -> str:
    """What `encode` would return. Nothing is left in the folder `work`. Raises CorpusError, StorageError."""
    digest, kind = hashlib.sha256(), np.dtype(id_type).newbyteorder("<")
    pieces = _id_blocks(pieces_of(sources, parts, stop=stop), encode_block, kind)
    for block in _in_order(pieces, len(parts), work):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def pieces_of(
    sources: Sources, parts: Parts, progress: ReadProgress | None = None, stop: Stop | None = None
) -> Iterator[tuple[int, Codes]]:
    """The text in pieces, file by file, each with the part it belongs to: 0 train, 1 validation, 2 test.

    Raises CorpusError where a file has another length than `parts` (F, 3) say, StorageError.
    """
    stops = parts.cumsum(axis=1)  # (F, 3)
    seen = np.zeros(len(parts), np.int64)
    for index, codes in code_points_by_file(sources, progress, stop):
        start, end = int(seen[index]), int(seen[index]) + codes.size
        if end > stops[index, 2]:
            raise _changed(f"it had {parts.sum():,} characters and now has more")
        seen[index] = end
        for part in range(3):
            first = int(stops[index, part - 1]) if part else 0
            if first < end and stops[index, part] > start:
                yield part, codes[max(0, first - start) : int(stops[index, part]) - start]
    if seen.sum() < parts.sum():
        raise _changed(f"it had {parts.sum():,} characters and now has {seen.sum():,}")


def _id_blocks(
    pieces: Iterable[tuple[int, Codes]], encode_block: Callable[[Codes], Ids], id_type: np.dtype[Any]
) -> Iterator[tuple[int, bytes]]:
    """Ids as they lie on disk, each block with its part. Raises CorpusError for a character that is new."""
    try:
        for part, codes in pieces:
            yield part, encode_block(codes).astype(id_type).tobytes()
    except UnknownCharacters as error:
        raise _changed(error.message) from error


def _in_order(blocks: Iterable[tuple[int, bytes]], files: int, folder: Path) -> Iterator[bytes]:
    """The blocks of the train part as they come; those of the others wait in nameless files in `folder` until its end.

    The parts of a single file come in order.
    """
    if files == 1:
        yield from (block for _, block in blocks)
        return
    with storage_errors("write", folder), ExitStack() as stack:
        waiting = [stack.enter_context(SpooledTemporaryFile(IN_MEMORY, dir=str(folder))) for _ in range(2)]
        for part, block in blocks:
            if part:
                waiting[part - 1].write(block)
            else:
                yield block
        for file in waiting:
            file.seek(0)
            while block := file.read(1 << 20):
                yield block


def _hashed(blocks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    """The same blocks, each fed to the digest on its way."""
    for block in blocks:
        digest.update(block)
        yield block


def open_ids(path: Path, fingerprint: str | None = None, stop: Stop | None = None) -> Ids:
    """The ids (N,) that `encode` wrote, as a read-only memory map; with a fingerprint, every byte is checked first.

    Raises CheckpointError when the file is missing or not exactly what was written, StorageError.
    """
    name = printable(str(path))
    try:
        with open_file(path, name) as file:
            with reading(name):
                whole = _has_our_header(file)
            if not whole:
                raise _damaged(path, "it is not a file of ids, or was cut short")
            if fingerprint is not None and _fingerprint(file, name, stop) != fingerprint:
                raise _damaged(path, "its SHA-256 is not the one stored with the run")
    except CorpusError as error:
        raise _damaged(path, "it is missing, or no regular file") from error
    with reading(name):
        ids: Ids = np.load(path, mmap_mode="r", allow_pickle=False)
    return ids


def release(ids: Ids) -> None:
    """Let go of the pages of a memory map, or of a part of it, that were read: until then they count as memory of this
    process. They are read again when needed."""
    mapping: Any = ids
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _check_large_enough(known: npt.NDArray[np.intp], characters: int, files: int) -> None:
    where = "1 file" if files == 1 else f"{files} files"
    hint = "training needs a text of at least some thousand characters"
    if characters == 0:
        raise CorpusError(f"the corpus is empty: 0 characters in {where}", hint)
    if characters == 1:
        raise CorpusError(f"the corpus holds 1 character in {where}, which leaves nothing to predict", hint)
    if known.size == 1:
        only = f"{chr(known[0])!r} (U+{known[0]:04X})"
        raise CorpusError(f"the corpus holds {characters:,} characters, and each of them is {only}", hint)


def _header(id_type: np.dtype[Any], length: int) -> bytes:
    """The 128 bytes before the ids: a .npy header of version 1.0, the same with every version of NumPy."""
    fields = f"{{'descr': '{id_type.str}', 'fortran_order': False, 'shape': ({length},), }}"
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + fields.ljust(_HEADER - 11).encode() + b"\n"


def _has_our_header(file: IO[bytes]) -> bool:
    """Whether a file is a header that `encode` writes and exactly the ids that it announces."""
    size, header = os.fstat(file.fileno()).st_size - _HEADER, file.read(_HEADER)
    types = (np.dtype(name) for name in _ID_TYPES)
    return size > 0 and any(header == _header(t, size // t.itemsize) and size % t.itemsize == 0 for t in types)


def _fingerprint(file: IO[bytes], name: str, stop: Stop | None) -> str:
    """The fingerprint of the ids that follow the header."""
    digest = hashlib.sha256()
    for block in read_blocks(file, name, 1 << 20, ReadWatch(0, None, stop)):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _changed(how: str) -> CorpusError:
    return CorpusError(f"the corpus changed while it was read: {how}", "train on a copy that nothing else writes to")


def _damaged(path: Path, how: str) -> CheckpointError:
    again = f"charnn train --resume {printable(shlex.quote(str(path.parent)))} TEXT"
    return CheckpointError(
        f"the run's own copy of its text, {printable(str(path))}, is damaged: {how}",
        f"to make the copy anew, name the text that it was trained on: {again}",
    )
