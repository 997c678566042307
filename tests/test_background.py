"""The baseline is measured beside training, and is stored with the run when it is known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from charnn.baseline import background
from charnn.baseline.ngrams import measure
from charnn.config import flat_settings, resolve
from charnn.runs.opening import create, resume
from charnn.runs.run import TrainingRun
from charnn.runs.summary import read_report
from charnn.training.trainer import Trainer

TEXT = "she sells sea shells by the sea shore; the shells she sells are sea shells, I am sure.\n" * 30


@pytest.fixture
def run(tmp_path: Path) -> Iterator[TrainingRun]:
    (tmp_path / "text.txt").write_text(TEXT)
    settings = flat_settings({"hidden_size": 8, "layers": 1, "steps": 2, "batch_size": 2, "seq_length": 16})
    with create(resolve(settings), [tmp_path / "text.txt"], tmp_path / "run") as made:
        yield made


def test_a_run_is_ready_before_its_baseline_and_ends_with_it(run: TrainingRun) -> None:
    expected = measure(run.train_ids, run.validation_ids, len(run.vocabulary), context=run.train_ids)
    for _ in Trainer(run).train():
        pass
    assert run.baseline == expected
    assert read_report(run.path).baseline == expected


def test_a_run_that_was_stopped_before_its_baseline_was_known_measures_it_when_it_goes_on(run: TrainingRun) -> None:
    run.close()
    assert read_report(run.path).baseline is None
    with resume(run.path) as again:
        again.finish_baseline()
        assert again.baseline is not None


def test_a_run_without_a_validation_part_has_no_baseline(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT)
    settings = flat_settings({"hidden_size": 8, "val_fraction": 0, "batch_size": 2, "seq_length": 16})
    with create(resolve(settings), [tmp_path / "text.txt"], tmp_path / "run") as run:
        run.finish_baseline()
        assert run.baseline is None


def test_a_baseline_that_cannot_be_measured_stops_nothing(run: TrainingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run.close()
    monkeypatch.setattr(background.sys, "executable", "/bin/false")
    run.start_baseline()
    run.finish_baseline()
    assert run.baseline is None
