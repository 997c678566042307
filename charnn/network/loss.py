"""Logits and the characters that really came enter; the surprise at each, and the gradient of the logits, leave.

Softmax cross-entropy: the model's probability of character k is p_k = exp(z_k) / sum_j exp(z_j), its loss at a
character y is -log p_y, in nats, and the gradient of that loss with respect to the logits is p - onehot(y).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FLOOR = -60.0
"""Logits this far below the largest count as this far: exp stays a normal number (denormals are ~30 times slower)."""


def cross_entropy(logits: Array, targets: Array) -> Array:
    """The surprise -log p at each of the ``targets`` (N,), in nats; ``logits`` (N, V) become unnormalised exp(z - max).

    The loss is exact; only the gradient that is taken from the logits afterwards sees ``FLOOR``.
    """
    losses, _ = _exponentials(logits, targets)
    return losses


def cross_entropy_gradient(logits: Array, targets: Array, scale: float) -> Array:
    """As ``cross_entropy``; afterwards ``logits`` hold ``scale`` times the gradient of the sum of the losses."""
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
