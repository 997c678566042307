"""The configuration and the speed of the machine enter; how long a run is and how often it looks leave, in steps.

The plan is settled once and kept in the run's state, so that a run that was stopped goes on by it. Only a time budget
corrects it on the way: at every validation, by the speed so far.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np

from charnn.runs.run import TrainingRun
from charnn.training.team import Team

VALIDATIONS, MOST_VALIDATIONS = 10, 40
"""Validations a run has at least, where they take no more than ``VALIDATION_SHARE`` of the training, and at most."""

VALIDATION_SHARE = 0.25
"""Time spent on validations, as a share of that spent on steps, unless the user asks for more."""

START_UP = 2.0
"""Seconds of a time budget that go to starting and to the last save."""

MARGIN = 0.97
"""The share of the steps that should fit by the speed at the start which is planned: the end corrects it."""


class Pace:
    """The plan of one run. ``elapsed`` gives the seconds of training so far, over all sittings."""

    def __init__(self, run: TrainingRun, team: Team, elapsed: Callable[[], float]):
        self._run, self._team, self._elapsed = run, team, elapsed

    def settle(self, seconds_per_step: Callable[[], float]) -> None:
        """Plan a new run, or follow new wishes for an old one. The speed is asked for only under a time budget."""
        run, state, training = self._run, self._run.state, self._run.config.training
        per_epoch, ended = run.batches.chunks_per_epoch, state.step > 0 and state.step >= state.total_steps
        if (updates := training.updates(per_epoch)) is not None:
            state.total_steps = updates
        elif training.budget is not None and state.planned_budget != training.budget:
            state.planned_budget = training.budget
            if state.step == 0:
                state.total_steps = min(self._enough(), self.steps_in(training.budget, seconds_per_step()))
            else:
                state.total_steps = self._steps_until(training.budget)
        if ended and state.total_steps > state.step:
            state.planned_at = state.step
        if state.step == 0:
            often = per_epoch if per_epoch < 5000 else -(-per_epoch // 4)
            affordable = math.ceil(self._steps_of_a_validation() / VALIDATION_SHARE)
            often = max(20, affordable, min(often, -(-state.total_steps // VALIDATIONS)))
            often = max(often, -(-state.total_steps // MOST_VALIDATIONS))
            state.validate_every = training.validate_every or often
            state.log_every = training.log_every or max(1, min(100, state.validate_every // 10))

    def correct(self) -> None:
        """Under a time budget: the steps that still fit at the speed so far, validations included."""
        state, budget = self._run.state, self._run.config.training.budget
        if budget is not None and state.step < state.total_steps:
            state.total_steps = self._steps_until(budget)

    def _enough(self) -> int:
        """The steps after which the text is learned."""
        enough, per_epoch = self._run.config.training.enough_epochs, self._run.batches.chunks_per_epoch
        return sys.maxsize if enough is None else max(1, round(enough * per_epoch))

    def steps_in(self, seconds: float, per_step: float) -> int:
        """Steps that fit, leaving time for the validations, but no more than half."""
        fitting, validation = (seconds - START_UP) / per_step, self._steps_of_a_validation()
        validations = min(VALIDATIONS * validation, max(validation, VALIDATION_SHARE * fitting))
        return max(1, int(max(fitting / 2, fitting - validations) * MARGIN))

    def _steps_of_a_validation(self) -> float:
        """How many steps take as long as a validation: a forward pass costs about a third of a step."""
        batches = self._run.batches
        return len(self._run.validation_ids) / (batches.batch_size * batches.seq_length) / 3

    def _steps_until(self, budget: float) -> int:
        """The step reached after ``budget`` seconds of training in all, at the speed so far; at least the next."""
        state = self._run.state
        state.elapsed = self._elapsed()
        per_step = state.elapsed / state.step
        fitting = min(self._enough(), state.step + max(1, int((budget - state.elapsed) / per_step)))
        planned = np.array([float(fitting if self._team.rank == 0 else 0)])
        self._team.sum(planned)
        return int(planned[0])
