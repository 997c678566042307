"""A run folder is made or opened; model, optimizer, carry, position and history leave, ready to train on.

This is the only place that knows how the parts fit together:

    RUN/config.yaml                              the resolved configuration
    RUN/corpus.npy                               the ids of the text: a private copy, so that the original may change
    RUN/metrics.jsonl                            one object a line, see ``Metrics`` in ``charnn/trainer.py``
    RUN/checkpoints/step-00001000.safetensors    everything needed to go on, or to sample
    RUN/lock                                     held by whoever trains here
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from charnn import checkpoint, corpus, layout
from charnn.batches import Batches, Ids
from charnn.cells import Array
from charnn.config import CHANGEABLE, LENGTHS, Config, Resolved, Setting, coerce, resolve, to_yaml
from charnn.counting import Counting
from charnn.errors import CheckpointError, ConfigError, CorpusError, printable
from charnn.folder import lock_folder, make_folder, new_folder
from charnn.metrics import MetricsFile
from charnn.model import Carry, CharRNN, Shape
from charnn.optimizers import RULES, Schedule, new_optimizer
from charnn.snapshot import (
    RUNS,
    CorpusFacts,
    Snapshot,
    State,
    Warn,
    checked_weights,
    field_of,
    ignore,
    model_shape,
    naming,
    yardstick_from_json,
)
from charnn.sources import open_sources
from charnn.team import best_size
from charnn.vocabulary import Vocabulary
from charnn.yardstick import Yardstick


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
        yardstick: Yardstick | None,
        lock: IO[bytes] | None,
        stop: Callable[[], None] | None = None,
    ):
        self.path, self.config, self.vocabulary, self.facts = path, config, vocabulary, facts
        self._yardstick, self._lock = yardstick, lock
        self._counting: Counting | None = None
        ids = corpus.open_ids(path / "corpus.npy", facts.fingerprint, stop)
        cut = corpus.split(len(ids), config.data.val_fraction, config.data.test_fraction)
        self.train_ids: Ids = ids[cut.train]
        self.validation_ids: Ids = ids[cut.validation]
        training = config.training
        self.batches = Batches(self.train_ids, training.batch_size, training.seq_length, training.seed)
        self.model = CharRNN(model_shape(config.model, len(vocabulary)))
        settings = dataclasses.asdict(config.optimization)
        self.schedule = Schedule(**{field.name: settings[field.name] for field in dataclasses.fields(Schedule)})
        self.optimizer = new_optimizer(settings, self.model.vector)
        self.carry: Carry = self.model.zero_carry(training.batch_size)
        self.state = State()
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
        if self._counting is not None:
            self._counting.close()
            self._counting = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def start_counting(self) -> None:
        """Measure the yardstick beside training, where it is not known yet and there is a validation part."""
        if self._yardstick is None and len(self.validation_ids):
            data = self.config.data
            cut = corpus.split(self.facts.characters, data.val_fraction, data.test_fraction)
            stops = (cut.train.stop, cut.validation.stop)
            with contextlib.suppress(OSError):  # no process to be had: there will be no yardstick
                self._counting = Counting(self.path / "corpus.npy", *stops, len(self.vocabulary))

    @property
    def yardstick(self) -> Yardstick | None:
        """What plain counting reaches on this split; None until that is known."""
        if self._yardstick is None and self._counting is not None:
            self._yardstick = self._counting.poll()
        return self._yardstick

    def finish_counting(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait for the yardstick, so that the last checkpoint of a short run holds it, or until told to stop."""
        if self._yardstick is None and self._counting is not None:
            self._yardstick = self._counting.wait(stop)

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def invitation(self) -> tuple[str, str, str]:
        """What ``join`` needs to open the same run in another process: folder, checkpoint, configuration."""
        return str(self.path), str(self.checkpoint), json.dumps(self.config.to_json())

    def document(self) -> dict[str, Any]:
        """What a checkpoint says beside its arrays."""
        return {
            "config": self.config.to_json(),
            "vocabulary": self.vocabulary.to_json(),
            "corpus": {**dataclasses.asdict(self.facts), "files": list(self.facts.files)},
            "yardstick": None if self.yardstick is None else dataclasses.asdict(self.yardstick),
            "parameters": self.model.size,
            "state": self.state.to_json(),
        }

    def save(self) -> Path:
        """Write a checkpoint of this step, after the metrics whose length it holds. Raises StorageError."""
        self.metrics.sync()
        self.state.metrics_length = self.metrics.length
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        arrays |= {f"optimizer.{name}": array for name, array in self.optimizer.state.items()}
        arrays |= {f"carry.{i}.{name}": array for i, layer in enumerate(self.carry) for name, array in layer.items()}
        path = self.checkpoints / checkpoint.checkpoint_name(self.state.step)
        checkpoint.write(path, arrays, self.document())
        self.checkpoint, self.saved_step = path, self.state.step
        return path

    def prune(self) -> None:
        """Drop the checkpoints that are no longer needed. Raises StorageError."""
        best = [] if self.state.best_step is None else [self.state.best_step]
        checkpoint.prune(self.checkpoints, self.config.training.keep, best)

    def restore(self, loaded: checkpoint.Checkpoint) -> None:
        """Take weights, optimizer state, carry and state from a checkpoint of this run. Raises CheckpointError."""
        state = State.from_json(field_of(loaded.document, "state"))
        if state.position.chunk >= self.batches.chunks_per_epoch:
            raise CheckpointError(f"its text has no chunk {state.position.chunk}")
        self.model.load_state_dict(layout.group(loaded.arrays, "model"))
        _copy_all(self.optimizer.state, layout.group(loaded.arrays, "optimizer"))
        carry = {f"{i}.{name}": array for i, layer in enumerate(self.carry) for name, array in layer.items()}
        _copy_all(carry, layout.group(loaded.arrays, "carry"))
        self.state, self.checkpoint, self.saved_step = state, loaded.path, state.step
        self.metrics = MetricsFile(self.metrics.path, state.metrics_length)


