"""Figures from a checkpoint enter; where training stands leaves, or a CheckpointError for what cannot be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from charnn.errors import CheckpointError, printable
from charnn.text.batches import Position

LARGEST = 2**53
AT_LEAST_ONE = ("total_steps", "validate_every", "log_every")
STEPS_DONE = ("reported", "best_step", "val_step", "summed_steps", "planned_at")


@dataclass
class State:
    """Where training stands, as far as it is numbers: everything the trainer changes from step to step."""

    step: int = 0
    reported: int = 0
    """The last step whose metrics and validation, where due, are done."""
    position: Position = dataclasses.field(default_factory=Position)
    elapsed: float = 0.0
    """Seconds of training, over all sittings."""
    best_val_loss: float | None = None
    best_step: int | None = None
    val_loss: float | None = None
    val_step: int | None = None
    total_steps: int = 1
    """The plan: when training ends. Under a time budget it is corrected as training goes."""
    planned_budget: float | None = None
    """The time budget that the plan was made for, in seconds."""
    planned_at: int = 0
    """The step at which that plan was made: 0, or where a run that had ended was given more time."""
    validate_every: int = 1
    log_every: int = 1
    loss_sum: float = 0.0
    """Sums over the steps since the last line of metrics.jsonl."""
    summed_steps: int = 0
    clipped_steps: int = 0
    learning_rate: float = 0.0
    """Of the last step, as is the norm: a report that is still due after a resume tells them."""
    grad_norm: float = 0.0
    timed: float = 0.0
    """``elapsed`` at the last line of metrics.jsonl."""
    metrics_length: int = 0
    """Bytes of metrics.jsonl that belong to this state."""
    rollbacks: int = 0
    """How often training diverged and went back; each time the learning rate was halved."""

    def advance(self, position: Position, loss: float, norm: float, clipped: bool, rate: float, elapsed: float) -> None:
        """One more step is done, and ``position`` is that of the next."""
        self.step += 1
        self.position = position
        self.loss_sum += loss
        self.summed_steps += 1
        self.clipped_steps += clipped
        self.learning_rate, self.grad_norm = rate, norm
        self.elapsed = elapsed

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> State:
        """Raises CheckpointError where a field is unknown, of a wrong type, or makes no sense."""
        try:
            state = cls(**{**data, "position": Position(**data["position"])})
        except (TypeError, KeyError) as error:
            raise CheckpointError(f"the checkpoint's state does not fit: {printable(str(error))[:200]}") from error
        for part in (state, state.position):
            _check_figures(part)
        for name, limit in {**dict.fromkeys(STEPS_DONE, state.step), "clipped_steps": state.summed_steps}.items():
            if (getattr(state, name) or 0) > limit:
                raise CheckpointError(f"the checkpoint's state.{name} is {getattr(state, name)}, more than {limit}")
        if state.reported < state.step and not state.summed_steps:
            raise CheckpointError("the checkpoint's state has steps to report, and none summed up")
        return state


def _check_figures(part: State | Position) -> None:
    """All that a state counts and measures is a finite number and not negative; what divides is not 0."""
    for field in dataclasses.fields(part):
        value, kind = getattr(part, field.name), str(field.type)
        if field.name == "position" or (value is None and "None" in kind):
            continue
        kinds = (int, float) if "float" in kind else (int,)
        lowest = 1 if field.name in AT_LEAST_ONE else 0
        if type(value) not in kinds or not lowest <= value <= LARGEST:
            raise CheckpointError(f"the checkpoint's state.{field.name} is {printable(repr(value))[:80]}")
