"""Figures of runs enter; tables, charts and lists leave, drawn by rich on standard output."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from charnn.config import OPTIONS, Resolved
from charnn.run import Plan
from charnn.snapshot import Record
from charnn.terminal.chart import Chart, Level, Mark, Series, sparkline
from charnn.terminal.console import Console
from charnn.terminal.safe import one_line
from charnn.terminal.training import duration

CURVES = (("cyan", "yellow"), ("green", "magenta"), ("blue", "red"), ("bright_cyan", "bright_yellow"))
"""Styles of the training and validation curves, run by run."""


def new_console() -> Console:
    """Standard output, for the product."""
    return Console()


def print_runs(records: Sequence[Record]) -> None:
    """A table of runs, one a line."""
    console = new_console()
    ascii_only = console.options.ascii_only
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "cell", "size", "parameters", "step", "val loss", "best", "time", "status", "curve"):
        table.add_column(heading, justify="left" if heading in ("run", "cell", "status", "curve") else "right")
    for record in records:
        s = record.summary
        losses = [line.get("train_loss") for line in record.metrics]
        table.add_row(
            Text(one_line(s.run)),
            s.cell,
            f"{s.layers}x{s.hidden}",
            f"{s.parameters:,}",
            f"{s.step:,}",
            _loss(s.val_loss),
            _loss(s.best_val_loss),
            duration(s.elapsed_seconds),
            s.status,
            Text(sparkline(losses, 16, ascii_only)),
        )
    console.print(table)


def print_inspection(records: Sequence[Record]) -> None:
    """One run in full, or several overlaid."""
    console = new_console()
    if len(records) == 1:
        console.print(_facts(records[0]))
    console.print(loss_chart(records))
    if len(records) > 1:
        print_runs(sorted(records, key=lambda r: r.summary.val_loss if r.summary.val_loss is not None else 1e9))


def loss_chart(records: Sequence[Record]) -> Chart:
    """Training and validation loss of one or several runs over steps, with what counting and guessing reach."""
    series, levels, marks = [], [], []
    for index, record in enumerate(records):
        name = "" if len(records) == 1 else f"{one_line(record.summary.run)} "
        training, validation = CURVES[index % len(CURVES)]
        steps = [line["step"] for line in record.metrics]
        series.append(Series(f"{name}training", steps, [line["train_loss"] for line in record.metrics], training))
        held = [(line["step"], line["val_loss"]) for line in record.metrics if line["val_loss"] is not None]
        if held:
            series.append(Series(f"{name}validation", [x for x, _ in held], [y for _, y in held], validation))
    first = records[0]
    if first.yardstick is not None and len({r.yardstick and round(r.yardstick.loss, 6) for r in records}) == 1:
        levels.append(Level(f"counting ({first.yardstick.order}-gram)", first.yardstick.loss, "dim"))
    s = first.summary
    if len(records) == 1 and s.best_val_loss is not None and s.best_step is not None:
        marks.append(Mark(s.best_step, s.best_val_loss, "best", CURVES[0][1]))
    return Chart(series=series, levels=levels, marks=marks, title="loss, nats per character", x_label="step", height=18)


def _facts(record: Record) -> RenderableType:
    """The facts of one run, a line each."""
    s, config = record.summary, record.config
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    network = f"{s.cell}, {s.layers} x {s.hidden}, {s.parameters:,} parameters"
    if config.model.embedding_size:
        network += f", embedding {config.model.embedding_size}"
    if config.model.dropout:
        network += f", dropout {config.model.dropout}"
    rows = [
        ("run", s.run),
        ("network", network),
        ("text", f"{record.corpus.characters:,} characters, {s.vocabulary} distinct: {', '.join(record.corpus.files)}"),
        ("training", f"step {s.step:,} of {record.total_steps:,}, epoch {s.epoch:.2f}, {s.status}"),
        ("time", f"{duration(s.elapsed_seconds)}, {s.chars_per_second:,.0f} characters per second"),
        ("loss", f"training {_loss(s.train_loss)}, validation {_loss(s.val_loss)}"),
    ]
    if s.best_val_loss is not None and s.best_step is not None:
        best = f"validation {s.best_val_loss:.3f} at step {s.best_step:,}"
        if s.yardstick_loss is not None:
            gain = s.yardstick_loss - s.best_val_loss
            best += f", {abs(gain):.3f} {'better' if gain >= 0 else 'worse'} than counting ({s.yardstick_loss:.3f})"
        rows.append(("best", best))
    if record.torn:
        rows.append(("note", "the end of metrics.jsonl could not be read and is left out"))
    for name, value in rows:
        table.add_row(name, Text(one_line(value)))
    return table


def print_plan(plan: Plan, resolved: Resolved) -> None:
    """What ``train --dry-run`` shows: sizes, and the configuration with where each value came from."""
    console = new_console()
    epochs = f"{plan.total_steps:,} steps" if plan.total_steps is not None else "as many steps as fit the time"
    rate = plan.parameters / plan.train_characters
    console.print(
        Text(
            f"{plan.characters:,} characters, {plan.vocabulary} distinct; {plan.train_characters:,} to train on\n"
            f"{plan.parameters:,} parameters, {rate:.2f} for each training character\n"
            f"{plan.steps_per_epoch:,} steps an epoch; {epochs}\n"
        )
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("option", "value", "from"):
        table.add_column(heading)
    values = resolved.config.to_json()
    for name, spec in OPTIONS.items():
        section, _, key = name.partition(".")
        value = values[section][key]
        if value is not None or spec.metadata.get("auto"):
            table.add_row(
                name, Text(one_line("auto" if value is None else str(value))), one_line(resolved.origins[name])
            )
    console.print(table)


def _loss(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
