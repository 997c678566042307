"""A model and a text enter; the Jacobians of single steps leave, with what bounds and what predicts a gradient's fate.

The Jacobian of a step of one layer holds the derivative of every component of its new state with respect to every
component of the state before. Going back k steps multiplies the gradient by k of them. So

    norms below 1              mean that it must vanish (Pascanu, Mikolov and Bengio 2013): the norm bounds each factor;
    spectral radii             say how it fares in the long run where the Jacobians are much alike: shrinks below 1,
                               grows above.

In a stack the layers' Jacobians stand on the diagonal of a block triangular matrix: its eigenvalues are theirs, so
the layer with the largest radius decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.defaults import GRADIENT_SEED
from charnn.insight.gradients import Floats, in_double_precision, warm_carry, window_ends
from charnn.insight.reading import Ids
from charnn.network.cells import Array, Views
from charnn.network.model import CharRNN

POSITIONS = 16
EASY = 256
"""State components up to which all positions are looked at; eigenvalues cost the third power of them."""


@dataclass(frozen=True, eq=False)
class Jacobians:
    """Of single steps of L layers at P positions."""

    radius: Floats  # (L, P) spectral radius: the largest absolute value of an eigenvalue
    norm: Floats  # (L, P) spectral norm: the largest factor by which a step lengthens a gradient

    @property
    def typical_radius(self) -> float:
        """The geometric mean over the positions, of the layer where it is largest."""
        return _typical(self.radius)

    @property
    def typical_norm(self) -> float:
        return _typical(self.norm)

    def to_json(self) -> dict[str, Any]:
        return {"spectral_radius": self.typical_radius, "spectral_norm": self.typical_norm}


def _typical(values: Floats) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(values).mean(axis=1)).max())


def measure_jacobians(model: CharRNN, text: Ids, *, positions: int = POSITIONS, seed: int = GRADIENT_SEED) -> Jacobians:
    """Look at steps of ``text`` (N,) at ``positions`` places drawn by ``seed``; at fewer where the state is large."""
    model = in_double_precision(model)
    size = len(model.cell.state) * model.shape.hidden_size
    if size > EASY:
        positions = max(2, int(positions * (EASY / size) ** 2))
    at = window_ends(len(text), 1, positions, seed)
    carry = warm_carry(model, text, at)
    radii, norms = np.empty((len(carry), len(at))), np.empty((len(carry), len(at)))
    for place, position in enumerate(at):
        for layer, jacobian in enumerate(step_jacobians(model, int(text[position]), carry[:, :, place])):
            radii[layer, place] = np.abs(np.linalg.eigvals(jacobian)).max()
            norms[layer, place] = np.linalg.norm(jacobian, 2)
    return Jacobians(radii, norms)


def step_jacobians(model: CharRNN, x: int, state: Array) -> list[npt.NDArray[np.float64]]:
    """Of every layer the matrix (S * H, S * H) of d new state / d old state, for input ``x`` and ``state`` (L, S, H).

    The backward code is run on as many copies of the step as the state has components, one row of the identity each.
    """
    names, H = model.cell.state, model.shape.hidden_size
    size = len(names) * H
    carry = np.repeat(state[:, :, None], size, axis=2)
    workspace = model.workspace(2, size)
    model.forward(np.full((2, size), x), carry, workspace)
    jacobians = []
    for layer, buffers in zip(model.recurrent, workspace.recurrent, strict=True):
        rows = _Rows(names, H)
        room = Views(**{name: np.zeros(shape) for name, shape in layer.shapes.items()})
        layer.backward(buffers, np.zeros((2, size, H)), workspace.backward, room, rows)
        jacobians.append(rows.jacobian)
    return jacobians


class _Rows:
    """Lets the rows of the identity in as the gradient of the state between two steps; what they become is the
    Jacobian of the first step."""

    def __init__(self, names: tuple[str, ...], H: int):
        self.parts = {name: slice(index * H, (index + 1) * H) for index, name in enumerate(names)}
        self.identity = np.eye(len(names) * H)
        self.jacobian = np.empty_like(self.identity)

    def elementwise(self, t: int, d_state: Mapping[str, Array]) -> None:
        """Nothing is to be done between the cell and the product."""

    def complete(self, t: int, d_state: Mapping[str, Array]) -> None:
        for name, columns in self.parts.items():
            if t == 1:
                d_state[name][...] = self.identity[:, columns]
            else:
                self.jacobian[:, columns] = d_state[name]
