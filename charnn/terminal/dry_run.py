"""A dry run enters; what ``train --dry-run`` shows of it leaves: facts, warnings, and the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.config import OPTIONS
from charnn.planning.advice import RARE, warnings
from charnn.planning.dry_run import DryRun
from charnn.terminal import words
from charnn.terminal.safe import one_line

NAMED = 24
"""Rare characters that are named."""


@dataclass(frozen=True)
class DryRunReport:
    """A rich renderable."""

    dry_run: DryRun

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        encoding = "ascii" if options.ascii_only else options.encoding
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in [*text_facts(self.dry_run), *network_facts(self.dry_run)]:
            table.add_row(name, Text(one_line(value, encoding)))
        yield table
        yield Text()
        for advice in warnings(self.dry_run):
            yield Text.assemble(("Warning: ", "bold yellow"), one_line(advice.message, encoding))
            yield Text(f"  {one_line(advice.hint, encoding)}")
        if warnings(self.dry_run):
            yield Text()
        yield self.configuration(encoding)

    def configuration(self, encoding: str) -> Table:
        """Every option with its value, and where that came from; what the user chose stands out."""
        resolved = self.dry_run.resolved
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("option", "value", "from"):
            table.add_column(heading, overflow="fold")
        values = resolved.config.to_json()
        for name, spec in OPTIONS.items():
            section, _, key = name.partition(".")
            value = values[section][key]
            if value is None and not spec.metadata.get("auto"):
                continue
            shown, origin = "auto" if value is None else str(value), resolved.origins[name]
            styles = ("", "dim") if origin == "default" else ("bold", "bold")
            cells = (Text(one_line(text, encoding), style) for text, style in zip((shown, origin), styles, strict=True))
            table.add_row(name, *cells)
        return table


def text_facts(dry_run: DryRun) -> Iterator[tuple[str, str]]:
    """What the text is like."""
    seen, data = dry_run.survey, dry_run.config.data
    unit = "bytes" if data.tokens == "bytes" else "characters"
    yield "text", f"{', '.join(seen.files[:5])}{' ...' if len(seen.files) > 5 else ''}: {words.size(seen.bytes)}"
    parts = f"{dry_run.train_characters:,} to train on, {dry_run.validation_characters:,} for validation"
    yield unit, f"{seen.characters:,}: {parts}"
    rare = dry_run.rare(RARE)
    named = " ".join(rare[:NAMED]) + (" ..." if len(rare) > NAMED else "")
    fewer = f"; {len(rare)} occur fewer than {RARE} times: {named}" if rare else ""
    yield "distinct", f"{dry_run.vocabulary}{fewer}"
    yield "encoding", ("bytes" if data.tokens == "bytes" else data.encoding) + f", {line_ends(dry_run)}"
    if seen.controls:
        yield "control", f"{seen.controls:,} control characters other than tabs and line ends"
    yield "repeated", f"{dry_run.repeats.anywhere:.1%} of the text stood in it before, word for word"
    for notice in seen.notices:
        yield "note", notice


def line_ends(dry_run: DryRun) -> str:
    """Which line ends there are: ``2,310 lines ending in LF``."""
    seen = dry_run.survey
    kinds = [("CRLF", seen.crlf), ("CR", seen.lone_cr), ("LF", seen.lines - seen.crlf - seen.lone_cr)]
    present = [(name, count) for name, count in kinds if count > 0]
    if len(present) == 1:
        return f"{seen.lines:,} lines ending in {present[0][0]}"
    return f"{seen.lines:,} lines ending in " + ", ".join(f"{name} ({count:,})" for name, count in present)


def network_facts(dry_run: DryRun) -> Iterator[tuple[str, str]]:
    """What the network is like, and what training it takes."""
    model = dry_run.config.model
    layers = ", ".join(f"{name} {count:,}" for name, count in dry_run.layers.items())
    yield "network", f"{model.cell}, {model.layers} x {model.hidden_size}: {layers}"
    ratio = dry_run.parameters / dry_run.train_characters
    yield "parameters", f"{dry_run.parameters:,}: {ratio:.2f} for each character to train on"
    if dry_run.memory is not None:
        how = "measured" if dry_run.speed is not None else "at least"
        there = "" if dry_run.machine_memory is None else f", of {words.size(dry_run.machine_memory)}"
        yield "memory", f"{words.size(dry_run.memory)}, {how}{there}"
    steps = f"{dry_run.steps_per_epoch:,} steps an epoch"
    if dry_run.total_steps is not None:
        steps += f", {dry_run.total_steps:,} in all"
    yield "steps", steps
    if dry_run.speed is not None:
        epoch = dry_run.steps_per_epoch * dry_run.characters_per_step / dry_run.speed
        yield "speed", f"{words.count(dry_run.speed)} characters/s, measured: {words.duration(epoch)} an epoch"
        yield "time", _time(dry_run, epoch)


def _time(dry_run: DryRun, epoch: float) -> str:
    budget = dry_run.config.training.budget
    if budget is not None:
        return f"{words.duration(budget)}: about {budget / max(epoch, 1e-9):.1f} epochs"
    seconds = (dry_run.total_steps or 0) / dry_run.steps_per_epoch * epoch
    return f"about {words.duration(seconds)}, validations not counted"
