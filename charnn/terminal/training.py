"""Records of training enter, what a person sees of it leaves, on standard error.

On a terminal one line is kept up to date; elsewhere (a file, a pipe) plain lines are written, one a validation and
otherwise one every few seconds.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.live import Live
from rich.text import Text

from charnn.divergence import RolledBack
from charnn.run import TrainingRun
from charnn.terminal.console import Console
from charnn.terminal.safe import one_line
from charnn.trainer import Finished, Metrics, Progress, Record, Saved, Validated, Validating

REFRESH = 0.25
"""Seconds between two refreshes on a terminal, at least."""

PLAIN_EVERY = 5.0
"""Seconds between two plain lines, at least; validations always get theirs."""


def new_console() -> Console:
    """Standard error, for what is not the product."""
    return Console(stderr=True, soft_wrap=True)


class Display:
    """Shows the records of one training. Enter it before the first record; ``close`` leaves the terminal as it was."""

    def __init__(
        self, run: TrainingRun, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.run, self.console, self.clock = run, console or new_console(), clock
        self._live: Live | None = None
        self._shown_at = -1e9
        self._loss: float | None = None
        self._pace: tuple[float, int] = (clock(), run.state.step)
        self._speed = 0.0
        self._validating = ""

    def __enter__(self) -> Display:
        self._say(self._heading())
        if self.console.is_terminal:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop drawing and show the cursor again."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, record: Record) -> None:
        """Take one record into the picture."""
        if isinstance(record, Progress):
            self._progress(record)
        elif isinstance(record, Validating):
            self._validating = f"validating {record.done:.0%}"
            self._refresh()
        elif isinstance(record, Validated):
            self._validating = ""
        elif isinstance(record, Metrics):
            self._metrics(record)
        elif isinstance(record, Saved) and record.error:
            self._say(f"Warning: {one_line(record.error)}; training goes on and will try again")
        elif isinstance(record, RolledBack):
            self._say(
                f"Warning: {one_line(record.reason)}; going on from step {record.to_step:,} "
                f"with the learning rate halved (rollback {record.rollbacks})"
            )
        elif isinstance(record, Finished):
            self.close()
            self._say(self._ending(record))

    def _heading(self) -> str:
        run, model = self.run, self.run.config.model
        state = "Resuming" if run.state.step else "Training"
        net = f"{model.cell} {model.layers}x{model.hidden_size}, {run.model.size:,} parameters"
        text = f"{run.facts.characters:,} characters, {len(run.vocabulary)} distinct"
        return f"{state} {net}, on {text}, in {one_line(str(run.path))}"

    def _progress(self, record: Progress) -> None:
        self._loss = record.loss if self._loss is None else 0.98 * self._loss + 0.02 * record.loss
        now, (then, step) = self.clock(), self._pace
        if now - then > 1:
            batches = self.run.batches
            self._speed = (record.step - step) * batches.batch_size * batches.seq_length / (now - then)
            self._pace = (now, record.step)
        self._line = self._status(record)
        self._refresh()

    def _status(self, record: Progress) -> str:
        state, batches = self.run.state, self.run.batches
        parts = [f"step {record.step:,}/{record.total_steps:,}", f"epoch {record.epoch:.2f}", f"loss {self._loss:.3f}"]
        if state.val_loss is not None:
            parts.append(f"val {state.val_loss:.3f}" + self._against_counting(state.val_loss))
        parts.append(f"grad {record.grad_norm:.2f}" + ("*" if record.clipped else ""))
        if self._speed:
            left = (record.total_steps - record.step) * batches.batch_size * batches.seq_length / self._speed
            parts += [f"{self._speed:,.0f} chars/s", f"{duration(left)} left"]
        return "  ".join(parts)

    def _against_counting(self, loss: float) -> str:
        """The distance to what plain counting reaches."""
        yardstick = self.run.yardstick
        if yardstick is None:
            return ""
        gain = yardstick.loss - loss
        return f" ({abs(gain):.2f} {'better' if gain >= 0 else 'worse'} than counting)"

    def _refresh(self) -> None:
        now = self.clock()
        if self._live is not None and now - self._shown_at >= REFRESH:
            self._shown_at = now
            line = "  ".join(part for part in (getattr(self, "_line", ""), self._validating) if part)
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

    def _metrics(self, record: Metrics) -> None:
        now = self.clock()
        if record.val_loss is None and (self._live is not None or now - self._shown_at < PLAIN_EVERY):
            return
        self._shown_at = now
        line = f"step {record.step:>7,}  epoch {record.epoch:6.2f}  loss {record.train_loss:.3f}"
        if record.val_loss is not None:
            line += f"  val {record.val_loss:.3f}" + self._against_counting(record.val_loss)
        line += f"  grad {record.grad_norm:.2f}  {record.chars_per_second:,.0f} chars/s"
        self._say(f"{line}  {duration(record.elapsed_seconds)}")

    def _ending(self, record: Finished) -> str:
        run, state = one_line(shlex.quote(str(self.run.path))), self.run.state
        if record.stopped:
            return f"Stopped at step {record.step:,}; everything is saved.\n  go on: charnn train --resume {run}"
        lines = [f"Done: {record.step:,} steps in {duration(state.elapsed)}."]
        if state.best_val_loss is not None:
            better = self._against_counting(state.best_val_loss)
            lines.append(f"Best validation loss {state.best_val_loss:.3f} at step {state.best_step:,}{better}.")
        lines += [f"  let it write: charnn sample {run}", f"  its curves:   charnn inspect {run}"]
        return "\n".join(lines)

    def _say(self, text: str) -> None:
        self.console.print(Text(text))


def duration(seconds: float) -> str:
    """Seconds in words: 8s, 3m 20s, 2h 05m."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m {total % 60:02d}s"
    return f"{total // 3600}h {total // 60 % 60:02d}m"


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int], None]]:
    """A line on the terminal while a text is read and encoded, for texts that take a while."""
    console = new_console()
    started = time.monotonic()
    shown = False

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if console.is_terminal and time.monotonic() - started > 1 and total:
            shown = True
            sys.stderr.write(f"\rreading the text: {done / total:4.0%} of {total / 1e6:,.0f} MB\x1b[K")
            sys.stderr.flush()

    try:
        yield progress
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
