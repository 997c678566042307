"""Softmax cross-entropy against the slow way, and where logits are extreme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import central_differences, relative_error, surprise

from charnn.network.loss import (
    cross_entropy_gradient_in_place,
    cross_entropy_in_place,
    likeliest,
    log_totals,
    probabilities,
)


def case(N: int = 6, V: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(0, 3, (N, V)), rng.integers(0, V, N)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_are_those_of_the_slow_softmax(dtype: type) -> None:
    logits, targets = case()
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(
        cross_entropy_in_place(logits.astype(dtype), targets), surprise(logits, targets), rtol=tolerance
    )
    losses = cross_entropy_gradient_in_place(logits.astype(dtype), targets, 1.0)
    np.testing.assert_allclose(losses, surprise(logits, targets), rtol=tolerance)


def test_the_gradient_is_that_of_central_differences() -> None:
    logits, targets = case()
    numeric = central_differences(lambda: float(surprise(logits, targets).sum()), logits.reshape(-1))
    exact = logits.copy()
    cross_entropy_gradient_in_place(exact, targets, 1.0)
    assert relative_error(exact.reshape(-1), numeric) < 1e-8
    scaled = logits.copy()
    cross_entropy_gradient_in_place(scaled, targets, 0.25)
    np.testing.assert_allclose(scaled, exact / 4, rtol=1e-12)


def test_every_row_of_the_gradient_sums_to_zero() -> None:
    logits, targets = case()
    cross_entropy_gradient_in_place(logits, targets, 1.0)
    np.testing.assert_allclose(logits.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("extreme", [1e4, -1e4, 3e38])
def test_extreme_logits_give_finite_losses_and_gradients(extreme: float) -> None:
    logits = np.array([[extreme, 0, 0], [0, extreme, 0], [extreme, extreme, extreme]], np.float32)
    targets = np.array([0, 0, 2])
    losses = cross_entropy_gradient_in_place(logits, targets, 1.0)
    assert np.isfinite(losses).all() and np.isfinite(logits).all()
    away = abs(extreme) if extreme > 0 else np.log(2)  # of the first: the target itself is the unlikely one
    expected = [0 if extreme > 0 else abs(extreme) + np.log(2), away, np.log(3)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6, atol=1e-6)
    assert np.abs(logits).max() <= 1


def test_no_gradient_is_a_denormal_number() -> None:
    logits = np.array([[0, -80, -95, -1000]], np.float32)
    cross_entropy_gradient_in_place(logits, np.array([0]), 1e-3)
    tiny = np.finfo(np.float32).tiny
    assert ((logits == 0) | (np.abs(logits) >= tiny)).all()


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(st.sampled_from([-3.0, 0.0, 0.5, 2.0, 7.0]), min_size=40, max_size=40), max_size=4),
    count=st.integers(0, 45),
)
def test_the_likeliest_are_the_first_of_all_in_order_and_of_equal_ones_the_lower_ids(
    rows: list[list[float]], count: int
) -> None:
    logits = np.array(rows, np.float32).reshape(-1, 40)
    before = logits.copy()
    expected = [sorted(range(40), key=lambda k: (-row[k], k))[:count] for row in rows]
    assert likeliest(logits, count).tolist() == expected
    np.testing.assert_array_equal(logits, before)


def test_totals_and_probabilities_are_exact_far_beyond_what_exp_can_hold() -> None:
    logits = np.array([[1000.0, 1000.0, 0.0], [-1000.0, -1001.0, -2000.0]], np.float32)
    np.testing.assert_allclose(log_totals(logits), [1000 + np.log(2), -1000 + np.log1p(np.exp(-1))], rtol=1e-12)
    np.testing.assert_allclose(probabilities(logits, np.array([[0, 2], [1, 2]])).sum(axis=1), [0.5, 1 / (1 + np.e)])


def test_totals_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = np.random.default_rng(0).normal(size=(50, 30)).astype(np.float32)
    whole = log_totals(logits)
    monkeypatch.setattr("charnn.network.loss.IN_CACHE", 100)
    np.testing.assert_array_equal(log_totals(logits), whole)
