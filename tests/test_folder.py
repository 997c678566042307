"""A start that fails removes what it made and nothing else, whatever makes it fail."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import TINY, complaint, names, new_run, some_text, write_text

from charnn.config import flat_settings, resolve
from charnn.errors import CharnnError, ConfigError, CorpusError, StorageError
from charnn.runs.opening import create

pytestmark = pytest.mark.usefixtures("no_fsync")


class Arriving(io.BytesIO):
    """Standard input, during whose reading something else happens."""

    def __init__(self, text: bytes, meanwhile: Callable[[], object] = lambda: None):
        super().__init__(text)
        self.meanwhile = meanwhile

    def read(self, size: int | None = -1, /) -> bytes:
        self.meanwhile()
        self.meanwhile = lambda: None
        return super().read(size)


class Stopped(CharnnError):
    """A signal."""


def stop() -> None:
    raise Stopped("a signal")


FAILURES: dict[str, dict[str, Any]] = {
    "an empty text": {"text": b""},
    "one that cannot be decoded": {"text": some_text().encode() + b"\xff"},
    "options that do not fit the text": {"options": {"seq_length": 5000}},
    "a signal": {"stop": stop},
    **{f"a full disk at file {n}": {"full_at": n} for n in (1, 2, 3, 4)},
}


def fail(
    out: Path | None,
    patch: pytest.MonkeyPatch,
    meanwhile: Callable[[], object] = lambda: None,
    text: bytes = some_text().encode(),
    options: dict[str, Any] | None = None,
    stop: Callable[[], None] | None = None,
    full_at: int = 0,
) -> str:
    """Begin a run on standard input, and fail; what the error says."""
    replace, calls = os.replace, []

    def filling_up(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(*paths)

    settings = resolve(flat_settings({**TINY, **(options or {})}))
    with patch.context() as here:
        here.setattr(os, "replace", filling_up)
        return complaint(lambda: create(settings, ["-"], out, stdin=Arriving(text, meanwhile), stop=stop), CharnnError)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_start_that_fails_leaves_no_folder_that_was_not_there(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(tmp_path / "run", monkeypatch, **FAILURES[failure])
    assert names(tmp_path) == []


@pytest.mark.parametrize("failure", FAILURES)
def test_a_start_that_fails_leaves_a_folder_that_was_there(
    failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    fail(tmp_path / "run", monkeypatch, **FAILURES[failure])
    assert names(tmp_path / "run") == []


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("name", ["notes.txt", "checkpoints/notes.txt"])
def test_what_somebody_puts_there_meanwhile_stays(
    name: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "run" / name
    fail(tmp_path / "run", monkeypatch, meanwhile=lambda: notes.write_bytes(b"mine"), **FAILURES[failure])
    assert notes.read_bytes() == b"mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [notes]


@pytest.mark.parametrize(
    "name", ["config.yaml", "corpus.npy", "metrics.jsonl", "checkpoints/step-00000000.safetensors"]
)
def test_a_file_of_the_name_that_a_run_needs_is_neither_overwritten_nor_removed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "run" / name
    what = fail(tmp_path / "run", monkeypatch, meanwhile=lambda: theirs.write_bytes(b"mine"))
    assert f"cannot write {theirs}: something else made it meanwhile" in what
    assert theirs.read_bytes() == b"mine"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [theirs]


def test_in_a_folder_that_took_the_place_of_its_own_a_start_that_fails_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"

    def exchange() -> None:
        run.rename(tmp_path / "elsewhere")
        (run / "checkpoints").mkdir(parents=True)
        for name in ("lock", "config.yaml", "corpus.npy"):
            (run / name).write_bytes(b"theirs")

    fail(run, monkeypatch, meanwhile=exchange, text=b"")
    assert names(run) == ["checkpoints", "config.yaml", "corpus.npy", "lock"]


@pytest.mark.parametrize("there", [False, True])
def test_the_folder_of_runs_goes_if_it_was_made_and_stays_if_it_was_there(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "runs").mkdir()
    fail(None, monkeypatch, text=b"")
    fail(Path("runs/mine"), monkeypatch, text=b"")
    assert names(tmp_path) == ["runs"] * there
    assert not there or names(tmp_path / "runs") == []


def test_a_folder_that_is_taken_is_left_as_it_is(tmp_path: Path) -> None:
    new_run(tmp_path).close()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert "exists already" in complaint(lambda: new_run(tmp_path), ConfigError)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_what_a_killed_start_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    stale = f".step-00000000.safetensors.1-{'0' * 16}.tmp"
    for name in ("lock", "config.yaml", "metrics.jsonl", "corpus.npy", f"checkpoints/{stale}"):
        (tmp_path / "run" / name).touch()
    new_run(tmp_path).close()
    assert names(tmp_path / "run" / "checkpoints") == ["step-00000000.safetensors"]


def test_a_parent_that_is_missing_is_named_with_the_way_to_make_it(tmp_path: Path) -> None:
    settings, text = resolve(flat_settings(TINY)), write_text(tmp_path)
    what = complaint(lambda: create(settings, [text], tmp_path / "a" / "b"), StorageError)
    assert f"mkdir -p {tmp_path / 'a'}" in what
    (tmp_path / "empty.txt").touch()
    assert "is empty" in complaint(lambda: create(settings, [tmp_path / "empty.txt"], tmp_path / "run"), CorpusError)
    assert names(tmp_path) == ["empty.txt", "text.txt"]
