"""Texts and a configuration enter, or a run folder: a run leaves, new or where it stopped, ready to train on."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from charnn.config import CHANGEABLE, LENGTHS, Config, Resolved, Setting, check_fitted, coerce, resolve
from charnn.errors import CheckpointError, ConfigError, CorpusError, Warn, ignore, printable
from charnn.network.shape import check_model
from charnn.network.state_dict import load_state_dict, state_dict
from charnn.runs.arrays import check_arrays
from charnn.runs.document import CorpusFacts, Document, Past, naming, read_document
from charnn.runs.fitting import choose, cores
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import Snapshot
from charnn.runs.summary import RUNS
from charnn.storage import checkpoint
from charnn.storage.disk import remove_stale_temporaries, write_atomically
from charnn.storage.folder import LockedFolder, lock_folder, new_folder
from charnn.text import corpus
from charnn.text.options import ReadOptions
from charnn.text.sources import open_sources
from charnn.text.split import share_out
from charnn.text.vocabulary import Vocabulary
from charnn.yaml_file import to_yaml

INHERITED = (
    *(f"model.{name}" for name in ("cell", "activation", "layers", "hidden_size", "embedding_size")),
    *(f"data.{name}" for name in ("tokens", "normalize", "line_ends")),
)
"""What a run that starts from another takes over from it."""


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

    ``out`` None picks ``runs/<corpus>-<cell>-<n>``. ``initial`` gives the weights to start from. What nobody chose is
    fitted to text and time, unless ``resolved`` is fixed (see ``charnn/runs/fitting.py``).

    Raises ConfigError if ``out`` is taken, CorpusError, StorageError, and whatever ``stop`` raises. What was made is
    removed then, and nothing else: a folder that was there stays, and so does one in which something else was put.
    """
    if initial is not None:
        resolved = _inherit(resolved, initial)
    check_model(resolved.config.model)
    folder = new_folder(out, RUNS, _name(corpora, resolved.config.model.cell), notice)
    try:
        checkpoints = folder.new_folder("checkpoints")
        config, vocabulary, facts = _encode(folder, resolved, corpora, stdin, notice, progress, stop)
        run = TrainingRun(folder.path, config, vocabulary, facts, None, folder)
        run.model.initialise(config.training.seed, config.model.forget_bias, config.model.chrono)
        if initial is not None:
            _start_from(run, initial)
            run.history = (Past(0, f"began with the weights of {initial.path}, step {initial.step:,}"),)
        write_atomically(folder.new("config.yaml"), to_yaml(run.config).encode())
        write_atomically(folder.new(run.metrics.path.name), b"")
        folder.new(f"{checkpoints.name}/{checkpoint.checkpoint_name(0)}")
        run.save()
        run.start_baseline()
        return run
    except BaseException:
        folder.abandon()
        raise


def _encode(
    folder: LockedFolder,
    resolved: Resolved,
    corpora: Sequence[str | Path],
    stdin: IO[bytes] | None,
    notice: Warn,
    progress: Callable[[int, int], None] | None,
    stop: Callable[[], None] | None,
) -> tuple[Config, Vocabulary, CorpusFacts]:
    """Read the texts twice: once to see which characters there are, once to write their ids."""
    config, data = resolved.config, resolved.config.data
    with open_sources(corpora, folder.path, ReadOptions.of(data), stdin, stop) as sources:
        seen = corpus.survey(sources, progress, stop)
        for text in seen.notices:
            notice(text)
        vocabulary = (
            Vocabulary.bytes_()
            if data.tokens == "bytes"
            else Vocabulary.from_code_points(seen.code_points, data.normalize)
        )
        config = choose(resolved, seen.lengths, len(vocabulary), notice, cores()).config
        parts = share_out(seen.lengths, config.data.val_fraction, config.data.test_fraction)
        encoding = vocabulary.encode_code_points, vocabulary.id_type, parts
        fingerprint = corpus.encode(sources, folder.new("corpus.npy"), *encoding, progress, stop)
    train, validation, test = parts.sum(axis=0).tolist()
    facts = CorpusFacts(fingerprint, (train, validation, test), tuple(map(str, corpora)), seen.only_crlf)
    return config, vocabulary, facts


def _inherit(resolved: Resolved, initial: Snapshot) -> Resolved:
    """The network of another run, and how it reads a text, where nobody chose. Raises ConfigError where somebody chose
    otherwise."""
    theirs, ours = initial.config.to_json(), resolved.config.to_json()
    values, differences = {}, []
    for name in INHERITED:
        section, _, key = name.partition(".")
        values[name] = theirs[section][key]
        if not resolved.is_free(name) and ours[section][key] != values[name]:
            differences.append(
                f"{printable(resolved.origins[name])} says {key} {ours[section][key]}, not {values[name]}"
            )
    if differences:
        raise ConfigError(
            f"cannot start from {printable(str(initial.path))}: {'; '.join(differences)}",
            "leave these options out: the network is taken over",
        )
    return resolved.filled(values, f"--init-from {printable(str(initial.path))}")


