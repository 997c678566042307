"""Files, folders or standard input enter; their text leaves, as blocks of decoded and normalized code points.
It streams through in constant memory, as often as it is asked for.

    arguments -> files -> bytes -> decoded text -> normalized text -> code points

Line ends stay as they are, and between files nothing is inserted.
"""

from __future__ import annotations

import codecs
import difflib
import errno
import io
import os
import re
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from encodings.aliases import aliases
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from charnn.errors import ConfigError, CorpusError, StorageError, printable

Codes = npt.NDArray[np.unsignedinteger[Any]]
ReadProgress = Callable[[int, int], None]
Stop = Callable[[], None]

_HEAD = 4096  # bytes that tell what a file looks like
_MARKS_AT_MOST = 1024  # the time to normalize a run of combining characters grows with its square
_FORMS: dict[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_REFUSED_ENCODINGS = re.compile(r"idna|punycode|undefined|(raw_)?unicode_escape|utf_7|mbcs|oem|hz|iso2022_.*")
_BOMS = {  # encoding -> the byte order marks it may begin with, and what each settles
    "utf-8": {codecs.BOM_UTF8: "utf-8"},
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", b"": "utf-16-le"},
    "utf-16-le": {codecs.BOM_UTF16_LE: "utf-16-le"},
    "utf-16-be": {codecs.BOM_UTF16_BE: "utf-16-be"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", b"": "utf-32-le"},
    "utf-32-le": {codecs.BOM_UTF32_LE: "utf-32-le"},
    "utf-32-be": {codecs.BOM_UTF32_BE: "utf-32-be"},
}
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\x1f\x8b": "gzip-compressed data",
    b"\xfd7zXZ": "xz-compressed data",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data",
    b"\x7fELF": "a program",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True)
class Source:
    """One file to read: its printable name, its path (None for the copy of standard input), its size in bytes."""

    name: str
    path: Path | None
    size: int


@dataclass(frozen=True)
class Sources:
    """What makes up a corpus, in order, and how to read it. Close it, or use it in a `with`."""

    files: tuple[Source, ...]
    encoding: str = "utf-8"
    tokens: str = "chars"
    normalize: str = "none"
    notices: tuple[str, ...] = ()
    spool: IO[bytes] | None = None
    block_size: int = 1 << 20

    @property
    def bytes(self) -> int:
        """Size of all files together, in bytes."""
        return sum(source.size for source in self.files)

    def close(self) -> None:
        """Give up the copy of standard input, if there is one."""
        if self.spool is not None:
            self.spool.close()

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_sources(
    arguments: Sequence[str | Path],
    work: Path,
    encoding: str = "utf-8",
    tokens: str = "chars",
    normalize: str = "none",
    stdin: IO[bytes] | None = None,
    stop: Stop | None = None,
) -> Sources:
    """Find the files behind corpus arguments: files, folders (every regular file below, by path), or "-" for `stdin`.

    Standard input is copied to a nameless file in the folder `work`, so that it can be read twice; that file is gone
    when the sources are closed, or the process dies. Raises CorpusError for a path that holds no text,
    StorageError where the system refuses, ConfigError for arguments and an encoding that make no sense.
    """
    if not arguments:
        raise ConfigError("no corpus given", "name a text file, a folder of text files, or - for standard input")
    if sum(str(argument) == "-" for argument in arguments) > 1:
        raise ConfigError("standard input (-) is given more than once")
    if tokens == "bytes" and normalize != "none":
        raise ConfigError(f"normalize is {normalize}, but bytes are not normalized", "--tokens chars")
    if normalize != "none" and normalize not in _FORMS:
        raise ConfigError(f"normalize is {normalize!r}", f"one of: none, {', '.join(_FORMS)}")
    encoding = _text_encoding(encoding)
    notices: list[str] = []
    files: list[Source] = []
    for argument in arguments:
        files += [Source("standard input", None, 0)] if str(argument) == "-" else _find(Path(argument), notices.append)
    sources = Sources(tuple(files), encoding, tokens, normalize, tuple(notices))
    if all(source.path for source in files):
        return sources
    spool, size = _copy_of_standard_input(stdin, work, stop)
    files = [source if source.path else replace(source, size=size) for source in files]
    return replace(sources, files=tuple(files), spool=spool)


def code_points(
    sources: Sources,
    progress: ReadProgress | None = None,
    stop: Stop | None = None,
    notice: Callable[[str], None] | None = None,
) -> Iterator[Codes]:
    """The whole text as blocks of code points (N,) with N > 0, normalized; for byte tokens, of byte values.

    Raises CorpusError for text that cannot be decoded, StorageError.
    """
    watch = ReadWatch(sources.bytes, progress, stop)
    texts = _texts(sources, watch, notice or (lambda text: None))
    for text in texts if sources.normalize == "none" else _normalized(texts, _FORMS[sources.normalize]):
        yield _as_array(text)  # (N,)


class ReadWatch:
    """Told of every block read: lets the caller stop, and shows how far the reading has come."""

    def __init__(self, total: int, progress: ReadProgress | None, stop: Stop | None) -> None:
        self._done, self._total, self._progress, self._stop = 0, total, progress, stop

    def __call__(self, count: int) -> None:
        self._done += count
        if self._stop is not None:
            self._stop()
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def read_blocks(file: IO[bytes], name: str, block_size: int, watch: ReadWatch) -> Iterator[bytes]:
    """The bytes of a file from where it stands."""
    while True:
        with storage("read", name):
            block = file.read(block_size)
        if not block:
            return
        watch(len(block))
        yield block


def _texts(sources: Sources, watch: ReadWatch, notice: Callable[[str], None]) -> Iterator[str]:
    """The decoded text of all files in pieces, none of them empty."""
    for source in sources.files:
        with _open_source(sources, source) as file:
            if sources.tokens == "bytes":
                codec, start = "latin-1", 0  # where byte n is code point n
            else:
                codec, start = _settle_encoding(file, source.name, sources.encoding, notice)
            decoder, position = codecs.getincrementaldecoder(codec)(), start
            for block in chain(read_blocks(file, source.name, sources.block_size, watch), [b""]):
                position += len(block)
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    offset = position - len(error.object) + error.start
                    raise _undecodable(file, source.name, codec, start, offset, error.object[error.start]) from None
                if text:
                    yield text


def _settle_encoding(file: IO[bytes], name: str, encoding: str, notice: Callable[[str], None]) -> tuple[str, int]:
    """Step over a byte order mark; return the encoding that it settles and the offset where the text begins."""
    with storage("read", name):
        head = file.read(_HEAD)
    kind = _looks_like(head)
    if kind.startswith("UTF-16") and not encoding.startswith(("utf-16", "utf-32")):
        raise CorpusError(f"{name} looks like {kind}, not like {encoding}", _try_encoding(kind))
    marks = _BOMS.get(encoding, {})
    mark = next((mark for mark in marks if head.startswith(mark)), b"")
    if mark:
        notice(f"{name}: the byte order mark at its beginning is left out")
    with storage("read", name):
        file.seek(len(mark))
    return marks.get(mark, encoding), len(mark)


def _looks_like(head: bytes) -> str:
    """What the first bytes of a file give away, or nothing."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 16 and max(even, odd) > 0.3 * len(head) and min(even, odd) < 0.05 * len(head):
        return f"UTF-16-{'LE' if odd > even else 'BE'} without a byte order mark"
    return "binary data" if even + odd else ""


def _try_encoding(kind: str) -> str:
    name = kind.split()[0].lower() if kind.startswith("UTF") else "NAME (for example latin-1)"
    return f"--encoding {name} or --tokens bytes"


def _undecodable(file: IO[bytes], name: str, codec: str, start: int, offset: int, byte: int) -> CorpusError:
    """The error for a byte at `offset` of a file whose text begins at `start`."""
    lines = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)("replace"), translate=True)
    with storage("read", name):
        file.seek(0)
        kind = _looks_like(file.read(_HEAD))
        file.seek(start)
        sizes = [1 << 20] * ((offset - start) >> 20) + [(offset - start) % (1 << 20)]
        line = 1 + sum(lines.decode(file.read(size)).count("\n") for size in sizes)
    line += lines.decode(b"", final=True).count("\n")
    likeness = f"; the file looks like {kind}" if kind else ""
    what = f"{name} is not {codec}: byte 0x{byte:02x} at offset {offset:,}, line {line:,}{likeness}"
    return CorpusError(what, _try_encoding(kind))


def _normalized(texts: Iterable[str], form: Literal["NFC", "NFD"]) -> Iterator[str]:
    """The texts, joined, in a normal form. What may still change with the text to come is held back."""
    boundary, held = _boundaries(), ""
    for text in texts:
        text = held + text
        apart = boundary[_as_array(text)]  # (N,)
        joining = np.flatnonzero(~apart)
        if np.any(joining[_MARKS_AT_MOST:] - joining[:-_MARKS_AT_MOST] == _MARKS_AT_MOST):
            raise CorpusError(f"the text has more than {_MARKS_AT_MOST} combining marks in a row", "--normalize none")
        cut = len(text) - 1
        while cut and not apart[cut]:
            cut -= 1
        if cut:
            yield unicodedata.normalize(form, text[:cut])
        held = text[cut:]
    if held:
        yield unicodedata.normalize(form, held)


@cache
def _boundaries() -> npt.NDArray[np.bool_]:
    """For each code point, (0x110000,), whether normalization never reaches across its left side.

    That is so where its decomposition begins with a character that is neither a mark, which may change places with
    marks before it, nor composes with what comes before, as some vowel signs and the jamo of Hangul do.
    """
    parts = (unicodedata.decomposition(chr(code)).split() for code in range(0x110000))
    joins = {chr(int(pair[1], 16)) for pair in parts if len(pair) == 2 and pair[0][0] != "<"}
    joins |= set(map(chr, [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))  # Hangul composes by arithmetic
    firsts = (unicodedata.normalize("NFD", chr(code))[0] for code in range(0x110000))
    apart = (not unicodedata.combining(first) and first not in joins for first in firsts)
    return np.fromiter(apart, dtype=np.bool_, count=0x110000)


def _as_array(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le"), "<u4")  # (N,)


def _text_encoding(name: str) -> str:
    """Python's own name of an encoding of text. Raises ConfigError for any other codec."""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        near = difflib.get_close_matches(name.lower().replace("-", "_"), {*aliases, *aliases.values()})
        hint = f"did you mean {' or '.join(near)}?" if near else "for example utf-8, latin-1, cp1252, utf-16"
        raise ConfigError(f"there is no encoding {printable(name)[:60]!r}", hint) from None
    codec = info.name.replace("-", "_")
    if not info._is_text_encoding or not info.incrementaldecoder or _REFUSED_ENCODINGS.fullmatch(codec):
        raise ConfigError(f"{info.name} is no encoding for a corpus", "convert the text to UTF-8, or --tokens bytes")
    return "utf-8" if codec == "utf_8_sig" else info.name


def _find(path: Path, notice: Callable[[str], None]) -> list[Source]:
    """The regular file at a path, or all below a folder, sorted by path; nothing whose name begins with a dot."""
    name = printable(str(path))
    try:
        with storage("read", name):
            mode = path.stat().st_mode
    except ValueError:
        raise CorpusError(f"there is no {name}", "a path holds no NUL character") from None
    if stat.S_ISREG(mode):
        return [_source(path)]
    if not stat.S_ISDIR(mode):
        raise CorpusError(f"{name} is neither a file nor a folder", "to read from a pipe, use - and standard input")
    files, skipped = _walk(path)
    if skipped:
        example = printable(str(min(skipped)))
        notice(f"{name}: skipped what is no regular file, such as {example} ({len(skipped)} in all)")
    if not files:
        raise CorpusError(f"the folder {name} holds no files to read", "hidden files and linked folders do not count")
    return [_source(file) for file in sorted(files, key=str)]


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files, and what was skipped. Links to folders are not followed, so there are no cycles."""
    files, skipped, folders = list[Path](), list[Path](), [folder]
    while folders:
        folder = folders.pop()
        with storage("read", printable(str(folder))):
            for path in folder.iterdir():
                if path.name.startswith("."):
                    continue
                if path.is_dir() and not path.is_symlink():
                    folders.append(path)
                else:
                    (files if path.is_file() else skipped).append(path)
    return files, skipped


def _source(path: Path) -> Source:
    with storage("read", name := printable(str(path))):
        return Source(name, path, path.stat().st_size)


def _copy_of_standard_input(stdin: IO[bytes] | None, work: Path, stop: Stop | None) -> tuple[IO[bytes], int]:
    """A nameless file with all of standard input, and its size."""
    stdin = stdin or getattr(sys.stdin, "buffer", None)
    if stdin is None:
        raise CorpusError("standard input is closed", "name a text file, or pipe one in")
    name = printable(str(work))
    with storage("write", name):
        spool = tempfile.TemporaryFile(dir=work)  # noqa: SIM115 (the caller keeps it)
    try:
        watch = ReadWatch(0, None, stop)
        for block in read_blocks(stdin, "standard input", 1 << 20, watch):
            with storage("write", name):
                spool.write(block)
        with storage("write", name):
            spool.flush()
            return spool, spool.tell()
    except BaseException:
        with suppress(OSError):
            spool.close()
        raise


def _open_source(sources: Sources, source: Source) -> AbstractContextManager[IO[bytes]]:
    if source.path is not None:
        return open_file(source.path, source.name)
    if sources.spool is None:
        raise CorpusError("standard input can be read only through open_sources")
    with storage("read", source.name):
        sources.spool.seek(0)
    return nullcontext(sources.spool)


def open_file(path: Path, name: str) -> IO[bytes]:
    """Open a regular file for reading; a pipe or a device in its place neither blocks nor is read."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with storage("read", name):
        descriptor = os.open(path, flags)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
    raise CorpusError(f"{name} is not a regular file")


@contextmanager
def storage(action: Literal["read", "write"], name: str) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the path."""
    try:
        yield
    except OSError as error:
        if action == "read" and error.errno in _MISSING:
            raise CorpusError(f"there is no {name}", "check the path") from error
        raise StorageError(f"cannot {action} {name}: {error.strerror or error}") from error