def _copy_all(targets: Mapping[str, Array], sources: Mapping[str, Array]) -> None:
    for name, target in targets.items():
        target[...] = sources[name]


def check_arrays(loaded: checkpoint.Checkpoint, config: Config, vocabulary: Vocabulary) -> None:
    """Raises CheckpointError unless a checkpoint holds what training by this configuration needs, and nothing else.

    To be asked before anything is allocated for a configuration that comes from a file.
    """
    shape = model_shape(config.model, len(vocabulary))
    checked_weights(loaded, shape)
    rule = RULES[config.optimization.optimizer]
    vectors = dict.fromkeys(rule.state_names, (layout.parameter_count(shape),))
    layout.check(layout.group(loaded.arrays, "optimizer"), vectors, "optimizer")
    carry = layout.carry_arrays(shape, config.training.batch_size)
    layout.check(layout.group(loaded.arrays, "carry"), carry, "carry")


def create(
    resolved: Resolved,
    corpora: Sequence[str | Path],
    out: Path | None = None,
    *,
    stdin: IO[bytes] | None = None,
    initial: Snapshot | None = None,
    notice: Warn = ignore,
    progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], None] | None = None,
) -> TrainingRun:
    """Make a new run folder from texts: encode them once, initialise the weights, and write the first checkpoint.

    ``out`` None picks ``runs/<corpus>-<cell>-<n>``. ``initial`` gives the weights to start from. Raises ConfigError if
    ``out`` is taken, CorpusError, StorageError, and whatever ``stop`` raises; nothing is left behind then.
    """
    model_shape(resolved.config.model, 1)
    path, lock = new_folder(out, RUNS, _name(corpora, resolved.config.model.cell), notice)
    try:
        make_folder(path / "checkpoints")
        config, vocabulary, facts = _encode(path, resolved, corpora, stdin, notice, progress, stop)
        run = TrainingRun(path, config, vocabulary, facts, None, lock)
        if config.training.workers is None:
            workers = best_size(config.training.batch_size, run.model.size)
            run.config = dataclasses.replace(config, training=dataclasses.replace(config.training, workers=workers))
        run.model.initialise(config.training.seed, config.model.forget_bias)
        if initial is not None:
            _start_from(run, initial)
        checkpoint.write_atomically(path / "config.yaml", to_yaml(run.config).encode())
        checkpoint.write_atomically(run.metrics.path, b"")
        run.save()
        run.start_counting()
        return run
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        lock.close()
        if out is None:
            with contextlib.suppress(OSError):  # such as other runs being there
                RUNS.rmdir()
        raise


def _encode(
    path: Path,
    resolved: Resolved,
    corpora: Sequence[str | Path],
    stdin: IO[bytes] | None,
    notice: Warn,
    progress: Callable[[int, int], None] | None,
    stop: Callable[[], None] | None,
) -> tuple[Config, Vocabulary, CorpusFacts]:
    """Read the texts twice: once to see which characters there are, once to write their ids."""
    config, data = resolved.config, resolved.config.data
    with open_sources(corpora, path, data.encoding, data.tokens, data.normalize, stdin, stop) as sources:
        seen = corpus.survey(sources, progress, stop)
        for text in seen.notices:
            notice(text)
        vocabulary = (
            Vocabulary.bytes_()
            if data.tokens == "bytes"
            else Vocabulary.from_code_points(seen.code_points, data.normalize)
        )
        config = fit_to_text(resolved, seen.characters, notice)
        encode_block = vocabulary.encode_code_points
        fingerprint = corpus.encode(
            sources, path / "corpus.npy", encode_block, vocabulary.id_type, seen.characters, progress, stop
        )
    return config, vocabulary, CorpusFacts(fingerprint, seen.characters, tuple(map(str, corpora)))


