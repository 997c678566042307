"""Reports of runs enter; one run in full, or several laid over one another, leave as text or as a picture."""

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

from charnn.insight.copies import kept_comparison
from charnn.network.shape import parameters_by_layer, shape_of
from charnn.planning import advice
from charnn.runs.summary import RunReport
from charnn.terminal import words
from charnn.terminal.charts.chart import Chart, Level, Mark, Series
from charnn.terminal.charts.labels import Format
from charnn.terminal.copies import own_words
from charnn.terminal.runs import RunTable
from charnn.terminal.safe import one_line
from charnn.terminal.training.dashboard import BASELINE, TRAINING, UNIFORM, VALIDATION

STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")
"""One a run, where several are laid over one another."""

HEIGHT = 18
LEAST_HEIGHT = 8

WATCH_EVERY = 1.0
"""Seconds between two looks at a run that is being trained."""

Line = dict[str, Any]


@dataclass(frozen=True)
class Abscissa:
    """What a curve can run over: the value of a line of metrics, and how it is labelled."""

    value: Callable[[Line, RunReport], float]
    label: str
    format: Format | None = None


def _characters(line: Line, report: RunReport) -> float:
    training = report.config.training
    return float(line["step"] * training.batch_size * training.seq_length)


AXES = {
    "steps": Abscissa(lambda line, report: line["step"], "steps"),
    "epochs": Abscissa(lambda line, report: line["epoch"], "epochs"),
    "characters": Abscissa(_characters, "characters"),
    "time": Abscissa(lambda line, report: line["elapsed_seconds"], "time", words.moment),
}


@dataclass(frozen=True)
class Inspection:
    """A rich renderable: facts, curves and advice of one run; curves and a table of several."""

    reports: Sequence[RunReport]
    by: str = "steps"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ranked = sorted(self.reports, key=_validation_loss)
        text = [facts(self.reports[0], options)] if len(self.reports) == 1 else [RunTable(ranked)]
        rows = sum(len(console.render_lines(part, options.update(height=None))) for part in text)
        room = HEIGHT if options.height is None else max(LEAST_HEIGHT, options.height - rows - 1)
        if len(self.reports) == 1:
            yield from text
            yield loss_chart(self.reports, self.by, height=room)
        else:
            yield loss_chart(ranked, self.by, height=room)
            yield from text


def _validation_loss(report: RunReport) -> float:
    loss = report.summary.best_val_loss
    return float("inf") if loss is None else loss


def loss_chart(reports: Sequence[RunReport], by: str = "steps", height: int | None = None, title: str = "") -> Chart:
    """The curves over ``by``, with the losses that all runs are to be compared with."""
    over, alone = AXES[by], len(reports) == 1
    return Chart(
        _both_curves(reports[0], over) if alone else _one_curve_each(reports, over),
        _levels(reports),
        _best(reports[0], over) if alone else (),
        title=title,
        y_label=f"{'loss' if alone else 'validation loss'}, nats per character",
        x_label=over.label,
        x_format=over.format,
        x_from=0.0,
        height=height,
    )


def _levels(reports: Sequence[RunReport]) -> list[Level]:
    """The loss of a uniform guess and that of the baseline, each where it is the same for all runs."""
    levels = []
    uniform = {round(advice.uniform_loss(report), 6) for report in reports}
    if len(uniform) == 1:
        levels.append(Level("uniform", uniform.pop(), UNIFORM, always=False))
    baselines = [report.baseline for report in reports if report.baseline is not None]
    shared = {(words.baseline_name(baseline), round(baseline.loss, 6)) for baseline in baselines}
    if len(baselines) == len(reports) and len(shared) == 1:
        levels.append(Level(*shared.pop(), BASELINE))
    return levels


def _both_curves(report: RunReport, over: Abscissa) -> list[Series]:
    curves = [_curve(report, over, "train_loss", "training", TRAINING)]
    validation = _curve(report, over, "val_loss", "validation", VALIDATION)
    return [*curves, validation] if validation.xs else curves


def _one_curve_each(reports: Sequence[RunReport], over: Abscissa) -> list[Series]:
    curves = []
    for index, report in enumerate(reports):
        name, style = one_line(report.summary.run), STYLES[index % len(STYLES)]
        curve = _curve(report, over, "val_loss", name, style)
        curves.append(curve if curve.xs else _curve(report, over, "train_loss", f"{name} (training)", style))
    return curves


def _curve(report: RunReport, over: Abscissa, key: str, label: str, style: str) -> Series:
    lines = [line for line in report.metrics if line[key] is not None]
    return Series(label, [over.value(line, report) for line in lines], [line[key] for line in lines], style)


def _best(report: RunReport, over: Abscissa) -> list[Mark]:
    at = [line for line in report.metrics if line["step"] == report.summary.best_step]
    return [Mark(over.value(line, report), line["val_loss"], "best", VALIDATION) for line in at if line["val_loss"]]


def facts(report: RunReport, options: ConsoleOptions) -> Table:
    """The facts of one run, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    encoding = "ascii" if options.ascii_only else options.encoding
    for name, value in _rows(report):
        table.add_row(name, Text(one_line(value, encoding)))
    fit = advice.diagnose(report)
    table.add_row("fit", Text(one_line(fit.message, encoding), "bold"))
    if fit.hint:
        table.add_row("", Text(one_line(fit.hint, encoding)))
    return table


def _rows(report: RunReport) -> list[tuple[str, str]]:
    s, config = report.summary, report.config
    network = f"{s.cell}, {s.layers} x {s.hidden}, {s.parameters:,} parameters"
    if config.model.dropout:
        samples = config.model.dropout_samples
        network += f", dropout {config.model.dropout:g}" + f" in {samples} samples" * (samples > 1)
    if config.model.input_dropout:
        network += f", input dropout {config.model.input_dropout:g}"
    layers = ", ".join(f"{n} {c:,}" for n, c in parameters_by_layer(shape_of(config.model, s.vocabulary)).items())
    text = f"{report.corpus.characters:,} characters, {s.vocabulary} distinct: {', '.join(report.corpus.files)}"
    speed = f"{s.chars_per_second:,.0f} characters/s"
    rows = [
        ("run", f"{s.run}, {s.status}, {words.size(disk_use(Path(s.run)))} on disk"),
        ("network", network),
        ("parameters", layers),
        ("text", text),
        ("training", f"step {s.step:,} of {report.total_steps:,}, epoch {s.epoch:.2f}, "
                     f"{words.duration(s.elapsed_seconds)}, {speed}"),
        ("loss", f"training {words.loss(s.train_loss)}, validation {_judged(s.val_loss, report)}"),
    ]  # fmt: skip
    if s.best_step is not None:
        rows.append(("best", f"validation {_judged(s.best_val_loss, report)}, at step {s.best_step:,}"))
    rows += [("history", f"at step {past.step:,}: {past.what}") for past in report.history]
    if comparison := kept_comparison(Path(s.run), report.corpus.fingerprint):
        of = "" if comparison.step == s.best_step else f" (at step {comparison.step:,})"
        rows.append(("copies", f"{own_words(comparison)}{of}"))
    if report.torn:
        rows.append(("note", "the end of metrics.jsonl could not be read and is left out"))
    return rows


def _judged(loss: float | None, report: RunReport) -> str:
    return "-" if loss is None else words.judged(loss, report.baseline)


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
    read: Callable[[], Sequence[RunReport]],
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
            if not any(report.summary.status == "running" for report in shown.reports):
                return shown
            wait(WATCH_EVERY)
