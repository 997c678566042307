"""Cells set side by side: equal in size and length, kept, gone on with where they stopped, and judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import charnn
from charnn.cli import main
from charnn.config import ModelConfig, Setting, cell_names
from charnn.errors import CheckpointError, ConfigError
from charnn.insight.compare import begin, judge, reopen, size_of_contestant
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.training.trainer import train

TEXT = "the cat sat on the mat, and the dog (a large one) sat on the cat.\n" * 60
QUICK = {"training.steps": "6", "training.seq_length": "16", "training.batch_size": "4", "model.layers": "1"}


@pytest.fixture
def text(tmp_path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path / "text.txt"


def settings():
    return {name: Setting(value, "test") for name, value in QUICK.items()}


def finish(comparison, cell):
    with comparison.open(cell) as run:
        for _ in train(run):
            pass


@pytest.mark.parametrize("cell", cell_names())
@pytest.mark.parametrize(("layers", "embedding"), [(1, 0), (2, 0), (3, 7)])
@pytest.mark.parametrize("parameters", [3000, 50_000])
def test_no_other_hidden_size_comes_nearer_to_the_parameters_wanted(cell, layers, embedding, parameters) -> None:
    model = ModelConfig(cell=cell, layers=layers, embedding_size=embedding)
    found = size_of_contestant(model, 30, parameters)
    sizes = range(max(1, found - 2), found + 3)
    counts = {size: CharRNN(Shape(30, cell, "", layers, size, embedding)).size for size in sizes}
    assert min(counts, key=lambda size: abs(counts[size] - parameters)) == found


def test_a_network_that_cannot_be_so_small_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot have 10 parameters"):
        size_of_contestant(ModelConfig(), 100, 10)


def test_contestants_differ_in_their_cell_and_size_alone(text, tmp_path) -> None:
    comparison = begin([str(text)], ["vanilla", "lstm", "gru"], 3000, settings(), tmp_path / "out")
    configs = [comparison.config(cell).to_json() for cell in comparison.cells]
    for config in configs:
        del config["model"]["cell"], config["model"]["hidden_size"]
    assert configs[0] == configs[1] == configs[2]
    assert configs[0]["training"]["steps"] == 6
    assert reopen(tmp_path / "out") == comparison


def test_a_comparison_goes_on_where_it_stopped_and_ends_as_if_it_had_not(text, tmp_path) -> None:
    whole = begin([str(text)], ["lstm", "gru"], 2000, settings(), tmp_path / "whole")
    cut = begin([str(text)], ["lstm", "gru"], 2000, settings(), tmp_path / "cut")
    for cell in whole.cells:
        finish(whole, cell)
    with cut.open("lstm") as run:
        for record in train(run, should_stop=lambda: run.state.step >= 2):
            assert record
    assert not cut.is_finished("lstm")
    (cut.folder("gru") / "checkpoints").mkdir(parents=True)
    (cut.folder("gru") / "lock").touch()  # killed before its first checkpoint
    again = reopen(tmp_path / "cut")
    for cell in again.cells:
        finish(again, cell)
    assert [again.is_finished(cell) for cell in again.cells] == [True, True]
    for cell in whole.cells:
        one, other = charnn.load(whole.folder(cell)), charnn.load(again.folder(cell))
        assert one.step == other.step == 6
        assert (one.model.vector == other.model.vector).all()


def test_a_standing_is_what_the_run_and_its_measurements_say(text, tmp_path) -> None:
    comparison = begin([str(text)], ["gru"], 2000, settings(), tmp_path / "out")
    finish(comparison, "gru")
    standing = judge(comparison, "gru")
    run = charnn.load(comparison.folder("gru"))
    assert standing.parameters == run.model.size
    assert standing.loss == standing.report.summary.best_val_loss
    assert standing.gain == pytest.approx(standing.report.baseline.loss - standing.loss)
    assert standing.memory == run.memory().length
    assert standing.half_life == pytest.approx(run.gradients(steps=128, positions=64).reach.half_life)
    assert "report" not in standing.to_json()


def test_an_rnn_is_a_vanilla_network(text, tmp_path) -> None:
    assert begin([str(text)], ["rnn", "gru"], 2000, settings(), tmp_path / "out").cells == ["vanilla", "gru"]
    with pytest.raises(ConfigError, match="given twice"):
        begin([str(text)], ["rnn", "vanilla"], 2000, settings(), tmp_path / "twice")
    with pytest.raises(ConfigError, match="must be one of"):
        begin([str(text)], ["tanh"], 2000, settings(), tmp_path / "none")


def test_what_holds_no_comparison_or_a_damaged_one_is_said_so(tmp_path) -> None:
    with pytest.raises(CheckpointError, match="there is no"):
        reopen(tmp_path)
    for content in ("[", "[]", "{}", '{"corpora": 1, "hidden_sizes": {}, "settings": {}}'):
        (tmp_path / "compare.json").write_text(content)
        with pytest.raises(CheckpointError, match="is damaged"):
            reopen(tmp_path)


@pytest.mark.parametrize(("corpora", "cells"), [(["-"], ["lstm"]), (["x"], ["gru", "gru"])])
def test_what_cannot_be_compared_is_refused(corpora, cells, tmp_path) -> None:
    with pytest.raises(ConfigError):
        begin(corpora, cells, 2000, {}, tmp_path / "out")


def test_the_command_trains_shows_and_shows_again(text, tmp_path) -> None:
    out = tmp_path / "out"
    words = ["compare", str(text), "--cell", "lstm", "--cell", "vanilla", "--parameters", "2000", "--steps", "6"]
    words += ["--set", "training.seq_length=16", "--set", "training.batch_size=4", "--workers", "1", "-o", str(out)]
    first = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "half-life" in first.stdout
    again = CliRunner().invoke(main, ["compare", "--resume", str(out), "--json"], catch_exceptions=False)
    found = json.loads(again.stdout)
    assert [one["cell"] for one in found] == ["lstm", "vanilla"]
    assert all(one["steps"] == 6 for one in found)
    assert "Training" not in again.stderr
    assert charnn.load(out / "lstm").step == 6
    python = charnn.compare(resume=out)
    assert [one.loss for one in python] == [one["loss"] for one in found]
    refused = CliRunner().invoke(main, ["compare", "--resume", str(out), "--steps", "9"])
    assert isinstance(refused.exception, ConfigError)