ENOUGH_VALIDATION = 5_000_000
"""Characters held out for validation at most, unless a share is asked for: the loss is known to 0.002 by then."""


def fit_to_text(resolved: Resolved, characters: int, notice: Warn) -> Config:
    """Check that the text is long enough; a batch size and a validation share that nobody chose are made to fit."""
    config = resolved.config
    training, data = config.training, config.data
    share = float(f"{ENOUGH_VALIDATION / characters:.3g}")
    if resolved.origins.get("data.val_fraction") == "default" and share < data.val_fraction:
        notice(f"a long text: {share:.3%} of it is held out for validation instead of {data.val_fraction:.0%}")
        data = dataclasses.replace(data, val_fraction=share)
        config = dataclasses.replace(config, data=data)
    cut = corpus.split(characters, data.val_fraction, data.test_fraction)
    available = cut.train.stop - cut.train.start
    held_out = cut.validation.stop - cut.validation.start
    if data.val_fraction and held_out < 2:
        raise CorpusError(
            f"the validation part of a text of {characters:,} characters has only {held_out}",
            "use a longer text, a larger --val-fraction, or --val-fraction 0",
        )
    fitting = (available - 1) // (4 * training.seq_length)
    if resolved.origins["training.batch_size"] == "default" and 0 < fitting < training.batch_size:
        notice(f"a short text: {fitting} parallel streams instead of {training.batch_size}")
        config = dataclasses.replace(config, training=dataclasses.replace(training, batch_size=fitting))
    Batches(np.broadcast_to(np.uint8(0), available), config.training.batch_size, training.seq_length)
    return _sharable(config)


def _sharable(config: Config) -> Config:
    """The configuration, if each worker has a stream to read. Raises ConfigError if not."""
    workers, streams = config.training.workers or 1, config.training.batch_size
    if workers > streams:
        raise ConfigError(
            f"{workers} workers cannot share {streams} parallel streams",
            f"use at most {streams} workers, or a larger --batch-size",
        )
    return config


def _start_from(run: TrainingRun, initial: Snapshot) -> None:
    """Copy the weights of another run; raises ConfigError that lists what differs."""
    differences = []
    ours, theirs = run.model.shape, initial.model.shape
    for field in dataclasses.fields(Shape):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name != "vocabulary_size" and mine != other:
            differences.append(f"{field.name} {mine} here, {other} there")
    missing = set(run.vocabulary.characters) - set(initial.vocabulary.characters)
    unused = set(initial.vocabulary.characters) - set(run.vocabulary.characters)
    if run.vocabulary != initial.vocabulary:
        for what, characters in (("only here", missing), ("only there", unused)):
            if characters:
                listed = " ".join(printable(repr(c)) for c in sorted(characters)[:10])
                differences.append(f"{len(characters)} characters {what}: {listed}")
        if not missing and not unused:
            differences.append("tokens or normalization")
    if differences:
        raise ConfigError(
            f"cannot start from {printable(str(initial.path))}: {'; '.join(differences)}",
            "both runs need the same vocabulary and the same network",
        )
    run.model.load_state_dict(initial.model.state_dict())


def resume(
    path: Path,
    layers: Sequence[Mapping[str, Setting]] = (),
    corpora: Sequence[str] = (),
    warn: Warn = ignore,
    stop: Callable[[], None] | None = None,
) -> TrainingRun:
    """Open a run where it stopped. ``layers`` of settings, the later over the earlier, may hold what is ``CHANGEABLE``,
    and repeat what is as it was.

    Raises ConfigError that lists each option and text that differs, CheckpointError if there is nothing good to resume
    from, RunBusyError if somebody trains here, and whatever ``stop`` raises.
    """
    if not path.is_dir():
        raise CheckpointError(f"{printable(str(path))} is no run folder", "charnn runs lists the runs there are")
    if (path / "checkpoints").is_symlink():
        raise CheckpointError(
            f"{printable(str(path))}/checkpoints is a link: training writes inside its run folder only"
        )
    if not checkpoint.list_checkpoints(path / "checkpoints"):
        raise CheckpointError(f"there is no checkpoint in {printable(str(path))}", "begin anew: charnn train TEXT")
    lock = lock_folder(path)
    try:
        loaded = checkpoint.newest_good(path / "checkpoints", warn)
        run = _rebuild(path, loaded, layers, lock, stop)
        if corpora:
            _check_corpus(run, corpora, stop)
        _tidy(run, warn)
        if run.config.to_json() != loaded.document["config"]:
            run.save()
        run.start_counting()
        return run
    except BaseException:
        lock.close()
        raise


