"""Logits and the characters that really came enter; the surprise at each, and the gradient of the logits, leave.

Training and validation work in place, at the precision of the network; what looks at a text asks for copies in double
precision.

Softmax cross-entropy: the model's probability of character k is p_k = exp(z_k) / sum_j exp(z_j), its loss at a
character y is -log p_y, in nats, and the gradient of that loss with respect to the logits is p - onehot(y).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Exact = npt.NDArray[np.float64]

FLOOR = -60.0
"""Logits this far below the largest count as this far: exp stays a normal number (denormals are ~30 times slower)."""

IN_CACHE = 1 << 16
"""Logits looked at together in double precision: they stay in the cache."""

FEW = 8
"""So many maxima are found faster one after the other than by partition."""


def surprise(logits: Array, targets: Array) -> Exact:
    """The surprise -log p at each of the ``targets`` (N,), in nats and double precision; ``logits`` (N, V) stay."""
    return log_totals(logits) - logits[np.arange(len(logits)), targets]


def probabilities(logits: Array, chosen: npt.NDArray[np.intp]) -> Exact:
    """The probabilities of the ``chosen`` characters (N, K) by ``logits`` (N, V), which stay."""
    return np.asarray(np.exp(np.take_along_axis(logits, chosen, axis=1) - log_totals(logits)[:, None]))


def log_totals(logits: Array) -> Exact:
    """log sum exp of each row of ``logits`` (N, V), which stay: what has to be taken off for log probabilities."""
    rows, totals = max(1, IN_CACHE // logits.shape[1]), np.empty(len(logits))
    for start in range(0, len(logits), rows):
        z = logits[start : start + rows].astype(np.float64)
        top = z.max(axis=1)
        z -= top[:, None]
        np.exp(z, out=z)
        totals[start : start + rows] = top + np.log(z.sum(axis=1))
    return totals


def likeliest(logits: Array, count: int) -> npt.NDArray[np.intp]:
    """The ``count`` largest of each row of ``logits`` (N, V), the largest first, of equal ones that of the lower id.

    The others are not sorted: with thousands of characters, that would take most of the time of reading a text.
    """
    if count >= logits.shape[1]:
        return np.argsort(-logits, axis=1, kind="stable")[:, :count]
    if count <= FEW:
        return _maxima(logits, count)
    chosen = np.argpartition(-logits, count, axis=1)[:, : count + 1]
    chosen[:, :count].sort(axis=1)
    values = np.take_along_axis(logits, chosen, axis=1)
    by = np.argsort(-values[:, :count], axis=1, kind="stable")
    best = np.take_along_axis(chosen, by, axis=1)
    unsure = np.flatnonzero(values[:, :count].min(axis=1) == values[:, count])  # which of equal ones are among them?
    best[unsure] = np.argsort(-logits[unsure], axis=1, kind="stable")[:, :count]
    return best


def _maxima(logits: Array, count: int) -> npt.NDArray[np.intp]:
    """The same, one after the other: the largest is taken away for the time being."""
    rows = np.arange(len(logits))
    best = np.empty((len(logits), count), np.intp)
    values = np.empty((len(logits), count), logits.dtype)
    for k in range(count):
        best[:, k] = logits.argmax(axis=1)
        values[:, k] = logits[rows, best[:, k]]
        logits[rows, best[:, k]] = -np.inf
    np.put_along_axis(logits, best, values, axis=1)
    return best


def cross_entropy_in_place(logits: Array, targets: Array) -> Array:
    """The surprise at each of the ``targets`` (N,), in nats; destroys ``logits`` (N, V), which become exp(z - max)."""
    losses, _ = _exponentials(logits, targets)
    return losses


def cross_entropy_gradient_in_place(logits: Array, targets: Array, scale: float) -> Array:
    """The same losses (N,); ``logits`` (N, V) become ``scale`` times the gradient of their sum.

    The losses are exact; only the gradient sees ``FLOOR``.
    """
    losses, totals = _exponentials(logits, targets)
    np.multiply(logits, scale / totals, out=logits)
    logits[np.arange(len(targets)), targets] -= scale
    return losses


def _exponentials(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Replace ``logits`` by exp(z - max); return the losses (N,) and the sums of the exponentials (N, 1)."""
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=logits)
    at_target = logits[np.arange(len(targets)), targets]
    np.maximum(logits, FLOOR, out=logits)
    np.exp(logits, out=logits)
    totals = logits.sum(axis=1, keepdims=True)
    return np.log(totals[:, 0]) - at_target, totals
