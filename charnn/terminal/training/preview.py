"""A training run enters, between two steps or at its end; a short text leaves that its model writes, from the same seed
every time.

The model is only read: state, workspace and random generator are the preview's own, so training goes on as if nobody
had looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from charnn.network.model import CharRNN
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import load_snapshot
from charnn.sampling.sampler import Sampling, generate
from charnn.text.vocabulary import Vocabulary

LENGTH = 210
TEMPERATURE = 0.7

LINES = 12
LAST_LENGTH = 800
"""The text at the end of training: so many lines, and no more characters than that."""

SHARE = 0.003
"""Previews take at most this share of the time; where validations come faster, some go without."""


class Preview:
    """Draws a sample whenever that is affordable."""

    def __init__(self, run: TrainingRun, clock: Callable[[], float] = time.monotonic) -> None:
        self.run, self.clock = run, clock
        self._not_before = clock()

    def draw(self) -> str | None:
        """A text of ``LENGTH`` characters as after a line end, or None if the last one was too short a time ago."""
        started = self.clock()
        if started < self._not_before:
            return None
        text = _write(self.run.model, self.run.vocabulary, LENGTH, self.run.config.training.seed)
        now = self.clock()
        self._not_before = now + (now - started) / SHARE
        return text


def last_words(run: TrainingRun) -> list[str]:
    """Lines that the best checkpoint of a run writes. Raises CheckpointError."""
    best = load_snapshot(run.path)
    text = _write(best.model, best.vocabulary, LAST_LENGTH, run.config.training.seed)
    lines = text.split("\n")
    return (lines[:-1] if len(lines) > 1 else lines)[:LINES]  # the last one may be cut in the middle


def _write(model: CharRNN, vocabulary: Vocabulary, length: int, seed: int) -> str:
    """So many characters as after a line end."""
    _, pieces = generate(model, vocabulary, "", Sampling(length=length, temperature=TEMPERATURE), seed)
    return "".join(piece for _, piece in pieces)
