"""A gradient and a learning rate enter, changed weights leave: clipping, schedules, and the update rules.

All of it works on flat vectors (P,) of every parameter at once. A rule's state is explicit: named vectors that a
checkpoint stores and gives back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from charnn.config import OPTIMIZERS

Array = npt.NDArray[Any]

BLOCK = 16384
"""Elements updated at a time, so that weights, gradient and state of a block stay in the cache between operations."""

FLUSH_EVERY = 100
TINY = 1e-30
"""Moments of weights that get no gradient decay towards denormal numbers, which are slow: below TINY they become 0."""


def norm_of(gradient: Array) -> float:
    """The Euclidean norm of a gradient (P,); not finite where an element is not."""
    return math.sqrt(float(np.dot(gradient, gradient)))


def clip(gradient: Array, norm: float, norm_limit: float, value_limit: float) -> bool:
    """Limit ``gradient`` (P,) of this ``norm`` in place: each element to ±value_limit, then the whole to norm_limit.

    A limit of 0 is none. Returns whether anything was clipped. Scaling the whole gradient keeps its direction (Pascanu,
    Mikolov and Bengio 2013).
    """
    clipped = False
    if value_limit:
        clipped = bool(max(gradient.max(), -gradient.min()) > value_limit)
        np.clip(gradient, -value_limit, value_limit, out=gradient)
    remaining = norm_of(gradient) if clipped else norm
    if norm_limit and remaining > norm_limit:
        gradient *= norm_limit / remaining
        clipped = True
    return clipped


@dataclass(frozen=True)
class Schedule:
    """The learning rate over time: linear warm-up to ``learning_rate``, then by ``schedule``:

    constant; exponential, a factor ``decay_rate`` at the end of epoch ``decay_after`` and every ``decay_every`` epochs
    from there on; or cosine, half a wave down to zero (Loshchilov and Hutter 2017). The warm-up takes ``warmup_steps``,
    but at most a tenth of the training. A run that had ended and is given more time warms up again, to where the longer
    schedule stands.
    """

    schedule: str
    learning_rate: float
    warmup_steps: int
    decay_after: int
    decay_every: int
    decay_rate: float

    def rate(self, step: int, total_steps: int, steps_per_epoch: int, since: int = 0) -> float:
        """The learning rate of the update number ``step`` (from 0) of ``total_steps``, of a plan made at ``since``."""
        warmup = min(self.warmup_steps, total_steps // 10, max(0, total_steps - since) // 2)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        rate = self._after_warmup(step, total_steps, steps_per_epoch, warmup)
        return rate * (step - since + 1) / warmup if since and step < since + warmup else rate

    def _after_warmup(self, step: int, total_steps: int, steps_per_epoch: int, warmup: int) -> float:
        if self.schedule == "exponential":
            epochs_done = step // steps_per_epoch
            decays = max(0, (epochs_done - self.decay_after) // self.decay_every + 1)
            return self.learning_rate * self.decay_rate**decays
        if self.schedule == "cosine":
            progress = min(1.0, (step - warmup) / max(1, total_steps - warmup))
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate


class Optimizer:
    """An update rule with its state: named vectors (P,), all zeros at first."""

    state_names: ClassVar[tuple[str, ...]]

    def __init__(self, like: Array, weight_decay: float = 0.0, **hyperparameters: float):
        self.weight_decay = weight_decay
        self.hyper = hyperparameters
        self.state = {name: np.zeros_like(like) for name in self.state_names}
        self._scratch = np.empty(min(BLOCK, like.size), like.dtype), np.empty(min(BLOCK, like.size), like.dtype)

    def update(self, weights: Array, gradient: Array, rate: float, step: int) -> None:
        """Change ``weights`` (P,) in place by the update number ``step`` (from 0); ``gradient`` (P,) is left alone.

        Weight decay is decoupled from the gradient's scaling, for every rule (Loshchilov and Hutter 2019).
        """
        keep = 1 - rate * self.weight_decay
        for block in _blocks(weights.size):
            if self.weight_decay:
                weights[block] *= keep
            state = {name: vector[block] for name, vector in self.state.items()}
            s, t = (scratch[: block.stop - block.start] for scratch in self._scratch)
            self.update_block(weights[block], gradient[block], state, rate, step, s, t)
        if step % FLUSH_EVERY == FLUSH_EVERY - 1:
            for vector in self.state.values():
                vector[np.abs(vector) < TINY] = 0

    def update_block(
        self, w: Array, g: Array, state: dict[str, Array], rate: float, step: int, s: Array, t: Array
    ) -> None:
        """The rule itself, on one block; ``s`` and ``t`` are scratch of the block's size."""
        raise NotImplementedError


