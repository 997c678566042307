"""A run enters and is trained before the reader's eyes; whether it was stopped before its end leaves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from charnn.cli.signals import StopSignals

if TYPE_CHECKING:
    from charnn.runs.run import TrainingRun
    from charnn.training.team import Team


def train_visibly(run: TrainingRun, signals: StopSignals, quiet: bool, team: Team | None = None) -> bool:
    """Train, show how it goes, and say what to do next. Raises what training raises.

    A terminal that is gone, or a log that is full, is no reason to stop.
    """
    from charnn.terminal.training.display import Display
    from charnn.training.events import Finished
    from charnn.training.trainer import train

    stopped_early = False
    unseen = contextlib.suppress(OSError)
    with run:
        display = Display(run, quiet)
        with unseen:
            display.__enter__()
        try:
            signals.restore, signals.back = display.leave, display.enter
            for event in train(run, signals, team):
                with unseen:
                    display.show(event)
                stopped_early = isinstance(event, Finished) and event.stopped
        finally:
            with unseen:
                display.close()
    return stopped_early
