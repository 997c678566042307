"""Fixtures of several test modules."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Whoever started the tests in the background may have had them ignore signals; what they start should not.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
    signal.signal(number, signal.SIG_DFL)

settings.register_profile("charnn", deadline=None, derandomize=True)  # the same examples every time, however slow
settings.load_profile("charnn")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a text may be written."""
    return tmp_path / "text.txt"


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the waiting for the disk, for tests of many short runs; what it is good for is tested elsewhere."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
