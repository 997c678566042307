"""A configuration, the length of a text and the cores there are enter; what nobody chose leaves fitted to them.

What the user chose stays as it is, and what a file says means what it says. All else follows from the text and from how
long it is trained on, which is five minutes at most where nobody says it:

- The network's parameters grow with the square root of the work that there is time for: half of every gain in time goes
  into a larger network, half into more characters read. That is the balance Hoffmann et al. (2022) found for language
  models.
- A short text caps it: more than a few parameters for every character only learn the text by heart.
- A short text is learned after some hundred readings, and training is planned to end then.
- Dropout grows with the number of times that the text will be read: none where that is less than seven, and of the
  input as well where it is more than ten. A network too small to learn the text by heart needs less.
- One wide layer learns more in the same time than two narrow ones, and Adam takes larger steps on a smaller network.
  Weights decay a little, apart from Adam's scaling (Loshchilov and Hutter 2019).

What each of these is worth was measured: see ``configs/RESULTS.md``.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from charnn.config import Resolved, TrainingConfig, check_fitted
from charnn.errors import CorpusError, Warn
from charnn.network.cells import find_cell
from charnn.network.shape import parameter_count, shape_of
from charnn.text.batches import Batches
from charnn.text.split import share_out

ENOUGH_VALIDATION = 5_000_000
"""Characters held out for validation at most, unless a share is asked for: the loss is known to 0.002 by then."""

LEAST_VALIDATION, VALIDATION_A_SECOND = 200_000, 1000
"""Under a time budget at most so many for each second of it, but no fewer than the first: ten validations of a network
that fits the budget then take about a tenth of it."""

CORE = 6e10
"""Multiplications and additions that a core does in a second of training, about.

