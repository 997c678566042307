"""A run folder enters; its figures leave, or the run folders under a root, the newest first.

Like a snapshot this neither writes nor locks: somebody may be training in the folder.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charnn.baseline.ngrams import Baseline
from charnn.config import Config
from charnn.errors import CheckpointError, Warn, ignore, printable
from charnn.network.shape import parameter_count, shape_of
from charnn.runs.document import CorpusFacts, Document, Past, open_checkpoint
from charnn.storage.checkpoint import list_checkpoints
from charnn.storage.folder import is_busy
from charnn.storage.metrics import read_metrics

RUNS = Path("runs")
"""Where runs without a given folder go, and where sampling looks for the newest."""


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
    history: tuple[Past, ...]
    torn: bool
    """Whether the end of the metrics could not be read."""


def read_report(path: Path, warn: Warn = ignore) -> RunReport:
    """What a run folder says of itself, whether or not somebody trains in it. Raises CheckpointError."""
    if not path.is_dir():
        raise CheckpointError(f"{printable(str(path))} is no run folder", "charnn runs lists the runs there are")
    busy = is_busy(path)
    _, document = open_checkpoint(path, warn, newest=True)
    metrics, torn = read_metrics(path / "metrics.jsonl")
    summary = _summary(path, document, metrics[-1] if metrics else {}, busy)
    return RunReport(
        summary,
        document.config,
        document.corpus,
        document.baseline,
        document.state.total_steps,
        metrics,
        document.history,
        torn,
    )


def _summary(path: Path, document: Document, last: Mapping[str, Any], busy: bool) -> Summary:
    """The figures of a run whose last line of metrics is ``last``."""
    config, state, baseline = document.config, document.state, document.baseline
    characters = state.step * config.training.batch_size * config.training.seq_length
    return Summary(
        run=str(path),
        cell=config.model.cell,
        layers=config.model.layers,
        hidden=config.model.hidden_size,
        parameters=parameter_count(shape_of(config.model, len(document.vocabulary))),
        vocabulary=len(document.vocabulary),
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


def list_runs(root: Path = RUNS) -> list[Path]:
    """The run folders directly under ``root``, the one with the newest checkpoint first."""
    found = []
    for folder in root.iterdir() if root.is_dir() else []:
        with contextlib.suppress(OSError):
            newest = list_checkpoints(folder / "checkpoints")[:1]
            found += [(path.stat().st_mtime_ns, str(folder)) for path in newest]
    return [Path(name) for _, name in sorted(found, reverse=True)]


def newest_run(root: Path = RUNS) -> Path:
    """The run that was saved last. Raises CheckpointError if there is none."""
    runs = list_runs(root)
    if not runs:
        raise CheckpointError(f"there is no run under {root}/", "train one first: charnn train TEXT")
    return runs[0]
