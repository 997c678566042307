"""Processes that share the work: the same sums and losses as one alone, and an orderly end however it comes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import teamwork
from helpers import TINY, complaint, new_run, write_text

from charnn.config import Setting, flat_settings, resolve
from charnn.errors import ConfigError, DivergenceError, WorkerError
from charnn.runs import opening
from charnn.runs.fitting import best_size
from charnn.runs.run import TrainingRun
from charnn.storage import checkpoint
from charnn.text.streams import stream_count
from charnn.training import events, trainer
from charnn.training.events import Metrics, Step
from charnn.training.team import Team, launch, share

Got = list[dict[str, np.ndarray[Any, Any]]]

NET = {"layers": 2, "batch_size": 7, "dropout": 0.25, "steps": 24, "validate_every": 10, "log_every": 5}
"""A run with all that ranks could disagree about, and streams that neither 2 nor 3 workers can share evenly."""

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module", params=[2, 3, 4])
def got(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Got:
    """What each rank of a team had after ``teamwork.exercise``."""
    folder, size = tmp_path_factory.mktemp("sums"), request.param
    processes = launch(size, teamwork.CAPACITY, teamwork.exercise, str(folder))
    with processes.together():
        teamwork.exercise(processes, str(folder))
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(size)]


@pytest.mark.parametrize("dtype", teamwork.TYPES)
@pytest.mark.parametrize("size", teamwork.SIZES)
def test_every_rank_gets_the_sum_in_the_order_of_ranks_every_time(got: Got, dtype: str, size: int) -> None:
    total = teamwork.numbers(0, size, dtype)
    for rank in range(1, len(got)):
        total = total + teamwork.numbers(rank, size, dtype)
    for rank in got:
        for kind in ("sum", "buffer"):
            for repetition in (1, 2):
                found = rank[f"{kind} {dtype} {size} {repetition}"]
                assert found.dtype == total.dtype
                assert found.tobytes() == total.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gathering_moves_the_bits_as_they_are(got: Got, dtype: str) -> None:
    rows = teamwork.rows(dtype)
    assert np.signbit(rows[rows == 0]).any()
    for rank in got:
        assert rank[f"gather {dtype}"].tobytes() == rows.tobytes()


@pytest.mark.parametrize(("streams", "size"), [(1, 1), (7, 3), (8, 4), (2, 5), (32, 7)])
def test_shares_cover_all_streams_once_and_differ_by_one_at_most(streams: int, size: int) -> None:
    shares = []
    for rank in range(size):
        member = Team()
        member.rank, member.size = rank, size
        shares.append(range(streams)[share(member, streams)])
    assert [stream for part in shares for stream in part] == list(range(streams))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_best_size_leaves_every_process_enough_to_do() -> None:
    assert [best_size(4, streams, 10**6) for streams in (1, 8, 16, 31, 32, 1000)] == [1, 1, 2, 3, 4, 4]
    assert best_size(4, 1000, 5000) == 1


def losses(training: TrainingRun) -> list[float]:
    """All losses of a run, training and validation, in order."""
    with training:
        records = [r for r in trainer.train(training) if isinstance(r, Metrics)]
    return [loss for r in records for loss in (r.train_loss, r.val_loss) if loss is not None]


def test_the_losses_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    alone, *others = (losses(new_run(tmp_path, f"run-{n}", workers=n, **NET)) for n in (1, 2, 3))
    assert len(alone) == 8
    for shared in others:
        assert shared == pytest.approx(alone, rel=1e-5)


def test_validation_has_fewer_streams_than_there_are_workers_in_short_texts(tmp_path: Path) -> None:
    training = new_run(tmp_path, workers=2)
    assert stream_count(len(training.validation_ids)) == 1
    alone = losses(new_run(tmp_path, "alone", workers=1))
    assert losses(training) == pytest.approx(alone, rel=1e-5)


def final_state(training: TrainingRun) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The bits of the last checkpoint, and the metrics without what a clock said."""
    loaded = checkpoint.newest_good(training.checkpoints, pytest.fail)
    lines = [json.loads(line) for line in training.metrics.path.read_text().splitlines()]
    for line in lines:
        del line["chars_per_second"], line["elapsed_seconds"]
    return {name: array.tobytes() for name, array in loaded.arrays.items()}, lines


def test_the_same_number_of_workers_repeats_to_the_bit_even_when_stopped_and_resumed(tmp_path: Path) -> None:
    with new_run(tmp_path, "whole", workers=2, **NET) as whole:
        list(trainer.train(whole))
    with new_run(tmp_path, "parts", workers=2, **NET) as first:
        for event in trainer.train(first, lambda: first.state.step >= 6):
            stopped_at = event.step if isinstance(event, Step) else 0
        assert 0 < first.state.step < 24 and first.state.position.chunk and not stopped_at
    with opening.resume(first.path) as second:
        list(trainer.train(second))
    assert final_state(second) == final_state(whole)


@pytest.mark.races
def test_all_ranks_agree_on_what_fits_a_time_budget(tmp_path: Path) -> None:
    settings = {**TINY, "workers": 2, "budget": "2.5s"}
    del settings["steps"]
    with opening.create(
        resolve(flat_settings(settings), fixed=True), [write_text(tmp_path)], tmp_path / "run"
    ) as training:
        finished = list(trainer.train(training))[-1]
    assert isinstance(finished, events.Finished)
    assert finished.step == training.state.total_steps > 1