def _blocks(size: int) -> Iterator[slice]:
    for start in range(0, size, BLOCK):
        yield slice(start, min(start + BLOCK, size))


class SGD(Optimizer):
    """v = momentum v + g;  w = w - rate v   (Polyak 1964, as PyTorch has it)."""

    state_names = ("velocity",)

    def update_block(
        self, w: Array, g: Array, state: dict[str, Array], rate: float, step: int, s: Array, t: Array
    ) -> None:
        velocity = state["velocity"]
        np.multiply(velocity, self.hyper["momentum"], out=velocity)
        np.add(velocity, g, out=velocity)
        np.multiply(velocity, rate, out=s)
        np.subtract(w, s, out=w)


class RMSprop(Optimizer):
    """q = a q + (1 - a) g²;  w = w - rate g / (sqrt(q) + epsilon)   (Tieleman and Hinton 2012)."""

    state_names = ("square",)

    def update_block(
        self, w: Array, g: Array, state: dict[str, Array], rate: float, step: int, s: Array, t: Array
    ) -> None:
        square, a = state["square"], self.hyper["smoothing"]
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - a, out=s)
        np.multiply(square, a, out=square)
        np.add(square, s, out=square)
        _scaled_step(w, g, square, rate, self.hyper["epsilon"], s, t)


class Adagrad(Optimizer):
    """q = q + g²;  w = w - rate g / (sqrt(q) + epsilon)   (Duchi, Hazan and Singer 2011)."""

    state_names = ("square",)

    def update_block(
        self, w: Array, g: Array, state: dict[str, Array], rate: float, step: int, s: Array, t: Array
    ) -> None:
        square = state["square"]
        np.multiply(g, g, out=s)
        np.add(square, s, out=square)
        _scaled_step(w, g, square, rate, self.hyper["epsilon"], s, t)


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  q = b2 q + (1 - b2) g²;  w = w - rate m' / (sqrt(q') + epsilon)   (Kingma and Ba 2015).

    m' and q' are m and q divided by 1 - b1^n and 1 - b2^n after n updates: without bias towards their start at zero.
    """

    state_names = ("mean", "square")

    def update_block(
        self, w: Array, g: Array, state: dict[str, Array], rate: float, step: int, s: Array, t: Array
    ) -> None:
        mean, square = state["mean"], state["square"]
        b1, b2 = self.hyper["beta1"], self.hyper["beta2"]
        np.multiply(mean, b1, out=mean)
        np.multiply(g, 1 - b1, out=s)
        np.add(mean, s, out=mean)
        np.multiply(square, b2, out=square)
        np.multiply(g, g, out=s)
        np.multiply(s, 1 - b2, out=s)
        np.add(square, s, out=square)
        root = math.sqrt(1 - b2 ** (step + 1))
        _scaled_step(w, mean, square, rate * root / (1 - b1 ** (step + 1)), self.hyper["epsilon"] * root, s, t)


def _scaled_step(w: Array, direction: Array, square: Array, rate: float, epsilon: float, s: Array, t: Array) -> None:
    """w = w - rate direction / (sqrt(square) + epsilon)."""
    np.sqrt(square, out=s)
    np.add(s, epsilon, out=s)
    np.divide(direction, s, out=t)
    np.multiply(t, rate, out=t)
    np.subtract(w, t, out=w)


RULES = {rule.__name__.lower(): rule for rule in (SGD, RMSprop, Adagrad, Adam)}
"""The update rules by the names that ``charnn.config.OPTIMIZERS`` has for them."""


def new_optimizer(settings: Mapping[str, Any], like: Array) -> Optimizer:
    """The rule that ``settings["optimizer"]`` names, with its hyperparameters from there, for weights ``like`` (P,)."""
    name = settings["optimizer"]
    return RULES[name](like, settings["weight_decay"], **{key: settings[key] for key in OPTIMIZERS[name]})
