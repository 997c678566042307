"""Texts and a configuration enter; what training on them would be leaves: sizes, measured speed and memory, warnings.

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

from charnn.config import OPTIONS, Config, Resolved
from charnn.network.shape import check_model, parameter_count, parameters_by_layer, shape_of
from charnn.planning.advice import Advice
from charnn.planning.repeats import Repeats, find_repeats
from charnn.runs.fitting import CORE, choose, cores
from charnn.runs.opening import create
from charnn.runs.snapshot import Warn, ignore
from charnn.system import peak_memory, physical_memory
from charnn.text import corpus
from charnn.text.batches import Batches
from charnn.text.sources import Sources, code_points, open_sources
from charnn.training.events import Step
from charnn.training.trainer import train

MEASURE_SECONDS = 1.5
"""How long speed is measured, beside the start."""

SLOWEST_STEP = 2.0
"""Seconds a measured step may take, about; larger networks are measured on shorter chunks."""

COPIES = 6
"""A network in training holds its weights about so often: for products, gradient, optimizer."""

RARE = 5
"""A character seen fewer times than this cannot be learned."""

NEVER = 10**9

Trial = tuple[float | None, int | None]
"""Characters per second and bytes of memory, as far as they are known."""


@dataclass(frozen=True)
class DryRun:
    """What training would be. ``total_steps`` is None under a time budget: then speed decides."""

    resolved: Resolved
    survey: corpus.Survey
    repeats: Repeats
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

    def rare(self) -> str:
        """The characters seen fewer than ``RARE`` times, by code point."""
        return "".join(chr(code) for code in self.survey.code_points[self.survey.counts < RARE])


def dry_run(
    resolved: Resolved,
    corpora: Sequence[str],
    stdin: IO[bytes] | None = None,
    notice: Warn = ignore,
) -> DryRun:
    """Look at the texts and the configuration as ``charnn.opening.create`` does, and try a few steps.

    Raises the same errors.
    """
    data = resolved.config.data
    check_model(resolved.config.model)
    with (
        tempfile.TemporaryDirectory() as work,
        open_sources(corpora, Path(work), data.encoding, data.tokens, data.normalize, stdin) as sources,
    ):
        seen = corpus.survey(sources)
        V = 256 if data.tokens == "bytes" else len(seen.code_points)
        resolved = choose(resolved, seen.characters, V, notice, cores())
        data = resolved.config.data
        cut = corpus.split(seen.characters, data.val_fraction, data.test_fraction)
        repeats = find_repeats(code_points(sources), seen.characters, cut.train.stop, cut.validation.stop)
        layers = parameters_by_layer(shape_of(resolved.config.model, V))
        needed, there = sum(layers.values()) * 4 * COPIES, physical_memory()
        trial: Trial = (None, needed)
        if there is None or needed < there:
            trial = _try(resolved.config, sources, seen, Path(work), sum(layers.values()))
    available = cut.train.stop - cut.train.start
    training = resolved.config.training
    text = np.broadcast_to(np.uint8(0), available)
    per_epoch = Batches(text, training.batch_size, training.seq_length).chunks_per_epoch
    steps = training.steps
    if training.epochs is not None:
        steps = max(1, round(training.epochs * per_epoch))
    return DryRun(
        resolved=resolved,
        survey=seen,
        repeats=repeats,
        train_characters=available,
        validation_characters=cut.validation.stop - cut.validation.start,
        vocabulary=V,
        layers=layers,
        steps_per_epoch=per_epoch,
        total_steps=steps,
        machine_memory=there,
        speed=trial[0],
        memory=trial[1],
    )


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
        data=dataclasses.replace(config.data, encoding="utf-8", normalize="none", val_fraction=0.0, test_fraction=0.0),
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
    characters = config.training.batch_size * config.training.seq_length
    speed = (len(times) - 2) * characters / (times[-1] - times[1])
    return speed, peak_memory(config.training.workers or 1)


SHORT_TEXT = 50_000
BY_HEART = 5.0
"""More parameters a character than this, and the text is learned by heart."""
TOO_SIMPLE = 0.05
"""Fewer parameters a character than this, and much of what the text could teach is lost."""
FEW_STEPS = 300
ENOUGH_STEPS = 1000
LARGE_VOCABULARY = 500
SMALL_VALIDATION = 5_000
LEAK = 0.05
MANY_RARE = 0.2


def warnings(plan: DryRun) -> list[Advice]:
    """What will not work, each with the better value."""
    return [*_about_size(plan), *_about_length(plan), *_about_text(plan)]


def _about_size(plan: DryRun) -> list[Advice]:
    found = []
    ratio = plan.parameters / plan.train_characters
    fitting = fitting_hidden_size(plan)
    if plan.speed is None and plan.memory and plan.machine_memory:
        found.append(
            Advice(
                f"{plan.parameters:,} parameters need at least {plan.memory / 1e9:.0f} GB to train; "
                f"this machine has {plan.machine_memory / 1e9:.0f} GB",
                f"try --hidden {fitting}",
            )
        )
    if ratio > BY_HEART and fitting < plan.config.model.hidden_size:
        found.append(
            Advice(
                f"{ratio:.0f} parameters for each character of text: the network will learn it by heart",
                f"try --hidden {fitting}, or --dropout 0.3 and watch the validation loss",
            )
        )
    if ratio < TOO_SIMPLE and fitting > plan.config.model.hidden_size:
        found.append(
            Advice(
                f"{1 / ratio:.0f} characters of text for each parameter: a larger network would learn more",
                f"try --hidden {min(512, fitting)}",
            )
        )
    if plan.vocabulary > LARGE_VOCABULARY and not plan.config.model.embedding_size:
        found.append(
            Advice(f"{plan.vocabulary:,} distinct characters are many for one-hot input", "try --embedding 64")
        )
    return found


def _about_length(plan: DryRun) -> list[Advice]:
    found = []
    if plan.train_characters < SHORT_TEXT:
        found.append(
            Advice(
                f"{plan.train_characters:,} characters are little to learn a language from",
                "more text helps most: 100,000 characters are a beginning, a million is good",
            )
        )
    if plan.total_steps is not None and plan.total_steps < FEW_STEPS:
        epochs = -(-ENOUGH_STEPS // plan.steps_per_epoch)
        found.append(
            Advice(
                f"{plan.total_steps:,} updates are too few to learn much",
                f"try --epochs {epochs}, or a smaller --batch-size",
            )
        )
    if 0 < plan.validation_characters < SMALL_VALIDATION:
        found.append(
            Advice(
                f"a validation part of {plan.validation_characters:,} characters: its loss is rough",
                "try --val-fraction 0.2, and trust no difference below 0.05",
            )
        )
    return found


def _about_text(plan: DryRun) -> list[Advice]:
    found, seen = [], plan.survey
    rare = plan.rare()
    if len(rare) > MANY_RARE * plan.vocabulary and plan.config.data.tokens == "chars":
        found.append(
            Advice(
                f"{len(rare)} of {plan.vocabulary} characters occur fewer than {RARE} times, too few to learn them",
                "take them out of the text, try --normalize nfc, or read bytes: --tokens bytes",
            )
        )
    if seen.crlf and seen.crlf < 0.99 * (seen.lines - 1):
        found.append(Advice("line ends are mixed: CRLF and LF", "make them alike, or the network will mix them too"))
    if seen.controls:
        found.append(
            Advice(
                f"{seen.controls:,} control characters in the text", "take them out, or the network will write them too"
            )
        )
    if plan.repeats.leaked > LEAK:
        found.append(
            Advice(
                f"{plan.repeats.leaked:.0%} of the validation part stands word for word in the training part",
                "its loss will flatter: take repeated passages out of the text",
            )
        )
    return found


def fitting_hidden_size(plan: DryRun) -> int:
    """The largest size, in steps of 16, with about as many parameters as there are characters to train on."""
    shape, sizes = shape_of(plan.config.model, plan.vocabulary), range(16, 2049, 16)
    fitting = [
        size for size in sizes if parameter_count(dataclasses.replace(shape, hidden_size=size)) <= plan.train_characters
    ]
    return max(fitting, default=sizes[0])
