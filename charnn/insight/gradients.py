"""A model and a text enter; how far back through time the gradient of a loss reaches leaves.

The loss at one character, at time t, is sent back through the network by the same backward code that trains it. What
arrives k steps back is its gradient with respect to the state (of all layers) that step t - k + 1 started from. Each
step multiplies it by the Jacobian of that step (``jacobians.py``), so over many steps it shrinks or grows like a
power: the vanishing and exploding gradient (Hochreiter 1991; Bengio, Simard and Frasconi 1994; Pascanu, Mikolov and
Bengio 2013).

At every step the gradient of the state before is a sum of two paths, and each can be followed alone:

    elementwise    without a weight: dc_prev = dc f in an LSTM, dh_prev = dh z in a GRU, nothing in a vanilla cell
    product        through the gates and the recurrent weights: dh_prev = da Whᵀ

All of it is computed in double precision, where even a gradient that has lost a factor of 1e200 is a number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from charnn.defaults import GRADIENT_POSITIONS, GRADIENT_SEED, GRADIENT_STEPS
from charnn.errors import CorpusError
from charnn.insight.reading import Ids
from charnn.network.cells import Array
from charnn.network.loss import cross_entropy_gradient_in_place
from charnn.network.model import Carry, CharRNN
from charnn.network.workspace import Workspace

Floats = npt.NDArray[np.float64]
Path = Literal["all", "elementwise", "product"]

WARM_UP = 256
"""Characters read before a window, so that its first state is one that really occurs."""

TOGETHER = 1 << 22
"""Numbers in one buffer at once, at most."""

TINY = 1e-250
"""Smaller gradients become 0: products on denormal numbers are some thirty times slower."""


@dataclass(frozen=True, eq=False)
class Reach:
    """Norms of the gradient of single losses with respect to the state 1, 2, ..., K steps back, at P positions."""

    states: tuple[str, ...]  # S names: h, or h and c
    norms: Floats  # (L, S, K, P) by layer and state
    elementwise: Floats  # (K, P) of all layers and states, on this path alone
    product: Floats  # (K, P)

    @property
    def total(self) -> Floats:
        """The norm over all layers and states (K, P)."""
        return _combined(self.norms.reshape(-1, *self.norms.shape[2:]))

    @property
    def mean(self) -> Floats:
        """The mean norm over the positions, for 1, 2, ..., K steps back (K,)."""
        return np.asarray(self.total.mean(axis=1))

    @property
    def typical(self) -> Floats:
        """The geometric mean over the positions (K,), which single large gradients do not rule."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(np.log(self.total).mean(axis=1)))

    @property
    def factor(self) -> float:
        """By how much one more step multiplies the typical norm, in the long run."""
        return long_run_factor(self.typical)

    @property
    def half_life(self) -> float:
        """Steps in which the typical norm halves, in the long run; infinite where it does not shrink."""
        return math.log(2) / -math.log(self.factor) if 0 < self.factor < 1 else 0.0 if self.factor == 0 else math.inf

    def steps_to(self, share: float) -> float:
        """Steps further back after which the mean norm is first down to this share of what it was one step back."""
        return steps_to(self.mean, share)

    def to_json(self) -> dict[str, Any]:
        """What a program may want to read."""
        return {
            "mean": self.mean.tolist(),
            "typical": self.typical.tolist(),
            "elementwise": self.elementwise.mean(axis=1).tolist(),
            "product": self.product.mean(axis=1).tolist(),
            "factor": self.factor,
            "half_life": self.half_life if math.isfinite(self.half_life) else None,
        }


def steps_to(curve: Floats, share: float) -> float:
    """Steps until ``curve`` (K,) is first at or below ``share`` of its first value, interpolated on a log scale."""
    below = np.flatnonzero(curve <= share * curve[0])
    if not len(below) or not curve[0]:
        return math.inf
    last = int(below[0])
    before, after = float(curve[last - 1]), max(float(curve[last]), TINY)
    return last - 1 + math.log(before / (share * float(curve[0]))) / math.log(before / after)


