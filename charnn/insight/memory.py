"""A model and a text enter; its loss as a function of how much context it is given leaves: its memory, measured.

The same P characters are predicted again and again: from a cold state after the last 1, 2, 4, ... characters before
them, and once with the state that has read everything. An n-gram model has a fixed window and stands beside it: order
n sees n - 1 characters. A recurrent network has no window; what it has is a state, and how far back that state still
helps is a number to be measured:

    the memory of a model is the length of context from which on all that came before it
    lowers the loss by less than ``GAIN`` nats per character

Every difference is taken at the same characters, so that its standard error is small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.baseline.ngrams import NGrams
from charnn.errors import CorpusError
from charnn.insight.reading import Ids, Reader, regroup, streams_for
from charnn.insight.score import Nats
from charnn.network.loss import surprise
from charnn.network.model import CharRNN

GAIN = 0.01
"""Nats per character: a gain below it counts as nothing."""

POSITIONS = 2000
TEXT_LIMIT = 200_000
LONGEST = 1024
ORDERS = 9
"""The longest n-grams to compare with; longer ones hardly ever occur again."""

TOGETHER = 256
STEPS = 64
"""Streams and time steps at once."""


@dataclass(frozen=True, eq=False)
class Memory:
    """Surprise in nats at P characters of a text, given C lengths of context."""

    positions: npt.NDArray[np.int64]  # (P,) where the characters stand in the text
    contexts: npt.NDArray[np.int64]  # (C,) characters of context: 1, 2, 4, ...
    nats: Nats  # (C, P)
    whole: Nats  # (P,) with everything before
    baseline: Nats  # (O, P) of n-grams with 1, 2, ..., O characters of context; O is 0 without a baseline

    @property
    def losses(self) -> Nats:
        """Nats per character for each context (C,)."""
        return np.asarray(self.nats.mean(axis=1))

    @property
    def whole_loss(self) -> float:
        return float(self.whole.mean())

    @property
    def missing(self) -> Nats:
        """What the whole text would still add to each context, in nats per character (C,)."""
        return self.losses - self.whole_loss

    @property
    def errors(self) -> Nats:
        """The standard error of ``missing`` (C,)."""
        differences = self.nats - self.whole
        return np.asarray(differences.std(axis=1, ddof=1) / math.sqrt(len(self.whole)))

    @property
    def length(self) -> float:
        """The memory in characters; infinite where it is longer than the longest context tried.

        Between two contexts it is interpolated on a logarithmic scale.
        """
        above = np.flatnonzero(self.missing >= GAIN)
        if not len(above):
            return float(self.contexts[0])
        last = int(above[-1])
        if last + 1 == len(self.contexts):
            return math.inf
        share = (self.missing[last] - GAIN) / (self.missing[last] - self.missing[last + 1])
        low, high = math.log(self.contexts[last]), math.log(self.contexts[last + 1])
        return math.exp(low + share * (high - low))

    def to_json(self) -> dict[str, Any]:
        """What a program may want to read: losses in nats per character."""
        return {
            "memory": self.length if math.isfinite(self.length) else None,
            "contexts": self.contexts.tolist(),
            "nats_per_character": self.losses.tolist(),
            "errors": self.errors.tolist(),
            "whole_text": self.whole_loss,
            "baseline": self.baseline.mean(axis=1).tolist(),
            "characters": len(self.whole),
        }


def measure_memory(
    model: CharRNN,
    start: int,
    text: Ids,
    *,
    context: Ids | None = None,
    ngrams: NGrams | None = None,
    longest: int = 256,
    positions: int = POSITIONS,
    seed: int = 0,
) -> Memory:
    """Measure on up to ``positions`` characters of ``text`` (N,), drawn by ``seed``.

    ``context`` stands before the text and is read too; ``start`` is the character before the first. Contexts go up to
    ``longest``, a power of two, or as far as half of the text reaches. Raises CorpusError for a text too short.
    """
    before = text[:0] if context is None else context
    everything = np.concatenate([before, text])
    longest = min(longest, len(everything) // 2)
    first = max(longest, len(before))
    if longest < 2 or len(everything) - first < 2:
        raise CorpusError(f"a text of {len(text):,} characters is too short to measure memory on")
    rng = np.random.Generator(np.random.Philox(seed))
    count = min(positions, len(everything) - first)
    at = np.sort(first + rng.choice(len(everything) - first, count, replace=False))  # (P,)
    contexts = 2 ** np.arange(int(math.log2(longest)) + 1)
    return Memory(
        positions=at - len(before),
        contexts=contexts,
        nats=np.stack([cold_surprise(model, everything, at, int(k)) for k in contexts]),
        whole=_warm_surprise(model, start, everything)[at],
        baseline=_of_ngrams(ngrams, everything, at),
    )


def longest_context(seq_length: int) -> int:
    """The longest context worth trying on a model that was trained on chunks of ``seq_length`` characters."""
    return min(LONGEST, max(256, 4 * seq_length))


def cold_surprise(model: CharRNN, text: Ids, at: npt.NDArray[np.int64], k: int) -> Nats:
    """The surprise at the characters at ``at`` (P,) of a model that starts from zeros ``k`` characters before: (P,)."""
    nats = np.empty(len(at))
    for first in range(0, len(at), TOGETHER):
        part = at[first : first + TOGETHER]
        B, carry = len(part), model.zero_carry(len(part))
        for done in range(0, k, STEPS):
            T = min(STEPS, k - done)
            workspace = model.workspace(T, B)
            carry = model.forward(text[part - k + done + np.arange(T)[:, None]], carry, workspace)
        nats[first : first + B] = surprise(workspace.logits[-B:], text[part])
    return nats


def _warm_surprise(model: CharRNN, start: int, text: Ids) -> Nats:
    """The surprise at every character of the text (N,), read from its beginning."""
    reader = Reader(model, start, streams_for(len(text)))
    parts = []
    for block in regroup([text], reader.block_size):
        nats = np.empty(len(block))
        for chunk in reader.chunks(block):
            nats[chunk.at.reshape(-1)] = surprise(chunk.workspace.logits, chunk.y.reshape(-1))
        parts.append(nats)
    return np.concatenate(parts)


def _of_ngrams(ngrams: NGrams | None, text: Ids, at: npt.NDArray[np.int64]) -> Nats:
    """What n-grams of order 2, 3, ... say at the same places (O, P)."""
    if ngrams is None:
        return np.empty((0, len(at)))
    return np.stack([nats[at] for nats in ngrams.score_orders(text)][1:])
