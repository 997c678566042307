"""What a run would be, or what it became, enters; plain sentences leave: what is wrong with it, and what to try.

The thresholds are rules of thumb of the field, written down here and nowhere else. Losses are in nats per character.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charnn.network.shape import hidden_size_for, shape_of
from charnn.runs.summary import RunReport

if TYPE_CHECKING:
    from charnn.planning.dry_run import DryRun
    from charnn.planning.traits import Traits

RISEN = 0.02
"""Validation loss this far above its best, relative to it, is a rise and not noise."""

FALLING = 0.01
"""A relative gain of validation loss over the last fifth of the steps that makes going on worth while."""

GAP = 0.15
"""Validation loss this far above training loss: the network knows its text better than the language."""

NO_GAP = 0.05
"""Validation loss this close to training loss: the network cannot even learn its text."""

EARLY = 2000
"""Before so many steps it is too early to blame the network's size."""

FEW_VALIDATIONS = 3
"""With fewer points a curve has no direction yet."""

SHORT_TEXT = 50_000
"""Fewer training characters are little to learn a language from."""

BY_HEART, TOO_SIMPLE = 5.0, 0.05
"""With more parameters a character than the first, a text is learned by heart; with fewer than the second, much of what
it could teach is lost."""

FEW_UPDATES, ENOUGH_UPDATES = 300, 1000
"""Fewer updates than the first teach little; the second are worth a try."""

LARGE_VOCABULARY = 500
"""From more characters on, an embedding is cheaper than one-hot input."""

SMALL_VALIDATION = 5_000
"""The loss over fewer characters is a noisy estimate."""

LEAK = 0.05
"""A larger share of the validation part that stands in the training part flatters the loss."""

RARE, MANY_RARE = 5, 0.2
"""A character that occurs fewer times cannot be learned; a larger share of such characters deserves a warning."""

HIDDEN_SIZES = range(16, 2049, 16)
"""Hidden sizes that are proposed; beyond ``LARGE``, only where the network asked for is larger still."""

LARGE = 512

UNLIKE = 0.1
"""A validation part whose characters are so many nats more or less likely, by their frequencies in the training part,
is another kind of text; parts of one kind differ by 0.04 at most."""

BY_CHANCE = 3
"""Standard errors that a figure may be off by chance."""

SORTED, FEW_LINES = 0.95, 20
"""A text is sorted if a larger share of its lines stands in order, of no fewer lines than the second."""

REPEATED = 0.2
"""A larger share of text in lines that stood before is learned by repeating them; speakers' names in a play, or the
short lines of programs, are a tenth."""

EASIER, EASIER_WITH_DROPOUT = 0.15, 0.5
"""Validation loss this far below training loss: the held-out part is easier. Dropout raises the training loss."""

MIXED_LINE_ENDS = 0.99
"""With a smaller share of lines that end in CRLF, but some, line ends are mixed."""


@dataclass(frozen=True)
class Advice:
    """One plain sentence, and what to try."""

    message: str
    hint: str = ""


def uniform_loss(report: RunReport) -> float:
    """What guessing blindly reaches: the logarithm of the size of the vocabulary."""
    return math.log(report.summary.vocabulary)


# After training


def diagnose(report: RunReport) -> Advice:
    """Whether a run over- or underfits, and what to try."""
    validated = [(line["step"], line["val_loss"]) for line in report.metrics if line["val_loss"] is not None]
    if not report.config.data.val_fraction:
        return Advice("No validation split: overfitting cannot be detected.", "try --val-fraction 0.1")
    if len(validated) < FEW_VALIDATIONS:
        return Advice("Too early to say whether it over- or underfits.", "wait for three validations")
    last_step, last = validated[-1]
    best_step, best = min(validated, key=lambda point: point[1])
    train = report.metrics[-1]["train_loss"]
    if last > best * (1 + RISEN):
        return Advice(
            f"Overfitting since step {best_step:,}: validation loss rose from {best:.3f} to {last:.3f}, "
            f"training loss is {train:.3f}.",
            f"it writes from its best; train with --dropout {more_dropout(report)}, a smaller --hidden, or more text",
        )
    earlier = [loss for step, loss in validated if step <= 0.8 * last_step]
    if earlier and min(earlier) - best > FALLING * best:
        return _still_learning(report, min(earlier) - best)
    return _of_the_gap(report, last_step, last, train)


def _still_learning(report: RunReport, gain: float) -> Advice:
    sentence = f"Still learning: validation loss fell by {gain:.3f} over the last fifth of the steps."
    if report.summary.status == "running":
        return Advice(sentence, "let it train")
    return Advice(sentence, _longer(report, 2))


def _of_the_gap(report: RunReport, step: int, validation: float, train: float) -> Advice:
    """Of a validation loss that has levelled off, by how far it is above the training loss."""
    larger, model = 2 * report.config.model.hidden_size, report.config.model
    if train - validation > (EASIER_WITH_DROPOUT if model.dropout or model.input_dropout else EASIER):
        return Advice(
            f"Misleading: validation loss {validation:.3f} is far below training loss {train:.3f}: "
            "the held-out part is easier than the rest, or stands in it.",
            "hold out another part of the text, or remove what repeats; charnn train --dry-run looks for it",
        )
    if validation - train > GAP:
        return Advice(
            f"Starting to overfit: validation loss levels off at {validation:.3f}, training loss is {train:.3f}.",
            f"try --dropout {more_dropout(report)} or more text; more steps will not help",
        )
    if validation - train < NO_GAP and step < EARLY:
        return Advice(
            f"Undertrained: validation loss {validation:.3f} and training loss {train:.3f} are close "
            f"after {step:,} steps.",
            _longer(report, 4),
        )
    if validation - train < NO_GAP:
        return Advice(
            f"Underfitting: validation loss levels off at {validation:.3f}, as high as training loss ({train:.3f}).",
            f"the network is too small for the text: try --hidden {larger} or a higher --lr",
        )
    return Advice(
        f"A good fit: validation loss levels off at {validation:.3f}, {validation - train:.3f} above training loss.",
        f"for a lower loss, both together: --hidden {larger} --dropout {more_dropout(report)}",
    )