def test_more_workers_than_streams_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    assert "5 workers cannot share 4" in complaint(lambda: new_run(tmp_path, workers=5), ConfigError)
    assert not (tmp_path / "run").exists()
    with new_run(tmp_path, workers=4) as training:
        pass
    assert "9 workers cannot share 4" in complaint(lambda: opening.resume(training.path, [team_of(9)]), ConfigError)


def team_of(size: int) -> dict[str, Any]:
    return {"training.workers": Setting(size, "test")}


def test_a_worker_that_fails_says_why_in_harmless_words(capfd: pytest.CaptureFixture[str]) -> None:
    processes = launch(2, 64, teamwork.fail)
    words = complaint(lambda: processes.sum(np.zeros(3)), WorkerError)
    processes.close()
    assert "worker process 1 of 2 failed: ValueError no such \\x1b[31mthing" in words
    assert capfd.readouterr().err == ""


def test_all_ranks_diverge_together_and_rank_0_alone_tells(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wild = {"cell": "vanilla", "activation": "relu", "optimizer": "sgd", "learning_rate": 1000, "clip_norm": 0}
    with new_run(tmp_path, workers=2, **wild) as training, pytest.raises(DivergenceError):
        list(trainer.train(training))
    assert not multiprocessing.active_children()
    assert capfd.readouterr().err == ""


def test_a_killed_worker_ends_the_training_with_a_clear_error_and_a_good_checkpoint(tmp_path: Path) -> None:
    with new_run(tmp_path, workers=3, checkpoint_every=5, steps=10**6) as training:
        records = trainer.train(training)
        while training.state.step < 12:
            next(records)
        victim = multiprocessing.active_children()[0]
        os.kill(victim.pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerError, match=r"worker process [12] of 3 died \(signal 9\)") as caught:
            list(records)
    assert caught.value.exit_code == 6 and "--resume" in caught.value.hint
    assert not multiprocessing.active_children()
    with opening.resume(training.path) as resumed:
        assert resumed.state.step >= 10


def test_an_abandoned_training_takes_its_workers_along(tmp_path: Path) -> None:
    with new_run(tmp_path, workers=2, steps=10**6) as training:
        records = trainer.train(training)
        while not isinstance(next(records), Step):
            pass
        assert len(multiprocessing.active_children()) == 1
        records.close()
        assert not multiprocessing.active_children()


class Command:
    """``charnn train`` with 3 workers in a session of its own, until it reports its first step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_text(folder)
        options = "--layers 1 --hidden 8 --batch-size 4 --seq-length 8 --steps 1000000 --workers 3"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charnn", "train", str(folder / "text.txt"), "-o", "run", *options.split()],
            cwd=folder,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        while not (line := self.process.stderr.readline()).startswith("step"):
            assert line

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it said at last."""
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def left_behind(self) -> list[str]:
        """What is still there when everything had the time to end."""
        deadline = time.monotonic() + 30
        while self.there() and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.there()

    def there(self) -> list[str]:
        """Processes of its session, or that work on its folder, and its files in shared memory."""
        found = [name for name in os.listdir("/dev/shm") if name.startswith(f"pym-{self.process.pid}-")]  # noqa: PTH208
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                state, session = entry.joinpath("stat").read_text().rpartition(")")[2].split()[0:4:3]
                words = entry.joinpath("cmdline").read_text()
            except OSError:  # it has ended meanwhile
                continue
            if state != "Z" and (session == str(self.process.pid) or str(self.folder) in words):
                found.append(words)
        return found


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    with Command(tmp_path) as started:
        yield started


@linux
def test_ctrl_c_for_the_whole_process_group_saves_and_leaves_nothing_behind(command: Command) -> None:
    os.killpg(command.process.pid, signal.SIGINT)
    code, said = command.end()
    assert (code, command.left_behind()) == (130, [])
    assert said.count("everything is saved") == 1 and "Traceback" not in said
    assert checkpoint.newest_good(command.folder / "run" / "checkpoints", pytest.fail).document["state"]["step"] > 0


@linux
def test_a_trainer_that_is_killed_leaves_no_process_and_no_shared_memory_behind(command: Command) -> None:
    assert len(command.there()) >= 3
    command.process.kill()
    assert command.left_behind() == []


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program that trains on a text beside it."""
    write_text(folder)
    path = folder / "program.py"
    path.write_text("import charnn\n" + textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, path], cwd=folder, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )


TRAIN = 'charnn.train("text.txt", workers=2, layers=1, hidden_size=8, batch_size=4, seq_length=8, steps=20)'


def test_a_program_with_a_main_guard_may_use_workers(tmp_path: Path) -> None:
    done = script(tmp_path, f'if __name__ == "__main__":\n    print(list({TRAIN})[-1].step)')
    assert (done.returncode, done.stdout, done.stderr) == (0, "20\n", "")


def test_a_program_without_a_main_guard_is_told_so(tmp_path: Path) -> None:
    done = script(tmp_path, f"for event in {TRAIN}:\n    pass")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert 'put the call under if __name__ == "__main__":' in done.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_program_may_end_in_the_middle_of_a_training(tmp_path: Path) -> None:
    done = script(tmp_path, f'if __name__ == "__main__":\n    records = {TRAIN}\n    print(next(records).step)')
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
