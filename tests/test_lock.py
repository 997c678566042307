"""One process has a folder for itself, with whichever kind of lock the system has; without any, all works but that."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import complaint, some_text

from charnn.errors import RunBusyError
from charnn.storage import lock
from charnn.storage.folder import is_busy, lock_folder

BARE = """
import os, sys
for name in ("fcntl", "msvcrt", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_NOCTTY", "O_DIRECTORY", "pread", "pwrite"):
    delattr(os, name)
"""
"""A system that has nothing of POSIX."""


def windows_locking(descriptor: int, mode: int, size: int) -> None:
    """As ``msvcrt.locking``: from where the file stands, or a PermissionError."""
    assert (mode, size) == (7, 1)
    assert os.lseek(descriptor, 0, os.SEEK_CUR) > os.fstat(descriptor).st_size + 100
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PermissionError(errno.EACCES, "Permission denied") from error


@pytest.fixture(params=["flock", "msvcrt"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "msvcrt":
        monkeypatch.setattr(lock, "_fcntl", None)
        monkeypatch.setattr(lock, "_msvcrt", SimpleNamespace(LK_NBLCK=7, locking=windows_locking))


@pytest.mark.usefixtures("system")
def test_a_folder_has_one_owner_at_a_time_whose_process_is_named(tmp_path: Path) -> None:
    assert not is_busy(tmp_path)
    for _ in range(2):
        with lock_folder(tmp_path):
            assert is_busy(tmp_path)
            assert f"process {os.getpid()} is training in {tmp_path}" in complaint(
                lambda: lock_folder(tmp_path), RunBusyError
            )
        assert not is_busy(tmp_path)


def test_runs_are_made_saved_and_resumed_on_a_system_that_has_nothing_of_posix(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(some_text())
    options = {"layers": 1, "hidden_size": 8, "batch_size": 4, "seq_length": 8, "steps": 5, "val_fraction": 0}
    script = f"""{BARE}
from pathlib import Path
from charnn.config import flat_settings, resolve
from charnn.runs.opening import create, resume
from charnn.runs.summary import list_runs, read_report
with create(resolve(flat_settings({options})), ["text.txt"], Path("run")) as run:
    run.metrics.append({{"step": 1}})
    run.state.step, run.state.reported = 1, 1
    run.save()
with resume(Path("run"), corpora=["text.txt"]) as run:
    assert (run.state.step, run.state.metrics_length) == (1, 12)
print(read_report(Path("run")).summary.status)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "finished\n", done.stderr
