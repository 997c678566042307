"""Records of runs enter; one run in full, or several laid over one another, leave as text or as a picture."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from charnn.planning import advice
from charnn.runs.snapshot import Record, parameters_by_layer
from charnn.terminal import words
from charnn.terminal.charts.axes import Format
from charnn.terminal.charts.chart import Chart, Level, Mark, Series
from charnn.terminal.runs import RunTable
from charnn.terminal.safe import one_line
from charnn.terminal.training.dashboard import COUNTING, TRAINING, UNIFORM, VALIDATION

STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
"""One a run, where several are laid over one another."""

HEIGHT = 18
LEAST_HEIGHT = 8

WATCH_EVERY = 1.0
"""Seconds between two looks at a run that is being trained."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Axis:
    """What a curve can run over: the value of a line of metrics, and how it is labelled."""

    value: Callable[[Line, Record], float]
    label: str
    format: Format | None = None


def _characters(line: Line, record: Record) -> float:
    training = record.config.training
    return float(line["step"] * training.batch_size * training.seq_length)


AXES = {
    "steps": Axis(lambda line, record: line["step"], "steps"),
    "epochs": Axis(lambda line, record: line["epoch"], "epochs"),
    "characters": Axis(_characters, "characters"),
    "time": Axis(lambda line, record: line["elapsed_seconds"], "time", words.moment),
}


@dataclass(frozen=True)
class Inspection:
    """A rich renderable: facts, curves and advice of one run; curves and a table of several."""

    records: Sequence[Record]
    by: str = "steps"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ranked = sorted(self.records, key=_validation_loss)
        text = [facts(self.records[0], options)] if len(self.records) == 1 else [RunTable(ranked)]
        rows = sum(len(console.render_lines(part, options.update(height=None))) for part in text)
        room = HEIGHT if options.height is None else max(LEAST_HEIGHT, options.height - rows - 1)
        if len(self.records) == 1:
            yield from text
            yield loss_chart(self.records, self.by, height=room)
        else:
            yield loss_chart(ranked, self.by, height=room)
            yield from text


def _validation_loss(record: Record) -> float:
    loss = record.summary.best_val_loss
    return float("inf") if loss is None else loss


def loss_chart(records: Sequence[Record], by: str = "steps", height: int | None = None, title: str = "") -> Chart:
    """The curves over ``by``, with what counting and guessing reach where that is the same for all runs."""
    axis = AXES[by]
    series = _both_curves(records[0], axis) if len(records) == 1 else _one_curve_each(records, axis)
    uniform = {round(advice.uniform_loss(record), 6) for record in records}
    counting = {(r.yardstick.order, round(r.yardstick.loss, 6)) if r.yardstick else None for r in records}
    levels = [Level("uniform", loss, UNIFORM, always=False) for loss in uniform if len(uniform) == 1]
    if len(counting) == 1:
        levels += [Level(f"counting ({pair[0]}-gram)", pair[1], COUNTING) for pair in counting if pair]
    marks = [mark for record in records[:1] if len(records) == 1 for mark in _best(record, axis)]
    what = "loss" if len(records) == 1 else "validation loss"
    return Chart(
        series,
        levels,
        marks,
        title=title,
        y_label=f"{what}, nats per character",
        x_label=axis.label,
        x_format=axis.format,
        x_from=0.0,
        height=height,
    )


def _both_curves(record: Record, axis: Axis) -> list[Series]:
    curves = [_curve(record, axis, "train_loss", "training", TRAINING)]
    validation = _curve(record, axis, "val_loss", "validation", VALIDATION)
    return [*curves, validation] if validation.xs else curves


def _one_curve_each(records: Sequence[Record], axis: Axis) -> list[Series]:
    curves = []
    for index, record in enumerate(records):
        name, style = one_line(record.summary.run), STYLES[index % len(STYLES)]
        curve = _curve(record, axis, "val_loss", name, style)
        curves.append(curve if curve.xs else _curve(record, axis, "train_loss", f"{name} (training)", style))
    return curves


def _curve(record: Record, axis: Axis, key: str, label: str, style: str) -> Series:
    lines = [line for line in record.metrics if line[key] is not None]
    return Series(label, [axis.value(line, record) for line in lines], [line[key] for line in lines], style)


def _best(record: Record, axis: Axis) -> list[Mark]:
    at = [line for line in record.metrics if line["step"] == record.summary.best_step]
    return [Mark(axis.value(line, record), line["val_loss"], "best", VALIDATION) for line in at if line["val_loss"]]


def facts(record: Record, options: ConsoleOptions) -> Table:
    """The facts of one run, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    encoding = "ascii" if options.ascii_only else options.encoding
    for name, value in _rows(record):
        table.add_row(name, Text(one_line(value, encoding)))
    fit = advice.fit(record)
    table.add_row("fit", Text(one_line(fit.message, encoding), "bold"))
    if fit.hint:
        table.add_row("", Text(one_line(fit.hint, encoding)))
    return table


def _rows(record: Record) -> list[tuple[str, str]]:
    s, config = record.summary, record.config
    network = f"{s.cell}, {s.layers} x {s.hidden}, {s.parameters:,} parameters"
    if config.model.dropout:
        samples = config.model.dropout_samples
        network += f", dropout {config.model.dropout:g}" + f" in {samples} samples" * (samples > 1)
    if config.model.input_dropout:
        network += f", input dropout {config.model.input_dropout:g}"
    layers = ", ".join(f"{n} {c:,}" for n, c in parameters_by_layer(config.model, s.vocabulary).items())
    text = f"{record.corpus.characters:,} characters, {s.vocabulary} distinct: {', '.join(record.corpus.files)}"
    speed = f"{s.chars_per_second:,.0f} characters/s"
    rows = [
        ("run", f"{s.run}, {s.status}, {words.size(disk_use(Path(s.run)))} on disk"),
        ("network", network),
        ("parameters", layers),
        ("text", text),
        ("training", f"step {s.step:,} of {record.total_steps:,}, epoch {s.epoch:.2f}, "
                     f"{words.duration(s.elapsed_seconds)}, {speed}"),
        ("loss", f"training {words.loss(s.train_loss)}, validation {_judged(s.val_loss, record)}"),
    ]  # fmt: skip
    if s.best_step is not None:
        rows.append(("best", f"validation {_judged(s.best_val_loss, record)}, at step {s.best_step:,}"))
    if record.torn:
        rows.append(("note", "the end of metrics.jsonl could not be read and is left out"))
    return rows


def _judged(loss: float | None, record: Record) -> str:
    return "-" if loss is None else words.judged(loss, record.yardstick)


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder; what disappears meanwhile is passed over."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:
                continue
    return total


def watch(
    console: Console,
    read: Callable[[], Sequence[Record]],
    by: str,
    wait: Callable[[float], None] = time.sleep,
) -> Inspection:
    """Follow runs on the whole screen until none of them is being trained; the last look is returned.

    The screen and the cursor are restored however it ends.
    """
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while True:
            shown = Inspection(read(), by)
            live.update(shown, refresh=True)
            if not any(record.summary.status == "running" for record in shown.records):
                return shown
            wait(WATCH_EVERY)
