"""What happens in a training, one event each, in the order in which it happens. Losses are in nats per character."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A step was done. ``elapsed`` is seconds of training, over all sittings."""

    step: int
    total_steps: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    clipped: bool
    elapsed: float


@dataclass(frozen=True)
class Metrics:
    """One line of metrics.jsonl. ``train_loss`` is the mean over the steps since the line before."""

    step: int
    epoch: float
    train_loss: float
    val_loss: float | None
    learning_rate: float
    grad_norm: float
    clipped: float
    chars_per_second: float
    elapsed_seconds: float
    rollbacks: int


@dataclass(frozen=True)
class Validated:
    """The whole validation part was scored; ``best`` says whether never better."""

    step: int
    loss: float
    best: bool


@dataclass(frozen=True)
class Validating:
    """How far a validation has come, from 0 to 1."""

    done: float


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk; or, with an ``error``, something could not be written, and will be tried again."""

    step: int
    path: str
    error: str = ""


@dataclass(frozen=True)
class Finished:
    """Training ended: by its plan, or because it was told to stop."""

    step: int
    stopped: bool
    saved: bool


@dataclass(frozen=True)
class RolledBack:
    """Training diverged at ``step`` and goes on from ``to_step`` with its learning rate halved, for the n-th time."""

    step: int
    to_step: int
    rollbacks: int
    reason: str


Event = Step | Metrics | Validated | Validating | Saved | RolledBack | Finished
