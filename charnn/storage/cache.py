"""Arrays that can be worked out again enter and are kept in a folder; they leave as they were, or not at all.

Where the folder cannot be written, or another process is writing there, nothing is kept, and all else works.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from charnn.errors import CheckpointError, RunBusyError, StorageError, Warn
from charnn.storage import checkpoint
from charnn.storage.checkpoint import Array, Checkpoint
from charnn.storage.disk import remove_stale_temporaries
from charnn.storage.folder import LockedFolder, lock_folder, make_folder


class Cache:
    """A folder of such arrays, made when the first are kept. ``facts`` say what all of them were worked out from.

    Use it in a ``with``: while open, it is the only one that writes. ``warn`` hears once why nothing is kept.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any], warn: Warn):
        self.folder, self.facts, self._warn = folder, dict(facts), warn
        self._lock: LockedFolder | None = None
        self._closed = False

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *exception: object) -> None:
        self._closed = True
        if self._lock is not None:
            self._lock.close()

    def read(self, name: str) -> Checkpoint | None:
        """What was kept under a name, if it is undamaged and was worked out from the same."""
        with suppress(CheckpointError, StorageError):
            found = checkpoint.read(self.folder / name)
            if all(found.document.get(key) == value for key, value in self.facts.items()):
                return found
        return None

    def keep(self, name: str, arrays: Mapping[str, Array], document: Mapping[str, Any]) -> None:
        """Replace what is kept under a name, where that is possible."""
        try:
            if self._is_ours():
                checkpoint.write(self.folder / name, arrays, {**document, **self.facts})
        except StorageError as error:
            self._closed = True
            self._warn(f"{error.message}; it will have to be worked out again")

    def _is_ours(self) -> bool:
        """Whether this process may write, which no other does then."""
        if self._closed or self._lock is not None:
            return not self._closed
        if self.folder.is_symlink():
            raise StorageError(f"{self.folder.name} is a link: charnn writes inside its run folder only")
        make_folder(self.folder)
        try:
            self._lock = lock_folder(self.folder)
        except RunBusyError:
            self._closed = True
            return False
        remove_stale_temporaries(self.folder)
        return True