def _start_from(run: TrainingRun, initial: Snapshot) -> None:
    """Copy the weights of another run; raises ConfigError that lists which characters differ."""
    differences = []
    missing = set(run.vocabulary.characters) - set(initial.vocabulary.characters)
    unused = set(initial.vocabulary.characters) - set(run.vocabulary.characters)
    if run.vocabulary != initial.vocabulary:
        for what, characters in (("only here", missing), ("only there", unused)):
            if characters:
                listed = " ".join(printable(repr(c)) for c in sorted(characters)[:10])
                differences.append(f"{len(characters)} characters {what}: {listed}")
    if differences:
        raise ConfigError(
            f"cannot start from {printable(str(initial.path))}: {'; '.join(differences)}",
            "both texts need the same characters",
        )
    load_state_dict(run.model, state_dict(initial.model))


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
    folder = lock_folder(path)
    try:
        loaded = checkpoint.newest_good(path / "checkpoints", warn)
        document = read_document(loaded)
        with naming(loaded.path):
            check_arrays(loaded, document.config, len(document.vocabulary))
        config, changes = _with_changes(document.config, layers, path)
        if corpora:
            _check_corpus(path, document, corpora, stop)
        run = TrainingRun(path, config, document.vocabulary, document.corpus, document.baseline, folder, stop)
        with naming(loaded.path):
            run.restore(loaded, document.state)
        run.history = document.history
        if changes:
            run.history += (Past(run.state.step, ", ".join(changes)),)
        _tidy(run, warn)
        if config != document.config:
            run.save()
        run.start_baseline()
        return run
    except BaseException:
        folder.close()
        raise


def _with_changes(stored: Config, layers: Sequence[Mapping[str, Setting]], path: Path) -> tuple[Config, list[str]]:
    """The stored configuration with what may change changed, and the changes in words; any other is an error."""
    old = _flat(stored)
    lengths = [{name: layer[name] for name in layer if name.partition(".")[2] in LENGTHS} for layer in layers]
    new = {name: coerce(name, setting) for layer in layers for name, setting in layer.items()}
    fixed = [
        f"{name.partition('.')[2]} is {_shown(old[name])}, not {_shown(value)}"
        for name, value in new.items()
        if value != old[name] and name.partition(".")[2] not in CHANGEABLE
    ]
    if fixed:
        raise ConfigError(
            f"{printable(str(path))} cannot change as it resumes: {'; '.join(fixed)}",
            "leave these options out, or begin a new run with --init-from",
        )
    if new.get("training.workers", 1) is None:
        del new["training.workers"]
    if any(lengths):
        wanted = resolve(*lengths).config.training
        new = {"training.enough_epochs": None, **new} | {f"training.{name}": getattr(wanted, name) for name in LENGTHS}
    config = Config.from_json(_nested({**old, **new}))
    check_fitted(config)
    changes = [
        f"{name.partition('.')[2]} {_shown(old[name])} -> {_shown(value)}"
        for name, value in _flat(config).items()
        if value != old[name]
    ]
    return config, changes


def _flat(config: Config) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, values in config.to_json().items() for key, value in values.items()}


def _nested(flat: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        section, _, key = name.partition(".")
        nested.setdefault(section, {})[key] = value
    return nested


def _shown(value: Any) -> str:
    return "auto" if value is None else printable(str(value))


def _check_corpus(path: Path, document: Document, corpora: Sequence[str], stop: Callable[[], None] | None) -> None:
    """Whether these texts are the ones the run was trained on; if so, a damaged copy of them is made anew.

    Raises ConfigError if not, StorageError.
    """
    data, vocabulary, facts = document.config.data, document.vocabulary, document.corpus
    copy = path / "corpus.npy"
    is_whole = _is_whole(copy, facts.fingerprint, stop)
    with (
        tempfile.TemporaryDirectory() as work,
        open_sources(corpora, Path(work), ReadOptions.of(data), stop=stop) as sources,
    ):
        try:
            parts = share_out(corpus.survey(sources, stop=stop).lengths, data.val_fraction, data.test_fraction)
            encoding = vocabulary.encode_code_points, vocabulary.id_type, parts
            fingerprint = corpus.fingerprint_of(sources, Path(work), *encoding, stop=stop)
        except CorpusError:
            fingerprint = ""
        if fingerprint != facts.fingerprint:
            without = "leave the text out to go on with the stored one, or begin a new run with --init-from"
            raise ConfigError(
                f"{', '.join(map(printable, corpora))} is not the text that {printable(str(path))} was trained on",
                without if is_whole else "the run's own copy is damaged, so it needs exactly that text to go on",
            )
        if not is_whole:
            corpus.encode(sources, copy, *encoding, stop=stop)


def _is_whole(copy: Path, fingerprint: str, stop: Callable[[], None] | None) -> bool:
    try:
        corpus.open_ids(copy, fingerprint, stop)
    except CheckpointError:
        return False
    return True


def _tidy(run: TrainingRun, warn: Warn) -> None:
    """Remove what a killed process left: temporary files, and metrics that the checkpoint knows nothing of."""
    for folder in (run.path, run.checkpoints):
        remove_stale_temporaries(folder)
    if not run.metrics.cut(run.state.metrics_length):
        warn(f"{printable(str(run.metrics.path))} has lost lines; what is left of it stays")


def _name(corpora: Sequence[str | Path], cell: str) -> str:
    """How a run's folder is called when nobody says so: <corpus>-<cell>."""
    first = str(corpora[0]) if corpora else "-"
    stem = "stdin" if first == "-" else (Path.cwd() / first).stem
    clean = re.sub(r"[^\w.-]+", "-", stem).strip("-.")
    return f"{clean[:64] or 'text'}-{cell}"
