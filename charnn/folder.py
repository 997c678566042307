"""A path enters; an empty folder of one's own, a lock on it, or the lines of its metrics leave.

What a run folder needs of the operating system, and nothing of what is in it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from pathlib import Path
from typing import IO, Any

from charnn.errors import ConfigError, RunBusyError, StorageError, printable


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a metrics.jsonl, and whether a bad tail was passed over."""
    lines: list[dict[str, Any]] = []
    try:
        for line in path.read_bytes().splitlines(keepends=True):
            value = json.loads(line) if line.endswith(b"\n") else None
            if not isinstance(value, dict):
                return lines, True
            lines.append(value)
    except FileNotFoundError:
        return [], False
    except (ValueError, RecursionError):
        return lines, True
    except OSError as error:
        raise StorageError(f"cannot read {printable(str(path))}: {error.strerror}") from error
    return lines, False


def lock_folder(path: Path) -> IO[bytes]:
    """Take the folder for this process; freed by closing the file, or by dying. Raises RunBusyError, StorageError."""
    name = path / "lock"
    try:
        file = name.open("a+b")
    except OSError as error:
        raise StorageError(f"cannot write in {printable(str(path))}: {error.strerror}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = file.read(32).decode("ascii", "replace").strip()
        file.close()
        raise RunBusyError(
            f"process {printable(owner)} is training in {printable(str(path))}", "wait for it, or stop it with Ctrl-C"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n".encode())
    file.flush()
    return file


def is_busy(path: Path) -> bool:
    """Whether somebody trains in this folder."""
    try:
        with (path / "lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def new_folder(out: Path | None, root: Path, name: str) -> Path:
    """Make an empty folder: ``out``, or the first free ``root/name-<n>``; ``root`` is made where it is missing.

    Raises ConfigError if ``out`` is taken, StorageError if it cannot be made.
    """
    if out is not None:
        shown = printable(str(out))
        if not out.is_dir():
            if out.parent == root and not root.is_dir():
                make_folder(root)
            make_folder(out)
        elif any(out.iterdir()):
            raise ConfigError(f"{shown} exists already", f"to go on with it: charnn train --resume {shown}")
        return out
    if not root.is_dir():
        make_folder(root)
    for number in itertools.count(1):
        folder = root / f"{name}-{number}"
        if not os.path.lexists(folder):
            make_folder(folder)
            return folder
    raise AssertionError("unreachable")


def make_folder(path: Path) -> None:
    try:
        path.mkdir()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        hint = f"make the folder it belongs in first: mkdir -p {printable(str(path.parent))}" if missing else ""
        raise StorageError(f"cannot make the folder {printable(str(path))}: {error.strerror}", hint) from error
