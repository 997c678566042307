"""A text may be larger than memory: training keeps only what it reads just now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import TINY, some_text

from charnn.config import flat_settings, resolve
from charnn.runs.fitting import ENOUGH_VALIDATION, choose
from charnn.runs.opening import create
from charnn.runs.run import TrainingRun
from charnn.text import batches
from charnn.text.corpus import Ids, encode, open_ids, release
from charnn.text.options import ReadOptions
from charnn.text.sources import open_sources
from charnn.text.streams import spans
from charnn.training import events, trainer

MB = 1_000_000

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads /proc/self/smaps")


def resident(path: Path) -> int:
    """Bytes of this process's memory that are pages of a mapped file."""
    maps = Path("/proc/self/smaps").read_text().split("VmFlags:")
    return 1024 * sum(int(re.findall(r"^Rss:\s+(\d+) kB", m, re.MULTILINE)[0]) for m in maps if str(path) in m)


def ids_file(folder: Path, characters: int) -> Ids:
    """A mapped file of ids."""
    path = folder / "corpus.npy"
    (folder / "zeros.txt").write_bytes(bytes(characters))
    with open_sources([folder / "zeros.txt"], folder, ReadOptions(tokens="bytes")) as sources:
        encode(sources, path, lambda codes: codes.astype(np.uint8), np.uint8, np.array([[characters, 0, 0]]))
    return open_ids(path)


def test_pages_that_are_let_go_leave_memory_and_come_back_when_read(tmp_path: Path) -> None:
    ids = ids_file(tmp_path, 8 * MB)
    part = ids[MB:]
    assert not ids.any()
    assert resident(tmp_path / "corpus.npy") >= 8 * MB
    release(part)
    assert resident(tmp_path / "corpus.npy") == 0
    assert not part[::4096].any()


def test_an_array_in_memory_has_nothing_to_let_go() -> None:
    ids = np.ones(5, np.uint8)
    release(ids[1:])
    assert ids.all()


def run_on(folder: Path, text: str, **options: object) -> TrainingRun:
    """A new run on a text."""
    (folder / "text.txt").write_text(text)
    settings = flat_settings({**TINY, **options})
    return create(resolve(settings), [folder / "text.txt"], folder / "run")


def test_training_lets_go_of_what_it_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAPPED", 4 * 8 * 2)  # every other step
    with run_on(tmp_path, some_text(40_000) * 100, val_fraction=0.0, steps=4) as run:
        path, after_steps = run.path / "corpus.npy", []
        for event in trainer.train(run):
            if isinstance(event, events.Step):
                after_steps.append(resident(path))
                assert run.train_ids.any()  # the whole text comes into memory
                assert resident(path) > 3 * MB
    kept = [size > MB for size in after_steps]
    assert kept == [False, True, False, True]


def test_validation_lets_go_of_what_it_has_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MAPPED", 10**9)  # training does not
    with run_on(tmp_path, some_text(40_000) * 100, val_fraction=0.001, steps=1) as run:
        for event in trainer.train(run):
            if isinstance(event, events.Step):
                assert run.train_ids.any()
                assert resident(run.path / "corpus.npy") > 3 * MB
            if isinstance(event, events.Validating):
                assert resident(run.path / "corpus.npy") < MB
                return
    pytest.fail("there was no validation")


def peak(folder: Path, characters: int) -> int:
    """Bytes of memory that a new process took at most to encode a text and begin to train on it."""
    folder.mkdir()
    (folder / "text.txt").write_text(some_text(50_000) * (characters // 50_000))
    options = {**TINY, "steps": 2, "hidden_size": 2, "seq_length": 64}
    program = (
        "import re, charnn\n"
        f"list(charnn.train('text.txt', **{options!r}))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    return 1024 * int(done.stdout)


def test_memory_does_not_grow_with_the_text(tmp_path: Path) -> None:
    small, large = peak(tmp_path / "small", 2 * MB), peak(tmp_path / "large", 14 * MB)
    assert large - small < 6 * MB


def test_a_span_reads_only_its_own_characters(tmp_path: Path) -> None:
    ids = ids_file(tmp_path, 16 * MB)
    span = next(spans(MB, 15 * MB, streams=4, steps=8))
    assert ids[span.at].shape == (8, 4)
    assert resident(tmp_path / "corpus.npy") < 2 * MB


def test_a_long_text_holds_out_as_much_for_validation_as_is_needed_unless_told_otherwise() -> None:
    notices: list[str] = []
    characters = 100 * ENOUGH_VALIDATION
    endless = flat_settings({"epochs": 1})
    fitted = choose(resolve(endless), [characters], 65, notices.append, cores=2).config
    assert fitted.data.val_fraction == pytest.approx(0.01)
    assert "1.000% of it is held out for validation instead of 10%" in notices[0]
    for budget, held_out in ((60.0, 200_000), (300.0, 300_000), (3600.0, 3_600_000), (36_000.0, ENOUGH_VALIDATION)):
        soon = choose(resolve(flat_settings({"budget": budget})), [characters], 65, notices.append, cores=2).config
        assert soon.data.val_fraction == pytest.approx(held_out / characters)
    asked = resolve(flat_settings({"val_fraction": 0.1}), fixed=True)
    assert choose(asked, [characters], 65, pytest.fail, cores=2).config.data.val_fraction == 0.1
    usual = resolve(fixed=True)
    assert choose(usual, [2 * MB], 65, pytest.fail, cores=2).config.data.val_fraction == 0.1


def planned(folder: Path, **options: object) -> TrainingRun:
    """A run whose plan is settled."""
    with run_on(folder, some_text(40_000), **options) as run:
        next(trainer.Trainer(run).train())
    return run


def test_validations_that_take_long_are_rare(tmp_path: Path) -> None:
    """20,000 characters to validate take as long as 208 and a third steps on 32 characters."""
    run = planned(tmp_path, steps=1000, val_fraction=0.5)
    assert run.state.validate_every == 834


def test_validations_that_take_no_time_come_ten_times(tmp_path: Path) -> None:
    run = planned(tmp_path, steps=1000, val_fraction=0.01)
    assert run.state.validate_every == 100


def test_at_least_half_of_a_time_budget_is_for_training(tmp_path: Path) -> None:
    run = planned(tmp_path, steps=10, val_fraction=0.9)
    steps = trainer.Trainer(run).pace.steps_in(102.0, per_step=0.5)
    assert steps == int(100 * 0.97)
