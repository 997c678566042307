"""A run that stopped and went on is the run that never stopped: the same bits, wherever it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import TINY, complaint, new_run, some_text, write_text

from charnn.config import cell_names, flat_settings, resolve
from charnn.errors import (
    CheckpointError,
    ConfigError,
    CorpusError,
    DivergenceError,
    RunBusyError,
    StorageError,
)
from charnn.network.model import CharRNN
from charnn.network.optimizers import RULES
from charnn.runs.opening import create, resume
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import load_snapshot
from charnn.runs.summary import read_report
from charnn.storage import checkpoint
from charnn.training.events import Finished, Saved, Step, Validated
from charnn.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("no_fsync")

CHARACTERS = 400  # 11 chunks an epoch
PLAN: dict[str, Any] = {
    "dropout": 0.3,
    "layers": 2,
    "steps": 36,
    "validate_every": 7,
    "checkpoint_every": 5,
    "log_every": 3,
    "keep": 100,
}
STOPS = (1, 2, 5, 7, 10, 11, 12, 28, 33, 35)  # mid-epoch, at an epoch's end (11, 33), before validations (7, 28, 35)
TIMES = ("chars_per_second", "elapsed_seconds")
CLOCK_STATE = ("elapsed", "timed", "metrics_length")


def train(run: TrainingRun, stop_at: int | None = None) -> list[Any]:
    """Train to the end of the plan, or until ``stop_at`` steps are done; close the run."""
    with run:
        return list(Trainer(run, should_stop=lambda: stop_at is not None and run.state.step >= stop_at - 1).train())


def kill(run: TrainingRun, after: int) -> None:
    """Train until some steps are done, and leave without a word."""
    with run:
        records = Trainer(run).train()
        while run.state.step < after:
            next(records)
        records.close()


def outcome(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], list[dict[str, Any]]]:
    """The last checkpoint and the metrics of a run, without what the clock decides."""
    last = checkpoint.newest_good(folder / "checkpoints", lambda message: pytest.fail(message))
    state = {name: value for name, value in last.document["state"].items() if name not in CLOCK_STATE}
    text = (folder / "metrics.jsonl").read_text()
    assert len(text) == last.document["state"]["metrics_length"]
    metrics = [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in text.splitlines()]
    return last.arrays, {**last.document, "state": state}, metrics


def assert_same(folder: Path, other: Path) -> None:
    (arrays, document, metrics), (arrays_2, document_2, metrics_2) = outcome(folder), outcome(other)
    assert arrays.keys() == arrays_2.keys()
    groups = {name.partition(".")[0] for name in arrays}
    assert groups == {"model", "optimizer", "carry"}
    for name, array in arrays.items():
        assert array.tobytes() == arrays_2[name].tobytes(), name
    assert document == document_2
    assert metrics == metrics_2


@pytest.fixture(scope="module", params=cell_names())
def never_stopped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A cell, and the folder of a run with it from the first step to the last."""
    folder = tmp_path_factory.mktemp(request.param)
    run = new_run(folder, characters=CHARACTERS, cell=request.param, **PLAN)
    assert run.batches.chunks_per_epoch == 11
    train(run)
    return request.param, folder / "run"


# Stopping and going on


@pytest.mark.parametrize("stop", STOPS)
def test_a_run_that_was_stopped_and_resumed_ends_as_one_that_was_not(
    never_stopped: tuple[str, Path], tmp_path: Path, stop: int
) -> None:
    cell, whole = never_stopped
    run = new_run(whole.parent, f"stopped-{stop}", CHARACTERS, cell=cell, **PLAN)
    ending = train(run, stop)[-1]
    assert (ending.step, ending.stopped, ending.saved) == (stop, True, True)
    train(resume(run.path))
    assert_same(run.path, whole)


@pytest.mark.parametrize("after", [1, 6, 14, 33])
def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint_to_the_same_end(
    never_stopped: tuple[str, Path], after: int
) -> None:
    cell, whole = never_stopped
    run = new_run(whole.parent, f"killed-{after}", CHARACTERS, cell=cell, **PLAN)
    kill(run, after)
    again = resume(run.path)
    assert again.state.step <= after
    train(again)
    assert_same(run.path, whole)


