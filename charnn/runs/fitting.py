"""A configuration, the length of a text and the cores there are enter; what nobody chose leaves fitted to them.

What the user chose stays as it is. Under a time budget the network follows from the time and the text:

- Its parameters grow with the square root of the work that the budget allows: half of every gain in time goes into a
  larger network, half into more characters read. That is the balance Hoffmann et al. (2022) found for language models.
- A short text caps it: more than a few parameters for every character only learn the text by heart.
- Dropout grows with the number of times that the text will be read: none where that is less than seven, and of the
  input as well where it is more than ten.
- One wide layer learns more in the same time than two narrow ones, and Adam takes larger steps on a smaller network.
  Weights decay a little, apart from Adam's scaling (Loshchilov and Hutter 2019).

What each of these is worth was measured: see ``configs/README.md``.
"""

from __future__ import annotations

import dataclasses
import math
import os
from typing import Any

import numpy as np

from charnn.config import Config, Resolved
from charnn.errors import ConfigError, CorpusError
from charnn.network.cells import find_cell
from charnn.runs.snapshot import Warn
from charnn.text import corpus
from charnn.text.batches import Batches

ENOUGH_VALIDATION = 5_000_000
"""Characters held out for validation at most, unless a share is asked for: the loss is known to 0.002 by then."""

LEAST_VALIDATION, VALIDATION_A_SECOND = 200_000, 1000
"""Under a time budget at most so many for each second of it, but no fewer than the first: ten validations of a network
that fits the budget then take about a tenth of it."""

CORE = 6e10
"""Multiplications and additions that a core does in a second of training, about.

A rule and not a measurement, so that the same command trains the same network on every machine of as many cores.
"""

REFERENCE_UNITS, REFERENCE_WORK = 192, 2.2e12
"""The hidden size of one LSTM layer that learned most with that much work on a megabyte of English."""

EMBEDDING = 128
"""Columns of the embedding that is fitted."""

PARAMETERS_A_CHARACTER = 4.2
"""So many parameters for each character of the text at most; more only learn it by heart."""

FRESH = 6.7
"""Times that a text is read before dropout begins to pay."""

OUTPUTS_FIRST = 0.115
"""Dropout of the outputs at which that of the input begins to pay: after some ten readings."""

HIGHEST_RATE = 1e-2
UNGATED = 0.35
"""The highest learning rate, and a factor on it for cells without gates, whose gradients are less steady."""

TINY = 20_000
"""Parameters below which starting a process takes longer than it saves."""

FIT = "fitted to the text"
FIT_BUDGET = "fitted to text and budget"
"""Where such a value came from, as a dry run shows it."""


def choose(
    resolved: Resolved, characters: int, vocabulary: int, notice: Warn, cores: int, keep_network: bool = False
) -> Resolved:
    """The configuration for a text of so many characters, ``vocabulary`` of them distinct; what nobody chose is fitted.

    ``keep_network`` leaves network and optimization alone: they come from a file, or with the weights of another run.
    Raises CorpusError where the text is too short for what was chosen, ConfigError for more workers than streams and
    for samples of a dropout that is 0.
    """
    resolved = _fit_validation(resolved, characters, notice)
    data = resolved.config.data
    cut = corpus.split(characters, data.val_fraction, data.test_fraction)
    available, held_out = (part.stop - part.start for part in (cut.train, cut.validation))
    if data.val_fraction and held_out < 2:
        raise CorpusError(
            f"the validation part of a text of {characters:,} characters has only {held_out}",
            "use a longer text, a larger --val-fraction, or --val-fraction 0",
        )
    resolved = _fit_streams(resolved, available, notice)
    training = resolved.config.training
    Batches(np.broadcast_to(np.uint8(0), available), training.batch_size, training.seq_length)
    check_shares(resolved.config)
    if training.budget is not None and not keep_network:
        processes = training.workers or sharing(cores, training.batch_size)
        resolved = _fit_to_budget(resolved, training.budget * processes * CORE, available, vocabulary, notice)
    model = resolved.config.model
    if model.dropout_samples > 1 and not model.dropout:
        raise ConfigError("dropout_samples has no effect with dropout 0", "leave it out, or choose a dropout above 0")
    return resolved


def check_shares(config: Config) -> None:
    """Raises ConfigError unless each worker has a stream to read."""
    workers, streams = config.training.workers or 1, config.training.batch_size
    if workers > streams:
        raise ConfigError(
            f"{workers} workers cannot share {streams} parallel streams",
            f"use at most {streams} workers, or a larger --batch-size",
        )


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_size(streams: int, parameters: int) -> int:
    """How many processes train fastest here: one a core, with at least 8 streams each; one alone for tiny networks.

    A rule and not a measurement, so that the same command repeats to the bit.
    """
    return 1 if parameters < TINY else sharing(cores(), streams)


