"""A disk that is full, broken or forbidden costs a warning while training goes on, and never a checkpoint."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from unittest.mock import Mock

import pytest
from harness import (
    COUNT,
    EVERY,
    FAIL_FROM,
    FAIL_ONCE,
    Golden,
    Tally,
    Zygote,
    assert_as_if_nothing_had_happened,
    assert_calm,
    assert_checkpoints_are_true,
    assert_told,
    checkpoints,
    finish,
    small_disk,
    spread,
    wait_until,
)

from charnn.errors import StorageError
from charnn.storage.metrics import MetricsFile

SURVIVED = "I/O faults survived of faults injected"
ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}


@pytest.mark.parametrize(
    ("error", "most"),
    [
        *((error, 4) for error in ERRORS),
        pytest.param("ENOSPC", EVERY, marks=pytest.mark.full),
        pytest.param("EIO", 60, marks=pytest.mark.full),
        pytest.param("EACCES", 60, marks=pytest.mark.full),
    ],
)
@pytest.mark.parametrize("how", [FAIL_ONCE, FAIL_FROM], ids=["once", "from then on"])
def test_a_system_call_that_fails_costs_no_checkpoint(
    error: str, most: int, how: int, faulty: Zygote, text: Path, short: Golden, tmp_path: Path, tally: Tally
) -> None:
    run, command = tmp_path / "run", ("train", text, "-o", tmp_path / "run", *short.arguments)
    calls = faulty.run(*command, fault=(tmp_path, COUNT, 0, 0)).faults
    for call in spread(calls, min(most, calls)):
        shutil.rmtree(run, ignore_errors=True)
        result = faulty.run(*command, fault=(tmp_path, how, call, ERRORS[error]))
        assert result.faults >= 1
        assert result.code in (0, 4, 6), (call, result)
        assert_calm(result.err)
        if run.exists() and checkpoints(run):
            assert_checkpoints_are_true(short, run)
            if how == FAIL_ONCE and result.code:  # only the last save may end a training
                assert max(path.name for path in checkpoints(run)) >= "step-00000006.safetensors", (call, result.err)
            created = (
                len(checkpoints(run)) == 1 and "step-00000000" in result.err
            )  # and then could not be removed again
            told = "the last good checkpoint is of step" in result.err
            assert result.code == 0 or told or created, (call, result.err)
        assert_told(finish(faulty, run, text, short.arguments), 0, "Done")
        assert_as_if_nothing_had_happened(short, run)
        tally(SURVIVED)


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("most", [5, pytest.param(EVERY, marks=pytest.mark.full)], ids=["some", "every"])
def test_a_system_call_that_fails_while_resuming_costs_no_checkpoint(
    most: int, error: str, faulty: Zygote, text: Path, short: Golden, tmp_path: Path, tally: Tally
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    arguments = [*short.arguments[:-2], *short.arguments[-2:]]
    assert faulty.run("train", text, "-o", whole, *arguments).code == 0
    (whole / "checkpoints" / "step-00000009.safetensors").unlink()
    (whole / "checkpoints" / ".step-00000009.safetensors.1-0123456789abcdef.tmp").write_bytes(b"stale")
    shutil.copytree(whole, run)
    calls = faulty.run("train", "--resume", run, fault=(tmp_path, COUNT, 0, 0)).faults
    for call in spread(calls, min(most, calls)):
        shutil.rmtree(run)
        shutil.copytree(whole, run)
        result = faulty.run("train", "--resume", run, fault=(tmp_path, FAIL_ONCE, call, ERRORS[error]))
        assert result.code in (0, 4, 6) and result.faults == 1, (call, result)
        assert_calm(result.err)
        assert_checkpoints_are_true(short, run)
        assert_told(finish(faulty, run, text, short.arguments), 0, "Done")
        assert_as_if_nothing_had_happened(short, run)
        tally(SURVIVED)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_line_of_metrics_that_could_not_be_written_goes_out_with_the_next(
    call: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.append({"step": 1})
    metrics.sync()
    with monkeypatch.context() as broken:
        broken.setattr(os, call, Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        with pytest.raises(StorageError, match="Input/output error"):
            metrics.append({"step": 2})
            metrics.sync()
    os.truncate(metrics.path, metrics.length)  # what is not synced may be gone
    metrics.append({"step": 3})
    metrics.sync()
    assert metrics.path.read_text().split("\n") == ['{"step": 1}', '{"step": 2}', '{"step": 3}', ""]


LONG = ["--steps", "100000", "--checkpoint-every", "20", "--validate-every", "100000", "--set", "training.log_every=10"]


def test_on_a_full_disk_training_goes_on_and_saves_again_once_there_is_room(
    charnn: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 600) as disk:
        run = disk / "run"
        child = charnn.start("train", text, "-o", run, *short.arguments[:-8], *LONG)
        wait_until(lambda: (run / "checkpoints" / "step-00000040.safetensors").exists())
        ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(ballast, bytes(4096))
        os.close(ballast)
        wait_until(lambda: "training continues" in child.err)
        stuck = checkpoints(run)
        assert stuck and "No space left on device; the last good checkpoint is of step" in child.err
        (disk / "ballast").unlink()
        wait_until(lambda: checkpoints(run)[-1] > stuck[-1])
        child.kill(signal.SIGINT)
        result = child.wait()
        assert result.code == 130
        lines = (run / "metrics.jsonl").read_text().splitlines()
        steps = [int(line.partition('"step": ')[2].partition(",")[0]) for line in lines]
        assert steps == list(range(10, steps[-1] + 1, 10))
        assert_told(charnn.run("sample", run, "-n", "5"), 0)


def test_on_a_disk_that_stays_full_the_last_good_state_is_kept_and_the_end_is_6(
    charnn: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 300) as disk:
        run = disk / "run"
        child = charnn.start("train", text, "-o", run, *short.arguments[:-8], *LONG)
        wait_until(lambda: (run / "checkpoints" / "step-00000020.safetensors").exists())
        (disk / "ballast").touch()
        with pytest.raises(OSError, match="No space"):
            (disk / "ballast").write_bytes(bytes(2**20))
        wait_until(lambda: "training continues" in child.err)
        child.kill(signal.SIGTERM)
        result = child.wait()
        assert result.code == 6
        assert "make room, then go on with --resume" in result.err
        (disk / "ballast").unlink()
        assert_told(charnn.run("sample", run, "-n", "5"), 0)


def test_creating_a_run_on_a_full_disk_is_6_and_leaves_nothing(
    charnn: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    for kilobytes in (16, 64):
        with small_disk(tmp_path / str(kilobytes), kilobytes) as disk:
            result = charnn.run("train", text, "-o", disk / "run", *short.arguments)
            assert_told(result, 6, "No space left on device", str(disk / "run"))
            assert list(disk.iterdir()) == []
