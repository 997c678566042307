"""A text, some cells and a number of parameters enter; a folder of runs that only differ in their cell leaves, and what
became of each: loss, speed, memory, and how far its gradients reach.

    OUT/compare.json     what is compared
    OUT/<cell>           the run of each cell

Equal means: about as many parameters each (the hidden size is solved for), the same text and split, the same seed, and
the same budget of time or steps. Everything is kept, so a comparison goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charnn.config import LENGTHS, Config, ModelConfig, Resolved, Setting, cell_names, coerce, resolve
from charnn.defaults import COMPARE_BUDGET, COMPARE_PARAMETERS
from charnn.errors import CheckpointError, ConfigError, CorpusError, Warn, ignore, printable
from charnn.insight.gradients import measure_reach
from charnn.insight.memory import ORDERS, TEXT_LIMIT, longest_context, measure_memory
from charnn.insight.texts import count_ngrams, open_text, own_text
from charnn.network.shape import LARGEST, hidden_size_for, parameter_count, shape_of
from charnn.runs import opening
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import load_snapshot
from charnn.runs.summary import RUNS, RunReport, read_report
from charnn.shipped import find
from charnn.storage.checkpoint import list_checkpoints
from charnn.storage.disk import write_atomically
from charnn.storage.folder import new_folder
from charnn.text import corpus
from charnn.text.options import ReadOptions
from charnn.text.sources import open_sources

STEPS, POSITIONS = 128, 64
"""How far the gradients of a contestant are followed, and of how many losses."""


@dataclass(frozen=True)
class Comparison:
    """What is compared: ``settings`` by section.key hold for every cell, ``hidden_sizes`` make them equally large."""

    path: Path
    corpora: tuple[str, ...]
    hidden_sizes: Mapping[str, int]
    settings: Mapping[str, str]

    @property
    def cells(self) -> list[str]:
        return list(self.hidden_sizes)

    def folder(self, cell: str) -> Path:
        return self.path / cell

    def config(self, cell: str) -> Config:
        """The configuration of one contestant."""
        return self._resolved(cell).config

    def _resolved(self, cell: str) -> Resolved:
        values = {**self.settings, "model.cell": cell, "model.hidden_size": str(self.hidden_sizes[cell])}
        return resolve({name: Setting(value, "compare") for name, value in values.items()}, fixed=True)

    def is_finished(self, cell: str) -> bool:
        if not list_checkpoints(self.folder(cell) / "checkpoints"):
            return False
        return read_report(self.folder(cell)).summary.status == "finished"

    def open(self, cell: str, notice: Warn = ignore, stop: Callable[[], None] | None = None) -> TrainingRun:
        """The run of one cell, made now or opened where it stopped. Raises what ``charnn.runs.opening`` raises."""
        folder = self.folder(cell)
        if list_checkpoints(folder / "checkpoints"):
            return opening.resume(folder, warn=notice, stop=stop)
        resolved = self._resolved(cell)
        return opening.create(resolved, self.corpora, folder, notice=notice, stop=stop)

    def save(self) -> None:
        document = {
            "corpora": self.corpora,
            "hidden_sizes": dict(self.hidden_sizes),
            "settings": dict(self.settings),
        }
        write_atomically(self.path / "compare.json", (json.dumps(document, indent=2) + "\n").encode())


def begin(
    corpora: Sequence[str],
    cells: Sequence[str] = (),
    parameters: int | None = None,
    settings: Mapping[str, Setting] | None = None,
    out: Path | None = None,
) -> Comparison:
    """Make a folder for a comparison: ``out``, or ``runs/<corpus>-compare-<n>``.

    By default it is of all cells, each with ``COMPARE_PARAMETERS`` and trained for ``COMPARE_BUDGET``.

    Raises ConfigError for cells given twice, settings that make no sense, standard input as corpus (it can be read only
    once), and where no network is as small as ``parameters``; CorpusError.
    """
    if "-" in corpora:
        raise ConfigError("a comparison reads its text once for each cell: it cannot be standard input", "name a file")
    cells = [coerce("model.cell", Setting(cell, "cells")) for cell in cells or cell_names()]
    if len(set(cells)) < len(cells):
        raise ConfigError(f"a cell is given twice: {', '.join(cells)}")
    settings = dict(settings or {})
    if not any(f"training.{length}" in settings for length in LENGTHS):
        settings["training.budget"] = Setting(COMPARE_BUDGET, "default")
    config = resolve(settings).config
    size = vocabulary_size(corpora, config)
    models = {cell: dataclasses.replace(config.model, cell=cell) for cell in cells}
    hidden = {cell: size_of_contestant(model, size, parameters or COMPARE_PARAMETERS) for cell, model in models.items()}
    texts = {name: str(setting.value) for name, setting in settings.items()}
    absolute = tuple(str(find(Path(name)).resolve()) for name in corpora)
    with new_folder(out, RUNS, f"{Path(absolute[0]).stem}-compare", ignore) as folder:
        comparison = Comparison(folder.path, absolute, hidden, texts)
        folder.new("compare.json")
        comparison.save()
        (folder.path / "lock").unlink()  # every run in it has its own
    return comparison


def reopen(path: Path) -> Comparison:
    """A comparison that was begun. Raises CheckpointError where the folder holds none."""
    name = printable(str(path / "compare.json"))
    try:
        document = json.loads((path / "compare.json").read_bytes())
        corpora, sizes, settings = (document[key] for key in ("corpora", "hidden_sizes", "settings"))
        found = Comparison(
            path,
            tuple(map(str, corpora)),
            {str(cell): int(size) for cell, size in sizes.items()},
            {str(key): str(value) for key, value in settings.items()},
        )
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no {name}", "start one: charnn compare TEXT") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{name} is damaged: {printable(str(error))[:100]}") from error
    for cell in found.cells:
        found.config(cell)
    return found


def vocabulary_size(corpora: Sequence[str], config: Config) -> int:
    """How many distinct characters the texts hold; 256 for bytes. Raises CorpusError."""
    data = config.data
    if data.tokens == "bytes":
        return 256
    with (
        tempfile.TemporaryDirectory() as work,
        open_sources(corpora, Path(work), ReadOptions.of(data)) as sources,
    ):
        return len(corpus.survey(sources).code_points)


def size_of_contestant(model: ModelConfig, vocabulary: int, parameters: int) -> int:
    """The hidden size that makes a network as large as the others. Raises ConfigError where none does."""
    shape = shape_of(model, vocabulary)
    smallest, largest = (parameter_count(dataclasses.replace(shape, hidden_size=size)) for size in (1, LARGEST))
    if not smallest <= parameters <= largest:
        raise ConfigError(f"a {model.cell} network with {model.layers} layers cannot have {parameters:,} parameters")
    return hidden_size_for(parameters, shape)


@dataclass(frozen=True, eq=False)
class Standing:
    """What became of one cell, at its best checkpoint; losses in nats per character."""

    cell: str
    hidden_size: int
    parameters: int
    steps: int
    loss: float | None
    """The lowest validation loss."""
    gain: float | None
    """By how much it is below that of plain ngrams."""
    characters_per_second: float
    memory: float | None
    """In characters; infinite where it is longer than was tried, None where the validation text is too short."""
    half_life: float | None
    """Of a gradient, in steps, in the long run."""
    report: RunReport

    def to_json(self) -> dict[str, Any]:
        """The figures, for programs; what is infinite becomes null."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["report"]
        return {key: None if value == float("inf") else value for key, value in values.items()}


