"""A signal saves and stops, in every phase; a second Ctrl-C quits at once; what was inherited as ignored stays so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import (
    COUNT,
    EVERY,
    ROOT,
    SIGNAL,
    TINY,
    Golden,
    Tally,
    Zygote,
    assert_calm,
    assert_told,
    checkpoints,
    fingerprint,
    fingerprints,
    finish,
    litter,
    metrics_of,
    spread,
    wait_until,
)

SAVED = "signals saved of signals sent"
ENDLESS = [*TINY, "--steps", "1000000", "--validate-every", "100000", "--checkpoint-every", "100000"]
HEAVY = ["--hidden", "512", "--layers", "2", "--seq-length", "256", "--batch-size", "32", "--steps", "1000"]


def assert_resumable(result: object, run: Path, code: int) -> None:
    assert result.code == code, result.err
    assert_calm(result.err)
    assert f"charnn train --resume {run}" in result.err
    assert litter(run) == []


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.races
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_step_saves_and_prints_how_to_go_on(
    number: signal.Signals, charnn: Zygote, text: Path, tmp_path: Path, tally: Tally
) -> None:
    run = tmp_path / "a run"
    child = charnn.start("train", text, "-o", run, *ENDLESS)
    wait_until(lambda: "step" in child.err)
    asked = time.monotonic()
    child.kill(number)
    result = child.wait()
    assert time.monotonic() - asked < 2
    assert result.code == 128 + number
    assert f"charnn train --resume '{run}'" in result.err
    newest = int(checkpoints(run)[-1].stem[5:])
    assert newest > 0 and f"Stopped at step {newest:,}" in result.err
    tally(SAVED)


@pytest.mark.races
def test_ctrl_c_twice_quits_within_half_a_second_and_the_last_checkpoint_is_intact(
    charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    took = []
    for attempt in range(4):  # a busy machine may keep any process waiting
        run = tmp_path / str(attempt)
        child = charnn.start("train", text, "-o", run, *HEAVY)
        wait_until(lambda: "Training" in child.err)  # noqa: B023
        before = fingerprint(run / "checkpoints" / "step-00000000.safetensors")
        child.kill(signal.SIGINT)
        time.sleep(0.05)
        child.kill(signal.SIGINT)
        asked = time.monotonic()
        result = child.wait()
        took.append(time.monotonic() - asked)
        assert result.code == 130
        assert_calm(result.err)
        assert [path.name for path in checkpoints(run)] == ["step-00000000.safetensors"]
        assert fingerprint(run / "checkpoints" / "step-00000000.safetensors") == before
        if took[-1] < 0.5:
            return
    pytest.fail(f"took {min(took):.2f} s at best")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_first_step_is_saved_after_it(
    number: signal.Signals, charnn: Zygote, text: Path, tmp_path: Path, tally: Tally
) -> None:
    run = tmp_path / "run"
    child = charnn.start("train", text, "-o", run, *HEAVY)
    wait_until(lambda: "Training" in child.err)
    child.kill(number)
    assert_resumable(child.wait(), run, 128 + number)
    assert [path.name for path in checkpoints(run)] in (
        ["step-00000000.safetensors"],
        ["step-00000000.safetensors", "step-00000001.safetensors"],
    )
    tally(SAVED)


@pytest.mark.races
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_validating_is_saved_and_the_validation_is_done_on_resuming(
    number: signal.Signals, charnn: Zygote, tmp_path: Path, tally: Tally
) -> None:
    text = ROOT / "corpora" / "harbour.txt"
    arguments = ["--hidden", "32", "--layers", "1", "--seq-length", "16", "--batch-size", "2", "--val-fraction", "0.8"]
    arguments += ["--steps", "3", "--validate-every", "2", "--set", "training.log_every=1"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert charnn.run("train", text, "-o", whole, *arguments).code == 0
    child = charnn.start("train", text, "-o", run, *arguments)
    metrics = run / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and '"step": 1,' in metrics.read_text())
    time.sleep(0.05)  # the validation of step 2 takes half a second
    child.kill(number)
    assert_resumable(child.wait(), run, 128 + number)
    assert "step-00000002.safetensors" in [path.name for path in checkpoints(run)]
    assert len(metrics_of(run)) == 1
    assert_told(charnn.run("train", "--resume", run), 0, "Done")
    assert metrics_of(run) == metrics_of(whole)
    assert fingerprints(run)["step-00000003.safetensors"] == fingerprints(whole)["step-00000003.safetensors"]
    tally(SAVED)


@pytest.mark.races
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_waiting_for_the_text_or_encoding_it_ends_at_once_and_leaves_nothing(
    number: signal.Signals, charnn: Zygote, tmp_path: Path, tally: Tally
) -> None:
    os.mkfifo(tmp_path / "pipe")
    keep_open = os.open(tmp_path / "pipe", os.O_RDWR)
    os.write(keep_open, b"the beginning of a text that never ends\n")
    run = tmp_path / "run"
    child = charnn.start("train", "-", "-o", run, stdin=tmp_path / "pipe")
    wait_until(lambda: run.exists() and (run / "lock").exists())
    time.sleep(0.1)
    asked = time.monotonic()
    child.kill(number)
    result = child.wait()
    assert time.monotonic() - asked < 2
    assert_told(result, 128 + number, "stopped before there was anything new to save")
    assert not run.exists()
    os.close(keep_open)
    tally(SAVED)


@pytest.mark.parametrize(
    ("number", "most"),
    [
        (signal.SIGINT, 5),
        (signal.SIGTERM, 5),
        pytest.param(signal.SIGINT, 60, marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, EVERY, marks=pytest.mark.full),
    ],
)
def test_a_signal_at_a_system_call_ends_after_resuming_as_if_nothing_had_happened(
    number: signal.Signals, most: int, faulty: Zygote, text: Path, short: Golden, tmp_path: Path, tally: Tally
) -> None:
    run, command = tmp_path / "run", ("train", text, "-o", tmp_path / "run", *short.arguments)
    calls = faulty.run(*command, fault=(tmp_path, COUNT, 0, 0)).faults
    for call in spread(calls, min(most, calls)):
        shutil.rmtree(run, ignore_errors=True)
        result = faulty.run(*command, fault=(tmp_path, SIGNAL, call, number))
        assert result.code in (128 + number, 0) and result.faults == 1, (call, result)
        assert_calm(result.err)
        assert ("--resume" in result.err) == (result.code != 0 and bool(checkpoints(run))), (call, result.err)
        assert result.code or "Done" in result.err
        assert_told(finish(faulty, run, text, short.arguments), 0, "Done")
        last = max(short.fingerprints)
        assert fingerprint(run / "checkpoints" / last) == short.fingerprints[last], call
        assert metrics_of(run) == short.metrics
        assert litter(run) == []
        tally(SAVED)


def test_signals_inherited_as_ignored_stay_ignored(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    ignored = [signal.SIGINT, signal.SIGHUP]
    child = charnn.start("train", text, "-o", tmp_path / "run", *ENDLESS, ignored=ignored)
    wait_until(lambda: "step" in child.err)
    for number in (*ignored, *ignored):
        child.kill(number)
    before = len(child.err)
    wait_until(lambda: len(child.err) > before)
    child.kill(signal.SIGTERM)
    assert child.wait().code == 143


def test_with_workers_a_signal_to_the_whole_group_saves_and_leaves_no_process(text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "charnn", "train", text, "-o", run, *ENDLESS, "--workers", "2"]
    with (tmp_path / "err").open("wb") as err:
        child = subprocess.Popen(command, cwd=ROOT, stderr=err, start_new_session=True)
    wait_until(lambda: "step" in (tmp_path / "err").read_text())
    os.killpg(child.pid, signal.SIGINT)
    assert child.wait(20) == 130
    wait_until(lambda: not group_lives(child.pid), 5)
    assert len(checkpoints(run)) == 2


def test_with_workers_a_kill_frees_the_folder_at_once_and_leaves_no_process(
    charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "charnn", "train", text, "-o", run, *ENDLESS, "--workers", "2"]
    with (tmp_path / "err").open("wb") as err:
        child = subprocess.Popen(command, cwd=ROOT, stderr=err, start_new_session=True)
    wait_until(lambda: "step" in (tmp_path / "err").read_text())
    child.kill()
    assert child.wait(20) == -signal.SIGKILL
    result = charnn.run("train", "--resume", run, "--steps", "5", "--set", "training.workers=2")
    assert "is training in" not in result.err
    wait_until(lambda: not group_lives(child.pid), 5)