def long_run_factor(curve: Floats) -> float:
    """The factor per step of the exponential that fits the later half of ``curve`` (K,) best; zeros are left out."""
    positive = np.flatnonzero(curve > 0)
    later = positive[len(positive) // 2 :]
    if len(later) < 2:
        return 0.0
    return math.exp(np.polyfit(later, np.log(curve[later]), 1)[0])


def in_double_precision(model: CharRNN) -> CharRNN:
    """The same network with weights of 64 bits."""
    if model.dtype == np.float64:
        return model
    double = CharRNN(replace(model.shape), np.float64)
    double.vector[...] = model.vector
    double.pack()
    return double


def measure_reach(
    model: CharRNN,
    text: Ids,
    *,
    steps: int = GRADIENT_STEPS,
    positions: int = GRADIENT_POSITIONS,
    seed: int = GRADIENT_SEED,
) -> Reach:
    """Follow the losses at ``positions`` characters of ``text`` (N,), drawn by ``seed``, ``steps`` back.

    Raises CorpusError for a text of fewer than ``steps`` + 2 characters.
    """
    at = window_ends(len(text), steps, positions, seed)
    model = in_double_precision(model)
    widest = max(model.shape.vocabulary_size, len(model.cell.gates) * model.shape.hidden_size)
    together = max(1, TOGETHER // (steps * widest))
    parts = [_windows(model, text, at[first : first + together], steps) for first in range(0, len(at), together)]
    norms = np.concatenate([norms for norms, _, _ in parts], axis=-1)
    alone = [np.concatenate([part[i] for part in parts], axis=-1) for i in (1, 2)]
    return Reach(model.cell.state, norms, *(_combined(path.reshape(-1, *path.shape[2:])) for path in alone))


def window_ends(length: int, steps: int, positions: int, seed: int) -> npt.NDArray[np.int64]:
    """The characters whose losses are followed: each with ``steps`` inputs before it. Raises CorpusError."""
    if length < steps + 2:
        raise CorpusError(f"a text of {length:,} characters is too short to go {steps} steps back", "give a longer one")
    rng = np.random.Generator(np.random.Philox(seed))
    return np.sort(steps + rng.choice(length - steps, min(positions, length - steps), replace=False))


def warm_carry(model: CharRNN, text: Ids, starts: npt.NDArray[np.int64]) -> Carry:
    """The state before each of ``starts`` (P,), after reading what stands before it from a cold state."""
    carry = model.zero_carry(len(starts))
    reach = min(WARM_UP, int(starts.max()))
    workspace = model.workspace(1, len(starts))
    for back in range(reach, 0, -1):
        at = starts - back
        carry = model.forward(text[np.maximum(at, 0)][None], carry, workspace)
        carry[:, :, at < 0] = 0
    return carry


def _windows(model: CharRNN, text: Ids, ends: npt.NDArray[np.int64], steps: int) -> tuple[Floats, Floats, Floats]:
    """The gradients of the losses at ``ends`` (P,): their norms (L, S, K, P) along all paths and along each alone."""
    x = text[ends - steps + np.arange(steps)[:, None]]  # (K, P)
    workspace = model.workspace(steps, len(ends))
    model.forward(x, warm_carry(model, text, ends - steps), workspace)
    last = workspace.logits[-len(ends) :].copy()
    cross_entropy_gradient_in_place(last, text[ends], 1.0)
    return (
        backward_norms(model, workspace, last, "all"),
        backward_norms(model, workspace, last, "elementwise"),
        backward_norms(model, workspace, last, "product"),
    )


def backward_norms(model: CharRNN, workspace: Workspace, last: Array, path: Path) -> Floats:
    """Send the gradient ``last`` (P, V) of the last logits back: norms (L, S, K, P) of the gradient of each state."""
    observers = [_Norms(model.cell.state, workspace.T, workspace.B, path) for _ in model.recurrent]
    workspace.logits[...] = 0
    workspace.logits[-workspace.B :] = last
    model.backward(workspace, model.views(np.zeros(model.size)), observers)
    return np.stack([watch.norms for watch in observers])


class _Norms:
    """Writes down the norm of the gradient of a layer's state at every step, and keeps it to one path."""

    def __init__(self, names: tuple[str, ...], T: int, B: int, path: Path):
        self.names, self.path = names, path
        self.norms = np.zeros((len(names), T, B))
        self._kept: dict[str, Array] = {}

    def elementwise(self, t: int, d_state: Mapping[str, Array]) -> None:
        if self.path == "elementwise":
            self._kept = {name: array.copy() for name, array in d_state.items()}
        elif self.path == "product":
            for array in d_state.values():
                array.fill(0)

    def complete(self, t: int, d_state: Mapping[str, Array]) -> None:
        for name, kept in self._kept.items():
            d_state[name][...] = kept
        for index, name in enumerate(self.names):
            array = d_state[name]
            array[np.abs(array) < TINY] = 0
            self.norms[index, self.norms.shape[1] - 1 - t] = _norm(array)


def _norm(rows: Array) -> Floats:
    """The Euclidean norm of each row (P,), also where squares would underflow."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    largest[largest == 0] = 1
    return np.asarray(largest[:, 0] * np.sqrt(((rows / largest) ** 2).sum(axis=1)))


def _combined(norms: Floats) -> Floats:
    """One norm from those of parts (parts, K, P), again without underflow."""
    rows = norms.reshape(len(norms), -1).T
    return _norm(rows).reshape(norms.shape[1:])
