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

FLOOR = -60.0
"""Logits this far below the largest count as this far: exp stays a normal number (denormals are ~30 times slower)."""


def surprise(logits: Array, targets: Array) -> npt.NDArray[np.float64]:
    """The surprise -log p at each of the ``targets`` (N,), in nats and double precision; ``logits`` (N, V) stay."""
    z = logits.astype(np.float64)
    z -= z.max(axis=1, keepdims=True)
    return np.asarray(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets])


def probabilities(logits: Array, chosen: npt.NDArray[np.intp]) -> Array:
    """The probabilities of the ``chosen`` characters (N, K) by ``logits`` (N, V), which stay."""
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(np.take_along_axis(p, chosen, axis=1) / p.sum(axis=1, keepdims=True))


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
