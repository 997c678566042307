"""What nobody chose is fitted to the text and the time; what somebody chose stays."""

from __future__ import annotations

import string
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from charnn.cli import run
from charnn.config import Config, cell_names, flat_settings, resolve
from charnn.errors import ConfigError, CorpusError
from charnn.network.cells import find_cell
from charnn.network.shape import parameters_by_layer, shape_of
from charnn.planning.advice import BY_HEART
from charnn.runs.fitting import FIT_LENGTH, HIGHEST_RATE, choose
from charnn.yaml_file import read_file

PRESETS = Path(__file__).parent.parent / "configs"
MB = 1_000_000


SHAKESPEARE = 1_115_394
"""Characters of the text that the presets for a time were made with, 65 of them distinct."""


def fitted(characters: int = MB, cores: int = 2, vocabulary: int = 65, **chosen: Any) -> Config:
    return choose(resolve(flat_settings(chosen)), [characters], vocabulary, lambda text: None, cores).config


def test_who_says_nothing_gets_the_best_of_five_minutes() -> None:
    assert fitted() == fitted(budget="5m")


def test_a_short_text_is_learned_sooner_and_a_long_one_is_not() -> None:
    enough = [fitted(characters).training.enough_epochs for characters in (20_000, 50_000, 80_000)]
    assert None not in enough and enough == sorted(enough, reverse=True)
    assert fitted(MB).training.enough_epochs is None
    assert fitted(MB, budget="10h").training.enough_epochs is not None
    assert fitted(20_000, enough_epochs=7).training.enough_epochs == 7
    assert fitted(20_000, epochs=7).training.enough_epochs is None
    with pytest.raises(ConfigError, match="enough_epochs has no effect without a budget"):
        resolve(flat_settings({"steps": 3, "enough_epochs": 7}))


def test_an_exact_length_fits_the_network_as_the_time_that_it_takes_does() -> None:
    short, long = fitted(epochs=2), fitted(epochs=20)
    assert short.model.hidden_size < long.model.hidden_size
    assert short.training.budget is None
    assert fitted(steps=9765).model == fitted(epochs=20 * 9765 / (9 * MB / 10 * 20 / 2048)).model
    assert 0 == short.model.dropout < long.model.dropout


def test_a_network_too_small_to_learn_a_text_by_heart_has_no_dropout() -> None:
    assert fitted(epochs=40, hidden_size=32).model.dropout == 0 < fitted(epochs=40, hidden_size=512).model.dropout


def test_more_time_and_more_cores_make_a_larger_network() -> None:
    sizes = [fitted(budget=budget).model.hidden_size for budget in ("20s", "1m", "5m", "1h")]
    assert all(small < large for small, large in pairwise(sizes))
    assert fitted(budget="5m", cores=4).model == fitted(budget="10m", cores=2).model
    assert fitted(budget="5m", cores=64).model == fitted(budget="5m", cores=4).model  # 32 streams feed no more
    assert fitted(budget="5m", cores=64, workers=2).model == fitted(budget="5m").model


def test_a_short_text_has_a_smaller_network_and_more_dropout() -> None:
    short, long = fitted(50_000, budget="10m").model, fitted(50 * MB, budget="10m").model
    assert short.hidden_size < long.hidden_size
    assert short.dropout == 0.5 > short.input_dropout > 0.4
    assert long.dropout == long.input_dropout == 0


def test_dropout_of_the_input_follows_that_of_the_outputs() -> None:
    assert fitted(budget="1h", dropout=0).model.input_dropout == 0
    assert fitted(budget="1h", dropout=0.1).model.input_dropout == 0
    shares = [fitted(budget="1h", dropout=dropout).model.input_dropout for dropout in (0.2, 0.4, 0.9)]
    assert all(small < large < 0.7 for small, large in pairwise(shares))
    assert fitted(budget="1h", input_dropout=0).model.input_dropout == 0


def test_samples_of_a_dropout_of_0_are_refused_after_it_was_fitted() -> None:
    for options in ({"budget": "1m"}, {"budget": "1h", "dropout": 0}):
        with pytest.raises(ConfigError, match="dropout_samples has no effect with dropout 0"):
            fitted(dropout_samples=2, **options)
    assert fitted(dropout_samples=2, budget="1h").model.dropout > 0
    assert fitted(dropout_samples=2, dropout=0.5).model.dropout_samples == 2


@pytest.mark.parametrize("cell", cell_names())
def test_networks_of_all_cells_have_about_as_many_recurrent_weights(cell: str) -> None:
    def weights(name: str, layers: int) -> int:
        model = fitted(budget="5m", cell=name, layers=layers).model
        return int(len(find_cell(name).gates) * model.hidden_size**2 * (2 * model.layers - 1))

    for layers in (1, 2):
        assert weights(cell, layers) == pytest.approx(weights("lstm", 1), rel=0.4)


