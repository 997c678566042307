"""Texts and a configuration enter; what training on them would be leaves: sizes, measured speed and memory.

Nothing is written but to a temporary folder.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

import numpy as np

from charnn.config import OPTIONS, Config, DataConfig, Resolved, TrainingConfig
from charnn.errors import Warn, ignore
from charnn.network.shape import check_model, parameters_by_layer, shape_of
from charnn.planning.repeats import Repeats, find_repeats
from charnn.planning.traits import Passing, Traits
from charnn.runs.fitting import CORE, choose, cores
from charnn.runs.opening import create
from charnn.system import peak_memory, physical_memory
from charnn.text import corpus
from charnn.text.batches import Batches
from charnn.text.options import ReadOptions
from charnn.text.sources import Sources, code_points, open_sources
from charnn.text.split import share_out
from charnn.training.events import Step
from charnn.training.trainer import train

MEASURE_SECONDS = 1.5
"""How long speed is measured, beside the start."""

SLOWEST_STEP = 2.0
"""Seconds a measured step may take, about; larger networks are measured on shorter chunks."""

COPIES = 6
"""A network in training holds about so many arrays of the size of its weights: products, gradient, optimizer."""

NEVER = 10**9

Trial = tuple[float | None, int | None]
"""Characters per second and bytes of memory, as far as they are known."""


@dataclass(frozen=True)
class DryRun:
    """What training would be. ``total_steps`` is None under a time budget: then speed decides."""

    resolved: Resolved
    survey: corpus.Survey
    repeats: Repeats
    traits: Traits
    train_characters: int
    validation_characters: int
    vocabulary: int
    layers: dict[str, int]
    steps_per_epoch: int
    total_steps: int | None
    machine_memory: int | None
    """Bytes of main memory; None where the system does not say."""
    speed: float | None
    """Characters per second, measured; None where the network is too large to try."""
    memory: int | None
    """Bytes the process took at most while training was tried, or what it would need at least; None if unknown."""

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def parameters(self) -> int:
        return sum(self.layers.values())

    @property
    def characters_per_step(self) -> int:
        return self.config.training.batch_size * self.config.training.seq_length

    def rare(self, fewest: int) -> str:
        """The characters that occur fewer times than ``fewest``, by code point."""
        return "".join(chr(code) for code in self.survey.code_points[self.survey.counts < fewest])


def dry_run(
    resolved: Resolved,
    corpora: Sequence[str],
    stdin: IO[bytes] | None = None,
    notice: Warn = ignore,
) -> DryRun:
    """Look at the texts and the configuration as ``charnn.runs.opening.create`` does, and try a few steps.

    Raises the same errors.
    """
    data = resolved.config.data
    check_model(resolved.config.model)
    with (
        tempfile.TemporaryDirectory() as work,
        open_sources(corpora, Path(work), ReadOptions.of(data), stdin) as sources,
    ):
        seen = corpus.survey(sources)
        V = 256 if data.tokens == "bytes" else len(seen.code_points)
        resolved = choose(resolved, seen.lengths, V, notice, cores())
        config = resolved.config
        parts = share_out(seen.lengths, config.data.val_fraction, config.data.test_fraction)
        passing = Passing(parts.sum(axis=0).tolist())
        repeats = find_repeats(passing.watch(corpus.pieces_of(sources, parts)), seen.characters)
        layers = parameters_by_layer(shape_of(config.model, V))
        needed, there = sum(layers.values()) * 4 * COPIES, physical_memory()
        fits = there is None or needed < there
        speed, memory = _try(config, sources, seen, Path(work), sum(layers.values())) if fits else (None, needed)
    available, held_out, _ = parts.sum(axis=0).tolist()
    steps_per_epoch, total_steps = _steps(config.training, available)
    return DryRun(
        resolved=resolved,
        survey=seen,
        repeats=repeats,
        traits=passing.traits(),
        train_characters=available,
        validation_characters=held_out,
        vocabulary=V,
        layers=layers,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        machine_memory=there,
        speed=speed,
        memory=memory,
    )


def _steps(training: TrainingConfig, available: int) -> tuple[int, int | None]:
    """Updates an epoch, and in all; None under a time budget."""
    text = np.broadcast_to(np.uint8(0), available)
    per_epoch = Batches(text, training.batch_size, training.seq_length).chunks_per_epoch
    return per_epoch, training.updates(per_epoch)


def _try(config: Config, sources: Sources, seen: corpus.Survey, work: Path, parameters: int) -> Trial:
    """Characters per second and bytes of memory, from real training on the first part of the text.

    All distinct characters are added to that part, so that the network is the one that would be trained.
    """
    training = config.training
    step_seconds = 6 * parameters * training.batch_size * training.seq_length / CORE
    T = max(1, min(training.seq_length, int(training.seq_length * SLOWEST_STEP / step_seconds)))
    wanted = 4 * training.batch_size * T + 2
    codes = chain.from_iterable(block.tolist() for block in code_points(sources))
    part = [*islice(codes, wanted), *seen.code_points.tolist()]
    text = "".join(map(chr, part))
    as_bytes = config.data.tokens == "bytes"
    (work / "part.txt").write_bytes(text.encode("latin-1") if as_bytes else text.encode())
    tried = dataclasses.replace(
        config,
        data=DataConfig(tokens=config.data.tokens, val_fraction=0.0),
        training=dataclasses.replace(
            training,
            seq_length=T,
            epochs=None,
            budget=None,
            enough_epochs=None,
            steps=NEVER,
            checkpoint_every=NEVER,
            validate_every=NEVER,
            log_every=NEVER,
        ),
    )
    return _measure(tried, work)


def _measure(config: Config, work: Path) -> Trial:
    chosen = Resolved(config, dict.fromkeys(OPTIONS, "dry run"), fixed=True)
    with create(chosen, [work / "part.txt"], work / "run") as run:
        times: list[float] = []  # at the end of each step; the first two fill caches
        for event in train(run, lambda: len(times) > 2 and times[-1] - times[1] > MEASURE_SECONDS):
            if isinstance(event, Step):
                times.append(time.monotonic())
        processes = run.config.training.workers or 1
    characters = config.training.batch_size * config.training.seq_length
    speed = (len(times) - 2) * characters / (times[-1] - times[1])
    return speed, peak_memory(processes)