def test_a_run_that_is_stopped_again_and_again_ends_the_same(never_stopped: tuple[str, Path]) -> None:
    cell, whole = never_stopped
    run = new_run(whole.parent, "often", CHARACTERS, cell=cell, **PLAN)
    train(run, 4)
    for stop in range(8, 40, 4):
        train(resume(run.path), stop)  # every other one during a validation
    train(resume(run.path))
    assert_same(run.path, whole)


@pytest.mark.parametrize(
    "options", [*({"optimizer": name} for name in RULES), {"val_fraction": 0}, {"tokens": "bytes"}]
)
def test_every_update_rule_and_kind_of_text_resumes(tmp_path: Path, options: dict[str, Any]) -> None:
    rates = {"sgd": 0.1, "adagrad": 0.02}
    options = {"learning_rate": rates.get(options.get("optimizer", ""), 0.002), **options}
    train(new_run(tmp_path, "whole", CHARACTERS, **{**PLAN, **options}))
    train(new_run(tmp_path, "parts", CHARACTERS, **{**PLAN, **options}), 17)
    train(resume(tmp_path / "parts"))
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_a_stop_during_a_validation_repeats_it_on_resume(tmp_path: Path) -> None:
    train(new_run(tmp_path, "whole", 3000, **PLAN))
    run = new_run(tmp_path, "parts", 3000, **PLAN)
    trainer = Trainer(run, should_stop=lambda: run.state.step == 14 and run.state.reported == 13)
    with run:
        records = list(trainer.train())
    assert not any(isinstance(record, Validated) and record.step == 14 for record in records)
    assert records[-1] == Finished(14, stopped=True, saved=True)
    train(resume(tmp_path / "parts"))
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_resuming_a_finished_run_does_nothing(tmp_path: Path) -> None:
    train(new_run(tmp_path, **PLAN))
    before = outcome(tmp_path / "run")[2]
    assert train(resume(tmp_path / "run"))[-1] == Finished(36, stopped=False, saved=True)
    assert outcome(tmp_path / "run")[2] == before


# Looking does not touch


@pytest.mark.parametrize("often", [{"validate_every": 2}, {"checkpoint_every": 1}, {"log_every": 1}])
def test_validations_saves_and_reports_do_not_disturb_training(tmp_path: Path, often: dict[str, int]) -> None:
    seldom = {**PLAN, "validate_every": 1000, "checkpoint_every": 1000, "log_every": 1000}
    train(new_run(tmp_path, "seldom", **seldom))
    train(new_run(tmp_path, "often", **{**seldom, **often}))
    seldom_arrays, often_arrays = outcome(tmp_path / "seldom")[0], outcome(tmp_path / "often")[0]
    for name, array in seldom_arrays.items():
        assert array.tobytes() == often_arrays[name].tobytes(), name


def test_the_metrics_have_the_fields_that_scripts_rely_on(tmp_path: Path) -> None:
    train(new_run(tmp_path, **PLAN))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    fields = ["step", "epoch", "train_loss", "val_loss", "learning_rate", "grad_norm", "clipped"]
    fields += ["chars_per_second", "elapsed_seconds", "rollbacks"]
    assert all(list(line) == fields for line in lines)
    steps = [line["step"] for line in lines]
    assert steps == sorted(set(steps)) and steps[-1] == 36
    assert [line["step"] for line in lines if line["val_loss"] is not None] == [7, 14, 21, 28, 35, 36]


def test_the_newest_and_the_best_checkpoints_are_kept(tmp_path: Path) -> None:
    run = new_run(tmp_path, **{**PLAN, "keep": 2})
    train(run)
    steps = [int(path.stem[5:]) for path in checkpoint.list_checkpoints(run.checkpoints)]
    assert steps[:2] == [36, 35]
    assert set(steps) == {36, 35, run.state.best_step}


# What may change, and what may not


def test_flags_that_would_change_the_run_are_refused_with_every_change(tmp_path: Path) -> None:
    train(new_run(tmp_path, **PLAN), 5)
    asked = [flat_settings({"cell": "gru"}), flat_settings({"hidden_size": 9, "dropout": 0.3, "batch_size": 4})]
    what = complaint(lambda: resume(tmp_path / "run", asked), ConfigError)
    assert "cell is lstm, not gru" in what and "hidden_size is 8, not 9" in what and "--init-from" in what
    assert "dropout" not in what and "batch_size" not in what


def test_options_repeated_as_they_were_are_accepted_whatever_they_depend_on(tmp_path: Path) -> None:
    train(new_run(tmp_path, optimizer="sgd", momentum=0.5), 5)
    with resume(tmp_path / "run", [flat_settings({"momentum": "0.5"})]) as run:
        assert run.config.optimization.momentum == 0.5