def sharing(cores: int, streams: int) -> int:
    """How many processes may share so many streams: one a core, with at least 8 streams each."""
    return max(1, min(cores, streams // 8))


def _fit_validation(resolved: Resolved, characters: int, notice: Warn) -> Resolved:
    enough, budget = ENOUGH_VALIDATION, resolved.config.training.budget
    if budget is not None:
        enough = min(enough, max(LEAST_VALIDATION, int(VALIDATION_A_SECOND * budget)))
    share = float(f"{enough / characters:.3g}")
    if not _is_free(resolved, "data.val_fraction") or share >= resolved.config.data.val_fraction:
        return resolved
    usual = resolved.config.data.val_fraction
    notice(f"a long text: {share:.3%} of it is held out for validation instead of {usual:.0%}")
    return _replaced(resolved, FIT, {"data.val_fraction": share})


def _fit_streams(resolved: Resolved, available: int, notice: Warn) -> Resolved:
    training = resolved.config.training
    fitting = (available - 1) // (4 * training.seq_length)
    if not _is_free(resolved, "training.batch_size") or not 0 < fitting < training.batch_size:
        return resolved
    notice(f"a short text: {fitting} parallel streams instead of {training.batch_size}")
    return _replaced(resolved, FIT, {"training.batch_size": fitting})


def _fit_to_budget(resolved: Resolved, work: float, available: int, vocabulary: int, notice: Warn) -> Resolved:
    """The network that makes the most of so much work on a text of ``available`` training characters."""
    fitted = _fit_network(resolved, work, available, vocabulary)
    optimization, model = fitted.config.optimization, fitted.config.model
    if optimization.optimizer == "adam" and optimization.schedule == "cosine":
        gated = 1.0 if find_cell(model.cell).sigmoids else UNGATED
        rate = gated * min(HIGHEST_RATE, 8e-3 * math.sqrt(256 / model.hidden_size))
        rates = {"optimization.learning_rate": float(f"{rate:.2g}"), "optimization.weight_decay": 0.1}
        fitted = _replaced(fitted, FIT_BUDGET, rates)
    before, after = resolved.config.to_json(), fitted.config.to_json()
    shown = [
        f"{key} {value}"
        for section, values in after.items()
        for key, value in values.items()
        if value != before[section][key]
    ]
    if shown:
        notice(f"{FIT_BUDGET}: {', '.join(shown)}")
    return fitted


def _fit_network(resolved: Resolved, work: float, available: int, vocabulary: int) -> Resolved:
    cell = find_cell(resolved.config.model.cell)
    start = {"model.forget_bias": 0.0} if cell.forget_gates and not resolved.config.model.chrono else {}
    resolved = _replaced(resolved, FIT_BUDGET, {"model.layers": 1, "model.embedding_size": EMBEDDING, **start})
    G, V, L = len(cell.gates), vocabulary, resolved.config.model.layers
    matrices = G * (2 * L - 1)  # of H times H weights
    by_work = _solve(matrices, V, 4 * REFERENCE_UNITS**2 * math.sqrt(work / REFERENCE_WORK))
    by_text = _solve(matrices, V + G * EMBEDDING, PARAMETERS_A_CHARACTER * available)
    units = min(by_work // 64 * 64 + 64 * (by_work % 64 >= 32), by_text // 32 * 32)
    resolved = _replaced(resolved, FIT_BUDGET, {"model.hidden_size": int(min(2048, max(32, units)))})
    H = resolved.config.model.hidden_size
    times_read = work / (6 * (matrices * H * H + H * V)) / available
    dropout = min(0.5, 0.2 * math.log2(max(FRESH, times_read) / FRESH))
    resolved = _replaced(resolved, FIT_BUDGET, {"model.dropout": round(dropout, 2)})
    inputs = min(0.6, 1.25 * max(0.0, resolved.config.model.dropout - OUTPUTS_FIRST))
    return _replaced(resolved, FIT_BUDGET, {"model.input_dropout": round(inputs, 2)})


def _solve(a: float, b: float, c: float) -> float:
    """The positive H with a H² + b H = c."""
    return (math.sqrt(b * b + 4 * a * c) - b) / (2 * a)


def _is_free(resolved: Resolved, name: str) -> bool:
    return resolved.origins[name] == "default"


def _replaced(resolved: Resolved, origin: str, values: dict[str, Any]) -> Resolved:
    """``values`` by ``section.key`` in the place of those that nobody chose."""
    config, origins = resolved.config, dict(resolved.origins)
    for name, value in values.items():
        if _is_free(resolved, name):
            section, _, key = name.partition(".")
            part = dataclasses.replace(getattr(config, section), **{key: value})
            config = dataclasses.replace(config, **{section: part})
            origins[name] = origin
    return Resolved(config, origins)
