"""What would mislead whoever looks at the losses is told before training, in one line each."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import TINY, some_text
from hypothesis import given
from hypothesis import strategies as st

from charnn.cli import main
from charnn.config import flat_settings, resolve
from charnn.planning import traits as module
from charnn.planning.advice import about_traits, about_updates
from charnn.planning.traits import Passing, Traits, traits_of, traits_of_run
from charnn.runs.opening import create
from charnn.text.unicode import code_points_of

ROOT = Path(__file__).parent.parent
FLAGS = ["--layers=1", "--hidden=8", "--batch-size=4", "--seq-length=8", "--workers=1"]


def traits(train: str, validation: str) -> Traits:
    return traits_of(code_points_of(train), code_points_of(validation))


def said(found: Traits) -> str:
    return "\n".join(f"{advice.message}; {advice.hint}" for advice in about_traits(found))


def shuffled_words(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("etaoinshrdlu", k=rng.randint(3, 9))) for _ in range(count)]


@pytest.mark.parametrize("name", ["dialogues.txt", "harbour.txt"])
def test_texts_of_one_kind_in_their_own_order_pass(name: str) -> None:
    text = (ROOT / "corpora" / name).read_text()
    cut = len(text) * 9 // 10
    assert said(traits(text[:cut], text[cut:])) == ""


def test_a_held_out_part_of_another_kind_is_told_in_either_direction() -> None:
    text, table = some_text(40_000), "0123456789;" * 400
    assert "unlike the rest: its characters are" in said(traits(text, table))
    assert "nats less likely" in said(traits(text, table))
    assert "nats more likely" in said(traits(text, "e" * 4000))
    assert said(traits(text, some_text(4000, seed=2))) == ""


def test_a_short_part_may_differ_by_chance() -> None:
    text = some_text(40_000)
    found = traits(text, "Zephyr: wax!")
    assert found.validation_loss > found.train_loss + 0.1
    assert found.noise > 0.1
    assert "unlike" not in said(replace(found, validation_loss=found.train_loss + 0.1 + 2.9 * found.noise))
    assert "unlike" in said(replace(found, validation_loss=found.train_loss + 0.1 + 3.1 * found.noise))


@pytest.mark.parametrize("key", [str, str.casefold])
def test_sorted_lines_are_told_whatever_the_case(key: object) -> None:
    words = [word.title() if index % 3 else word for index, word in enumerate(shuffled_words(3000))]
    lines = sorted(words, key=key)  # type: ignore[arg-type]
    whole = "the text is sorted: 100% of its lines follow the line before"
    assert whole in said(traits("\n".join(lines[:2700]), "\n".join(lines[2700:])))
    random.Random(1).shuffle(lines)
    assert "sorted" not in said(traits("\n".join(lines[:2700]), "\n".join(lines[2700:])))


def test_a_few_lines_are_not_called_sorted() -> None:
    assert "sorted" not in said(traits("a\nb\nc\nd\ne\n" * 1, "f\ng\n"))


def test_repeated_lines_are_told_by_their_share_of_the_text() -> None:
    lines = shuffled_words(2000)
    found = traits("\n".join(lines), "\n".join(lines[:1000]))
    assert found.repeated == pytest.approx(1 / 3, abs=0.02)
    assert "34% of the text is in lines that stood before" in said(found)
    assert "lines that stood before" not in said(traits("\n".join(lines), "\n".join(shuffled_words(1000, seed=2))))


def test_too_few_updates_are_told_with_how_many_epochs_would_do() -> None:
    assert [advice.message for advice in about_updates(50, 10)] == ["50 updates are too few to learn much"]
    assert "--epochs 100" in next(about_updates(50, 10)).hint
    assert list(about_updates(300, 10)) == list(about_updates(None, 10)) == []


# A sample of a long text


@given(st.integers(1, 500), st.integers(0, 200), st.integers(1, 90))
def test_a_text_that_passes_by_in_pieces_is_sampled_as_one_that_lies_there(
    train: int, validation: int, size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SAMPLE", 64)
        patch.setattr(module, "STRETCHES", 4)
        text = code_points_of(some_text(train + validation))
        parts = text[:train], text[train:]
        expected = traits_of(*(np.concatenate([part[place] for place in module._places(len(part))]) for part in parts))
        passing = Passing([train, validation, 7])
        pieces = [(p, part[at : at + size]) for p, part in enumerate(parts) for at in range(0, len(part), size)]
        assert [len(codes) for _, codes in passing.watch([*pieces, (2, text[:7])])][:-1] == [len(c) for _, c in pieces]
        assert passing.traits() == expected


def test_a_long_part_is_looked_at_from_its_beginning_to_its_end() -> None:
    places = module._places(10**9)
    assert sum(place.stop - place.start for place in places) == module.SAMPLE
    assert (places[0].start, places[-1].stop) == (0, 10**9)


# Told by the commands


def test_a_run_and_a_dry_run_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from charnn.planning.dry_run import dry_run

    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    for number in range(3):
        (tmp_path / f"{number}.txt").write_text(some_text(2000, seed=number) + "\n")
    paths = [str(tmp_path / f"{number}.txt") for number in range(3)]
    settings = resolve(flat_settings(TINY), fixed=True)
    with create(settings, paths, tmp_path / "run") as run:
        assert traits_of_run(run) == dry_run(settings, paths).traits


def test_training_warns_in_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    names = sorted(shuffled_words(500)) * 2
    Path("names.txt").write_text("\n".join(sorted(names)) + "\n" + "7" * 700 + "\n")
    words = ["train", "names.txt", "--steps=2", *FLAGS]
    result = CliRunner().invoke(main, words)
    warned = [line.partition(": ")[2] for line in result.stderr.splitlines() if line.startswith("Warning: ")]
    assert [line.split(" ")[0] for line in warned] == ["the", "the", "45%", "2"]
    assert "unlike" in warned[0] and "sorted" in warned[1] and "lines that stood before" in warned[2]
    told = " ".join(CliRunner().invoke(main, [*words, "--dry-run"]).stdout.split())
    for line in warned:
        assert line.partition("; ")[0] in told
    assert "Warning" not in CliRunner().invoke(main, ["train", "--resume", "runs/names-lstm-1", "--steps=3"]).stderr


def test_a_budget_that_was_too_short_is_told_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(some_text(3000))
    result = CliRunner().invoke(main, ["train", "text.txt", "--budget=0.01s", *FLAGS])
    assert "updates are too few to learn much" in result.stderr.splitlines()[-1]