def test_a_flag_for_the_length_wins_over_a_file(tmp_path: Path) -> None:
    train(new_run(tmp_path), 5)
    with resume(tmp_path / "run", [flat_settings({"epochs": 3}), flat_settings({"steps": 30})]) as run:
        assert (run.config.training.epochs, run.config.training.steps) == (None, 30)
    what = complaint(lambda: resume(tmp_path / "run", [flat_settings({"epochs": 3, "steps": 30})]), ConfigError)
    assert "cannot be combined" in what


@pytest.mark.parametrize("text", [some_text(4000, seed=2), some_text(3999), some_text(4000) + "!", "ü", "only these"])
def test_another_text_is_refused_and_the_same_one_accepted(tmp_path: Path, text: str) -> None:
    train(new_run(tmp_path), 5)
    resume(tmp_path / "run", corpora=[str(tmp_path / "text.txt")]).close()
    other = tmp_path / "other.txt"
    other.write_text(text)
    what = complaint(lambda: resume(tmp_path / "run", corpora=[str(other)]), ConfigError)
    assert "is not the text" in what


def test_a_corpus_that_is_changed_or_deleted_meanwhile_has_no_effect(tmp_path: Path) -> None:
    train(new_run(tmp_path, "whole", **PLAN))
    train(new_run(tmp_path, "parts", **PLAN), 9)
    (tmp_path / "text.txt").unlink()
    train(resume(tmp_path / "parts"))
    assert_same(tmp_path / "parts", tmp_path / "whole")


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


HARMS: dict[str, Callable[[Path], Any]] = {
    "a bit": flip_a_bit,
    "its end": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "all": Path.unlink,
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_copy_is_made_anew_from_the_same_text_and_from_no_other(tmp_path: Path, harm: str) -> None:
    train(new_run(tmp_path, "whole", **PLAN))
    run = new_run(tmp_path, "parts", **PLAN)
    train(run, 9)
    HARMS[harm](run.path / "corpus.npy")
    what = complaint(lambda: resume(run.path), CheckpointError)
    assert f"charnn train --resume {run.path} TEXT" in what
    (tmp_path / "other.txt").write_text(some_text(3999))
    what = complaint(lambda: resume(run.path, corpora=[str(tmp_path / "other.txt")]), ConfigError)
    assert "is not the text" in what and "the run's own copy is damaged" in what
    assert "is damaged" in complaint(lambda: resume(run.path), CheckpointError)
    train(resume(run.path, corpora=[str(tmp_path / "text.txt")]))
    assert_same(run.path, tmp_path / "whole")
    train(resume(run.path))


@pytest.mark.parametrize(("short", "long"), [({"steps": 10}, {"steps": 25}), ({"epochs": 0.2}, {"epochs": 0.4})])
def test_a_run_that_is_extended_is_the_longer_run(tmp_path: Path, short: dict[str, Any], long: dict[str, Any]) -> None:
    plan = {"dropout": 0.3, "schedule": "constant", "warmup_steps": 0}
    for name, length in (("long", long), ("short", short)):
        train(_made(tmp_path, name, {**plan, **length}))
    train(resume(tmp_path / "short", [flat_settings(long)]))
    long_arrays, short_arrays = (outcome(tmp_path / name)[0] for name in ("long", "short"))
    for name, array in long_arrays.items():
        assert array.tobytes() == short_arrays[name].tobytes(), name


def _made(folder: Path, name: str, options: dict[str, Any]) -> TrainingRun:
    """A run with just these options of length."""
    settings = {"layers": 1, "hidden_size": 8, "batch_size": 4, "seq_length": 8, **options}
    return create(resolve(flat_settings(settings), fixed=True), [write_text(folder)], folder / name)


# Opening


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for place, words in (("missing", "is no run folder"), ("empty", "there is no checkpoint")):
        assert words in complaint(lambda p=place: resume(tmp_path / p), CheckpointError)


def test_two_trainers_on_one_run_exclude_each_other(tmp_path: Path) -> None:
    with new_run(tmp_path) as run:
        list(Trainer(run).train())
        assert "is training in" in complaint(lambda: resume(run.path), RunBusyError)
    resume(run.path).close()


def test_a_folder_that_is_taken_is_not_touched(tmp_path: Path) -> None:
    train(new_run(tmp_path), 3)
    before = outcome(tmp_path / "run")
    assert "charnn train --resume" in complaint(lambda: new_run(tmp_path), ConfigError)
    assert before[2] == outcome(tmp_path / "run")[2]


@pytest.mark.parametrize("options", [{"seq_length": 5000}, {"val_fraction": 0.0001}, {"encoding": "nothing"}])
def test_a_run_that_cannot_begin_leaves_no_folder(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, CorpusError)):
        new_run(tmp_path, **options)
    assert not (tmp_path / "run").exists()


