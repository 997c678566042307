"""A run: model, optimizer, carry, position and history, and the folder that keeps them.

This is the only place that knows how the parts fit together. ``opening.py`` makes a run from texts, or opens it where
it stopped.

    RUN/config.yaml                              the resolved configuration
    RUN/corpus.npy                               the ids of the text: a private copy, so that the original may change
    RUN/metrics.jsonl                            one object a line, see ``Metrics`` in ``charnn/training/events.py``
    RUN/checkpoints/step-00001000.safetensors    everything needed to go on, or to sample
    RUN/copies/                                  the text sorted, see ``charnn/insight/index.py``; may be deleted
    RUN/lock                                     held by whoever trains here
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charnn.baseline.background import BackgroundBaseline
from charnn.baseline.ngrams import Baseline
from charnn.config import Config
from charnn.errors import CheckpointError
from charnn.network.cells import Array
from charnn.network.model import Carry, CharRNN
from charnn.network.optimizers import Schedule, new_optimizer
from charnn.network.shape import shape_of
from charnn.network.state_dict import load_state_dict, state_dict
from charnn.runs.arrays import group
from charnn.runs.document import CorpusFacts, Document, Past, read_document
from charnn.runs.state import State
from charnn.storage import checkpoint
from charnn.storage.folder import LockedFolder
from charnn.storage.metrics import MetricsFile
from charnn.text import corpus
from charnn.text.batches import Batches, Ids
from charnn.text.streams import BURN_IN
from charnn.text.vocabulary import Vocabulary


class TrainingRun:
    """A run that can go on: all parts of training, and the folder that keeps them.

    ``carry`` holds all B streams; the trainer hands it over before ``save``. Close it, or use it in a ``with``: that
    gives the folder free for others.
    """

    def __init__(
        self,
        path: Path,
        config: Config,
        vocabulary: Vocabulary,
        facts: CorpusFacts,
        baseline: Baseline | None,
        folder: LockedFolder | None,
        stop: Callable[[], None] | None = None,
    ):
        self.path, self.config, self.vocabulary, self.facts = path, config, vocabulary, facts
        self._baseline, self._folder = baseline, folder
        self._background: BackgroundBaseline | None = None
        ids = corpus.open_ids(path / "corpus.npy", facts.fingerprint, stop)
        cut = facts.split
        self.train_ids: Ids = ids[cut.train]
        self.validation_ids: Ids = ids[cut.validation]
        before = min(cut.validation.start, BURN_IN + 1)
        self.validation_text = ids[cut.validation.start - before : cut.validation.stop], before
        """The validation part, with so many characters before it, which warm the state up."""
        training = config.training
        self.batches = Batches(self.train_ids, training.batch_size, training.seq_length, training.seed)
        self.model = CharRNN(shape_of(config.model, len(vocabulary)))
        settings = dataclasses.asdict(config.optimization)
        self.schedule = Schedule(**{field.name: settings[field.name] for field in dataclasses.fields(Schedule)})
        self.optimizer = new_optimizer(settings, self.model.vector)
        self.carry: Carry = self.model.zero_carry(training.batch_size)
        self.state = State()
        self.history: tuple[Past, ...] = ()
        self.metrics = MetricsFile(path / "metrics.jsonl")
        self.checkpoint = path
        """The file that holds the state as it was last saved or restored."""
        self.saved_step: int | None = None
        """The step of that state; None before there is one."""

    def __enter__(self) -> TrainingRun:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let others train here."""
        if self._background is not None:
            self._background.close()
            self._background = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def start_baseline(self) -> None:
        """Measure the baseline beside training, where it is not known yet and there is a validation part."""
        if self._baseline is None and len(self.validation_ids):
            stops = (self.facts.split.train.stop, self.facts.split.validation.stop)
            with contextlib.suppress(OSError):  # no process to be had: there will be no baseline
                self._background = BackgroundBaseline(self.path / "corpus.npy", *stops, len(self.vocabulary))

    @property
    def baseline(self) -> Baseline | None:
        """The n-gram baseline on this split; None until that is known."""
        if self._baseline is None and self._background is not None:
            self._baseline = self._background.poll()
        return self._baseline

    def finish_baseline(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait for the baseline, so that the last checkpoint of a short run holds it, or until told to stop."""
        if self._baseline is None and self._background is not None:
            self._baseline = self._background.wait(stop)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def invitation(self) -> tuple[str, str, str]:
        """What ``join`` needs to open the same run in another process: folder, checkpoint, configuration."""
        return str(self.path), str(self.checkpoint), json.dumps(self.config.to_json())

    def document(self) -> dict[str, Any]:
        """What a checkpoint says beside its arrays; the number of parameters is for whoever reads it without charnn."""
        document = Document(self.config, self.vocabulary, self.facts, self.baseline, self.state, self.history)
        return {**document.to_json(), "parameters": self.model.size}

    def save(self) -> Path:
        """Write a checkpoint of this step, after the metrics whose length it holds. Raises StorageError."""
        self.metrics.sync()
        self.state.metrics_length = self.metrics.length
        arrays = {f"model.{name}": array for name, array in state_dict(self.model).items()}
        arrays |= {f"optimizer.{name}": array for name, array in self.optimizer.state.items()}
        arrays |= {f"carry.{name}": array for name, array in self._carried().items()}
        path = self.checkpoints / checkpoint.checkpoint_name(self.state.step)
        checkpoint.write(path, arrays, self.document())
        self.checkpoint, self.saved_step = path, self.state.step
        return path

    def _carried(self) -> dict[str, Array]:
        """Views (B, H) of the carry by layer and state, as a checkpoint names them."""
        names = self.model.cell.state
        return {f"{i}.{name}": layer[k] for i, layer in enumerate(self.carry) for k, name in enumerate(names)}

    def prune(self) -> None:
        """Drop the checkpoints that are no longer needed. Raises StorageError."""
        best = [] if self.state.best_step is None else [self.state.best_step]
        checkpoint.prune(self.checkpoints, self.config.training.keep, best)

    def restore(self, loaded: checkpoint.Checkpoint, state: State) -> None:
        """Go to where a checkpoint of this run was saved, whose document says ``state``. Raises CheckpointError."""
        if state.position.chunk >= self.batches.chunks_per_epoch:
            raise CheckpointError(f"its text has no chunk {state.position.chunk}")
        load_state_dict(self.model, group(loaded.arrays, "model"))
        _copy_all(self.optimizer.state, group(loaded.arrays, "optimizer"))
        _copy_all(self._carried(), group(loaded.arrays, "carry"))
        self.state, self.checkpoint, self.saved_step = state, loaded.path, state.step
        self.metrics = MetricsFile(self.metrics.path, state.metrics_length)


def _copy_all(targets: Mapping[str, Array], sources: Mapping[str, Array]) -> None:
    for name, target in targets.items():
        target[...] = sources[name]


def join(path: str, file: str, config: str) -> TrainingRun:
    """The same run in another process, which trains but never writes. See ``TrainingRun.invitation``."""
    loaded = checkpoint.read(Path(file))
    document = read_document(loaded)
    changed = Config.from_json(json.loads(config))
    run = TrainingRun(Path(path), changed, document.vocabulary, document.corpus, None, None)
    run.restore(loaded, document.state)
    return run