def _longer(report: RunReport, times: int) -> str:
    epochs = max(1, round(times * report.summary.epoch))
    return f"train longer: charnn train --resume {shlex.quote(report.summary.run)} --epochs {epochs}"


def more_dropout(report: RunReport) -> float:
    """The next sensible dropout above that of a run."""
    return round(min(0.6, max(0.2, report.config.model.dropout + 0.1)), 2)


# Before training


def warnings(plan: DryRun) -> list[Advice]:
    """What will not work, each with the better value."""
    updates = about_updates(plan.total_steps, plan.steps_per_epoch)
    traits = about_traits(plan.traits)
    return [*_about_size(plan), *_about_length(plan), *updates, *_about_text(plan), *traits]


def about_updates(total_steps: int | None, steps_per_epoch: int) -> Iterator[Advice]:
    """``total_steps`` is None where a time decides."""
    if total_steps is not None and total_steps < FEW_UPDATES:
        epochs = -(-ENOUGH_UPDATES // steps_per_epoch)
        yield Advice(
            f"{total_steps:,} updates are too few to learn much", f"try --epochs {epochs}, or a smaller --batch-size"
        )


def about_traits(traits: Traits) -> Iterator[Advice]:
    """What would mislead, whoever looks at the losses."""
    difference = traits.validation_loss - traits.train_loss
    if abs(difference) > UNLIKE + BY_CHANCE * traits.noise:
        how = "less" if difference > 0 else "more"
        yield Advice(
            f"the held-out part is unlike the rest: its characters are {abs(difference):.2f} nats {how} likely",
            "its loss will say little: mix the text, or give it in several files, of which each is held out in part",
        )
    if traits.in_order > SORTED and traits.lines >= FEW_LINES:
        yield Advice(
            f"the text is sorted: {traits.in_order:.0%} of its lines follow the line before, so the end is no sample",
            "shuffle the lines, unless their order means something",
        )
    if traits.repeated > REPEATED:
        yield Advice(
            f"{traits.repeated:.0%} of the text is in lines that stood before, word for word",
            "losses will be those of repeating: remove the copies, unless they belong to the text",
        )


def _about_size(plan: DryRun) -> Iterator[Advice]:
    ratio, asked, better = plan.parameters / plan.train_characters, plan.config.model.hidden_size, proposed_size(plan)
    if plan.speed is None and plan.memory and plan.machine_memory:
        yield Advice(
            f"{plan.parameters:,} parameters need at least {plan.memory / 1e9:.0f} GB to train; "
            f"this machine has {plan.machine_memory / 1e9:.0f} GB",
            f"try --hidden {better}",
        )
    if ratio > BY_HEART and better < asked:
        yield Advice(
            f"{ratio:.0f} parameters for each character of text: the network will learn it by heart",
            f"try --hidden {better}, or --dropout 0.3 and watch the validation loss",
        )
    if ratio < TOO_SIMPLE and better > asked:
        yield Advice(
            f"{1 / ratio:.0f} characters of text for each parameter: a larger network would learn more",
            f"try --hidden {min(LARGE, better)}",
        )
    if plan.vocabulary > LARGE_VOCABULARY and not plan.config.model.embedding_size:
        yield Advice(f"{plan.vocabulary:,} distinct characters are many for one-hot input", "try --embedding 64")


def proposed_size(plan: DryRun) -> int:
    """The hidden size with about as many parameters as there are characters to train on."""
    size = hidden_size_for(plan.train_characters, shape_of(plan.config.model, plan.vocabulary))
    step = HIDDEN_SIZES.step
    return min(HIDDEN_SIZES[-1], max(HIDDEN_SIZES[0], size // step * step))


def _about_length(plan: DryRun) -> Iterator[Advice]:
    if plan.train_characters < SHORT_TEXT:
        yield Advice(
            f"{plan.train_characters:,} characters are little to learn a language from",
            "more text helps most: 100,000 characters are a start, a million is good",
        )
    if 0 < plan.validation_characters < SMALL_VALIDATION:
        yield Advice(
            f"a validation part of {plan.validation_characters:,} characters: its loss is a noisy estimate",
            "try --val-fraction 0.2, and trust no difference below 0.05",
        )


def _about_text(plan: DryRun) -> Iterator[Advice]:
    seen, rare = plan.survey, plan.rare(RARE)
    if len(rare) > MANY_RARE * plan.vocabulary and plan.config.data.tokens == "chars":
        yield Advice(
            f"{len(rare)} of {plan.vocabulary} characters occur fewer than {RARE} times, too few to learn them",
            "remove them from the text, try --normalize nfc, or read bytes: --tokens bytes",
        )
    if seen.crlf and seen.crlf < MIXED_LINE_ENDS * (seen.lines - 1):
        yield Advice(
            "line ends are mixed: CRLF and LF", "make them alike with --line-ends lf, or the network will mix them"
        )
    if seen.controls:
        yield Advice(
            f"{seen.controls:,} control characters in the text", "remove them, or the network will write them too"
        )
    if plan.repeats.leaked > LEAK:
        yield Advice(
            f"{plan.repeats.leaked:.0%} of the validation part stands word for word in the training part",
            "the validation loss will be optimistic: remove repeated passages from the text",
        )