# From another run's weights


def test_a_new_run_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    train(new_run(tmp_path, "first"))
    first = load_snapshot(tmp_path / "first")
    run = _from(tmp_path, "second", first)
    np.testing.assert_array_equal(run.model.vector, first.model.vector)
    assert run.state.step == 0
    assert not any(vector.any() for vector in run.optimizer.state.values())
    fresh = new_run(tmp_path, "third")
    assert (fresh.model.vector != run.model.vector).any()
    run.close()
    fresh.close()


def _from(folder: Path, name: str, first: Any, text: str = "text.txt", **options: Any) -> TrainingRun:
    return create(
        resolve(flat_settings({**TINY, **options}), fixed=True), [folder / text], folder / name, initial=first
    )


def test_a_run_that_does_not_fit_another_says_all_that_differs(tmp_path: Path) -> None:
    train(new_run(tmp_path, "first"))
    first = load_snapshot(tmp_path / "first")
    (tmp_path / "other.txt").write_text(some_text().replace("g", "ü") + "\x1b")
    what = complaint(lambda: _from(tmp_path, "b", first, "other.txt"), ConfigError)
    for words in ("'ü'", "only there: 'g'", r"'\x1b'"):
        assert words in what
    assert not (tmp_path / "b").exists()
    chosen = {"hidden_size": 9, "cell": "gru", "normalize": "nfc"}
    what = complaint(lambda: _from(tmp_path, "c", first, **chosen), ConfigError)
    for words in ("hidden_size 9, not 8", "cell gru, not lstm", "normalize nfc, not none", "leave these options out"):
        assert words in what
    assert not (tmp_path / "c").exists()


def test_the_network_of_another_run_is_taken_over_where_nobody_chose(tmp_path: Path) -> None:
    train(new_run(tmp_path, "first", layers=2, hidden_size=12, embedding_size=3, cell="gru"))
    first = load_snapshot(tmp_path / "first")
    settings = flat_settings({"steps": 2, "batch_size": 4, "seq_length": 8})
    with create(resolve(settings), [tmp_path / "text.txt"], tmp_path / "second", initial=first) as run:
        assert run.model.shape == first.model.shape
        np.testing.assert_array_equal(run.model.vector, first.model.vector)


def test_how_a_run_is_trained_may_change_as_it_resumes_and_is_remembered(tmp_path: Path) -> None:
    train(new_run(tmp_path, "run"))
    changed = {"steps": 40, "learning_rate": 1e-3, "dropout": 0.25, "schedule": "constant", "clip_norm": 1.0}
    with resume(tmp_path / "run", [flat_settings(changed)]) as run:
        assert (run.config.model.dropout, run.config.optimization.learning_rate) == (0.25, 1e-3)
        train(run)
    report = read_report(tmp_path / "run")
    (past,) = report.history
    assert past.step == 20 and report.summary.step == 40
    for change in ("steps 20 -> 40", "learning_rate 0.002 -> 0.001", "dropout 0.0 -> 0.25", "clip_norm 5.0 -> 1.0"):
        assert change in past.what
    what = complaint(lambda: resume(tmp_path / "run", [flat_settings({"hidden_size": 9})]), ConfigError)
    assert "hidden_size is 8, not 9" in what


def test_a_run_that_starts_from_another_remembers_it(tmp_path: Path) -> None:
    train(new_run(tmp_path, "first"))
    _from(tmp_path, "second", load_snapshot(tmp_path / "first")).close()
    (past,) = read_report(tmp_path / "second").history
    assert past.step == 0 and str(tmp_path / "first") in past.what and "step 20" in past.what


