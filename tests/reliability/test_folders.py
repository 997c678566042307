"""Run folders: who may write, what readers see, what is healed, and that nothing outside of them is touched."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import (
    TEXT,
    TINY,
    Golden,
    Zygote,
    assert_as_if_nothing_had_happened,
    assert_told,
    checkpoints,
    fingerprints,
    metrics_of,
    small_disk,
    wait_until,
)

ENDLESS = [*TINY, "--steps", "1000000", "--validate-every", "100000"]


@pytest.fixture(scope="module")
def killed(charnn: Zygote, text: Path, golden: Golden, memory: Path) -> Path:
    """The golden run, killed at step 150 or a little later."""
    run = memory / "killed"
    child = charnn.start("train", text, "-o", run, *golden.arguments)
    wait_until(lambda: (run / "checkpoints" / "step-00000150.safetensors").exists())
    child.kill(signal.SIGKILL)
    child.wait()
    return run


@pytest.fixture
def half(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "half"))


# Two at once


@pytest.mark.races
def test_the_second_trainer_is_7_naming_the_first_and_a_killed_one_is_free_at_once(
    charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    first = charnn.start("train", text, "-o", run, *ENDLESS)
    wait_until(lambda: checkpoints(run))
    second = charnn.run("train", "--resume", run)
    assert_told(second, 7, f"process {first.pid} is training in {run}")
    assert second.seconds < 2
    assert_told(charnn.run("train", text, "-o", run), 2, "exists already")
    first.kill(signal.SIGKILL)
    assert first.wait().code == -signal.SIGKILL
    again = charnn.start("train", "--resume", run)
    wait_until(lambda: "step" in again.err)
    again.kill(signal.SIGINT)
    assert again.wait().code == 130


def test_of_many_that_make_the_same_run_at_once_one_wins_and_none_harms_it(
    charnn: Zygote, text: Path, short: Golden, tmp_path: Path
) -> None:
    for attempt in range(3):
        run = tmp_path / str(attempt)
        children = [charnn.start("train", text, "-o", run, *short.arguments) for _ in range(6)]
        results = [child.wait() for child in children]
        assert sorted(result.code for result in results)[0] == 0
        assert [result.code for result in results].count(0) == 1, [result.err for result in results]
        assert {result.code for result in results} <= {0, 2, 7}
        assert_as_if_nothing_had_happened(short, run)


def test_a_reader_always_finds_a_complete_checkpoint_and_turns_no_trainer_away(
    charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trainer = charnn.start("train", text, "-o", run, *ENDLESS, "--checkpoint-every", "1")
    wait_until(lambda: len(checkpoints(run)) > 1)
    for _ in range(6):
        readers = [charnn.start(command, run, *rest) for command, *rest in (["sample", "-n", "5"], ["inspect"])]
        for reader in readers:
            result = reader.wait()
            assert_told(result, 0)
            assert result.err == ""
    trainer.kill(signal.SIGINT)
    assert trainer.wait().code == 130
    for _ in range(6):
        looking = [charnn.start("inspect", run) for _ in range(2)]
        result = charnn.run("train", "--resume", run, stdin=os.devnull, environment={}, timeout=0.2)
        assert "is training in" not in result.err
        assert all(child.wait().code == 0 for child in looking)


# Where a run can not be made


def as_file(path: Path) -> Path:
    path.write_bytes(b"mine")
    return path


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (lambda folder: as_file(folder / "file"), "File exists"),
    "parent missing": (lambda folder: folder / "missing" / "run", "No such file or directory"),
    "parent a file": (lambda folder: as_file(folder / "file") / "run", "Not a directory"),
    "not writable": (lambda folder: Path("/proc/run"), "cannot make the folder"),
    "name too long": (lambda folder: folder / ("x" * 300), "File name too long"),
    "dangling link": (lambda folder: dangling(folder / "link"), "File exists"),
}


def dangling(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


@pytest.mark.races
@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_place_where_no_run_can_be_made_is_6_within_a_second(
    kind: str, charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    make, words = UNUSABLE[kind]
    out = make(tmp_path)
    result = charnn.run("train", text, "-o", out, *ENDLESS, timeout=5)
    assert_told(result, 6, words, str(out))
    assert result.seconds < 1.5


# Moved, copied, read-only


def test_a_run_may_be_moved_and_copied_and_goes_on_as_if_it_had_not(
    half: Path, charnn: Zygote, golden: Golden, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = half.rename(tmp_path / "elsewhere" / "moved")
    copied = Path(shutil.copytree(moved, tmp_path / "copied"))
    for run in (moved, copied):
        assert_told(charnn.run("train", "--resume", run), 0, "Done")
        assert_as_if_nothing_had_happened(golden, run)


def test_a_read_only_run_can_be_sampled_and_looked_at_and_resuming_it_is_6(
    half: Path, charnn: Zygote, tmp_path: Path
) -> None:
    (half / "lock").unlink()
    with small_disk(tmp_path / "disk", 2000) as disk:
        run = Path(shutil.copytree(half, disk / "run"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_told(charnn.run("sample", run, "-n", "20"), 0)
        assert_told(charnn.run("inspect", run), 0)
        assert_told(charnn.run("train", "--resume", run), 6, "Read-only file system", str(run))


# What is healed


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 1000)])
def test_behind_a_damaged_checkpoint_the_one_before_is_resumed_bit_for_bit(
    harm: Callable[[Path], None], half: Path, charnn: Zygote, golden: Golden
) -> None:
    newest = checkpoints(half)[-1]
    harm(newest)
    for command in (["sample", half, "-n", "5"], ["inspect", half]):
        assert_told(charnn.run(*command), 0, "Warning", str(newest), "passing over it")
    assert_told(charnn.run("train", "--resume", half), 0, "Warning", str(newest), "passing over it", "Done")
    assert_as_if_nothing_had_happened(golden, half)


def test_where_every_checkpoint_is_damaged_it_is_4_and_nothing_begins_anew(half: Path, charnn: Zygote) -> None:
    for path in checkpoints(half):
        damage(path)
    before = {path: path.read_bytes() for path in half.rglob("*") if path.is_file() and path.name != "lock"}
    for command in (["train", "--resume", half], ["sample", half], ["inspect", half]):
        assert_told(charnn.run(*command), 4, "every checkpoint is damaged")
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file() and path.name != "lock"} == before


def test_a_hundred_damaged_checkpoints_are_told_in_a_screen(half: Path, charnn: Zygote) -> None:
    for step in range(1000, 1100):
        (half / "checkpoints" / f"step-{step:08d}.safetensors").write_bytes(b"x")
    assert_told(charnn.run("sample", half, "-n", "5"), 0, "and 95 more")


TAILS = [b'{"step": 151, "epo', b"\0" * 300, b"\xff\xfe", b"[" * 70_000 + b"\n", b"{}\n", b'{"step": 1e999}\n', b"\n"]


@pytest.mark.parametrize("tail", TAILS, ids=range(len(TAILS)))
def test_a_damaged_end_of_the_metrics_is_passed_over_and_cut_off(
    tail: bytes, half: Path, charnn: Zygote, golden: Golden
) -> None:
    with (half / "metrics.jsonl").open("ab") as file:
        file.write(tail)
    assert_told(charnn.run("runs", folder=half.parent), 0)
    result = charnn.run("inspect", half)
    assert_told(result, 0)
    assert "the end of metrics.jsonl could not be read" in result.out.decode()
    summary = json.loads(charnn.run("inspect", half, "--json").out)[0]
    assert 150 <= summary["step"] < 300
    assert_told(charnn.run("train", "--resume", half), 0, "Done")
    assert_as_if_nothing_had_happened(golden, half)


def test_metrics_beyond_the_checkpoint_are_cut_back(half: Path, charnn: Zygote, golden: Golden) -> None:
    for step in range(160, 400):
        line = {"step": step, "epoch": 1, "train_loss": 3, "val_loss": None}
        with (half / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert_told(charnn.run("train", "--resume", half), 0, "Done")
    assert_as_if_nothing_had_happened(golden, half)


@pytest.mark.parametrize("length", [None, 0, 500])
def test_metrics_that_are_lost_cost_lines_and_not_the_run(
    length: int | None, half: Path, charnn: Zygote, golden: Golden
) -> None:
    metrics = half / "metrics.jsonl"
    metrics.unlink() if length is None else os.truncate(metrics, length)
    result = charnn.run("train", "--resume", half)
    assert_told(result, 0, "Warning", "has lost lines", "Done")
    assert metrics_of(half)[-1] == golden.metrics[-1]


def test_without_its_copy_of_the_text_a_run_still_writes_and_trains_once_it_has_the_text_again(
    half: Path, charnn: Zygote, text: Path, golden: Golden
) -> None:
    with (half / "corpus.npy").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x01\x02\x03")
    assert_told(charnn.run("train", "--resume", half), 4, "the run's own copy of its text", "SHA-256")
    (half / "corpus.npy").unlink()
    result = charnn.run("train", "--resume", half)
    assert_told(result, 4, "the run's own copy of its text")
    assert_told(charnn.run("sample", half, "-n", "5"), 0)
    hint = result.err[result.err.rindex("charnn ") :].split()[1:]
    assert_told(charnn.run(*(str(text) if word == "TEXT" else word for word in hint)), 0, "Done")
    assert_as_if_nothing_had_happened(golden, half)


# The text


@pytest.mark.parametrize("what", ["edited", "truncated", "deleted"])
def test_what_happens_to_the_text_while_training_has_no_effect(
    what: str, charnn: Zygote, golden: Golden, tmp_path: Path
) -> None:
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_bytes(TEXT)
    child = charnn.start("train", text, "-o", run, *golden.arguments)
    wait_until(lambda: checkpoints(run))
    if what == "edited":
        text.write_bytes(b"something else " * 2000)
    elif what == "truncated":
        os.truncate(text, 0)
    else:
        text.unlink()
    assert_told(child.wait(), 0, "Done")
    assert_as_if_nothing_had_happened(golden, run)


def test_resuming_needs_no_text_and_refuses_another_one(half: Path, charnn: Zygote, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(TEXT[:-1] + b"x")
    assert_told(charnn.run("train", other, "--resume", half), 2, str(other), "is not the text")
    assert_told(charnn.run("train", "--resume", half, "--steps", "160"), 0)


def test_resuming_with_flags_that_change_the_model_is_2_listing_each(half: Path, charnn: Zygote) -> None:
    flags = ["--hidden", "32", "--cell", "gru", "--layers", "1", "--lr", "0.1"]
    before = fingerprints(half)
    result = charnn.run("train", "--resume", half, *flags)
    assert_told(result, 2, "hidden_size is 16, not 32", "cell is lstm, not gru")
    assert "layers" not in result.err and "learning_rate" not in result.err
    assert fingerprints(half) == before


def test_a_run_may_be_extended_and_the_extension_survives_a_kill(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert charnn.run("train", text, "-o", run, *TINY, "--steps", "5").code == 0
    child = charnn.start("train", "--resume", run, "--steps", "1000000")
    wait_until(lambda: "Resuming" in child.err)
    child.kill(signal.SIGKILL)
    child.wait()
    child = charnn.start("train", "--resume", run)
    wait_until(lambda: "step" in child.err)
    child.kill(signal.SIGINT)
    assert child.wait().code == 130
    assert json.loads(charnn.run("inspect", run, "--json").out)[0]["step"] > 5


# Nothing outside


@pytest.mark.parametrize("name", ["metrics.jsonl", "lock", "checkpoints"])
def test_a_link_in_a_run_folder_does_not_lead_training_out_of_it(name: str, half: Path, charnn: Zygote) -> None:
    outside = half.parent / "outside"
    if name == "checkpoints":
        (half / name).rename(outside)
    else:
        outside.write_bytes(b"precious " * 1000)
        (half / name).unlink()
    (half / name).symlink_to(outside)
    before = {path: path.read_bytes() for path in [outside, *outside.glob("*")] if path.is_file()}
    result = charnn.run("train", "--resume", half)
    assert result.code in (4, 6)
    assert_told(result, result.code, str(half))
    assert {path: path.read_bytes() for path in [outside, *outside.glob("*")] if path.is_file()} == before


@pytest.mark.parametrize("name", ["metrics.jsonl", "lock", "corpus.npy"])
def test_a_pipe_in_a_run_folder_keeps_nobody_waiting(name: str, half: Path, charnn: Zygote) -> None:
    (half / name).unlink()
    os.mkfifo(half / name)
    for command in (["sample", half, "-n", "5"], ["inspect", half]):
        assert_told(charnn.run(*command, timeout=5), 0)
    result = charnn.run("train", "--resume", half, timeout=5)
    assert not result.late
    assert result.code in (0, 4, 6), result
    assert_told(result, result.code)


def test_training_writes_nothing_outside_its_run_folder(charnn: Zygote, golden: Golden, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "text.txt").write_bytes(TEXT)
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    options = {"folder": tmp_path / "work", "environment": environment}
    assert charnn.run("train", "../text.txt", "-o", "../run", *golden.arguments, **options).code == 0
    assert charnn.run("train", "../text.txt", "--resume", "../run", "--steps", "310", **options).code == 0
    assert charnn.run("sample", "../run", **options).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "run", "text.txt", "tmp", "work"]
    assert [path for name in ("home", "tmp", "work") for path in (tmp_path / name).iterdir()] == []
