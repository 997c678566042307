"""A training run enters; events of what happens leave, one after the other, while the run is trained and saved.

    chunk -> loss and gradient -> team sum -> clip -> learning rate -> update -> report -> save

The loop prints nothing. Every rank of a team runs it; rank 0 alone writes and yields. Whatever one rank decides by the
clock or by a signal travels with the gradient, so that all ranks act on it at the same step.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np

from charnn.errors import DivergenceError, StorageError
from charnn.network.dropout import Dropout, Masks
from charnn.network.model import Carry
from charnn.network.optimizers import clip
from charnn.network.workspace import Workspace
from charnn.runs.run import TrainingRun, join
from charnn.text.batches import SCORING_STEPS, scoring_chunks, scoring_streams
from charnn.text.corpus import release
from charnn.training.divergence import check, roll_back
from charnn.training.events import Event, Finished, Metrics, Saved, Step, Validated, Validating
from charnn.training.team import Team, gather, launch, share

SAVE_EVERY = 60.0
"""Seconds between checkpoints where no number of steps is given; every validation saves too."""

VALIDATIONS = 10
"""Validations a run has at least, where they take no more than ``VALIDATION_SHARE`` of the training."""

VALIDATION_SHARE = 0.25
"""Time spent on validations, as a share of that spent on steps, unless the user asks for more."""

MAPPED = 1 << 24
"""Bytes of the text that may be read before they are let go: a text may be larger than memory."""

PLAN_SECONDS = 1.0
"""How long speed is measured before a time budget is turned into a number of steps."""


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


class Trainer:
    """The loop over one run, on one rank of a team."""

    def __init__(self, run: TrainingRun, team: Team | None = None, should_stop: Callable[[], bool] = lambda: False):
        self.run, self.team, self.should_stop = run, team or Team(), should_stop
        training = run.config.training
        self.columns = share(self.team, training.batch_size)
        B = self.columns.stop - self.columns.start
        model, dtype = run.config.model, run.model.dtype
        self.dropout = Dropout(training.seed, model.dropout, model.input_dropout, dtype, model.dropout_samples)
        self.workspace = run.model.workspace(training.seq_length, B, self.dropout.samples)
        self.carry = self._own_carry()
        # One message a step, so that ranks meet once: the gradient, then the loss and what rank 0 decided.
        self.message = self.team.buffer(run.model.size + 3, run.model.dtype)
        self.gradient = self.message[:-3]
        self.gradient_views = run.model.views(self.gradient)
        self._saved_at = time.monotonic()
        self._started = time.monotonic() - run.state.elapsed
        self._on_disk = run.state.step if run.state.reported == run.state.step else -1
        self._warned = False

    def train(self) -> Iterator[Event]:
        """Train until the plan is done or ``should_stop`` says so; saves at the end.

        Raises DivergenceError, before the update, when loss or gradient are not finite or blow up and the configuration
        does not say rollback, and StorageError when the last save fails.
        """
        while True:
            self._plan()
            try:
                yield from self._train_on()
                return
            except DivergenceError as error:
                yield roll_back(self.run, self.team, error)
                self.carry = self._own_carry()
                self._on_disk = -1
                yield from self._save()

    def _train_on(self) -> Iterator[Event]:
        state = self.run.state
        stop = save = False
        while True:
            if state.reported < state.step and not stop:
                stop = yield from self._report()
                save = save or state.reported == state.val_step
            done = state.step >= state.total_steps and state.reported == state.step
            if done:
                self.run.finish_baseline(self.should_stop)
            if save or done or stop:
                yield from self._save(last=done or stop)
            if done or stop:
                break
            progress, stop, save = self._step()
            yield progress
        yield Finished(state.step, stopped=not done, saved=self.run.saved_step == state.step)

    def _own_carry(self) -> Carry:
        """The streams of this rank out of the carry of all."""
        return self.run.carry[:, :, self.columns]

    # One step

    def _step(self) -> tuple[Step, bool, bool]:
        run, state, config = self.run, self.run.state, self.run.config
        batches, message = run.batches, self.message
        x, y = batches.batch(state.position, self.columns)
        if state.step % max(1, MAPPED // (x.itemsize * batches.batch_size * batches.seq_length)) == 0:
            release(batches.ids)
        scale = 1 / (batches.batch_size * batches.seq_length)
        masks = self._masks()
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is caught below
            total, carry = run.model.gradient(x, y, self.carry, self.workspace, self.gradient_views, scale, masks)
        message[-3:] = total * scale, self._rank0(self.should_stop), self._rank0(self._save_due)
        self.team.sum(message)
        loss, stop, save = (float(value) for value in message[-3:])
        check(run, loss, self.gradient)
        norm, clipped = clip(self.gradient, config.optimization.clip_norm, config.optimization.clip_value)
        rate = run.schedule.rate(state.step, state.total_steps, batches.chunks_per_epoch) * 0.5**state.rollbacks
        run.optimizer.update(run.model.vector, self.gradient, rate, state.step)
        run.model.pack()
        state.step += 1
        state.position = batches.after(state.position)
        self.carry = carry if state.position.chunk else run.model.zero_carry(x.shape[1])
        state.loss_sum += loss
        state.summed_steps += 1
        state.clipped_steps += clipped
        state.elapsed = time.monotonic() - self._started
        state.learning_rate, state.grad_norm = rate, norm
        progress = Step(state.step, state.total_steps, self._epoch(), loss, rate, norm, clipped, state.elapsed)
        return progress, stop > 0, save > 0

    def _rank0(self, question: Callable[[], bool]) -> bool:
        """The answer of rank 0: the others say no, and the sum carries it to them."""
        return self.team.rank == 0 and question()

    def _masks(self) -> Masks:
        """Dropout of the coming step."""
        run, training = self.run, self.run.config.training
        shape = (training.seq_length, training.batch_size, run.config.model.hidden_size)
        vectors = run.model.characters.vectors_shape
        return self.dropout.masks(run.state.step, run.config.model.layers, shape, vectors, self.columns)

    def _epoch(self) -> float:
        position = self.run.state.position
        return position.epoch + position.chunk / self.run.batches.chunks_per_epoch

    # Reports: validation and metrics

    def _report(self) -> Generator[Event, None, bool]:
        """Validate and write a line of metrics where due; returns whether training should stop before that is done."""
        state = self.run.state
        last = state.step >= state.total_steps
        validate = len(self.run.validation_ids) > 0 and (last or state.step % state.validate_every == 0)
        val_loss = None
        if validate:
            val_loss = yield from self._validate()
            if val_loss is None:
                return True
            check(self.run, val_loss)
            best = state.best_val_loss is None or val_loss < state.best_val_loss
            if best:
                state.best_val_loss, state.best_step = val_loss, state.step
            state.val_loss, state.val_step = val_loss, state.step
            yield Validated(state.step, val_loss, best)
        if validate or last or state.step % state.log_every == 0:
            yield from self._log(val_loss)
        state.reported = state.step
        if validate:
            self._correct_plan()
        return False

    def _validate(self) -> Generator[Event, None, float | None]:
        """The loss over the whole validation part, in nats per character; None if told to stop meanwhile."""
        model, ids = self.run.model, self.run.validation_ids
        streams = scoring_streams(len(ids))
        columns = share(self.team, streams)
        sums = np.zeros(3)  # of losses, of characters, stop
        carry: Carry = model.zero_carry(columns.stop - columns.start)
        workspaces: dict[int, Workspace] = {}
        for count, chunk in enumerate(scoring_chunks(ids, self.run.train_ids[-4096:], streams, SCORING_STEPS)):
            length = len(chunk.x)
            if length not in workspaces:
                workspaces[length] = model.workspace(length, columns.stop - columns.start)
            carry[:, :, chunk.cold[columns]] = 0
            with np.errstate(over="ignore", invalid="ignore"):
                losses, carry = model.losses(chunk.x[:, columns], chunk.y[:, columns], carry, workspaces[length])
            scored = chunk.scored[:, columns]
            sums[:2] += losses[scored].sum(dtype=np.float64), scored.sum()
            told = np.array([float(self._rank0(self.should_stop))])
            self.team.sum(told)
            if told[0]:
                return None
            if count % 8 == 0:
                release(ids)
                yield Validating(min(1.0, count * SCORING_STEPS * streams / len(ids)))
        self.team.sum(sums)
        return float(sums[0] / sums[1])

    def _log(self, val_loss: float | None) -> Iterator[Event]:
        """One line of metrics.jsonl; the sums begin anew. A line that cannot be written waits for better times."""
        state = self.run.state
        state.elapsed = time.monotonic() - self._started
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

    # Plans

    def _plan(self) -> None:
        """How long, and how often to look: settled once and kept with the state, unless the user extends the run."""
        run, state, training = self.run, self.run.state, self.run.config.training
        per_epoch = run.batches.chunks_per_epoch
        if training.steps is not None:
            state.total_steps = training.steps
        elif training.epochs is not None:
            state.total_steps = max(1, round(training.epochs * per_epoch))
        elif training.budget is not None and state.planned_budget != training.budget:
            state.planned_budget = training.budget
            if state.step == 0:
                state.total_steps = self._steps_in(training.budget, self._seconds_per_step())
            else:
                state.total_steps = self._steps_until(training.budget)
        if state.step == 0:
            often = per_epoch if per_epoch < 5000 else -(-per_epoch // 4)
            affordable = math.ceil(self._validation_steps() / VALIDATION_SHARE)
            often = max(20, affordable, min(often, -(-state.total_steps // VALIDATIONS)))
            state.validate_every = training.validate_every or often
            state.log_every = training.log_every or max(1, min(100, state.validate_every // 10))

    def _seconds_per_step(self) -> float:
        """Median time in which all ranks have a gradient, measured on the first chunk without changing anything."""
        run = self.run
        x, y = run.batches.batch(run.state.position, self.columns)
        times: list[float] = []
        told = np.zeros(2)  # by rank 0: enough, the median so far
        while not told[0]:
            started = time.monotonic()
            masks = self._masks()
            run.model.gradient(x, y, self.carry, self.workspace, self.gradient_views, 1.0, masks)
            enough = len(times) > 2 and sum(times) > PLAN_SECONDS
            told[:] = (enough, np.median(times)) if enough and self.team.rank == 0 else 0.0
            self.team.sum(told)
            times.append(time.monotonic() - started)
        return float(told[1])

    def _steps_in(self, seconds: float, per_step: float) -> int:
        """Steps that fit, leaving time for the validations, but no more than half."""
        fitting, validation = (seconds - 2) / per_step, self._validation_steps()
        validations = min(VALIDATIONS * validation, max(validation, VALIDATION_SHARE * fitting))
        return max(1, int(max(fitting / 2, fitting - validations) * 0.97))

    def _validation_steps(self) -> float:
        """How many steps take as long as a validation: a forward pass costs about a third of a step."""
        return len(self.run.validation_ids) / (self.run.batches.batch_size * self.run.batches.seq_length) / 3

    def _correct_plan(self) -> None:
        """Under a time budget: the steps that still fit at the speed so far, validations included."""
        state, budget = self.run.state, self.run.config.training.budget
        if budget is not None and state.step < state.total_steps:
            state.total_steps = self._steps_until(budget)

    def _steps_until(self, budget: float) -> int:
        """The step reached after ``budget`` seconds of training in all, at the speed so far; at least the next."""
        state = self.run.state
        state.elapsed = time.monotonic() - self._started
        pace = state.elapsed / state.step
        planned = np.array([float(self.team.rank == 0 and state.step + max(1, int((budget - state.elapsed) / pace)))])
        self.team.sum(planned)
        return int(planned[0])

    # Saving

    def _save_due(self) -> bool:
        every, step = self.run.config.training.checkpoint_every, self.run.state.step + 1
        if every is not None:
            return step % every == 0
        return time.monotonic() - self._saved_at > SAVE_EVERY

    def _save(self, last: bool = False) -> Iterator[Event]:
        """Gather the carry of all ranks and let rank 0 write. Only a failure of the last save is an error."""
        run, state = self.run, self.run.state
        if self._on_disk == state.step:
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
