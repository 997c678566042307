"""A run folder or a checkpoint file enters; what it holds leaves: the model to look at or sample, and its figures.

Nothing here writes, locks, or needs the text the run was trained on: a folder may be moved, copied, mounted read-only,
or be in the middle of its training.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charnn.baseline.ngrams import Baseline
from charnn.config import Config
from charnn.errors import CheckpointError, ConfigError, printable
from charnn.network.cells import Array
from charnn.network.model import CharRNN
from charnn.network.shape import Shape, parameter_count, shape_of
from charnn.network.state_dict import load_state_dict, state_shapes
from charnn.runs.document import check, check_finite, group
from charnn.storage import checkpoint
from charnn.storage.folder import is_busy
from charnn.storage.metrics import read_metrics
from charnn.text.batches import Position
from charnn.text.vocabulary import Vocabulary

RUNS = Path("runs")
"""Where runs without a given folder go, and where sampling looks for the newest."""

Warn = Callable[[str], None]


def ignore(message: str) -> None:
    """A ``Warn`` that says nothing."""


@dataclass(frozen=True)
class Snapshot:
    """What sampling and looking inside need of a checkpoint: the model, its vocabulary, and how it came about."""

    path: Path
    model: CharRNN
    vocabulary: Vocabulary
    config: Config
    document: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.document["state"]["step"])


def load_snapshot(path: Path, warn: Warn = ignore, newest: bool = False) -> Snapshot:
    """The model in a run folder (its checkpoint of the lowest validation loss, or the newest good one) or in a file.

    Raises CheckpointError if there is none, or it is damaged.
    """
    return _snapshot(read_checkpoint(path, warn, newest))


def read_checkpoint(path: Path, warn: Warn, newest: bool = False) -> checkpoint.Checkpoint:
    """See ``load_snapshot``; where the best checkpoint cannot be read, the newest good one is, with a warning."""
    if not path.is_dir():
        return checkpoint.read(path)
    last = checkpoint.newest_good(path / "checkpoints", warn)
    state = State.from_json(field_of(last.document, "state"))
    if newest or state.best_step in (None, state.step):
        return last
    try:
        return checkpoint.read(path / "checkpoints" / checkpoint.checkpoint_name(state.best_step or 0))
    except CheckpointError as error:
        warn(f"{error.message}; using the newest instead of the best")
        return last


def _snapshot(loaded: checkpoint.Checkpoint) -> Snapshot:
    with naming(loaded.path):
        config = Config.from_json(field_of(loaded.document, "config"))
        vocabulary = Vocabulary.from_json(field_of(loaded.document, "vocabulary"))
        State.from_json(field_of(loaded.document, "state"))
        shape = shape_of(config.model, len(vocabulary))
        weights = checked_weights(loaded, shape)
        model = CharRNN(shape)
        load_state_dict(model, weights)
    return Snapshot(loaded.path, model, vocabulary, config, loaded.document)


def checked_weights(loaded: checkpoint.Checkpoint, shape: Shape) -> dict[str, Array]:
    """The weights in a checkpoint, if they are those of such a network. Raises CheckpointError."""
    weights = group(loaded.arrays, "model")
    check(weights, state_shapes(shape), "model")
    check_finite(weights)
    return weights


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever a checkpoint makes impossible is its fault, and is told with its name."""
    try:
        yield
    except (ConfigError, CheckpointError) as error:
        raise CheckpointError(f"{printable(str(path))}: {error.message}", error.hint) from error


def field_of(document: Mapping[str, Any], *names: str) -> Any:
    value: Any = document
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            raise CheckpointError(f"the checkpoint lacks {'.'.join(names)}")
        value = value[name]
    return value


LARGEST = 2**53
AT_LEAST_ONE = ("total_steps", "validate_every", "log_every")
STEPS_DONE = ("reported", "best_step", "val_step", "summed_steps")


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


@dataclass(frozen=True)
class CorpusFacts:
    """What a run remembers of its text."""

    fingerprint: str
    characters: int
    files: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Any) -> CorpusFacts:
        """Raises CheckpointError where a field is missing or of a wrong type."""
        fingerprint, characters, files = (field_of(data, name) for name in ("fingerprint", "characters", "files"))
        if not (isinstance(fingerprint, str) and type(characters) is int and 0 <= characters <= LARGEST):
            raise CheckpointError("the checkpoint's facts about its text do not fit")
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise CheckpointError("the checkpoint's list of files is none")
        return cls(fingerprint, characters, tuple(files))


