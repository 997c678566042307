"""A training run enters between two steps; a short text leaves that its model writes, from the same seed every time.

The model is only read: state, workspace and random generator are the preview's own, so training goes on as if nobody
had looked.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from charnn.runs.run import TrainingRun
from charnn.sampling.sampler import Sampling, generate

LENGTH = 210
TEMPERATURE = 0.7

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
        settings = Sampling(length=LENGTH, temperature=TEMPERATURE)
        seed = self.run.config.training.seed
        _, pieces = generate(self.run.model, self.run.vocabulary, "", settings, seed)
        text = "".join(piece for _, piece in pieces)
        now = self.clock()
        self._not_before = now + (now - started) / SHARE
        return text
