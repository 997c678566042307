"""A path enters: a file or a folder; the files to read leave, and one line for each reason why others are left out.

A file that was named is read, whatever it is. Of a folder all files are that are chosen and are text: for that each of
them is decoded once, to its end. Links to folders are not followed, so there are no circles.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from charnn.errors import CorpusError, printable
from charnn.shipped import find
from charnn.storage.disk import open_to_read, storage_errors
from charnn.text.decoding import HEAD, looks_binary, settle_encoding
from charnn.text.options import ReadOptions

Stop = Callable[[], None]

_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Source:
    """One file to read: its printable name, its path (None for the copy of standard input), its size in bytes."""

    name: str
    path: Path | None
    size: int


class Remarks:
    """What is to be said of files: one line for each kind of remark, however many files it is about."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[str, int]] = {}

    def add(self, remark: str, name: str, count: int = 1) -> None:
        """One more file, or so many, that the remark holds for."""
        first, before = self._files.get(remark, (name, 0))
        self._files[remark] = (first, before + count)

    def lines(self) -> list[str]:
        """One line a remark: ``left out, as it is no utf-8 text: src/a.pyc and 8 more``."""
        return [
            f"{remark}: {first}" + (f" and {count - 1:,} more" if count > 1 else "")
            for remark, (first, count) in self._files.items()
        ]


def find_files(path: Path, options: ReadOptions, stop: Stop | None = None) -> tuple[list[Source], list[str]]:
    """The regular file at a path, or those below a folder, sorted by path; and what is to be said of those left out.

    Files and folders whose name begins with a dot are passed over in silence. Raises CorpusError where there is nothing
    to read, StorageError where the system refuses.
    """
    name, path = printable(str(path)), find(path)
    try:
        with reading(name):
            status = path.stat()
    except ValueError:
        raise CorpusError(f"there is no {name}", "a path holds no NUL character") from None
    if stat.S_ISREG(status.st_mode):
        return [Source(name, path, status.st_size)], []
    if not stat.S_ISDIR(status.st_mode):
        raise CorpusError(f"{name} is neither a file nor a folder", "to read from a pipe, use - and standard input")
    with reading(name):
        found = sorted(_walk(path), key=lambda pair: str(pair[0]))
    return _texts_among(found, path, options, stop)


def _texts_among(
    found: list[tuple[Path, str]], folder: Path, options: ReadOptions, stop: Stop | None
) -> tuple[list[Source], list[str]]:
    """Those of the files found below a folder that are chosen and are text, and remarks about the others."""
    name, left_out = printable(str(folder)), Remarks()
    files = [path for path, problem in found if not problem]
    if not files:
        raise CorpusError(f"the folder {name} holds no files to read", "hidden files and linked folders do not count")
    for path, problem in found:
        if problem:
            left_out.add(problem, printable(str(path)))
    chosen = [path for path in files if options.chooses(path.relative_to(folder).as_posix())]
    if not chosen:
        asked = printable(f"--include {options.include!r} --exclude {options.exclude!r}")
        raise CorpusError(f"of the {len(files):,} files below {name} none is chosen by {asked}")
    texts = [source for path in chosen if (source := _source_if_text(path, options, left_out, stop))]
    if not texts:
        raise CorpusError(f"the folder {name} holds no text to read; {'; '.join(left_out.lines())}")
    return texts, left_out.lines()


def _walk(top: Path) -> Iterator[tuple[Path, str]]:
    """Each file below a folder, and what else is there with the reason why it is left out."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                below = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError:
            if folder == top:
                raise
            yield folder, "left out, as it may not be read"
            continue
        for entry in below:
            if entry.is_dir(follow_symlinks=False):
                folders.append(folder / entry.name)
            else:
                yield folder / entry.name, "" if _is_file(entry) else "left out, as it is no file of its own"


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # such as a link that leads to itself
        return False


def _source_if_text(path: Path, options: ReadOptions, left_out: Remarks, stop: Stop | None) -> Source | None:
    """A file of a folder as a source, or None and a remark why not."""
    name = printable(str(path))
    if stop is not None:
        stop()
    try:
        with open_to_read(path) as file:
            if options.tokens == "bytes" or _is_text(file, name, options.encoding, stop):
                return Source(name, path, os.fstat(file.fileno()).st_size)
        left_out.add(f"left out, as it is no {options.encoding} text", name)
    except OSError:
        left_out.add("left out, as it may not be read", name)
    return None


def _is_text(file: IO[bytes], name: str, encoding: str, stop: Stop | None) -> bool:
    """Whether a file can be decoded to its end, and does not begin like something else."""
    head = file.read(HEAD)
    if looks_binary(head, encoding):
        return False
    try:
        codec, start = settle_encoding(head, name, encoding)
        decoder = codecs.getincrementaldecoder(codec)()
        file.seek(start)
        while block := file.read(1 << 20):
            decoder.decode(block)
            if stop is not None:
                stop()
        decoder.decode(b"", final=True)
    except (CorpusError, UnicodeDecodeError):
        return False
    return True


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
