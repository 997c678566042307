"""A loss and a gradient enter and pass, or are a DivergenceError; a run that diverged enters and stands where it was
still good.

A checkpoint is proven by the step after it, which sees what its weights do. So when training diverges right after a
save, that checkpoint holds the weights that diverged, and an earlier one is the last good state.
"""

from __future__ import annotations

import math
import shlex
from contextlib import suppress

import numpy as np

from charnn.errors import CheckpointError, DivergenceError, StorageError, printable
from charnn.runs.document import read_document
from charnn.runs.run import TrainingRun
from charnn.storage import checkpoint
from charnn.training.events import RolledBack
from charnn.training.team import Team

BLOW_UP = 4.0
"""A loss this many times that of blind guessing is a blow-up."""


def check(run: TrainingRun, loss: float, norm: float = 0.0) -> None:
    """Raises DivergenceError for a loss that is not finite or exploded, and for a gradient whose norm is not finite."""
    guessing = math.log(len(run.vocabulary))
    blown_up = not loss <= BLOW_UP * max(guessing, 1.0)  # true for nan, too
    if not blown_up and math.isfinite(norm):
        return
    what = f"the loss is {loss:.4g}, blind guessing {guessing:.2f}" if blown_up else "a gradient is not finite"
    raise DivergenceError(f"training diverged at step {run.state.step + 1}: {what}")


def roll_back(run: TrainingRun, team: Team, error: DivergenceError) -> RolledBack:
    """Restore the last good checkpoint on every rank, with the learning rate halved.

    Raises the error itself, with what to try, where the configuration says stop or there were enough rollbacks; either
    way rank 0 first removes the checkpoint that holds the diverged weights, if there is an earlier good one.
    """
    diverged, training = run.state, run.config.training
    found = np.zeros(1)
    good = _last_good(run) if team.rank == 0 else None
    if good is not None and training.on_divergence == "rollback" and diverged.rollbacks < training.max_rollbacks:
        found[0] = 1 + read_document(good).state.step
    team.sum(found)
    if not found[0]:
        raise _with_advice(run, error)
    step = int(found[0]) - 1
    good = good or checkpoint.read(run.checkpoints / checkpoint.checkpoint_name(step))
    run.restore(good, read_document(good).state)
    run.state.rollbacks, run.state.elapsed = diverged.rollbacks + 1, diverged.elapsed
    if team.rank == 0:
        run.metrics.cut(run.state.metrics_length)
    return RolledBack(diverged.step + 1, step, run.state.rollbacks, error.message)


def _last_good(run: TrainingRun) -> checkpoint.Checkpoint | None:
    """The newest good checkpoint of an earlier step; if there is one, that of the diverged step is removed."""
    here = checkpoint.checkpoint_name(run.state.step)
    for path in checkpoint.list_checkpoints(run.checkpoints):
        if path.name == here:
            continue
        with suppress(CheckpointError, StorageError):
            good = checkpoint.read(path)
            with suppress(OSError):
                (run.checkpoints / here).unlink(missing_ok=True)
            return good
    return None


def _with_advice(run: TrainingRun, error: DivergenceError) -> DivergenceError:
    advice = "try a lower --lr or a smaller --clip in a new run"
    if run.state.rollbacks:
        advice = f"halving the learning rate {run.state.rollbacks} times did not help: {advice}"
    elif run.state.step:
        advice += f", or: charnn train --resume {printable(shlex.quote(str(run.path)))} --on-divergence rollback"
    kept = [int(path.stem.partition("-")[2]) for path in checkpoint.list_checkpoints(run.checkpoints)[:1]]
    return DivergenceError(f"{error.message}; the last good state, step {max(kept, default=0)}, is kept", advice)
