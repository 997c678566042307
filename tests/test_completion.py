"""The Tab key knows commands, options, values, runs and presets, and misspellings are met half way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from charnn.cli import COMMANDS, main
from charnn.cli import run as run_cli
from charnn.cli.completion import SHELLS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("runs/hamlet-lstm-1/checkpoints").mkdir(parents=True)
    Path("configs").mkdir()
    Path("configs/small.yaml").touch()
    return tmp_path


def complete(*words: str) -> list[str]:
    environment = {"COMP_WORDS": " ".join(["charnn", *words]), "COMP_CWORD": str(len(words))}
    result = CliRunner().invoke(main, [], prog_name="charnn", env={**environment, "_CHARNN_COMPLETE": "bash_complete"})
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ins"], ["inspect"]),
        (["sample", "r"], ["runs/hamlet-lstm-1"]),
        (["inspect", "runs/h"], ["runs/hamlet-lstm-1"]),
        (["train", "--resume", "ru"], ["runs/hamlet-lstm-1"]),
        (["train", "--config", "co"], ["configs/small.yaml"]),
        (["train", "--config", "to"], ["torch-rnn"]),
        (["train", "--cell", "g"], ["gru"]),
        (["train", "--hid"], ["--hidden"]),
        (["train", "--set", "model.la"], ["model.layers="]),
        (
            ["train", "--set", "optimization.schedule=c"],
            ["optimization.schedule=" + name for name in ("constant", "cosine")],
        ),
        (["inspect", "--by", "ti"], ["time"]),
        (["completion", ""], list(SHELLS)),
    ],
)
def test_words_are_completed(words: list[str], expected: list[str]) -> None:
    assert complete(*words) == expected


@pytest.mark.parametrize(
    "name", ["two\nlines", "\x1b[31mred", "\x1b]0;title\x07", "\u202eleft", "\x9bC1", "\u2028line"]
)
def test_a_name_that_would_act_on_the_terminal_or_be_two_is_not_completed(name: str) -> None:
    Path(f"runs/{name}/checkpoints").mkdir(parents=True)
    Path(f"configs/{name}.yaml").touch()
    assert complete("sample", "runs/") == ["runs/hamlet-lstm-1"]
    assert complete("train", "--config", "configs/") == ["configs/small.yaml"]


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0 and "_CHARNN_COMPLETE" in result.stdout


def test_completion_imports_nothing_heavy() -> None:
    code = "import sys; from charnn.cli import run; run([])\nassert not {'numpy', 'rich', 'yaml'} & set(sys.modules)"
    environment = {**os.environ, "COMP_WORDS": "charnn ", "COMP_CWORD": "1", "_CHARNN_COMPLETE": "bash_complete"}
    code = code.replace("run([])", "\ntry: run([])\nexcept SystemExit: pass")
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "inspect" in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_leads_with_an_example(name: str) -> None:
    text = CliRunner().invoke(main, [name, "--help"]).stdout
    assert f"  charnn {name}" in text or f"charnn {name} " in text
    assert 0 < text.index("Example") < text.index("--help  ")


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["trian"], "train"),
        (["train", "--hiden", "3"], "--hidden"),
        (["train", "text.txt", "--set", "model.layer=2"], "model.layers"),
        (["train", "text.txt", "--cell", "gur"], "gru"),
    ],
)
def test_near_misses_are_met_with_a_suggestion(
    words: list[str], suggestion: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(words) == 2
    assert suggestion in capsys.readouterr().err