def test_a_run_that_ended_and_is_given_more_time_warms_up_again(tmp_path: Path) -> None:
    train(new_run(tmp_path, "run", warmup_steps=4))
    with resume(tmp_path / "run", [flat_settings({"steps": 60})]) as run:
        rates = [event.learning_rate for event in Trainer(run).train() if isinstance(event, Step)]
        assert run.state.planned_at == 20
    assert rates[:4] == sorted(rates[:4]) and rates[0] < 0.3 * rates[3]
    assert rates[3:] == sorted(rates[3:], reverse=True)


# A time budget: under a clock of our own


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that goes on by ``tick`` seconds each time somebody looks at it."""
    state = SimpleNamespace(now=1000.0, tick=0.1)

    def monotonic() -> float:
        state.now += state.tick
        return state.now

    monkeypatch.setattr("charnn.training.trainer.time", SimpleNamespace(monotonic=monotonic))
    return state


def budget_run(folder: Path, name: str = "run", budget: float = 20.0, **options: Any) -> TrainingRun:
    settings = {k: v for k, v in {**PLAN, **options}.items() if k != "steps"}
    return _made(folder, name, {**settings, "budget": budget, "checkpoint_every": 1000})


def test_the_steps_of_a_budget_are_planned_and_end_on_time(tmp_path: Path, clock: Any) -> None:
    run = budget_run(tmp_path)
    began = clock.now
    records = train(run)
    assert isinstance(records[-1], Finished) and not records[-1].stopped
    assert run.state.step == run.state.total_steps > 20
    assert 18 <= run.state.elapsed <= 21
    assert clock.now - began < 30
    assert run.schedule.rate(run.state.step - 1, run.state.total_steps, 11) < 1e-4  # the cosine has come to its end


def test_a_resumed_run_follows_the_recorded_plan_until_a_validation_corrects_it(tmp_path: Path, clock: Any) -> None:
    run = budget_run(tmp_path, validate_every=10)
    train(run, 5)
    planned = run.state.total_steps
    clock.tick *= 4
    again = resume(run.path)
    assert again.state.total_steps == planned
    trainer = Trainer(again).train()
    while again.state.step < 10:
        next(trainer)
        assert again.state.total_steps == planned
    train_rest = list(trainer)
    again.close()
    assert again.state.total_steps < planned
    assert isinstance(train_rest[-1], Finished)


def test_a_budget_that_is_extended_is_planned_anew(tmp_path: Path, clock: Any) -> None:
    run = budget_run(tmp_path)
    train(run)
    done = run.state.step
    longer = resume(run.path, [flat_settings({"budget": "40s"})])
    train(longer)
    assert longer.state.step > 1.5 * done
    assert 36 <= longer.state.elapsed <= 42


def test_a_finished_run_may_go_on_for_a_time(tmp_path: Path, clock: Any) -> None:
    train(new_run(tmp_path, **PLAN))
    longer = resume(tmp_path / "run", [flat_settings({"budget": "30s"})])
    train(longer)
    assert longer.state.step > 36


# Blow-ups


def test_a_blow_up_is_caught_before_the_update_and_the_last_good_state_stays(tmp_path: Path) -> None:
    run = new_run(tmp_path, optimizer="sgd", learning_rate=1000, clip_norm=0, warmup_steps=0, checkpoint_every=1)
    with pytest.raises(DivergenceError, match="training diverged at step"), run:
        list(Trainer(run).train())
    held = load_snapshot(run.path)
    assert np.isfinite(held.model.vector).all()


def test_a_validation_that_is_not_finite_is_a_divergence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path, validate_every=4)
    real = CharRNN.losses

    def overflowing(*arguments: Any) -> Any:
        losses, carry = real(*arguments)
        return losses * np.float32(np.inf), carry

    monkeypatch.setattr(CharRNN, "losses", overflowing)
    with pytest.raises(DivergenceError, match="the loss is inf"), run:
        list(Trainer(run).train())
    assert load_snapshot(run.path).step == 0


def test_a_save_that_fails_is_told_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(tmp_path, **PLAN)
    real: Callable[..., Path] = TrainingRun.save
    failures = iter([False, True, True])

    def failing(self: TrainingRun) -> Path:
        if next(failures, False):
            raise StorageError("no space")
        return real(self)

    monkeypatch.setattr(TrainingRun, "save", failing)
    records = train(run)
    saved = [record for record in records if isinstance(record, Saved)]
    failed = "no space; the last good checkpoint is of step 5"
    assert [record.error for record in saved[:4]] == ["", failed, failed, ""]
    assert records[-1] == Finished(36, stopped=False, saved=True)
