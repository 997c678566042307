"""Softmax cross-entropy against the slow way, and where logits are extreme."""

from __future__ import annotations

import numpy as np
import pytest
from reference import central_differences, relative_error, surprise

from charnn.network.loss import cross_entropy_gradient_in_place, cross_entropy_in_place


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
