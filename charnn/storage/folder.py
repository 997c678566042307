"""A path enters; a folder of one's own and the lock on it leave.

Making a run takes time, and may be killed or refused at any point of it: what that leaves is told from what is
somebody's own.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import stat
import time
from collections.abc import Callable
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


def lock_folder(path: Path) -> IO[bytes]:
    """Take the folder for this process; freed by closing the file, or by dying. Raises RunBusyError, StorageError."""
    owner = ""
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE if attempt else 0)
        with storage_errors("write in", path):
            file = os.fdopen(open_to_write(path / "lock"), "r+b", buffering=0)
            try:
                if _take(file, path / "lock"):
                    return file
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
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def is_busy(path: Path) -> bool:
    """Whether somebody trains in this folder."""
    try:
        with open_to_read(path / "lock") as file:
            return not try_lock(file.fileno(), shared=True)
    except OSError:
        return False


def new_folder(out: Path | None, root: Path, name: str, notice: Callable[[str], None]) -> tuple[Path, IO[bytes]]:
    """An empty folder with the lock on it: ``out``, or the first free ``root/name-<n>``; ``root`` is made if missing.

    A folder that holds nothing but what a killed process left before its first checkpoint counts as free. Raises
    ConfigError if ``out`` is taken, RunBusyError if another process is just making it, StorageError.
    """
    if out is not None:
        if out.parent == root:
            make_folder(root)
        return out, _claim(out, notice)
    make_folder(root)
    for number in itertools.count(1):
        folder = root / f"{name}-{number}"
        with suppress(ConfigError, RunBusyError):
            if folder.is_dir() or not os.path.lexists(folder):
                return folder, _claim(folder, notice)
    raise AssertionError("unreachable")


def _claim(path: Path, notice: Callable[[str], None]) -> IO[bytes]:
    """Make the folder, or empty it of what a killed process left; the lock on it."""
    is_new = make_folder(path)
    lock = None
    try:
        _check_free(path)
        lock = lock_folder(path)
        left = [entry for entry in _check_free(path) if entry.name != "lock"]
        if left:
            notice(f"{printable(str(path))}: beginning anew what another process left unfinished")
        with storage_errors("write in", path):
            for entry in left:
                shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else Path(entry).unlink()
        return lock
    except BaseException:
        with suppress(OSError):
            if lock is not None:
                (path / "lock").unlink(missing_ok=True)
                lock.close()
            if is_new:
                path.rmdir()
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


def make_folder(path: Path) -> bool:
    """Make a folder, on disk, and say whether there was none. Raises StorageError."""
    try:
        path.mkdir()
        with suppress(PermissionError):  # a folder that may be written but not read
            sync_folder(path.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and path.is_dir():
            return False
        missing = isinstance(error, FileNotFoundError)
        hint = f"make the folder it belongs in first: mkdir -p {printable(str(path.parent))}" if missing else ""
        raise StorageError(f"cannot make the folder {printable(str(path))}: {error.strerror}", hint) from error
    return True
