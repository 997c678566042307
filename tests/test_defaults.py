"""A command and the Python call of the same name do the same where nothing is said."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from helpers import TINY, some_text, write_text

import charnn
from charnn import cli
from charnn.insight import compare

CALLS: dict[str, list[Callable[..., Any]]] = {
    "train": [charnn.train],
    "sample": [charnn.load, charnn.Run.sample, charnn.Sampling],
    "write": [charnn.load, charnn.Run.session, charnn.Sampling],
    "score": [charnn.load, charnn.Run.score, charnn.Run.score_test, charnn.Run.memory],
    "copies": [charnn.load, charnn.Run.copies],
    "neurons": [charnn.load, charnn.Run.neurons],
    "gradients": [charnn.load, charnn.Run.gradients],
    "compare": [charnn.compare],
    "export": [charnn.load, charnn.Run.export],
}
"""Every command that Python programs can call, with the calls that do its work."""

SHELL_ONLY = {"bench", "completion", "inspect", "runs"}

OTHER_NAMES = {"path": "run", "text": "file"}
"""Parameters of calls, and what the command calls the same."""

PYTHON_ONLY = {("score", "longest"), ("score", "positions")}
"""Parameters that no option of the command gives."""


def defaults_of_command(name: str) -> dict[str, Any]:
    """What each option of a command is where it is not given; None for what is empty."""
    command: click.Command = importlib.import_module(f"charnn.cli.{name}").command
    values = command.make_context(name, [], resilient_parsing=True).params
    return {parameter: value or None for parameter, value in values.items()}


def defaults_of_call(call: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(call).parameters.values()
    plain = [p for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD]
    return {p.name: None if p.default is p.empty else p.default or None for p in plain}


def test_every_command_is_a_call_or_for_the_shell_alone() -> None:
    assert CALLS.keys() | SHELL_ONLY == cli.COMMANDS.keys() and not CALLS.keys() & SHELL_ONLY


@pytest.mark.parametrize("name", CALLS)
def test_a_command_and_its_calls_have_the_same_defaults(name: str) -> None:
    options = defaults_of_command(name)
    for call in CALLS[name]:
        for parameter, default in defaults_of_call(call).items():
            option = OTHER_NAMES.get(parameter, parameter)
            if (name, option) not in PYTHON_ONLY:
                assert default == options[option], f"{call.__qualname__}({parameter})"


# What a default does, beyond its value


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose chunks are so long that the longest context measured depends on them."""
    folder = tmp_path_factory.mktemp("defaults")
    list(charnn.train(write_text(folder, 12_000), out=folder / "run", **{**TINY, "seq_length": 100, "steps": 2}))
    return folder / "run"


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command answers with --json."""
    assert cli.run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_memory_is_measured_alike(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "score", str(run), "--memory") == charnn.load(run).memory().to_json()


def test_gradients_are_measured_alike(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (theirs,), ours = answer(capsys, "gradients", str(run)), charnn.load(run).gradients().to_json()
    assert theirs | {"label": ""} == ours | {"label": ""}


def test_neurons_are_measured_alike(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "neurons", str(run)) == charnn.load(run).neurons().to_json()


@pytest.mark.parametrize("length", [{}, {"steps": 3}])
def test_cells_are_compared_for_five_minutes_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: dict[str, int]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(some_text())
    monkeypatch.setattr(compare.Comparison, "is_finished", lambda self, cell: True)
    monkeypatch.setattr(compare, "judge", lambda comparison, cell: comparison)
    flags = [word for key, value in length.items() for word in (f"--{key}", str(value))]
    monkeypatch.setattr("charnn.cli.compare.show", lambda comparison, as_json: None)
    assert cli.run(["compare", str(text), "--out", str(tmp_path / "shell"), *flags]) == 0
    ours = charnn.compare(text, out=tmp_path / "python", **length)[0]
    theirs = compare.reopen(tmp_path / "shell")
    assert isinstance(ours, compare.Comparison)
    expected = (300.0, None) if not length else (None, 3)
    for comparison in (ours, theirs):
        training = comparison.config("lstm").training
        assert (training.budget, training.steps) == expected
    assert ours.hidden_sizes == theirs.hidden_sizes
