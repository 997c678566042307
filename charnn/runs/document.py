"""A checkpoint as it lies on disk enters; what its document says leaves, read and checked once.

Whatever is missing or impossible in it is a CheckpointError that names the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charnn.baseline.ngrams import Baseline
from charnn.config import Config
from charnn.errors import CheckpointError, ConfigError, Warn, printable
from charnn.runs.state import LARGEST, State
from charnn.storage import checkpoint
from charnn.storage.checkpoint import Checkpoint
from charnn.text.split import Split
from charnn.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class CorpusFacts:
    """What a run remembers of its text."""

    fingerprint: str
    parts: tuple[int, int, int]
    """Characters to train on, to validate on and to test on."""
    files: tuple[str, ...]
    crlf: bool = False
    """Whether every line ends in CR LF."""

    @property
    def characters(self) -> int:
        return sum(self.parts)

    @property
    def split(self) -> Split:
        return Split.of(self.parts)

    def to_json(self) -> dict[str, Any]:
        facts = {"fingerprint": self.fingerprint, "parts": list(self.parts), "files": list(self.files)}
        return {**facts, "crlf": self.crlf}

    @classmethod
    def from_json(cls, data: Any) -> CorpusFacts:
        """Raises CheckpointError where a field is missing or of a wrong type."""
        fingerprint, parts, files = (_field(data, name) for name in ("fingerprint", "parts", "files"))
        crlf = data.get("crlf", False)
        counted = isinstance(parts, list) and all(type(size) is int and 0 <= size <= LARGEST for size in parts)
        if not (isinstance(fingerprint, str) and counted and len(parts) == 3 and type(crlf) is bool):
            raise CheckpointError("the checkpoint's facts about its text do not fit")
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise CheckpointError("the checkpoint's list of files is none")
        return cls(fingerprint, (parts[0], parts[1], parts[2]), tuple(files), crlf)


@dataclass(frozen=True)
class Past:
    """What happened to a run before a step: where it started from, or what was changed as it resumed."""

    step: int
    what: str


@dataclass(frozen=True)
class Document:
    """All that a checkpoint says beside its arrays."""

    config: Config
    vocabulary: Vocabulary
    corpus: CorpusFacts
    baseline: Baseline | None
    """None where it is not known yet, or there is no validation part."""
    state: State
    history: tuple[Past, ...] = ()
    """Where the run comes from, and what was changed as it resumed."""

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config.to_json(),
            "vocabulary": self.vocabulary.to_json(),
            "corpus": {
                key: list(value) if isinstance(value, tuple) else value for key, value in vars(self.corpus).items()
            },
            "baseline": None if self.baseline is None else dataclasses.asdict(self.baseline),
            "state": self.state.to_json(),
            "history": [dataclasses.asdict(past) for past in self.history],
        }


def read_document(loaded: Checkpoint) -> Document:
    """What a checkpoint's document says. Raises CheckpointError."""
    with naming(loaded.path):
        return Document(
            Config.from_json(_field(loaded.document, "config")),
            Vocabulary.from_json(_field(loaded.document, "vocabulary")),
            CorpusFacts.from_json(_field(loaded.document, "corpus")),
            _baseline(_field(loaded.document, "baseline")),
            State.from_json(_field(loaded.document, "state")),
            _history(loaded.document.get("history", [])),
        )


def open_checkpoint(path: Path, warn: Warn, newest: bool = False) -> tuple[Checkpoint, Document]:
    """A checkpoint file, or that of a run folder which is best by validation or, with ``newest``, the last good one.

    Where the best cannot be read, the last good one is, with a warning. Raises CheckpointError.
    """
    if not path.is_dir():
        loaded = checkpoint.read(path)
        return loaded, read_document(loaded)
    last = checkpoint.newest_good(path / "checkpoints", warn)
    document = read_document(last)
    if newest or document.state.best_step in (None, document.state.step):
        return last, document
    try:
        loaded = checkpoint.read(path / "checkpoints" / checkpoint.checkpoint_name(document.state.best_step or 0))
        return loaded, read_document(loaded)
    except CheckpointError as error:
        warn(f"{error.message}; using the newest instead of the best")
        return last, document


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever a checkpoint makes impossible is its fault, and is told with its name."""
    try:
        yield
    except (ConfigError, CheckpointError) as error:
        raise CheckpointError(f"{printable(str(path))}: {error.message}", error.hint) from error


def _field(document: Mapping[str, Any], *names: str) -> Any:
    value: Any = document
    for name in names:
        if not isinstance(value, Mapping) or name not in value:
            raise CheckpointError(f"the checkpoint lacks {'.'.join(names)}")
        value = value[name]
    return value


def _history(data: Any) -> tuple[Past, ...]:
    """Raises CheckpointError where an entry is not a step and a text."""
    if not isinstance(data, list):
        raise CheckpointError("the checkpoint's history is no list")
    for entry in data:
        if not (isinstance(entry, dict) and entry.keys() == {"step", "what"} and isinstance(entry["what"], str)):
            raise CheckpointError("the checkpoint's history does not fit")
        if type(entry["step"]) is not int or not 0 <= entry["step"] <= LARGEST:
            raise CheckpointError(f"the checkpoint's history has a step {printable(repr(entry['step']))[:80]}")
    return tuple(Past(**entry) for entry in data)


def _baseline(data: Any) -> Baseline | None:
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
