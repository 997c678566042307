"""Lines of figures enter and reach the disk once each, in order, whatever fails on the way; from such a file the lines
that are whole leave.

One trainer writes at a time. A line that could not be written waits in memory and goes out with the next one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charnn.errors import StorageError
from charnn.storage.disk import open_to_read, open_to_write, storage_errors

NEEDED = (
    "epoch",
    "train_loss",
    "val_loss",
    "learning_rate",
    "grad_norm",
    "clipped",
    "chars_per_second",
    "elapsed_seconds",
)
"""Figures that every line has beside its step; of these only val_loss may be null."""

LONGEST_LINE = 65536
LARGEST = 2**63


class MetricsFile:
    """The metrics.jsonl of a run, as its trainer writes it: ``length`` bytes of it are known to be on disk.

    Everything after that is kept in memory, too, until it has been synced: after a failed fsync nobody knows which
    bytes the disk has, so they are all written again.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        self.path, self.length = path, length
        self._tail = b""
        self._written = 0  # bytes of the tail

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line. Raises StorageError; the line is not lost then, the next ``append`` or ``sync`` writes it."""
        self._tail += json.dumps(line, allow_nan=False).encode() + b"\n"
        self._write(sync=False)

    def sync(self) -> None:
        """Bring everything to disk. Raises StorageError."""
        self._write(sync=True)

    def cut(self, length: int) -> bool:
        """Drop all that comes after ``length`` bytes. False if there are fewer: of these the whole lines stay.

        Raises StorageError.
        """
        with storage_errors("write", self.path):
            descriptor = open_to_write(self.path)
            try:
                there = os.fstat(descriptor).st_size
                self.length = length if length <= there else _whole_lines(descriptor, there)
                self._tail, self._written = b"", 0
                os.ftruncate(descriptor, self.length)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return length <= there

    def _write(self, sync: bool) -> None:
        try:
            with storage_errors("write", self.path):
                self._write_tail(sync)
        except StorageError:
            if sync:
                self._written = 0
            raise

    def _write_tail(self, sync: bool) -> None:
        descriptor = open_to_write(self.path)
        try:
            os.lseek(descriptor, self.length + self._written, os.SEEK_SET)
            while rest := self._tail[self._written :]:
                self._written += os.write(descriptor, rest)
            if sync:
                os.fsync(descriptor)
                self.length += len(self._tail)
                self._tail, self._written = b"", 0
        finally:
            os.close(descriptor)


def _whole_lines(descriptor: int, length: int) -> int:
    """Bytes up to and with the last line end within ``length``."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, length).rfind(b"\n") + 1


def read_metrics(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a metrics.jsonl up to the first that is not one, and whether anything was passed over.

    Raises StorageError.
    """
    lines: list[dict[str, Any]] = []
    with storage_errors("read", path):
        try:
            with open_to_read(path) as file:
                while line := file.readline(LONGEST_LINE):
                    if (value := _parsed(line)) is None:
                        return lines, True
                    lines.append(value)
        except FileNotFoundError:
            return [], False
        except OSError as error:
            if error.errno == errno.ENXIO:  # a pipe, a socket or a device
                return [], True
            raise
    return lines, False


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or type(value.get("step")) is not int:
        return None
    figures: list[Any] = [value.get(name) for name in NEEDED if name != "val_loss" or value.get(name) is not None]
    return value if all(type(figure) in (int, float) and -LARGEST < figure < LARGEST for figure in figures) else None
