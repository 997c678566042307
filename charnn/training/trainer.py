"""A training run enters; events of what happens leave, one after the other, while the run is trained and saved.

    chunk -> loss and gradient -> team sum -> clip -> learning rate -> update -> report -> save

The loop prints nothing. Every rank of a team runs it; rank 0 alone writes and yields. Whatever one rank decides by the
clock or by a signal travels with the gradient, so that all ranks act on it at the same step.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np
import numpy.typing as npt

from charnn.errors import DivergenceError, StorageError
from charnn.network.dropout import Dropout, Masks
from charnn.network.model import Carry
from charnn.network.optimizers import clip, norm_of
from charnn.runs.run import TrainingRun, join
from charnn.training.divergence import check, roll_back
from charnn.training.events import Event, Finished, Metrics, Saved, Step, Validated
from charnn.training.pace import Pace
from charnn.training.team import Team, gather, launch, share
from charnn.training.validation import loss_over

SAVE_EVERY = 60.0
"""Seconds between checkpoints where no number of steps is given; every validation saves too."""

MEASURING = 1.0
"""How many seconds speed is measured for before a time budget is turned into a number of steps."""


def train(
    run: TrainingRun, should_stop: Callable[[], bool] = lambda: False, team: Team | None = None
) -> Iterator[Event]:
    """Train a run; see ``Trainer.train``. This process is rank 0 of ``team``, or starts the processes it names itself.

    Raises WorkerError if one of them is killed; they end with this one, however it ends.
    """
    invitation = json.dumps(run.invitation())
    if team is None:
        capacity = max(run.model.vector.nbytes + 64, run.carry.nbytes)
        team = launch(run.config.training.workers or 1, capacity, work, invitation)
    else:
        team.tell(invitation)
    with team.together():
        yield from Trainer(run, team, should_stop).train()


def work(team: Team, invitation: str) -> None:
    """What every rank but the first does: open the same run, and train its share of the streams.

    Rank 0 sends an empty invitation where there is nothing to train.
    """
    if not invitation:
        return
    trainer = Trainer(join(*json.loads(invitation)), team)
    with contextlib.suppress(DivergenceError):  # rank 0 meets the same and tells it
        for _ in trainer.train():
            pass


class Message:
    """What the ranks add up at each step, in one buffer so that they meet once: the gradient, and three numbers."""

    def __init__(self, team: Team, parameters: int, dtype: npt.DTypeLike):
        self.buffer = team.buffer(parameters + 3, dtype)
        self.gradient = self.buffer[:-3]
        """Of the mean loss over all streams (P,)."""
        self.loss = self.buffer[-3:-2]
        self.stop = self.buffer[-2:-1]
        """Not 0: rank 0 was told to stop after this step."""
        self.save = self.buffer[-1:]
        """Not 0: rank 0 wants a checkpoint of this step."""


class Trainer:
    """The loop over one run, on one rank of a team."""

    def __init__(self, run: TrainingRun, team: Team | None = None, should_stop: Callable[[], bool] = lambda: False):
        self.run, self.team, self.should_stop = run, team or Team(), should_stop
        training, model = run.config.training, run.config.model
        self.columns = share(self.team, training.batch_size)
        self.carry = self._own_carry()
        self.workspace = run.model.workspace(training.seq_length, self.carry.shape[2], model.dropout_samples)
        self.dropout = Dropout(
            training.seed, model.dropout, model.input_dropout, run.model.dtype, model.dropout_samples
        )
        self.message = Message(self.team, run.model.size, run.model.dtype)
        self.gradient_views = run.model.views(self.message.gradient)
        self._started = time.monotonic() - run.state.elapsed
        self._saved_at = time.monotonic()
        self.pace = Pace(run, self.team, self._elapsed)
        self._stop = self._save_now = False  # what rank 0 decided, on every rank at the same step
        self._changed = False  # since the run was opened
        self._warned = False  # that metrics cannot be written

    def train(self) -> Iterator[Event]:
        """Train until the plan is done or ``should_stop`` says so; saves at the end.

        Raises DivergenceError, before the update, when loss or gradient are not finite or blow up and the configuration
        does not say rollback, and StorageError when the last save fails.
        """
        while True:
            self.pace.settle(self._seconds_per_step)
            try:
                yield from self._train_on()
                return
            except DivergenceError as error:
                yield roll_back(self.run, self.team, error)
                self.carry = self._own_carry()
                self._changed = True
                yield from self._save()

    def _train_on(self) -> Iterator[Event]:
        state = self.run.state
        self._stop = self._save_now = False
        while True:
            if state.reported < state.step and not self._stop:
                yield from self._report()
            done = state.step >= state.total_steps and state.reported == state.step
            if done:
                self.run.finish_baseline(self.should_stop)
            if done or self._stop or self._save_now:
                yield from self._save(last=done or self._stop)
            if done or self._stop:
                break
            yield self._step()
        yield Finished(state.step, stopped=not done, saved=self.run.saved_step == state.step)

    def _own_carry(self) -> Carry:
        """The streams of this rank out of the carry of all."""
        return self.run.carry[:, :, self.columns]

    def _elapsed(self) -> float:
        """Seconds of training, over all sittings."""
        return time.monotonic() - self._started

    # One step

    def _step(self) -> Step:
        run, state, message = self.run, self.run.state, self.message
        model, batches, optimization = run.model, run.batches, run.config.optimization

        # Forward and backward over this rank's streams, from the state that the chunk before left.
        x, y = batches.batch(state.position, self.columns)  # (T, B)
        scale = 1 / (batches.batch_size * batches.seq_length)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is caught below
            total, carry = model.gradient(x, y, self.carry, self.workspace, self.gradient_views, scale, self._masks())

        # All ranks meet: losses and gradients are added up, and what rank 0 decided reaches everybody.
        message.loss[0] = total * scale
        message.stop[0] = self.team.first_says(self.should_stop)
        message.save[0] = self.team.first_says(self._save_due)
        self.team.sum(message.buffer)
        loss, self._stop, self._save_now = float(message.loss[0]), message.stop[0] > 0, message.save[0] > 0

        # Before any weight changes: is this still training?
        norm = norm_of(message.gradient)
        check(run, loss, norm)
        clipped = clip(message.gradient, norm, optimization.clip_norm, optimization.clip_value)

        # The update. The state goes with the text: past its end the streams begin anew.
        rate = run.schedule.rate(state.step, state.total_steps, batches.chunks_per_epoch, state.planned_at)
        rate *= 0.5**state.rollbacks
        run.optimizer.update(model.vector, message.gradient, rate, state.step)
        model.pack()
        state.advance(batches.after(state.position), loss, norm, clipped, rate, self._elapsed())
        self.carry = carry if state.position.chunk else model.zero_carry(x.shape[1])
        self._changed = True
        return Step(state.step, state.total_steps, self._epoch(), loss, rate, norm, clipped, state.elapsed)

    def _masks(self) -> Masks:
        """Dropout of the coming step."""
        run, training = self.run, self.run.config.training
        shape = (training.seq_length, training.batch_size, run.config.model.hidden_size)
        vectors = run.model.characters.vectors_shape
        return self.dropout.masks(run.state.step, run.config.model.layers, shape, vectors, self.columns)

    def _epoch(self) -> float:
        position = self.run.state.position
        return position.epoch + position.chunk / self.run.batches.chunks_per_epoch

    def _seconds_per_step(self) -> float:
        """Median time in which all ranks have a gradient, measured on the first chunk without changing anything."""
        run = self.run
        x, y = run.batches.batch(run.state.position, self.columns)
        times: list[float] = []
        told = np.zeros(2)  # by rank 0: enough, the median so far
        while not told[0]:
            started = time.monotonic()
            run.model.gradient(x, y, self.carry, self.workspace, self.gradient_views, 1.0, self._masks())
            enough = len(times) > 2 and sum(times) > MEASURING
            told[:] = (enough, np.median(times)) if enough and self.team.rank == 0 else 0.0
            self.team.sum(told)
            times.append(time.monotonic() - started)
        return float(told[1])

    # Reports: validation and metrics

    def _report(self) -> Iterator[Event]:
        """Validate and write a line of metrics, where due; what was told to stop meanwhile stays due."""
        run, state = self.run, self.run.state
        last = state.step >= state.total_steps
        validate = len(run.validation_ids) > 0 and (last or state.step % state.validate_every == 0)
        if validate:
            loss = yield from self._validate()
            if loss is None:
                self._stop = True
                return
        if validate or last or state.step % state.log_every == 0:
            yield from self._log(state.val_loss if validate else None)
        state.reported = state.step
        self._changed = True
        if validate:
            self._save_now = True
            self.pace.correct()

    def _validate(self) -> Generator[Event, None, float | None]:
        """The validation loss, noted in the run's state; None if told to stop meanwhile."""
        run, state = self.run, self.run.state
        loss = yield from loss_over(run.model, *run.validation_text, self.team, self.should_stop)
        if loss is None:
            return None
        check(run, loss)
        best = state.best_val_loss is None or loss < state.best_val_loss
        if best:
            state.best_val_loss, state.best_step = loss, state.step
        state.val_loss, state.val_step = loss, state.step
        yield Validated(state.step, loss, best)
        return loss

    def _log(self, val_loss: float | None) -> Iterator[Event]:
        """One line of metrics.jsonl; the sums begin anew. A line that cannot be written waits for better times."""
        state = self.run.state
        state.elapsed = self._elapsed()
        characters = state.summed_steps * self.run.batches.batch_size * self.run.batches.seq_length
        metrics = Metrics(
            step=state.step,
            epoch=round(self._epoch(), 6),
            train_loss=state.loss_sum / state.summed_steps,
            val_loss=val_loss,
            learning_rate=state.learning_rate,
            grad_norm=state.grad_norm,
            clipped=state.clipped_steps / state.summed_steps,
            chars_per_second=round(characters / max(1e-9, state.elapsed - state.timed), 1),
            elapsed_seconds=round(state.elapsed, 3),
            rollbacks=state.rollbacks,
        )
        state.loss_sum, state.summed_steps, state.clipped_steps, state.timed = 0.0, 0, 0, state.elapsed
        yield metrics
        if self.team.rank == 0:
            try:
                self.run.metrics.append(metrics.__dict__)
                self._warned = False
            except StorageError as error:
                if not self._warned:
                    yield Saved(state.step, "", error.message)
                self._warned = True

    # Saving

    def _save_due(self) -> bool:
        every, step = self.run.config.training.checkpoint_every, self.run.state.step + 1
        if every is not None:
            return step % every == 0
        return time.monotonic() - self._saved_at > SAVE_EVERY

    def _save(self, last: bool = False) -> Iterator[Event]:
        """Gather the carry of all ranks and let rank 0 write. Only a failure of the last save is an error."""
        run, state = self.run, self.run.state
        if not self._changed:
            return
        streams = run.config.training.batch_size
        run.carry = np.moveaxis(gather(self.team, np.moveaxis(self.carry, 2, 0), streams), 0, 2)
        self._saved_at = time.monotonic()
        if self.team.rank:
            return
        try:
            path = run.save()
        except StorageError as error:
            if last:
                raise StorageError(
                    f"{error.message}; {self._last_good()}", "make room, then go on with --resume"
                ) from error
            yield Saved(state.step, "", f"{error.message}; {self._last_good()}")
            return
        try:
            run.prune()
        except StorageError as error:
            yield Saved(state.step, str(path), error.message)
        else:
            yield Saved(state.step, str(path))

    def _last_good(self) -> str:
        return f"the last good checkpoint is of step {self.run.saved_step}"
