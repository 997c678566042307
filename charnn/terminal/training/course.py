"""Events of training enter; the course of it leaves: smoothed curves, speed, time left, and what happened last.

Nothing here draws. The cost of a step is a few microseconds, and memory is bounded however long training takes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from charnn.runs.run import TrainingRun
from charnn.storage.metrics import read_metrics
from charnn.training.events import Event, Metrics, RolledBack, Saved, Step, Validated, Validating

POINTS = 1024
"""A trace keeps at most this many points, each the mean of equally many values."""

SMOOTHING = 0.95
"""How much of the running mean of loss, gradient norm and clipping stays from step to step."""

SPEED_OVER = 1.0
"""Seconds over which speed is measured; what is shown changes by a third of the way each time."""


@dataclass
class Trace:
    """Values over steps, thinned as they grow in number: neighbours are merged into their mean."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    _stride: int = 1
    _waiting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, step: float, value: float) -> None:
        self._waiting.append((step, value))
        if len(self._waiting) < self._stride:
            return
        steps, values = zip(*self._waiting, strict=True)
        self.steps.append(sum(steps) / len(steps))
        self.values.append(sum(values) / len(values))
        self._waiting = []
        if len(self.steps) == POINTS:
            self.steps = _halved(self.steps)
            self.values = _halved(self.values)
            self._stride *= 2


def _halved(values: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=True)]


class Smoothed:
    """A running mean that weighs the past less and less, without a bias at the beginning."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> float:
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * value
        self._weight = SMOOTHING * self._weight + (1 - SMOOTHING)
        return self.mean

    @property
    def mean(self) -> float:
        return self._sum / self._weight if self._weight else 0.0


class Course:
    """What training did so far; ``take`` every event in turn."""

    def __init__(self, run: TrainingRun, clock: Callable[[], float] = time.monotonic) -> None:
        self.run, self.clock = run, clock
        self.characters_per_step = run.batches.batch_size * run.batches.seq_length
        self.steps_per_epoch = run.batches.chunks_per_epoch
        self.uniform = math.log(len(run.vocabulary))  # the loss of guessing blindly
        self.losses, self.gradients = Trace(), Trace()
        self.validations: list[tuple[int, float]] = []
        self.latest: Step | None = None
        self.loss, self.norm, self.clipped = Smoothed(), Smoothed(), Smoothed()
        self.speed = 0.0  # characters per second
        self.activity = ""
        self.saved_step: int | None = None
        self.notice = ""
        self.sample, self.sample_step = "", 0
        self._pace = (clock(), run.state.step)
        self._remember()

    def _remember(self) -> None:
        """The curves of earlier sittings, as the metrics have them."""
        for line in read_metrics(self.run.metrics.path)[0] if self.run.state.step else []:
            step = line["step"]
            self.losses.add(step, line["train_loss"])
            self.gradients.add(step, line["grad_norm"])
            if line["val_loss"] is not None:
                self.validations.append((step, line["val_loss"]))

    def take(self, event: Event) -> None:
        """Note what an event says."""
        if isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Validating):
            self.activity = f"validating {event.done:.0%}"
        elif isinstance(event, Validated):
            self.validations.append((event.step, event.loss))
            self.activity = ""
        elif isinstance(event, Metrics):
            self.activity = ""
        elif isinstance(event, Saved) and not event.error:
            self.saved_step = event.step
        elif isinstance(event, RolledBack):
            self.notice = (
                f"Warning: {event.reason}; continuing from step {event.to_step:,} "
                f"with the learning rate halved (rollback {event.rollbacks})"
            )
        elif isinstance(event, Saved):
            self.notice = f"Warning: {event.error}; training continues and will try again"

    def _step(self, event: Step) -> None:
        self.latest = event
        self.losses.add(event.step, self.loss.add(event.loss))
        self.gradients.add(event.step, self.norm.add(event.grad_norm))
        self.clipped.add(event.clipped)
        now, (then, step) = self.clock(), self._pace
        if now - then > SPEED_OVER:
            speed = (event.step - step) * self.characters_per_step / (now - then)
            self.speed = speed if not self.speed else 0.7 * self.speed + 0.3 * speed
            self._pace = (now, event.step)

    @property
    def left(self) -> float | None:
        """Seconds to the end of training, at the speed so far."""
        if self.latest is None or not self.speed:
            return None
        budget = self.run.config.training.budget
        if budget is not None:
            return max(0.0, budget - self.latest.elapsed)
        return (self.latest.total_steps - self.latest.step) * self.characters_per_step / self.speed
