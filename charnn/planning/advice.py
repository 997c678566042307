"""What a run would be, or what it became, enters; plain sentences leave: what is wrong with it, and what to try.

The thresholds are rules of thumb of the field, written down here and nowhere else. Losses are in nats per character.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from charnn.runs.snapshot import RunReport

RISEN = 0.02
"""Validation loss this far above its best, relative to it, is a rise and not noise."""

FALLING = 0.01
"""A relative gain of validation loss over the last fifth of the steps that makes going on worth while."""

GAP = 0.15
"""Validation loss this far above training loss: the network knows its text better than the language."""

NO_GAP = 0.05
"""Validation loss this close to training loss: the network cannot even learn its text."""


FEW_STEPS = 2000
"""Before so many steps it is too early to blame the network's size."""


@dataclass(frozen=True)
class Advice:
    """One plain sentence, and what to try."""

    message: str
    hint: str = ""


def uniform_loss(report: RunReport) -> float:
    """What guessing blindly reaches: the logarithm of the size of the vocabulary."""
    return math.log(report.summary.vocabulary)


def diagnose(report: RunReport) -> Advice:
    """Whether a run over- or underfits, and what to try."""
    validated = [(line["step"], line["val_loss"]) for line in report.metrics if line["val_loss"] is not None]
    if not report.config.data.val_fraction:
        return Advice("Without a validation part nobody can say whether it overfits.", "try --val-fraction 0.1")
    if len(validated) < 3:
        return Advice("Too early to say whether it over- or underfits.", "wait for three validations")
    last_step, last = validated[-1]
    best_step, best = min(validated, key=lambda point: point[1])
    train = report.metrics[-1]["train_loss"]
    if last > best * (1 + RISEN):
        return Advice(
            f"Overfitting since step {best_step:,}: validation rose from {best:.3f} to {last:.3f} "
            f"while training is at {train:.3f}.",
            f"it writes from its best; train with --dropout {more_dropout(report)}, a smaller --hidden, or more text",
        )
    earlier = [loss for step, loss in validated if step <= 0.8 * last_step]
    if earlier and min(earlier) - best > FALLING * best:
        sentence = f"Still learning: validation fell by {min(earlier) - best:.3f} over the last fifth of the steps."
        if report.summary.status == "running":
            return Advice(sentence, "let it go on")
        epochs = max(1, round(2 * report.summary.epoch))
        return Advice(sentence, f"go on: charnn train --resume {report.summary.run} --epochs {epochs}")
    if last - train > GAP:
        return Advice(
            f"On the way to overfitting: validation stays at {last:.3f}, training is at {train:.3f}.",
            f"try --dropout {more_dropout(report)} or more text; more steps will not help",
        )
    if last - train < NO_GAP and last_step < FEW_STEPS:
        return Advice(
            f"Trained briefly: validation ({last:.3f}) and training ({train:.3f}) are close after {last_step:,} steps.",
            f"go on: charnn train --resume {report.summary.run} --epochs {max(1, round(4 * report.summary.epoch))}",
        )
    if last - train < NO_GAP:
        return Advice(
            f"Underfitting: validation stays at {last:.3f}, as high as training ({train:.3f}).",
            f"the network is the limit: try --hidden {2 * report.config.model.hidden_size} or a higher --lr",
        )
    return Advice(
        f"A good fit: validation stays at {last:.3f}, {last - train:.3f} above training.",
        f"for more, both together: --hidden {2 * report.config.model.hidden_size} --dropout {more_dropout(report)}",
    )


def more_dropout(report: RunReport) -> float:
    """The next sensible dropout above that of a run."""
    return round(min(0.6, max(0.2, report.config.model.dropout + 0.1)), 2)
