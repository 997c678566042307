"""One character at a time gives the logits of a whole chunk, for every cell, input and number of streams."""

from __future__ import annotations

import numpy as np
import pytest

from charnn.config import cell_names
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.sampling.stepper import Stepper

T, V, H = 9, 11, 16


@pytest.mark.parametrize("cell", cell_names())
@pytest.mark.parametrize("embedding_size", [0, 7])
@pytest.mark.parametrize("B", [1, 5])
def test_steps_are_those_of_a_chunk(cell: str, embedding_size: int, B: int) -> None:
    rng = np.random.default_rng(0)
    model = CharRNN(Shape(V, cell, layers=3, hidden_size=H, embedding_size=embedding_size), np.float64)
    model.vector[...] = rng.normal(0, 0.3, model.size)
    model.pack()
    ids = rng.integers(0, V, (2 * T, B))
    w = model.workspace(T, B)
    carry = model.forward(ids[:T], model.zero_carry(B), w)
    model.forward(ids[T:], carry, w)
    step = Stepper(model, carry)
    for x, expected in zip(ids[T:], w.logits.reshape(T, B, V), strict=True):
        np.testing.assert_allclose(step(x), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", cell_names())
def test_the_state_can_be_taken_out_and_given_back(cell: str) -> None:
    rng = np.random.default_rng(0)
    model = CharRNN(Shape(V, cell, layers=2, hidden_size=H))
    model.initialise(1)
    begun, ids = rng.normal(size=model.zero_carry(2).shape).astype(np.float32), rng.integers(0, V, (2 * T, 2))
    step = Stepper(model, begun)
    np.testing.assert_array_equal(step.carry(), begun)
    for x in ids[:T]:
        step(x)
    midway = step.carry()
    first = [step(x).copy() for x in ids[T:]]
    step.set_carry(midway)
    again = [step(x).copy() for x in ids[T:]]
    np.testing.assert_array_equal(first, again)
    other = Stepper(model, midway)
    np.testing.assert_array_equal(first, [other(x).copy() for x in ids[T:]])
