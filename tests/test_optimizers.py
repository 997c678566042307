"""Every update rule against its formula, one weight at a time; clipping; and the learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from charnn.config import OPTIONS
from charnn.network.optimizers import BLOCK, FLUSH_EVERY, RULES, Schedule, clip, new_optimizer, norm_of

SETTINGS = {
    "momentum": 0.9,
    "smoothing": 0.95,
    "beta1": 0.8,
    "beta2": 0.99,
    "epsilon": 1e-3,
    "weight_decay": 0.0,
}
Rule = Callable[[float, list[float], float], float]


# Each formula for a single weight: its start, its gradients so far, the rate -> where it is


def sgd(w: float, gradients: list[float], rate: float) -> float:
    velocity = 0.0
    for g in gradients:
        velocity = 0.9 * velocity + g
        w -= rate * velocity
    return w


def rmsprop(w: float, gradients: list[float], rate: float) -> float:
    square = 0.0
    for g in gradients:
        square = 0.95 * square + 0.05 * g**2
        w -= rate * g / (math.sqrt(square) + 1e-3)
    return w


def adagrad(w: float, gradients: list[float], rate: float) -> float:
    for n, g in enumerate(gradients, 1):
        w -= rate * g / (math.sqrt(sum(g**2 for g in gradients[:n])) + 1e-3)
    return w


def adam(w: float, gradients: list[float], rate: float) -> float:
    mean = square = 0.0
    for n, g in enumerate(gradients, 1):
        mean = 0.8 * mean + 0.2 * g
        square = 0.99 * square + 0.01 * g**2
        unbiased_mean, unbiased_square = mean / (1 - 0.8**n), square / (1 - 0.99**n)
        w -= rate * unbiased_mean / (math.sqrt(unbiased_square) + 1e-3)
    return w


FORMULAS: dict[str, Rule] = {"sgd": sgd, "rmsprop": rmsprop, "adagrad": adagrad, "adam": adam}


def test_every_rule_is_checked_and_can_be_chosen() -> None:
    assert set(FORMULAS) == set(RULES) == set(OPTIONS["optimization.optimizer"].metadata["choices"])


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_its_formula(name: str) -> None:
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=6), rng.normal(size=(5, 6))
    weights = start.copy()
    optimizer = new_optimizer({**SETTINGS, "optimizer": name}, weights)
    for step, gradient in enumerate(gradients):
        given = gradient.copy()
        optimizer.update(weights, given, 0.1, step)
        np.testing.assert_array_equal(given, gradient)
    expected = [FORMULAS[name](w, list(g), 0.1) for w, g in zip(start, gradients.T, strict=True)]
    np.testing.assert_allclose(weights, expected, rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_weight_decay_shrinks_the_weights_apart_from_the_gradient(name: str) -> None:
    rng = np.random.default_rng(2)
    start, gradient = rng.normal(size=4), rng.normal(size=4)
    plain, decayed = start.copy(), start.copy()
    new_optimizer({**SETTINGS, "optimizer": name}, plain).update(plain, gradient, 0.1, 0)
    new_optimizer({**SETTINGS, "optimizer": name, "weight_decay": 0.5}, decayed).update(decayed, gradient, 0.1, 0)
    np.testing.assert_allclose(decayed, plain - 0.1 * 0.5 * start, rtol=1e-12)


@pytest.mark.parametrize("name", RULES)
def test_a_vector_longer_than_a_block_is_updated_to_its_end(name: str) -> None:
    rng = np.random.default_rng(3)
    start, gradient = rng.normal(size=BLOCK + 3), rng.normal(size=BLOCK + 3)
    weights = start.copy()
    new_optimizer({**SETTINGS, "optimizer": name}, weights).update(weights, gradient, 0.1, 0)
    for piece in (slice(0, BLOCK), slice(BLOCK, None)):
        alone = start[piece].copy()
        new_optimizer({**SETTINGS, "optimizer": name}, alone).update(alone, gradient[piece], 0.1, 0)
        np.testing.assert_array_equal(weights[piece], alone)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_goes_on_from_state_that_was_stored(name: str) -> None:
    gradients = np.random.default_rng(4).normal(size=(6, 5))
    weights = np.ones(5)
    optimizer = new_optimizer({**SETTINGS, "optimizer": name}, weights)
    for step in range(3):
        optimizer.update(weights, gradients[step], 0.1, step)
    again, second = weights.copy(), new_optimizer({**SETTINGS, "optimizer": name}, weights)
    for key, vector in optimizer.state.items():
        second.state[key][...] = vector
    for step in range(3, 6):
        optimizer.update(weights, gradients[step], 0.1, step)
        second.update(again, gradients[step], 0.1, step)
    np.testing.assert_array_equal(weights, again)


@pytest.mark.parametrize("name", RULES)
def test_moments_that_fade_become_zero_before_they_are_denormal(name: str) -> None:
    weights = np.ones(3, np.float32)
    optimizer = new_optimizer({**SETTINGS, "optimizer": name}, weights)
    for vector in optimizer.state.values():
        vector[:] = [1e-39, 1e-31, 1e-3]
    still = np.zeros(3, np.float32)
    optimizer.update(weights, still, 1e-3, FLUSH_EVERY - 2)
    assert all(vector[1] > 0 for vector in optimizer.state.values())
    optimizer.update(weights, still, 1e-3, FLUSH_EVERY - 1)
    for vector in optimizer.state.values():
        assert vector[0] == vector[1] == 0 < vector[2]


def test_a_run_that_is_given_more_time_warms_up_again_to_where_the_longer_schedule_stands() -> None:
    schedule = Schedule("cosine", 1.0, warmup_steps=10, decay_after=0, decay_every=1, decay_rate=1.0)
    longer = [schedule.rate(step, 400, 50) for step in range(400)]
    again = [schedule.rate(step, 400, 50, since=200) for step in range(200, 400)]
    assert again[:10] == pytest.approx([rate * (k + 1) / 10 for k, rate in enumerate(longer[200:210])])
    assert again[10:] == longer[210:]


# Clipping


def test_clipping_by_norm_shortens_the_gradient_and_keeps_its_direction() -> None:
    gradient = np.array([3.0, -4.0])
    assert norm_of(gradient) == 5.0 and clip(gradient, 5.0, 1.0, 0.0)
    np.testing.assert_allclose(gradient, [0.6, -0.8])


def test_clipping_by_value_limits_each_element() -> None:
    gradient = np.array([3.0, -4.0, 0.5])
    norm = norm_of(gradient)
    clipped = clip(gradient, norm, 0.0, 1.0)
    assert (norm, clipped) == (pytest.approx(math.sqrt(25.25)), True)
    np.testing.assert_array_equal(gradient, [1, -1, 0.5])


def test_values_are_clipped_before_the_norm_is() -> None:
    gradient = np.array([30.0, 0.0, -4.0])
    assert clip(gradient, norm_of(gradient), 2.5, 4.0)
    np.testing.assert_allclose(gradient, np.array([4.0, 0, -4]) * 2.5 / math.sqrt(32))


@pytest.mark.parametrize("limits", [(0.0, 0.0), (5.0, 0.0), (0.0, 4.0), (5.1, 4.1)])
def test_a_gradient_within_the_limits_is_left_alone(limits: tuple[float, float]) -> None:
    gradient = np.array([3.0, -4.0])
    assert not clip(gradient, 5.0, *limits)
    np.testing.assert_array_equal(gradient, [3, -4])


# Schedules


def rates(schedule: str, steps: int, steps_per_epoch: int = 10, **changes: float) -> list[float]:
    settings = {"learning_rate": 1.0, "warmup_steps": 0, "decay_after": 10, "decay_every": 1, "decay_rate": 0.5}
    made = Schedule(schedule=schedule, **{**settings, **changes})  # type: ignore[arg-type]
    return [made.rate(step, steps, steps_per_epoch) for step in range(steps)]


def test_every_schedule_can_be_chosen_and_starts_at_the_learning_rate() -> None:
    for schedule in OPTIONS["optimization.schedule"].metadata["choices"]:
        assert rates(schedule, 50, learning_rate=0.3)[0] == 0.3


def test_a_constant_rate_stays() -> None:
    assert set(rates("constant", 500)) == {1.0}


def test_an_exponential_rate_decays_at_the_end_of_an_epoch_and_of_every_one_after_it() -> None:
    found = rates("exponential", 140)
    assert set(found[:100]) == {1.0}  # ten epochs of ten steps
    assert [found[step] for step in (100, 109, 110, 120, 130)] == [0.5, 0.5, 0.25, 0.125, 0.0625]


def test_an_exponential_rate_may_decay_every_few_epochs() -> None:
    found = rates("exponential", 150, decay_after=5, decay_every=5)
    assert [found[step] for step in (49, 50, 99, 100, 149)] == [1.0, 0.5, 0.5, 0.25, 0.25]


def test_a_cosine_falls_to_zero_over_the_training() -> None:
    found = rates("cosine", 1000)
    assert found == sorted(found, reverse=True)
    assert found[500] == pytest.approx(0.5)
    assert found[250] == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert 0 < found[-1] < 1e-5
    beyond = Schedule("cosine", 1.0, 0, 10, 1, 0.5).rate(2000, 1000, 10)
    assert beyond == pytest.approx(0)


@pytest.mark.parametrize("schedule", OPTIONS["optimization.schedule"].metadata["choices"])
def test_the_warm_up_rises_in_equal_steps_to_the_learning_rate(schedule: str) -> None:
    found = rates(schedule, 1000, steps_per_epoch=1000, warmup_steps=4)
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_the_warm_up_takes_at_most_a_tenth_of_the_training() -> None:
    assert rates("constant", 50, warmup_steps=100)[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    assert rates("constant", 5, warmup_steps=100) == [1.0] * 5
