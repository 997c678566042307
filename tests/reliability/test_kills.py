"""A training run killed at any instant, in any way, resumes and ends bit for bit as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from harness import (
    COUNT,
    EVERY,
    KILL_AFTER,
    KILL_BEFORE,
    Child,
    Golden,
    Tally,
    Zygote,
    assert_as_if_nothing_had_happened,
    assert_calm,
    assert_checkpoints_are_true,
    assert_told,
    checkpoints,
    finish,
    spread,
)

SURVIVED = "kills survived of kills tried"


def kill(child: Child, after: float) -> None:
    time.sleep(after)
    child.kill(signal.SIGKILL)
    assert_calm(child.wait().err)


def kill_at_random(charnn: Zygote, text: Path, golden: Golden, run: Path, chance: random.Random) -> int:
    """One run, killed once while it trains and up to three times while it resumes; the number of kills."""
    kill(charnn.start("train", text, "-o", run, *golden.arguments), chance.random() * golden.seconds)
    kills = 1
    while chance.random() < 0.6 and kills < 4:
        command = ["--resume", run] if checkpoints(run) else [text, "-o", run, *golden.arguments]
        kill(charnn.start("train", *command), chance.random() * golden.seconds * chance.choice([0.1, 1]))
        kills += 1
    if run.exists():
        assert_checkpoints_are_true(golden, run)
    assert_told(finish(charnn, run, text, golden.arguments), 0, "Done")
    assert_as_if_nothing_had_happened(golden, run)
    shutil.rmtree(run)
    return kills


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.full)])
def test_a_run_killed_at_random_moments_ends_as_if_nothing_had_happened(
    kills: int, charnn: Zygote, text: Path, golden: Golden, tmp_path: Path, tally: Tally
) -> None:
    chance = random.Random(kills)
    tried = 0
    while tried < kills:
        tried += kill_at_random(charnn, text, golden, tmp_path / "run", chance)
    tally(SURVIVED, tried)


@pytest.mark.parametrize("how", [KILL_BEFORE, KILL_AFTER], ids=["before", "halfway through or after"])
@pytest.mark.parametrize("most", [10, pytest.param(EVERY, marks=pytest.mark.full)], ids=["some", "every"])
def test_a_run_killed_at_a_system_call_ends_as_if_nothing_had_happened(
    most: int, how: int, faulty: Zygote, text: Path, short: Golden, tmp_path: Path, tally: Tally
) -> None:
    run, command = tmp_path / "run", ("train", text, "-o", tmp_path / "run", *short.arguments)
    calls = faulty.run(*command, fault=(tmp_path, COUNT, 0, 0)).faults
    assert calls > 100
    for call in spread(calls, min(most, calls)):
        shutil.rmtree(run, ignore_errors=True)
        result = faulty.run(*command, fault=(tmp_path, how, call, 0))
        assert (result.code, result.faults) == (-signal.SIGKILL, 1), call
        if run.exists():
            assert_checkpoints_are_true(short, run)
        assert_told(finish(faulty, run, text, short.arguments), 0, "Done")
        assert_as_if_nothing_had_happened(short, run)
        tally(SURVIVED)


@pytest.mark.parametrize("most", [10, pytest.param(EVERY, marks=pytest.mark.full)], ids=["some", "every"])
def test_a_run_killed_at_a_system_call_while_it_resumes_ends_as_if_nothing_had_happened(
    most: int, faulty: Zygote, text: Path, short: Golden, tmp_path: Path, tally: Tally
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    command = ("train", text, "-o", whole, *short.arguments)
    calls = faulty.run(*command, fault=(tmp_path, COUNT, 0, 0)).faults
    shutil.rmtree(whole)
    assert faulty.run(*command, fault=(tmp_path, KILL_AFTER, calls * 2 // 3, 0)).code == -signal.SIGKILL
    (whole / "checkpoints" / ".step-00000009.safetensors.1-0123456789abcdef.tmp").write_bytes(b"stale")
    shutil.copytree(whole, run)
    calls = faulty.run("train", "--resume", run, fault=(tmp_path, COUNT, 0, 0)).faults
    for call in spread(calls, min(most, calls)):
        shutil.rmtree(run)
        shutil.copytree(whole, run)
        result = faulty.run("train", "--resume", run, fault=(tmp_path, KILL_AFTER, call, 0))
        assert (result.code, result.faults) == (-signal.SIGKILL, 1), call
        assert_checkpoints_are_true(short, run)
        assert_told(finish(faulty, run, text, short.arguments), 0, "Done")
        assert_as_if_nothing_had_happened(short, run)
        tally(SURVIVED)


def test_what_a_killed_creation_left_is_no_run_and_is_in_nobodys_way(
    faulty: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "text-lstm-1"
    run.parent.mkdir()
    result = faulty.run("train", text, "-o", run, *short.arguments, fault=(tmp_path, KILL_BEFORE, 12, 0))
    assert result.code == -signal.SIGKILL
    assert run.is_dir() and not checkpoints(run)
    assert "There are no runs" in faulty.run("runs", folder=tmp_path).err
    assert_told(faulty.run("sample", folder=tmp_path), 4, "there is no run under runs")
    assert_told(faulty.run("train", "--resume", run), 4, "there is no checkpoint", "begin anew")
    result = faulty.run("train", text, *short.arguments, folder=tmp_path)
    assert_told(result, 0, "beginning anew what another process left unfinished", "in runs/text-lstm-1\n")
    assert_as_if_nothing_had_happened(short, run)


@pytest.mark.parametrize("name", ["notes.txt", "config.yaml", "checkpoints/step-00000001.safetensors"])
def test_a_folder_that_holds_anything_else_is_never_taken_over(
    name: str, charnn: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    file = tmp_path / "run" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    result = charnn.run("train", text, "-o", tmp_path / "run", *short.arguments)
    assert_told(result, 2, "exists already", "--resume")
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [file]
    assert file.read_bytes() == b"mine"