def test_what_was_chosen_stays_and_what_was_fitted_is_told() -> None:
    notices: list[str] = []
    resolved = choose(
        resolve(flat_settings({"budget": "5m", "hidden_size": 100, "dropout": 0})), [MB], 65, notices.append, 2
    )
    model = resolved.config.model
    assert (model.hidden_size, model.dropout, model.layers) == (100, 0, 1)
    assert resolved.origins["model.hidden_size"] == "keyword hidden_size"
    assert resolved.origins["model.layers"] == FIT_LENGTH
    (notice,) = notices
    assert "layers 1" in notice
    assert "hidden_size" not in notice


def test_everything_chosen_leaves_nothing_to_fit_and_nothing_to_tell() -> None:
    sizes = {"layers": 2, "embedding_size": 0, "hidden_size": 64, "forget_bias": 1, "dropout": 0}
    rates = {"learning_rate": 1e-3, "weight_decay": 0}
    chosen = {"budget": "5m", "enough_epochs": 99, **sizes, **rates}
    choose(resolve(flat_settings(chosen)), [MB], 65, pytest.fail, 2)


def test_a_network_from_a_file_stays_as_it_is() -> None:
    chosen = resolve(flat_settings({"budget": "5m"}), fixed=True)
    assert choose(chosen, [MB], 65, pytest.fail, 2).config.model == Config().model


def test_as_many_workers_as_train_fastest_are_chosen_where_nobody_says() -> None:
    assert [fitted(cores=cores).training.workers for cores in (1, 2, 64)] == [1, 2, 4]  # for 32 streams
    assert fitted(cores=64, workers="auto").training.workers == 4
    assert fitted(cores=64, workers=3).training.workers == 3
    assert fitted(cores=64, layers=1, hidden_size=8, embedding_size=0).training.workers == 1


def test_the_learning_rate_is_fitted_where_it_was_measured() -> None:
    default = Config().optimization.learning_rate
    assert fitted(budget="5m").optimization.learning_rate != default
    assert fitted(budget="5m", optimizer="sgd").optimization.learning_rate == default
    assert fitted(budget="5m", schedule="constant").optimization.learning_rate == default
    assert fitted(budget="5m", hidden_size=8).optimization.learning_rate == HIGHEST_RATE
    assert fitted(budget="5m", cell="gru").model.forget_bias == Config().model.forget_bias


@pytest.mark.parametrize("characters", [5000, 14_000, 25_000, 100_000, MB])
def test_a_fitted_network_is_none_that_a_dry_run_warns_of(characters: int) -> None:
    config = fitted(characters, budget="1h", seq_length=16, batch_size=8)
    parameters = sum(parameters_by_layer(shape_of(config.model, 65)).values())
    assert parameters < BY_HEART * characters or config.model.hidden_size == 32


def test_many_distinct_characters_make_a_smaller_network_and_are_read_less_often() -> None:
    few, many = fitted(budget="5m").model, fitted(budget="5m", vocabulary=5000).model
    assert many.hidden_size < few.hidden_size


@pytest.mark.parametrize(("characters", "budget"), [(5, "5s"), (40, "5s")])
def test_a_text_too_short_to_train_on_is_an_error_as_ever(characters: int, budget: str) -> None:
    with pytest.raises(CorpusError, match=r"the training text has [04] characters, too few for 32 streams of 64"):
        fitted(characters, budget=budget, val_fraction=0.9)


def test_a_budget_of_next_to_nothing_has_a_network_too() -> None:
    assert fitted(budget="1e-300").model.hidden_size == 32


@pytest.mark.parametrize("name", ["minute", "five-minutes", "hour"])
def test_the_presets_for_a_time_are_what_its_budget_alone_chooses(name: str) -> None:
    preset = resolve(read_file(PRESETS / f"{name}.yaml"), fixed=True)
    alone = choose(preset, [SHAKESPEARE], 65, pytest.fail, 2).config
    assert fitted(SHAKESPEARE, budget=alone.training.budget) == alone


def test_a_preset_stays_what_it_is_under_a_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    text = tmp_path / "text.txt"
    text.write_text(string.ascii_letters * 1000)
    command = ["train", str(text), "--config", str(PRESETS / "char-rnn.yaml"), "--budget", "1m", "--dry-run"]
    assert run(command) == 0
    assert FIT_LENGTH not in capsys.readouterr().out
    assert run([*command[:2], "--budget", "1m", "--dry-run"]) == 0
    assert FIT_LENGTH in " ".join(capsys.readouterr().out.split())
