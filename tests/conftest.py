"""Fixtures of several test modules."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from pages import ROOT

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


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout to somebody who types commands, with short texts for corpora."""
    (tmp_path / "corpora").mkdir()
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in ("dialogues.txt", "harbour.txt"):
        text = (ROOT / "corpora" / name).read_text(encoding="ascii")
        (tmp_path / "corpora" / name).write_text(text[:6000] + "".join(sorted(set(text))) + text[:6000])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    return tmp_path
