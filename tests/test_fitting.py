"""What nobody chose is fitted to the text and the time; what somebody chose stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from charnn.cells import find_cell
from charnn.config import Config, cell_names, flat_settings, resolve
from charnn.fitting import FIT_BUDGET, fit

MB = 1_000_000


def fitted(characters: int = MB, cores: int = 2, **chosen: Any) -> Config:
    return fit(resolve(flat_settings(chosen)), characters, lambda text: None, cores).config


def test_without_a_budget_the_network_is_the_default_one() -> None:
    assert fitted().model == Config().model
    assert fitted().optimization == Config().optimization


def test_more_time_and_more_cores_make_a_larger_network() -> None:
    sizes = [fitted(budget=budget).model.hidden_size for budget in ("20s", "1m", "5m", "1h")]
    assert all(small < large for small, large in pairwise(sizes))
    assert fitted(budget="5m", cores=8).model.hidden_size == fitted(budget="20m", cores=2).model.hidden_size


def test_a_short_text_has_a_smaller_network_and_more_dropout() -> None:
    short, long = fitted(50_000, budget="10m").model, fitted(50 * MB, budget="10m").model
    assert short.hidden_size < long.hidden_size
    assert short.dropout == 0.5
    assert long.dropout == 0


@pytest.mark.parametrize("cell", cell_names())
def test_networks_of_all_cells_have_about_as_many_recurrent_weights(cell: str) -> None:
    def weights(name: str, layers: int) -> int:
        model = fitted(budget="5m", cell=name, layers=layers).model
        return int(len(find_cell(name).gates) * model.hidden_size**2 * (2 * model.layers - 1))

    for layers in (1, 2):
        assert weights(cell, layers) == pytest.approx(weights("lstm", 1), rel=0.4)


def test_what_was_chosen_stays_and_what_was_fitted_is_told() -> None:
    notices: list[str] = []
    resolved = fit(resolve(flat_settings({"budget": "5m", "hidden_size": 100, "dropout": 0})), MB, notices.append, 2)
    model = resolved.config.model
    assert (model.hidden_size, model.dropout, model.layers) == (100, 0, 1)
    assert resolved.origins["model.hidden_size"] == "keyword hidden_size"
    assert resolved.origins["model.layers"] == FIT_BUDGET
    (notice,) = notices
    assert "layers 1" in notice
    assert "hidden_size" not in notice


def test_everything_chosen_leaves_nothing_to_fit_and_nothing_to_tell() -> None:
    sizes = {"layers": 2, "embedding_size": 0, "hidden_size": 64, "forget_bias": 1, "dropout": 0}
    rates = {"learning_rate": 1e-3, "weight_decay": 0}
    fit(resolve(flat_settings({"budget": "5m", **sizes, **rates})), MB, pytest.fail, 2)


def test_a_network_that_starts_from_other_weights_stays_as_it_is() -> None:
    chosen = resolve(flat_settings({"budget": "5m"}))
    assert fit(chosen, MB, pytest.fail, 2, started=True).config.model == Config().model


def test_the_learning_rate_is_fitted_for_adam_alone() -> None:
    assert fitted(budget="5m", optimizer="sgd").optimization.learning_rate == Config().optimization.learning_rate
    assert fitted(budget="5m", cell="gru").model.forget_bias == Config().model.forget_bias