A rule and not a measurement, so that the same command trains the same network on every machine of as many cores.
"""

REFERENCE_PARAMETERS, REFERENCE_WORK = 4 * 192**2, 2.2e12
"""The recurrent weights of one LSTM layer that learned most with that much work on a megabyte of English."""

EMBEDDING = 128
"""Columns of the embedding that is fitted."""

PARAMETERS_A_CHARACTER = 4.2
"""So many parameters for each character of the text at most; more only learn it by heart."""

FRESH = 6.7
"""Times that a text is read before dropout begins to pay."""

ROOM = 0.5
"""Weights for each character of the text from which on a network can learn it by heart."""

LEARNED, LEAST_READINGS, MOST_READINGS = 5.4e6, 50.0, 400.0
"""A text is learned after so many characters read in all, but after no fewer readings and no more."""

OUTPUTS_FIRST = 0.115
"""Dropout of the outputs at which that of the input begins to pay: after some ten readings."""

HIGHEST_RATE = 1e-2
UNGATED = 0.35
"""The highest learning rate, and a factor on it for cells without gates, whose gradients are less steady."""

TINY = 20_000
"""Parameters below which starting a process takes longer than it saves."""

FIT = "fitted to the text"
FIT_LENGTH = "fitted to text and time"
FIT_CORES = "fitted to the cores"
"""Where such a value came from, as a dry run shows it."""


def choose(resolved: Resolved, lengths: Sequence[int], vocabulary: int, notice: Warn, cores: int) -> Resolved:
    """The configuration for files of these lengths with so many distinct characters; what nobody chose is fitted.

    Of a ``fixed`` configuration only the validation part, the number of streams and that of workers are.
    Raises CorpusError where the text is too short for what was chosen, ConfigError for more workers than streams and
    for samples of a dropout that is 0.
    """
    characters = sum(lengths)
    resolved = _fit_validation(resolved, characters, notice)
    data = resolved.config.data
    available, held_out, _ = share_out(lengths, data.val_fraction, data.test_fraction).sum(axis=0).tolist()
    if data.val_fraction and held_out < 2:
        raise CorpusError(
            f"the validation part of a text of {characters:,} characters has only {held_out}",
            "use a longer text, a larger --val-fraction, or --val-fraction 0",
        )
    resolved = _fit_streams(resolved, available, notice)
    training = resolved.config.training
    Batches(np.broadcast_to(np.uint8(0), available), training.batch_size, training.seq_length)
    if not resolved.fixed:
        resolved = _fit_to_length(resolved, available, vocabulary, cores, notice)
    if resolved.config.training.workers is None:
        resolved = _choose_workers(resolved, vocabulary, cores)
    check_fitted(resolved.config)
    return resolved


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def best_size(cores: int, streams: int, parameters: int) -> int:
    """How many processes train fastest: one a core, with at least 8 streams each; one alone for tiny networks.

    A rule and not a measurement, so that the same command repeats to the bit.
    """
    return 1 if parameters < TINY else _sharing(cores, streams)


def _sharing(cores: int, streams: int) -> int:
    return max(1, min(cores, streams // 8))


def _choose_workers(resolved: Resolved, vocabulary: int, cores: int) -> Resolved:
    config = resolved.config
    parameters = parameter_count(shape_of(config.model, vocabulary))
    workers = best_size(cores, config.training.batch_size, parameters)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, workers=workers))
    return dataclasses.replace(resolved, config=config, origins={**resolved.origins, "training.workers": FIT_CORES})


def _fit_validation(resolved: Resolved, characters: int, notice: Warn) -> Resolved:
    enough, budget = ENOUGH_VALIDATION, resolved.config.training.budget
    if budget is not None:
        enough = min(enough, max(LEAST_VALIDATION, int(VALIDATION_A_SECOND * budget)))
    share = float(f"{enough / characters:.3g}")
    if not resolved.is_free("data.val_fraction") or share >= resolved.config.data.val_fraction:
        return resolved
    usual = resolved.config.data.val_fraction
    notice(f"a long text: {share:.3%} of it is held out for validation instead of {usual:.0%}")
    return resolved.filled({"data.val_fraction": share}, FIT)


def _fit_streams(resolved: Resolved, available: int, notice: Warn) -> Resolved:
    training = resolved.config.training
    fitting = (available - 1) // (4 * training.seq_length)
    if not resolved.is_free("training.batch_size") or not 0 < fitting < training.batch_size:
        return resolved
    notice(f"a short text: {fitting} parallel streams instead of {training.batch_size}")
    return resolved.filled({"training.batch_size": fitting}, FIT)


def _fit_to_length(resolved: Resolved, available: int, vocabulary: int, cores: int, notice: Warn) -> Resolved:
    """The network that makes the most of its time on a text of ``available`` training characters."""
    training = resolved.config.training
    read = _characters_read(training, available)
    if training.budget is not None:
        work = training.budget * (training.workers or _sharing(cores, training.batch_size)) * CORE
    else:  # what the network that this is the balance for needs: p = r sqrt(w / w_r) and w = 6 p read
        work = (6 * read * REFERENCE_PARAMETERS) ** 2 / REFERENCE_WORK
    fitted = _fit_network(resolved, work, available, vocabulary)
    model = fitted.config.model
    weights = _matrices(fitted) * model.hidden_size**2 + model.hidden_size * vocabulary
    if training.budget is not None:
        read = work / (6 * weights)
        fitted = _fit_readings(fitted, read / available, available)
        read = min(read, available * (fitted.config.training.enough_epochs or math.inf))
    fitted = _fit_dropout(fitted, read / available, weights / available)
    fitted = _fit_rates(fitted)
    before, after = resolved.config.to_json(), fitted.config.to_json()
    shown = [
        f"{key} {value}"
        for section, values in after.items()
        for key, value in values.items()
        if value != before[section][key]
    ]
    if shown:
        notice(f"{FIT_LENGTH}: {', '.join(shown)}")
    return fitted


def _characters_read(training: TrainingConfig, available: int) -> float:
    """How many characters an exact length reads in all."""
    if training.steps is not None:
        return float(training.steps * training.batch_size * training.seq_length)
    return (training.epochs or 0.0) * available


def _fit_network(resolved: Resolved, work: float, available: int, vocabulary: int) -> Resolved:
    cell = find_cell(resolved.config.model.cell)
    start = {"model.forget_bias": 0.0} if cell.forget_gates and not resolved.config.model.chrono else {}
    resolved = resolved.filled({"model.layers": 1, "model.embedding_size": EMBEDDING, **start}, FIT_LENGTH)
    G, V, matrices = len(cell.gates), vocabulary, _matrices(resolved)
    by_work = _solve(matrices, V, REFERENCE_PARAMETERS * math.sqrt(work / REFERENCE_WORK))
    by_text = _solve(matrices, V + G * EMBEDDING, PARAMETERS_A_CHARACTER * available)
    units = min(by_work // 64 * 64 + 64 * (by_work % 64 >= 32), by_text // 32 * 32)
    return resolved.filled({"model.hidden_size": int(min(2048, max(32, units)))}, FIT_LENGTH)


def _matrices(resolved: Resolved) -> int:
    """How many matrices of H times H weights the network has."""
    model = resolved.config.model
    return len(find_cell(model.cell).gates) * (2 * model.layers - 1)


def _fit_readings(resolved: Resolved, readings: float, available: int) -> Resolved:
    """A planned end where the text is learned before the time is over."""
    enough = float(f"{min(MOST_READINGS, max(LEAST_READINGS, LEARNED / available)):.2g}")
    return resolved.filled({"training.enough_epochs": enough}, FIT_LENGTH) if readings > enough else resolved


def _fit_dropout(resolved: Resolved, readings: float, density: float) -> Resolved:
    """Dropout for so many readings by a network of so many weights for each character of the text."""
    fresh = max(FRESH, readings * min(1.0, density / ROOM)) / FRESH
    resolved = resolved.filled({"model.dropout": round(min(0.5, 0.2 * math.log2(fresh)), 2)}, FIT_LENGTH)
    inputs = min(0.6, 1.25 * max(0.0, resolved.config.model.dropout - OUTPUTS_FIRST))
    return resolved.filled({"model.input_dropout": round(inputs, 2)}, FIT_LENGTH)


def _fit_rates(resolved: Resolved) -> Resolved:
    """The learning rate and weight decay, for the optimizer and the schedule that they were measured with."""
    optimization, model = resolved.config.optimization, resolved.config.model
    if optimization.optimizer != "adam" or optimization.schedule != "cosine":
        return resolved
    gated = 1.0 if find_cell(model.cell).sigmoids else UNGATED
    rate = gated * min(HIGHEST_RATE, 8e-3 * math.sqrt(256 / model.hidden_size))
    rates = {"optimization.learning_rate": float(f"{rate:.2g}"), "optimization.weight_decay": 0.1}
    return resolved.filled(rates, FIT_LENGTH)


def _solve(a: float, b: float, c: float) -> float:
    """The positive H with a H² + b H = c."""
    return (math.sqrt(b * b + 4 * a * c) - b) / (2 * a)
