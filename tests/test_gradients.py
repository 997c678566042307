"""Backpropagation through time against central differences, for every cell there is, in float64."""

from __future__ import annotations

import numpy as np
import pytest
from reference import VARIANTS, gradient_errors, random_chunk, random_masks, random_model

from charnn.config import cell_names
from charnn.network.cells import Views, find_cell
from charnn.network.dropout import NOTHING_DROPPED, Masks
from charnn.network.layers import sum_rows_by_id

T, B = 4, 2
LIMIT = 1e-6


@pytest.mark.parametrize("samples", [0, 1, 3], ids=["", "dropout", "dropout samples"])
@pytest.mark.parametrize("embedding", [0, 4], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
def test_every_gradient_is_that_of_central_differences(
    cell: str, activation: str, layers: int, embedding: int, samples: int
) -> None:
    model = random_model(cell, activation, layers, embedding)
    errors = gradient_errors(model, T, B, random_masks(model, T, B, samples) if samples else NOTHING_DROPPED)
    assert set(errors) == set(model.parameters)
    assert max(errors.values()) < LIMIT, errors


@pytest.mark.parametrize("cell", cell_names())
def test_the_check_fails_on_a_gradient_that_is_wrong_by_one_percent(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = find_cell(cell)

    class Wrong(right):  # type: ignore[misc, valid-type]
        def backward(self, s: Views, d: Views) -> None:
            super().backward(s, d)
            d.gates[0] *= 1.01

    monkeypatch.setattr("charnn.network.model.find_cell", lambda name: Wrong)
    assert max(gradient_errors(random_model(cell), T, B).values()) > 1e-3


@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
def test_the_state_that_enters_a_chunk_counts_in_its_gradients(cell: str, activation: str) -> None:
    model = random_model(cell, activation)
    x, y, carry = random_chunk(model, T, B)
    found = []
    for entering in (carry, model.zero_carry(B)):
        gradient = np.zeros(model.size)
        model.gradient(x, y, entering, model.workspace(T, B), model.views(gradient), 1.0)
        found.append(gradient)
    assert not np.allclose(*found)


@pytest.mark.parametrize("layers", [1, 2])
def test_samples_of_dropout_give_the_mean_of_their_losses_and_gradients(layers: int) -> None:
    model = random_model("gru", layers=layers)
    x, y, carry = random_chunk(model, T, B)
    masks = random_masks(model, T, B, samples=3)
    together, single = np.zeros(model.size), np.zeros(model.size)
    loss, after = model.gradient(x, y, carry, model.workspace(T, B, 3), model.views(together), 1.0, masks)
    losses, gradients = [], []
    for sample in masks.outputs[-1]:
        one = Masks((*masks.outputs[:-1], sample[None]), masks.inputs)
        total, state = model.gradient(x, y, carry, model.workspace(T, B), model.views(single), 1.0, one)
        losses.append(total)
        gradients.append(single.copy())
        np.testing.assert_array_equal(state[-1], after[-1])
    assert len(set(losses)) == 3
    assert loss == pytest.approx(np.mean(losses), rel=1e-12)
    np.testing.assert_allclose(together, np.mean(gradients, axis=0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", cell_names())
def test_how_the_products_are_cut_changes_nothing(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    H, found, cuts = 64, [], set()
    for small in (0, 32 * B * H, 4 * H * H * B):
        monkeypatch.setattr("charnn.network.products.SMALL_PRODUCT", small)
        model = random_model(cell, layers=2, H=H)
        x, y, carry = random_chunk(model, T, B)
        workspace, gradient = model.workspace(T, B), np.zeros(model.size)
        model.gradient(x, y, carry, workspace, model.views(gradient), 1.0)
        products = workspace.recurrent[0].product, workspace.backward.product
        cuts.add(tuple((product.parts, product.width) for product in products))
        found.append(gradient)
    assert len(cuts) > 1
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cell", cell_names())
def test_the_gradient_of_a_sum_is_scaled_as_asked_and_nothing_is_left_of_the_last_one(cell: str) -> None:
    model = random_model(cell, layers=2)
    x, y, carry = random_chunk(model, T, B)
    workspace, one, half = model.workspace(T, B), np.zeros(model.size), np.full(model.size, 7.0)
    total, _ = model.gradient(x, y, carry, workspace, model.views(one), 1.0)
    again, _ = model.gradient(x, y, carry, workspace, model.views(half), 0.5)
    assert total == again
    np.testing.assert_allclose(half, one / 2, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 4000])
def test_rows_are_added_up_by_id(count: int) -> None:
    rng = np.random.default_rng(count)
    ids, rows = rng.integers(0, count, 300), rng.standard_normal((300, 20))
    slow = np.zeros((count, 20))
    np.add.at(slow, ids, rows)
    np.testing.assert_allclose(sum_rows_by_id(ids, rows, count, np.empty_like(rows)), slow, atol=1e-12)
