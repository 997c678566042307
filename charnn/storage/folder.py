"""A path enters; a folder of one's own and the lock on it leave.

Making a run takes time, and may be killed or refused at any point of it: what that leaves is told from what is
somebody's own.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from charnn.errors import ConfigError, RunBusyError, StorageError, printable
from charnn.storage.disk import TEMPORARY, open_to_read, open_to_write, storage_errors, sync_folder
from charnn.storage.lock import try_lock

ATTEMPTS = 5
PAUSE = 0.02
"""Whoever only asks whether a folder is busy holds its lock for an instant, so taking it is tried more than once."""

UNFINISHED = re.compile(rf"lock|config\.yaml|corpus\.npy|metrics\.jsonl|tmp\w{{8}}|{TEMPORARY.pattern}", re.DOTALL)
"""The files that making a run leaves when it is killed, before there is a checkpoint."""


class LockedFolder:
    """A folder that this process has for itself, until it closes it or dies.

    What is made in it through ``new`` and ``new_folder`` is remembered: ``abandon`` removes that, and nothing else.
    """

    def __init__(self, path: Path, file: IO[bytes]):
        self.path, self._file = path, file
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> LockedFolder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        self.close() if kind is None else self.abandon()

    def close(self) -> None:
        """Let others have it."""
        self._file.close()

    def new(self, name: str) -> Path:
        """Where this process is about to write a file. Raises StorageError if something is there already."""
        path = self.path / name
        if os.path.lexists(path):
            raise StorageError(f"cannot write {printable(str(path))}: something else made it meanwhile")
        self._undo.append(path.unlink)
        return path

    def new_folder(self, name: str) -> Path:
        """A folder in this one, made if it is not there. Raises StorageError."""
        path = self.path / name
        if make_folder(path):
            self._undo.append(path.rmdir)
        return path

    def made_before(self, undo: Sequence[Callable[[], None]]) -> None:
        """Remember how to remove what was made before the lock could be taken, the oldest first."""
        self._undo[:0] = undo

    def abandon(self) -> None:
        """Remove what was made, of folders those that hold nothing else, and let others have what is left."""
        if _is_at(self._file, self.path / "lock"):
            _undo_all(self._undo)
        self.close()


def _undo_all(undo: Sequence[Callable[[], None]]) -> None:
    for one in reversed(undo):
        with suppress(OSError):
            one()


def lock_folder(path: Path) -> LockedFolder:
    """Take the folder for this process. Raises RunBusyError, StorageError."""
    owner = ""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        with storage_errors("write in", path):
            file = os.fdopen(open_to_write(path / "lock"), "r+b", buffering=0)
            try:
                if _take(file, path / "lock"):
                    return LockedFolder(path, file)
                file.seek(0)
                owner = file.read(32).decode("ascii", "replace").strip()
            except OSError:
                file.close()
                raise
            file.close()
    raise RunBusyError(
        f"process {printable(owner or 'unknown')} is training in {printable(str(path))}",
        "wait for it, or stop it with Ctrl-C",
    )


def _take(file: IO[bytes], path: Path) -> bool:
    """Lock the file and write into it who has it; False if somebody else has, or the file is no longer at its path."""
    if not try_lock(file.fileno()) or not _is_at(file, path):
        return False
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n".encode())
    return True


def _is_at(file: IO[bytes], path: Path) -> bool:
    """Whether the file is still the one at this path: another process may have removed it just before."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_busy(path: Path) -> bool:
    """Whether somebody trains in this folder."""
    try:
        with open_to_read(path / "lock") as file:
            return not try_lock(file.fileno(), shared=True)
    except OSError:
        return False


def new_folder(out: Path | None, root: Path, name: str, notice: Callable[[str], None]) -> LockedFolder:
    """An empty folder, locked: ``out``, or the first free ``root/name-<n>``; ``root`` is made if missing.

    A folder that holds nothing but what a killed process left before its first checkpoint counts as free. Raises
    ConfigError if ``out`` is taken, RunBusyError if another process is just making it, StorageError.
    """
    undo: list[Callable[[], None]] = []
    try:
        if (out is None or out.parent == root) and make_folder(root):
            undo.append(root.rmdir)
        folder = _first_free(root, name, notice) if out is None else _claim(out, notice)
        folder.made_before(undo)
        return folder
    except BaseException:
        _undo_all(undo)
        raise


def _first_free(root: Path, name: str, notice: Callable[[str], None]) -> LockedFolder:
    for number in itertools.count(1):
        path = root / f"{name}-{number}"
        with suppress(ConfigError, RunBusyError):
            if path.is_dir() or not os.path.lexists(path):
                return _claim(path, notice)
    raise AssertionError("unreachable")


def _claim(path: Path, notice: Callable[[str], None]) -> LockedFolder:
    """Make the folder, or empty it of what a killed process left, and lock it."""
    undo: list[Callable[[], None]] = []
    folder = None
    try:
        if make_folder(path):
            undo.append(path.rmdir)
        _check_free(path)
        folder = lock_folder(path)
        undo.append((path / "lock").unlink)
        left = [entry for entry in _check_free(path) if entry.name != "lock"]
        if left:
            notice(f"{printable(str(path))}: beginning anew what another process left unfinished")
        for entry in left:
            _remove_left_over(Path(entry))
        folder.made_before(undo)
        return folder
    except BaseException:
        _undo_all(undo)
        if folder is not None:
            folder.close()
        raise


def _check_free(path: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, if it is free. Raises ConfigError if that is more than making a run leaves when killed.

    Making a run begins with its lock: without that, a file is somebody else's, whatever its name.
    """
    entries = _entries(path)
    if entries and not (any(entry.name == "lock" for entry in entries) and all(map(_is_left_over, entries))):
        again = f"charnn train --resume {printable(shlex.quote(str(path)))}"
        raise ConfigError(f"{printable(str(path))} exists already", f"to go on with it: {again}")
    return entries


def _is_left_over(entry: os.DirEntry[str]) -> bool:
    if entry.name == "checkpoints" and entry.is_dir(follow_symlinks=False):
        return all(UNFINISHED.fullmatch(inner.name) for inner in _entries(Path(entry.path)))
    with storage_errors("read", entry.path):
        status = entry.stat(follow_symlinks=False)
    trained = entry.name == "metrics.jsonl" and status.st_size > 0
    return stat.S_ISREG(status.st_mode) and bool(UNFINISHED.fullmatch(entry.name)) and not trained


def _entries(path: Path) -> list[os.DirEntry[str]]:
    with storage_errors("read", path), os.scandir(path) as entries:
        return list(entries)


def _remove_left_over(path: Path) -> None:
    with storage_errors("remove", path):
        if path.is_dir():
            for entry in _entries(path):
                Path(entry).unlink()
            path.rmdir()
        else:
            path.unlink()


def make_folder(path: Path) -> bool:
    """Make a folder, on disk, and say whether there was none. Raises StorageError."""
    try:
        path.mkdir()
    except OSError as error:
        if isinstance(error, FileExistsError) and path.is_dir():
            return False
        missing = isinstance(error, FileNotFoundError)
        hint = f"make the folder it belongs in first: mkdir -p {printable(str(path.parent))}" if missing else ""
        raise StorageError(f"cannot make the folder {printable(str(path))}: {error.strerror}", hint) from error
    try:
        with storage_errors("make the folder", path), suppress(PermissionError):  # written but not read
            sync_folder(path.parent)
    except StorageError:
        path.rmdir()
        raise
    return True
