"""A path enters, and a file that is on disk whole or not at all, or one opened without waiting, leaves.

All writing and opening of files that charnn keeps goes through here, and what the operating system refuses becomes a
StorageError in the same words everywhere: cannot write runs/a/config.yaml: No space left on device.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from charnn.errors import StorageError, printable

TEMPORARY = re.compile(r"\..+\.[0-9]+-[0-9a-f]{16}\.tmp", re.DOTALL)
"""The name of a file that is being written; what an interrupted write leaves."""

CHUNK = 2**20


def _flags(*names: str) -> int:
    """Those of the flags of ``os.open`` that this system has: Windows lacks most, and alone has O_BINARY."""
    flags = 0
    for name in names:
        flags |= getattr(os, name, 0)
    return flags


READING = _flags("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
WRITING = _flags("O_RDWR", "O_CREAT", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
NEW = _flags("O_RDWR", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_BINARY")


@contextmanager
def storage_errors(action: str, path: Path | str) -> Iterator[None]:
    """What the operating system refuses within the block becomes a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot {action} {printable(str(path))}: {error.strerror or error}") from error


# Opening: neither a pipe nor a device in the place of a file keeps anybody waiting. These raise OSError.


def open_to_read(path: Path) -> IO[bytes]:
    """Open a regular file. Anything else is an OSError: EISDIR for a folder, ENXIO for a pipe, a socket or a device."""
    return os.fdopen(_only_a_file(os.open(path, READING)), "rb")


def open_to_write(path: Path) -> int:
    """A descriptor for reading and writing a file, made if missing.

    A link in its place is not followed: it may lead out of the run folder.
    """
    return _only_a_file(os.open(path, WRITING, 0o666))


def _only_a_file(descriptor: int) -> int:
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    raise OSError(errno.ENXIO, "not a regular file")


# Writing


def write_atomically(path: Path, data: bytes) -> None:
    """Replace ``path`` by ``data``: at every instant, power cuts included, it is the old or the new, whole.

    Raises StorageError. A failed fsync is final: the system may have dropped what was to be written, and a second
    fsync would claim success.
    """
    with _replacing(path) as descriptor, storage_errors("write", path):
        _write_all(descriptor, data)
        os.fsync(descriptor)
        _compare(descriptor, data)


def write_blocks_atomically(path: Path, blocks: Iterable[bytes]) -> None:
    """The same for more than fits in memory, and not read back. What making the blocks raises comes through."""
    with _replacing(path) as descriptor:
        for block in blocks:
            with storage_errors("write", path):
                _write_all(descriptor, block)
        with storage_errors("write", path):
            os.fsync(descriptor)


def write_output(path: Path, text: str) -> None:
    """Write a file that the user named, in UTF-8: whole or not at all, and where a link leads. Raises StorageError.

    What is there and no regular file, such as a pipe or /dev/stdout, is written to and not replaced.
    """
    data = text.encode()
    with storage_errors("write", path):
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        target = path.resolve()
    write_atomically(target, data)


@contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """A descriptor of a new file, which takes the place of ``path`` when the block has written and synced it.

    If the block fails, nothing is left of it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")
    try:
        with storage_errors("write", path):
            descriptor = os.open(temporary, NEW, 0o666)
        try:
            yield descriptor
        finally:
            with storage_errors("write", path):
                os.close(descriptor)
        with storage_errors("write", path):
            os.replace(temporary, path)  # noqa: PTH105 (the call that fault injection replaces)
            sync_folder(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _compare(descriptor: int, data: bytes) -> None:
    position = os.lseek(descriptor, 0, os.SEEK_SET)
    while chunk := os.read(descriptor, CHUNK):
        if not data.startswith(chunk, position):
            break
        position += len(chunk)
    if position != len(data) or chunk:
        raise OSError(errno.EIO, "what was read back is not what was written")


def sync_folder(folder: Path) -> None:
    """Bring to disk which names a folder holds. Raises OSError."""
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be opened
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# Listing and removing


def files_in(folder: Path) -> list[str]:
    """The names of the regular files in a folder, and of links to such; none if there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"cannot read {printable(str(folder))}: {error.strerror}") from error


def remove(paths: Iterable[Path]) -> int:
    """Remove files, which may be gone already, and say how many there were to remove. Raises StorageError."""
    removed = 0
    for path in paths:
        with storage_errors("remove", path):
            path.unlink(missing_ok=True)
        removed += 1
    return removed


def remove_stale_temporaries(folder: Path) -> int:
    """Remove what interrupted writes left, and say how many. Only for whoever is alone in writing to the folder."""
    return remove(folder / name for name in files_in(folder) if TEMPORARY.fullmatch(name))