def judge(comparison: Comparison, cell: str) -> Standing:
    """Look at one contestant as it stands, trained to the end or not."""
    folder = comparison.folder(cell)
    report = read_report(folder)
    summary = report.summary
    gain = None
    if summary.best_val_loss is not None and summary.baseline_loss is not None:
        gain = summary.baseline_loss - summary.best_val_loss
    memory, half_life = _insight(folder)
    return Standing(
        cell=cell,
        hidden_size=summary.hidden,
        parameters=summary.parameters,
        steps=summary.step,
        loss=summary.best_val_loss,
        gain=gain,
        characters_per_second=summary.chars_per_second,
        memory=memory,
        half_life=half_life,
        report=report,
    )


def _insight(folder: Path) -> tuple[float | None, float | None]:
    """Memory in characters and half-life of gradients in steps, on the validation text."""
    loaded = load_snapshot(folder)
    try:
        with open_text(loaded, None) as text:
            ids, context = text.head(TEXT_LIMIT), text.context
        ngrams = count_ngrams(loaded, own_text(loaded), ORDERS)
        longest = longest_context(loaded.config.training.seq_length)
        memory = measure_memory(
            loaded.model, loaded.vocabulary.start, ids, context=context, ngrams=ngrams, longest=longest
        )
        reach = measure_reach(loaded.model, ids, steps=STEPS, positions=POSITIONS)
    except CorpusError:
        return None, None
    return memory.length, reach.half_life
