"""charnn for Python programs: load, sample, score, train."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from helpers import TINY, complaint, some_text, write_text
from reference import forward, surprise

import charnn
from charnn.errors import CheckpointError, ConfigError, UnknownCharacters
from charnn.training.events import Event, Finished, Metrics, Step


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run on it."""
    folder = tmp_path_factory.mktemp("api")
    list(charnn.train(write_text(folder), out=folder / "run", **TINY, validate_every=5))
    return folder


@pytest.fixture
def run(folder: Path) -> charnn.Run:
    return charnn.load(folder / "run")


def test_every_public_name_is_there_and_no_other() -> None:
    assert dir(charnn) == sorted(charnn.__all__)
    for name in charnn.__all__:
        assert getattr(charnn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        charnn.nothing  # noqa: B018


def test_every_event_is_a_name_of_charnn() -> None:
    assert all(getattr(charnn, kind.__name__) is kind for kind in get_args(Event))


# Training


def test_training_yields_records_of_what_happens(tmp_path: Path) -> None:
    events = list(charnn.train(str(write_text(tmp_path)), out=str(tmp_path / "run"), cell="gru", **TINY))
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == list(range(1, TINY["steps"] + 1))
    assert all(event.loss > 0 and event.grad_norm > 0 and event.learning_rate >= 0 for event in steps)
    assert any(isinstance(event, Metrics) and event.val_loss is not None for event in events)
    assert events[-1] == Finished(TINY["steps"], stopped=False, saved=True)
    assert charnn.load(tmp_path / "run").config.model.cell == "gru"


def test_several_texts_train_together(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(some_text(2000) + name)
    list(charnn.train([tmp_path / "a", tmp_path / "b"], out=tmp_path / "run", **TINY))
    assert len(charnn.load(tmp_path / "run").vocabulary) == len(set(some_text(2000) + "ab"))


def test_training_goes_on_with_a_run_and_starts_from_another(folder: Path, tmp_path: Path) -> None:
    text = write_text(tmp_path)
    list(charnn.train(text, out=tmp_path / "run", **TINY))
    assert list(charnn.train(resume=tmp_path / "run", steps=25))[-1] == Finished(25, stopped=False, saved=True)
    events = charnn.train(text, out=tmp_path / "second", init_from=tmp_path / "run", **TINY)
    next(events)
    events.close()
    second, first = charnn.load(tmp_path / "second"), charnn.load(tmp_path / "run")
    assert second.step == 0 and first.step == 25
    np.testing.assert_array_equal(second.model.vector, first.model.vector)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "either a corpus or a run"),
        ({"corpus": "a", "resume": "b"}, "either a corpus or a run"),
        ({"corpus": "a", "hidden": 3}, "did you mean hidden_size?"),
        ({"corpus": "a", "hidden_size": "many"}, "hidden_size must be a whole number"),
        ({"corpus": "a", "activation": "relu"}, "cell has no activation relu"),
        ({"corpus": "a", "steps": 3, "epochs": 3}, "cannot be combined"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in complaint(lambda: list(charnn.train(**arguments)), ConfigError)
    assert not list(tmp_path.iterdir())


# Loading


def test_a_run_is_loaded_from_its_folder_its_file_or_as_the_newest(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = charnn.load(str(folder / "run"))
    assert run.path == folder / "run" / "checkpoints" / "step-00000020.safetensors" and run.step == 20
    assert charnn.load(run.path).step == 20
    assert set(run.vocabulary.characters) == set(some_text())
    assert run.config.model.hidden_size == run.model.shape.hidden_size == TINY["hidden_size"]
    monkeypatch.chdir(folder)
    complaint(charnn.load, CheckpointError)
    (folder / "runs").symlink_to(folder)
    assert charnn.load().step == 20
    (folder / "runs").unlink()


def test_the_best_checkpoint_is_the_one_of_the_lowest_validation_loss(folder: Path) -> None:
    best, newest = charnn.load(folder / "run"), charnn.load(folder / "run", newest=True)
    validated = [line for line in _metrics(folder / "run") if line["val_loss"] is not None]
    assert newest.step == validated[-1]["step"]
    assert best.step == min(validated, key=lambda line: line["val_loss"])["step"]


def _metrics(run: Path) -> list[dict[str, Any]]:
    from charnn.storage.metrics import read_metrics

    return read_metrics(run / "metrics.jsonl")[0]


def test_there_must_be_something_to_load(tmp_path: Path) -> None:
    complaint(lambda: charnn.load(tmp_path / "missing"), CheckpointError)
    complaint(lambda: charnn.load(tmp_path), CheckpointError)


# Sampling and scoring


def test_a_sample_is_text_in_pieces_without_the_prompt(run: charnn.Run) -> None:
    text = "".join(run.sample(prompt="the", length=50, temperature=0.8, seed=1))
    assert len(text) == 50
    assert text == "".join(run.sample("the", length=50, temperature=0.8, seed=1))
    assert set(text) <= set(run.vocabulary.characters)
    assert "did" not in complaint(lambda: run.sample(temprature=1), ConfigError)
    complaint(lambda: run.sample(length=0), ConfigError)
    complaint(lambda: run.sample("ü"), UnknownCharacters)


def test_a_session_writes_what_a_sample_writes_and_goes_back(run: charnn.Run) -> None:
    session = run.session(seed=1, temperature=0.8, length=30)
    session.read("the")
    kept = session.state
    text = "".join(session.write()) + "".join(session.write(length=20))
    assert text == "".join(run.sample("the", length=50, temperature=0.8, seed=1))
    session.undo()
    assert session.text == "the" + text[:30]
    session.state = kept
    assert session.text == "the" and len(session.expected(4)) == 4
    assert "session takes no temprature" in complaint(lambda: run.session(temprature=1), ConfigError)
    complaint(lambda: run.session(seed=-1), ConfigError)
    complaint(lambda: session.write(length=0), ConfigError)


@pytest.mark.parametrize("length", [1, 10, 256, 257])
def test_a_score_is_the_surprise_at_every_character(run: charnn.Run, length: int) -> None:
    text = some_text(length, seed=5)
    score = run.score(text)
    ids = run.vocabulary.encode("\n" + text)
    logits, _ = forward(run.model, ids[:-1, None], run.model.zero_carry(1))
    assert score.text == text and score.nats.shape == (length,) and score.nats.dtype == np.float64
    np.testing.assert_allclose(score.nats, surprise(logits[:, 0], ids[1:]), rtol=1e-4, atol=1e-5)
    assert score.nats_per_character == pytest.approx(score.nats.mean())
    assert score.bits_per_character == pytest.approx(score.nats.mean() / math.log(2))
    assert score.perplexity == pytest.approx(math.exp(score.nats.mean()))


def test_nothing_and_unknown_characters_cannot_be_scored(run: charnn.Run) -> None:
    complaint(lambda: run.score(""), ConfigError)
    complaint(lambda: run.score("ü"), UnknownCharacters)


def test_the_surprise_told_of_a_sample_is_its_score(run: charnn.Run) -> None:
    from charnn.sampling.sampler import generate

    samples, pieces = generate(run.model, run.vocabulary, "", charnn.Sampling(length=80), 3)
    list(pieces)
    assert samples[0].nats_per_character == pytest.approx(run.score(samples[0].text).nats_per_character, rel=1e-5)
