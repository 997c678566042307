"""The command line from end to end: what goes to standard output, what to standard error, and the exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import some_text, write_text

from charnn import cli
from charnn.cli.sample import SEPARATOR
from charnn.errors import CharnnError
from charnn.storage.folder import lock_folder
from charnn.yaml_file import read_file

SMALL = ["--hidden", "16", "--layers", "1", "--batch-size", "4", "--seq-length", "8"]


def charnn(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command in a folder."""
    command = [sys.executable, "-m", "charnn", *words]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=folder, env=environment, input=stdin, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a finished run on it, under runs/."""
    folder = tmp_path_factory.mktemp("home")
    write_text(folder)
    done = charnn(folder, "train", "text.txt", *SMALL, "--steps", "30")
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    return folder


@pytest.fixture
def at_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def fails(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    """What a command says on standard error as it fails with this code; nothing goes to standard output."""
    assert cli.run(words) == code
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and 0 < err.count("\n") <= 20
    return err


# From end to end


def test_train_inspect_sample_and_resume(home: Path) -> None:
    run = home / "runs" / "text-lstm-1"
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "copies",
        "corpus.npy",
        "lock",
        "metrics.jsonl",
    ]
    assert (run / "checkpoints" / "step-00000030.safetensors").is_file()
    assert read_file(run / "config.yaml")["model.hidden_size"].value == "16"

    inspected = charnn(home, "inspect", str(run))
    assert inspected.returncode == 0 and b"text-lstm-1" in inspected.stdout and b"validation" in inspected.stdout
    listed = charnn(home, "runs")
    assert listed.returncode == 0 and b"lstm" in listed.stdout and b"finished" in listed.stdout
    sampled = charnn(home, "sample", str(run), "--length", "40")
    assert sampled.returncode == 0 and len(sampled.stdout.decode()) == 41

    again = charnn(home, "train", "text.txt", "--resume", str(run), "--steps", "35")
    assert (again.returncode, again.stdout) == (0, b"")
    assert b"Resuming" in again.stderr and b"charnn sample" in again.stderr
    assert (run / "checkpoints" / "step-00000035.safetensors").is_file()
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 35


def test_text_may_come_from_standard_input_and_runs_are_numbered(tmp_path: Path) -> None:
    for number in (1, 2):
        done = charnn(tmp_path, "train", "-", *SMALL, "--steps", "2", "--cell", "gru", stdin=some_text().encode())
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "runs" / f"stdin-gru-{number}" / "checkpoints").is_dir()


def test_rnn_is_the_vanilla_cell_wherever_one_is_named(
    at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", "text.txt", *SMALL, "--steps", "2", "--cell", "rnn", "--out", str(tmp_path / "run")]) == 0
    assert read_file(tmp_path / "run" / "config.yaml")["model.cell"].value == "vanilla"
    capsys.readouterr()
    assert cli.run(["gradients", "--cell", "rnn", "--hidden", "4", "--steps", "4", "--positions", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] == "fresh vanilla"
    assert "tanh" in fails(capsys, 2, "gradients", "--cell", "tanh")


def test_a_new_run_may_start_from_another(at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, first = str(tmp_path / "second"), "runs/text-lstm-1"
    assert cli.run(["train", "text.txt", *SMALL, "--steps", "2", "--init-from", first, "-o", out]) == 0
    capsys.readouterr()
    err = fails(capsys, 2, "train", "text.txt", "--hidden", "17", "--init-from", first, "-o", str(tmp_path / "third"))
    assert "--hidden says hidden_size 17, not 16" in err.replace("\n", " ")


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path)
    (tmp_path / "my.yaml").write_text("model:\n  layers: 3\n")
    assert (
        cli.run(["train", "text.txt", "--dry-run", "-c", "my.yaml", "--hidden", "24", "--set", "training.keep=5"]) == 0
    )
    out = capsys.readouterr().out
    for words in ("4,000: 3,600 to train on", "parameters", "my.yaml:2", "--hidden", "--set training.keep"):
        assert words in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.yaml", "text.txt"]


# Standard output


def test_a_sample_is_the_prompt_its_characters_one_line_end_and_nothing_else(home: Path) -> None:
    run = charnn(home, "sample", "--prompt", "The sea", "--length", "60", "--seed", "3")
    text = run.stdout.decode()
    assert (run.returncode, run.stderr) == (0, b"")
    assert text.startswith("The sea") and len(text) == 7 + 60 + 1 and text.endswith("\n")
    assert charnn(home, "sample", "-p", "The sea", "-n", "60", "--seed", "3").stdout == run.stdout
    assert charnn(home, "sample", "-p", "-", "-n", "60", "--seed", "3", stdin=b"The sea").stdout == run.stdout
    (home / "prompt.txt").write_text("The sea")
    assert charnn(home, "sample", "-p", "@prompt.txt", "-n", "60", "--seed", "3").stdout == run.stdout


def test_samples_as_json_have_the_promised_fields(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--json", "--count", "2", "-p", "The", "-n", "30", "--seed", "5", "-t", "0.7", "--stop", "."]
    assert cli.run(["sample", *words]) == 0
    out, err = capsys.readouterr()
    samples = [json.loads(line) for line in out.splitlines()]
    assert len(samples) == 2 and err == ""
    for sample in samples:
        assert set(sample) == {"prompt", "text", "seed", "temperature", "stopped_by", "nats_per_character"}
        assert (sample["prompt"], sample["seed"], sample["temperature"]) == ("The", 5, 0.7)
        assert sample["stopped_by"] in ("length", "stop") and "." not in sample["text"]
        assert sample["nats_per_character"] > 0
    assert cli.run(["sample", *words[:1], *words[3:]]) == 0
    assert json.loads(capsys.readouterr().out) == samples[0]


def test_several_samples_are_written_one_after_the_other(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["sample", "-p", "The", "-n", "9", "--count", "3", "--seed", "1", "--top-k", "2"]) == 0
    parts = capsys.readouterr().out.split(f"{SEPARATOR}\n")
    assert len(parts) == 3 and all(part.startswith("The") and part.endswith("\n") for part in parts)


def test_inspection_as_json_has_the_promised_fields(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", "--json", "runs/text-lstm-1", "runs/text-lstm-1"]) == 0
    out, err = capsys.readouterr()
    runs = json.loads(out)
    assert len(runs) == 2 and err == ""
    fields = ["run", "cell", "layers", "hidden", "parameters", "vocabulary", "step", "epoch", "train_loss", "val_loss"]
    fields += ["best_val_loss", "best_step", "baseline_loss", "elapsed_seconds", "chars_per_second", "status"]
    assert list(runs[0]) == fields
    assert runs[0]["run"] == "runs/text-lstm-1" and runs[0]["cell"] == "lstm" and runs[0]["hidden"] == 16
    assert runs[0]["vocabulary"] == len(set(some_text())) and runs[0]["status"] == "finished"
    assert runs[0]["best_val_loss"] <= runs[0]["val_loss"] < 5 and runs[0]["baseline_loss"] > 0


def test_version_and_help_go_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("charnn 0.")
    for name in cli.COMMANDS:
        assert cli.run([name, "--help"]) == 0
        out, err = capsys.readouterr()
        assert "Example" in out and err == ""


# Exit codes


def test_a_command_line_that_makes_no_sense_is_2(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean train?" in fails(capsys, 2, "trian", "text.txt")
    assert "--hiden" in fails(capsys, 2, "train", "text.txt", "--hiden", "3")
    assert "hidden_size must be" in fails(capsys, 2, "train", "text.txt", "--hidden", "many")
    assert "did you mean gru?" in fails(capsys, 2, "train", "text.txt", "--cell", "gur")
    assert "cannot be combined" in fails(capsys, 2, "train", "text.txt", "--epochs", "1", "--steps", "2")
    assert "no activation relu" in fails(capsys, 2, "train", "text.txt", "--activation", "relu")
    assert "no text" in fails(capsys, 2, "train")
    assert "--resume" in fails(capsys, 2, "train", "text.txt", "--out", "runs/text-lstm-1")
    assert "--resume cannot be combined" in fails(capsys, 2, "train", "--resume", "runs/text-lstm-1", "--dry-run")
    assert "cannot change" in fails(capsys, 2, "train", "--resume", "runs/text-lstm-1", "--hidden", "17")
    assert "temperature" in fails(capsys, 2, "sample", "-t", "-1")
    assert "length" in fails(capsys, 2, "sample", "-n", "0")
    assert "no such configuration" in fails(capsys, 2, "train", "text.txt", "-c", "missing.yaml")
    assert not (at_home / "runs" / "text-lstm-2").exists()


def test_text_that_cannot_be_used_is_3(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no missing.txt" in fails(capsys, 3, "train", "missing.txt")
    for name, content in (("empty", b""), ("one", b"a"), ("same", b"aaaa"), ("short", b"ab" * 20), ("bad", b"ab\xff")):
        (at_home / name).write_bytes(content)
        fails(capsys, 3, "train", name)
    err = fails(capsys, 3, "sample", "--prompt", "zürich\x1b[2J")
    assert "ü" in err and "--unknown skip" in err and "\x1b" not in err
    fails(capsys, 3, "sample", "--prompt", "@missing.txt")
    assert not (at_home / "runs" / "empty-lstm-1").exists()
    assert cli.run(["sample", "--prompt", "The süea", "--unknown", "skip", "-n", "5"]) == 0
    assert capsys.readouterr().out.startswith("The sea")


def test_a_run_that_is_missing_or_damaged_is_4(
    at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "missing" in fails(capsys, 4, "sample", "runs/missing")
    assert "missing" in fails(capsys, 4, "inspect", "missing")
    assert "missing" in fails(capsys, 4, "train", "--resume", "missing")
    assert "looks like text" in fails(capsys, 4, "sample", "text.txt")
    good = (at_home / "runs" / "text-lstm-1" / "checkpoints" / "step-00000030.safetensors").read_bytes()
    (tmp_path / "bad.safetensors").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert "SHA-256" in fails(capsys, 4, "sample", str(tmp_path / "bad.safetensors"))
    monkeypatch.chdir(tmp_path)
    assert "charnn train" in fails(capsys, 4, "sample")


def test_training_that_blows_up_is_5(at_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wild = ["--optimizer", "sgd", "--lr", "1000", "--clip", "0", "--set", "optimization.warmup_steps=0"]
    assert cli.run(["train", "text.txt", *SMALL, *wild, "--steps", "20", "--out", str(tmp_path / "run")]) == 5
    err = capsys.readouterr().err
    assert "training diverged at step" in err and "--lr" in err and "Traceback" not in err
    assert cli.run(["sample", str(tmp_path / "run"), "-n", "5"]) == 0


def test_a_place_that_cannot_be_written_is_6(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing/run" in fails(capsys, 6, "train", "text.txt", "--out", "missing/run")
    (at_home / "taken").write_text("a file")
    assert "taken" in fails(capsys, 6, "train", "text.txt", "--out", "taken")
    assert "missing/loss.svg" in fails(capsys, 6, "inspect", "--svg", "missing/loss.svg")


def test_a_run_in_use_is_7(at_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock_folder(at_home / "runs" / "text-lstm-1") as lock:
        err = fails(capsys, 7, "train", "--resume", "runs/text-lstm-1")
        assert str(os.getpid()) in err
        assert cli.run(["inspect", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["status"] == "running"
        lock.close()


def test_a_bug_is_1_and_an_interrupt_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: BaseException) -> Any:
        def load(*arguments: object) -> None:
            raise error

        return load

    monkeypatch.setattr("charnn.runs.snapshot.load_snapshot", raising(KeyboardInterrupt()))
    assert cli.run(["sample", "run"]) == 130
    capsys.readouterr()
    monkeypatch.setattr("charnn.runs.snapshot.load_snapshot", raising(ZeroDivisionError("\x1b[2J")))
    err = fails(capsys, 1, "sample", "run")
    assert "a bug in charnn: ZeroDivisionError" in err and "CHARNN_DEBUG=1" in err and "\x1b" not in err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ["trian"]),
        (2, ["train", "text.txt", "--hidden", "many"]),
        (3, ["train", "missing.txt"]),
        (4, ["sample", "runs/missing"]),
        (6, ["train", "text.txt", "--out", "missing/run"]),
        (0, ["--help"]),
    ],
)
def test_debugging_adds_a_traceback_and_keeps_the_code(
    at_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, words: list[str]
) -> None:
    assert cli.run(words) == code
    plain = capsys.readouterr().err
    monkeypatch.setenv("CHARNN_DEBUG", "1")
    assert cli.run(words) == code
    err = capsys.readouterr().err
    assert err.endswith(plain) and ("Traceback (most recent call last)" in err) is (code != 0)


def test_debugging_shows_where_a_bug_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*arguments: object) -> None:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr("charnn.runs.snapshot.load_snapshot", break_down)
    monkeypatch.setenv("CHARNN_DEBUG", "1")
    assert cli.run(["sample", "run"]) == 1
    err = capsys.readouterr().err
    assert "in break_down" in err and "\x1b" not in err


def test_every_error_has_its_own_exit_code() -> None:
    def below(kind: type[CharnnError]) -> list[type[CharnnError]]:
        return [kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))]

    codes = {kind.__name__: kind.exit_code for kind in below(CharnnError) if kind.__module__ == "charnn.errors"}
    assert codes == {
        "CharnnError": 1,
        "ConfigError": 2,
        "CorpusError": 3,
        "UnknownCharacters": 3,
        "CheckpointError": 4,
        "DivergenceError": 5,
        "StorageError": 6,
        "WorkerError": 6,
        "RunBusyError": 7,
    }