def baseline_from_json(data: Any) -> Baseline | None:
    """Raises CheckpointError where a figure is missing, unknown, or none."""
    if data is None:
        return None
    try:
        baseline = Baseline(**{**data, "losses_by_order": tuple(data["losses_by_order"])})
    except (TypeError, KeyError) as error:
        raise CheckpointError("the checkpoint's baseline does not fit") from error
    for field in dataclasses.fields(baseline):
        value, kinds = getattr(baseline, field.name), (int, float) if "float" in str(field.type) else (int,)
        for figure in value if isinstance(value, tuple) else (value,):
            if type(figure) not in kinds or not 0 <= figure <= LARGEST:
                raise CheckpointError(f"the checkpoint's baseline.{field.name} is {printable(repr(figure))[:80]}")
    return baseline


@dataclass(frozen=True)
class Summary:
    """One run in figures: losses in nats per character; ``status`` is running, finished or stopped."""

    run: str
    cell: str
    layers: int
    hidden: int
    parameters: int
    vocabulary: int
    step: int
    epoch: float
    train_loss: float | None
    val_loss: float | None
    best_val_loss: float | None
    best_step: int | None
    baseline_loss: float | None
    elapsed_seconds: float
    chars_per_second: float
    status: str


@dataclass(frozen=True)
class RunReport:
    """A run as it looks from outside: its figures, its configuration, and the lines of its metrics."""

    summary: Summary
    config: Config
    corpus: CorpusFacts
    baseline: Baseline | None
    total_steps: int
    metrics: list[dict[str, Any]]
    torn: bool
    """Whether the end of the metrics could not be read."""


def read_report(path: Path, warn: Warn = ignore) -> RunReport:
    """What a run folder says of itself, whether or not somebody trains in it. Raises CheckpointError."""
    if not path.is_dir():
        raise CheckpointError(f"{printable(str(path))} is no run folder", "charnn runs lists the runs there are")
    busy = is_busy(path)
    loaded = read_checkpoint(path, warn, newest=True)
    metrics, torn = read_metrics(path / "metrics.jsonl")
    with naming(loaded.path):
        config = Config.from_json(field_of(loaded.document, "config"))
        state = State.from_json(field_of(loaded.document, "state"))
        baseline = baseline_from_json(field_of(loaded.document, "baseline"))
        vocabulary = Vocabulary.from_json(field_of(loaded.document, "vocabulary"))
        facts = CorpusFacts.from_json(field_of(loaded.document, "corpus"))
    last: dict[str, Any] = metrics[-1] if metrics else {}
    characters = state.step * config.training.batch_size * config.training.seq_length
    summary = Summary(
        run=str(path),
        cell=config.model.cell,
        layers=config.model.layers,
        hidden=config.model.hidden_size,
        parameters=parameter_count(shape_of(config.model, len(vocabulary))),
        vocabulary=len(vocabulary),
        step=state.step,
        epoch=last.get("epoch", 0.0),
        train_loss=last.get("train_loss"),
        val_loss=state.val_loss,
        best_val_loss=state.best_val_loss,
        best_step=state.best_step,
        baseline_loss=None if baseline is None else baseline.loss,
        elapsed_seconds=round(state.elapsed, 3),
        chars_per_second=round(characters / state.elapsed, 1) if state.elapsed else 0.0,
        status="running" if busy else "finished" if state.step >= state.total_steps else "stopped",
    )
    return RunReport(summary, config, facts, baseline, state.total_steps, metrics, torn)


def list_runs(root: Path = RUNS) -> list[Path]:
    """The run folders directly under ``root``, the one with the newest checkpoint first."""
    found = []
    for folder in root.iterdir() if root.is_dir() else []:
        with contextlib.suppress(OSError):
            newest = checkpoint.list_checkpoints(folder / "checkpoints")[:1]
            found += [(path.stat().st_mtime_ns, str(folder)) for path in newest]
    return [Path(name) for _, name in sorted(found, reverse=True)]


def newest_run(root: Path = RUNS) -> Path:
    """The run that was saved last. Raises CheckpointError if there is none."""
    runs = list_runs(root)
    if not runs:
        raise CheckpointError(f"there is no run under {root}/", "train one first: charnn train TEXT")
    return runs[0]