def _rebuild(
    path: Path,
    loaded: checkpoint.Checkpoint,
    layers: Sequence[Mapping[str, Setting]],
    lock: IO[bytes],
    stop: Callable[[], None] | None,
) -> TrainingRun:
    with naming(loaded.path):
        stored = Config.from_json(field_of(loaded.document, "config"))
        vocabulary = Vocabulary.from_json(field_of(loaded.document, "vocabulary"))
        facts = CorpusFacts.from_json(field_of(loaded.document, "corpus"))
        yardstick = yardstick_from_json(field_of(loaded.document, "yardstick"))
        check_arrays(loaded, stored, vocabulary)
    config = _with_changes(stored, layers, path)
    run = TrainingRun(path, config, vocabulary, facts, yardstick, lock, stop)
    with naming(loaded.path):
        run.restore(loaded)
    return run


def join(path: str, file: str, config: str) -> TrainingRun:
    """The same run in another process, which trains but never writes. See ``TrainingRun.invitation``."""
    loaded = checkpoint.read(Path(file))
    vocabulary = Vocabulary.from_json(field_of(loaded.document, "vocabulary"))
    facts = CorpusFacts.from_json(field_of(loaded.document, "corpus"))
    run = TrainingRun(Path(path), Config.from_json(json.loads(config)), vocabulary, facts, None, None)
    run.restore(loaded)
    return run


def _with_changes(stored: Config, layers: Sequence[Mapping[str, Setting]], path: Path) -> Config:
    """The stored configuration with what may change changed; any other difference is an error."""
    old = {f"{section}.{key}": value for section, values in stored.to_json().items() for key, value in values.items()}
    lengths = [{name: layer[name] for name in layer if name.partition(".")[2] in LENGTHS} for layer in layers]
    new = {name: coerce(name, setting) for layer in layers for name, setting in layer.items()}
    changes = [
        f"{name.partition('.')[2]} is {_shown(old[name])}, not {_shown(value)}"
        for name, value in new.items()
        if value != old[name] and name.partition(".")[2] not in CHANGEABLE
    ]
    if changes:
        raise ConfigError(
            f"{printable(str(path))} cannot change as it resumes: {'; '.join(changes)}",
            "leave these options out, or begin a new run with --init-from",
        )
    training = {key: value for name, value in new.items() if (key := name.partition(".")[2]) in CHANGEABLE}
    if training.get("workers") is None:
        training["workers"] = stored.training.workers
    if any(lengths):
        wanted = resolve(*lengths).config.training
        training |= {name: getattr(wanted, name) for name in LENGTHS}
    return _sharable(dataclasses.replace(stored, training=dataclasses.replace(stored.training, **training)))


def _shown(value: Any) -> str:
    return "auto" if value is None else printable(str(value))


def _check_corpus(run: TrainingRun, corpora: Sequence[str], stop: Callable[[], None] | None) -> None:
    """Whether these texts are the ones the run was trained on. Raises ConfigError if not."""
    data = run.config.data
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with open_sources(corpora, work, data.encoding, data.tokens, data.normalize, stop=stop) as sources:
            encode_block, id_type = run.vocabulary.encode_code_points, run.vocabulary.id_type
            try:
                fingerprint = corpus.encode(
                    sources, work / "ids.npy", encode_block, id_type, run.facts.characters, stop=stop
                )
            except CorpusError:
                fingerprint = ""
    same = fingerprint == run.facts.fingerprint
    if not same:
        raise ConfigError(
            f"{', '.join(map(printable, corpora))} is not the text that {printable(str(run.path))} was trained on",
            "leave the text out to go on with the stored one, or begin a new run with --init-from",
        )


def _tidy(run: TrainingRun, warn: Warn) -> None:
    """Remove what a killed process left: temporary files, and metrics that the checkpoint knows nothing of."""
    for folder in (run.path, run.checkpoints):
        checkpoint.remove_stale_temporaries(folder)
    if not run.metrics.cut(run.state.metrics_length):
        warn(f"{printable(str(run.metrics.path))} has lost lines; what is left of it stays")


def _name(corpora: Sequence[str | Path], cell: str) -> str:
    """How a run's folder is called when nobody says so: <corpus>-<cell>."""
    first = str(corpora[0]) if corpora else "-"
    stem = "stdin" if first == "-" else (Path.cwd() / first).stem
    clean = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    return f"{clean[:64] or 'text'}-{cell}"
