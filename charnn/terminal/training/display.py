"""Events of training enter, what a person sees of it leaves, on standard error.

On a terminal the whole screen is drawn, or with ``quiet`` one line; elsewhere (a file, a pipe) plain lines are written,
one a validation and otherwise one every few seconds.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from charnn.errors import CharnnError
from charnn.runs.fitting import CORE
from charnn.runs.run import TrainingRun
from charnn.terminal import words
from charnn.terminal.console import can_redraw, notes_console
from charnn.terminal.copies import own_words_of
from charnn.terminal.safe import one_line
from charnn.terminal.training.course import Course
from charnn.terminal.training.dashboard import Dashboard, loss_chart
from charnn.terminal.training.preview import Preview, last_words
from charnn.training.events import Event, Finished, Metrics, RolledBack, Saved, Validated

REFRESH = 0.25
"""Seconds between two refreshes on a terminal, at least."""

SHARE = 0.005
"""Drawing takes at most this share of the time: where one refresh takes longer, there are fewer."""

PLAIN_EVERY = 5.0
"""Seconds between two plain lines, at least; validations always get theirs."""

ENTER_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
HIDE_CURSOR, SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"


class Display:
    """Shows the events of one training. Enter it before the first event; ``close`` leaves the terminal as it was."""

    def __init__(
        self,
        run: TrainingRun,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.quiet, self.clock = run, quiet, clock
        self.console = console or notes_console()
        self.course, self.preview = Course(run, clock), Preview(run, clock)
        self._live: Live | None = None
        self._next_refresh = self._next_line = clock()

    def __enter__(self) -> Display:
        self._say(self._heading())
        if can_redraw(self.console):
            self._live = Live(
                console=self.console,
                screen=not self.quiet,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop drawing and show the cursor and the screen from before again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def leave(self) -> None:
        """The terminal as it was, at once and from anywhere, a signal handler included."""
        self._write(LEAVE_SCREEN, SHOW_CURSOR)

    def enter(self) -> None:
        """Back to the picture after ``leave``."""
        self._write(ENTER_SCREEN, HIDE_CURSOR)
        self._next_refresh = self.clock()

    def _write(self, screen: bytes, cursor: bytes) -> None:
        """Straight to the terminal: the stream may be in the middle of a write."""
        if self._live is not None:
            with contextlib.suppress(OSError, ValueError):
                os.write(self.console.file.fileno(), cursor if self.quiet else screen + cursor)

    def show(self, event: Event) -> None:
        """Take one event into the picture."""
        self.course.take(event)
        if isinstance(event, Validated) and self._live is not None and not self.quiet:
            self._draw_sample(event.step)
        if isinstance(event, Metrics) and self._live is None:
            self._line(event)
        elif (isinstance(event, RolledBack) or (isinstance(event, Saved) and event.error)) and self._live is None:
            self._say(one_line(self.course.notice))
        elif isinstance(event, Finished):
            self._end(event)
        else:
            self._refresh()

    def _draw_sample(self, step: int) -> None:
        text = self.preview.draw()
        if text is not None:
            self.course.sample, self.course.sample_step = text, step

    def _refresh(self) -> None:
        started = self.clock()
        if self._live is None or started < self._next_refresh:
            return
        self._live.update(self._status() if self.quiet else Dashboard(self.course), refresh=True)
        now = self.clock()
        self._next_refresh = now + max(REFRESH, (now - started) / SHARE)

    def _heading(self) -> str:
        run, model = self.run, self.run.config.model
        state = "Resuming" if run.state.step else "Training"
        net = f"{model.cell} {model.layers}x{model.hidden_size}, {run.model.size:,} parameters"
        text = f"{run.facts.characters:,} characters, {len(run.vocabulary)} distinct"
        return f"{state} {net}, on {text}, in {one_line(str(run.path))}{self._length()}"

    def _length(self) -> str:
        """How long it will take, where a time was given."""
        training = self.run.config.training
        if training.budget is None:
            return ""
        if training.enough_epochs is None:
            return f"; at most {words.duration(training.budget)}"
        characters = training.enough_epochs * len(self.run.train_ids)
        seconds = 6 * self.run.model.size * characters / (CORE * (training.workers or 1))
        return f"; about {words.duration(min(seconds, training.budget))}: this text is learned by then"

    def _status(self) -> Text:
        """Everything that matters in one line."""
        course, latest, val_loss = self.course, self.course.latest, self.run.state.val_loss
        if latest is None:
            return Text()
        parts = [f"{latest.step / max(1, latest.total_steps):4.0%}"]
        if course.left is not None:
            parts.append(f"{words.duration(course.left)} left")
        parts.append(f"loss {course.loss.mean:.3f}")
        if val_loss is not None:
            parts.append(f"val {words.judged(val_loss, self.run.baseline)}")
        parts.append(course.activity or f"epoch {latest.epoch:.2f}")
        if course.speed:
            parts.append(f"{words.count(course.speed)}/s")
        return Text("  ".join(parts), no_wrap=True, overflow="crop")

    def _line(self, event: Metrics) -> None:
        """One event, one line, for files and pipes."""
        now = self.clock()
        if self.quiet or (event.val_loss is None and now < self._next_line):
            return
        self._next_line = now + PLAIN_EVERY
        line = f"step {event.step:>7,}  epoch {event.epoch:6.2f}  loss {event.train_loss:.3f}"
        if event.val_loss is not None:
            line += f"  val {words.judged(event.val_loss, self.run.baseline)}"
        line += f"  grad {event.grad_norm:.2f}  {event.chars_per_second:,.0f} chars/s"
        self._say(f"{line}  {words.duration(event.elapsed_seconds)}")

    def _end(self, event: Finished) -> None:
        drawn = self._live is not None and not self.quiet
        self.close()
        if drawn and self.course.losses.steps:
            self.console.print(loss_chart(self.course, height=min(16, max(8, self.console.height - 8))))
        if self.course.notice and drawn:
            self._say(one_line(self.course.notice))
        self._say(self._ending(event))

    def _ending(self, event: Finished) -> str:
        run, state = one_line(shlex.quote(str(self.run.path))), self.run.state
        if event.stopped:
            return f"Stopped at step {event.step:,}; everything is saved.\n  resume: charnn train --resume {run}"
        lines = [f"Done: {event.step:,} steps in {words.duration(state.elapsed)}."]
        if state.best_val_loss is not None:
            best = words.judged(state.best_val_loss, self.run.baseline)
            lines.append(f"Best validation loss {best}, at step {state.best_step:,}.")
        lines += [*self._last_words(), own_words_of(self.run) or f"  copies:    charnn sample {run} --copies"]
        lines += [f"  sample:    charnn sample {run}", f"  plot:      charnn inspect {run}"]
        if event.step >= self._enough:
            lines.append("  This text is learned: more time would bring nothing, more text would.")
        elif (budget := self.run.config.training.budget) is not None:
            lines.append(f"  more time: charnn train --resume {run} --budget {words.option_of(2 * budget)}")
        return "\n".join(lines)

    @property
    def _enough(self) -> float:
        """The step after which the text is learned."""
        enough = self.run.config.training.enough_epochs
        return math.inf if enough is None else round(enough * self.run.batches.chunks_per_epoch)

    def _last_words(self) -> list[str]:
        """What the run now writes; nothing where its folder cannot be read any more."""
        try:
            written = last_words(self.run)
        except CharnnError:
            return []
        return ["It now writes:", "", *(f"    {one_line(line)}" for line in written), ""]

    def _say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int], None]]:
    """A line on the terminal while a text is read and encoded, for texts that take a while."""
    console = notes_console()
    started = time.monotonic()
    shown, action, before = False, "reading", 0

    def clear() -> None:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def progress(done: int, total: int) -> None:
        nonlocal shown, action, before
        if done < before:  # a text is read twice
            action = "encoding"
        before = done
        if can_redraw(console) and time.monotonic() - started > 1 and total:
            shown = True
            sys.stderr.write(f"\r{action} the text: {done / total:4.0%} of {total / 1e6:,.0f} MB\x1b[K")
            sys.stderr.flush()
        if done == total:  # what comes next may be a note
            clear()

    try:
        yield progress
    finally:
        clear()
