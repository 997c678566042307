"""Files, folders or standard input enter; their text leaves, as blocks of decoded and normalized code points.
It streams through in constant memory, as often as it is asked for.

    arguments -> files -> bytes -> decoded text -> normalized text -> code points

Line ends stay as they are, and between files nothing is inserted.
"""

from __future__ import annotations

import codecs
import errno
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO

from charnn.errors import ConfigError, CorpusError, printable
from charnn.shipped import find
from charnn.storage.disk import open_to_read, storage_errors
from charnn.text.decoding import HEAD, settle_encoding, text_encoding, undecodable
from charnn.text.unicode import NORMAL_FORMS, Codes, code_points_of, normalized

ReadProgress = Callable[[int, int], None]
Stop = Callable[[], None]

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


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

    What comes with charnn is found from anywhere, as corpora/dialogues.txt.
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
    if normalize != "none" and normalize not in NORMAL_FORMS:
        raise ConfigError(f"normalize is {normalize!r}", f"one of: none, {', '.join(NORMAL_FORMS)}")
    encoding = text_encoding(encoding)
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
    for text in texts if sources.normalize == "none" else normalized(texts, NORMAL_FORMS[sources.normalize]):
        yield code_points_of(text)  # (N,)


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
        with reading(name):
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
                with reading(source.name):
                    head = file.read(HEAD)
                codec, start = settle_encoding(head, source.name, sources.encoding)
                if start:
                    notice(f"{source.name}: the byte order mark at its beginning is left out")
                with reading(source.name):
                    file.seek(start)
            decoder, position = codecs.getincrementaldecoder(codec)(), start
            for block in chain(read_blocks(file, source.name, sources.block_size, watch), [b""]):
                position += len(block)
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    offset = position - len(error.object) + error.start
                    with reading(source.name):
                        problem = undecodable(file, source.name, codec, start, offset, error.object[error.start])
                    raise problem from None
                if text:
                    yield text


def _find(path: Path, notice: Callable[[str], None]) -> list[Source]:
    """The regular file at a path, or all below a folder, sorted by path; nothing whose name begins with a dot."""
    name, path = printable(str(path)), find(path)
    try:
        with reading(name):
            mode = path.stat().st_mode
    except ValueError:
        raise CorpusError(f"there is no {name}", "a path holds no NUL character") from None
    if stat.S_ISREG(mode):
        return [_source(path, name)]
    if not stat.S_ISDIR(mode):
        raise CorpusError(f"{name} is neither a file nor a folder", "to read from a pipe, use - and standard input")
    files, skipped = _walk(path)
    if skipped:
        example = printable(str(min(skipped)))
        notice(f"{name}: skipped what is no regular file, such as {example} ({len(skipped)} in all)")
    if not files:
        raise CorpusError(f"the folder {name} holds no files to read", "hidden files and linked folders do not count")
    return [_source(file, printable(str(file))) for file in sorted(files, key=str)]


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files, and what was skipped. Links to folders are not followed, so there are no cycles."""
    files, skipped, folders = list[Path](), list[Path](), [folder]
    while folders:
        folder = folders.pop()
        with reading(printable(str(folder))):
            for path in folder.iterdir():
                if path.name.startswith("."):
                    continue
                if path.is_dir() and not path.is_symlink():
                    folders.append(path)
                else:
                    (files if path.is_file() else skipped).append(path)
    return files, skipped


def _source(path: Path, name: str) -> Source:
    with reading(name):
        return Source(name, path, path.stat().st_size)


def _copy_of_standard_input(stdin: IO[bytes] | None, work: Path, stop: Stop | None) -> tuple[IO[bytes], int]:
    """A nameless file with all of standard input, and its size."""
    stdin = stdin or getattr(sys.stdin, "buffer", None)
    if stdin is None:
        raise CorpusError("standard input is closed", "name a text file, or pipe one in")
    name = printable(str(work))
    with storage_errors("write", name):
        spool = tempfile.TemporaryFile(dir=work)  # noqa: SIM115 (the caller keeps it)
    try:
        watch = ReadWatch(0, None, stop)
        for block in read_blocks(stdin, "standard input", 1 << 20, watch):
            with storage_errors("write", name):
                spool.write(block)
        with storage_errors("write", name):
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
    with reading(source.name):
        sources.spool.seek(0)
    return nullcontext(sources.spool)


def open_file(path: Path, name: str) -> IO[bytes]:
    """Open a regular file for reading; a pipe or a device in its place neither blocks nor is read."""
    with reading(name):
        try:
            return open_to_read(path)
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ENXIO):
                raise CorpusError(f"{name} is not a regular file") from error
            raise


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the path."""
    with storage_errors("read", name):
        try:
            yield
        except OSError as error:
            if error.errno in _MISSING:
                raise CorpusError(f"there is no {name}", "check the path") from error
            raise
