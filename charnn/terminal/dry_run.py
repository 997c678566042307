"""A plan of training enters; what ``train --dry-run`` shows of it leaves: facts, warnings, and the configuration."""

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

    plan: DryRun

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        encoding = "ascii" if options.ascii_only else options.encoding
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in [*text_facts(self.plan), *network_facts(self.plan)]:
            table.add_row(name, Text(one_line(value, encoding)))
        yield table
        yield Text()
        for advice in warnings(self.plan):
            yield Text.assemble(("Warning: ", "bold yellow"), one_line(advice.message, encoding))
            yield Text(f"  {one_line(advice.hint, encoding)}")
        if warnings(self.plan):
            yield Text()
        yield self.configuration(encoding)

    def configuration(self, encoding: str) -> Table:
        """Every option with its value, and where that came from; what the user chose stands out."""
        resolved = self.plan.resolved
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


def text_facts(plan: DryRun) -> Iterator[tuple[str, str]]:
    """What the text is like."""
    seen, data = plan.survey, plan.config.data
    unit = "bytes" if data.tokens == "bytes" else "characters"
    yield "text", f"{', '.join(seen.files[:5])}{' ...' if len(seen.files) > 5 else ''}: {words.size(seen.bytes)}"
    parts = f"{plan.train_characters:,} to train on, {plan.validation_characters:,} for validation"
    yield unit, f"{seen.characters:,}: {parts}"
    rare = plan.rare(RARE)
    named = " ".join(rare[:NAMED]) + (" ..." if len(rare) > NAMED else "")
    fewer = f"; {len(rare)} occur fewer than {RARE} times: {named}" if rare else ""
    yield "distinct", f"{plan.vocabulary}{fewer}"
    yield "encoding", ("bytes" if data.tokens == "bytes" else data.encoding) + f", {line_ends(plan)}"
    if seen.controls:
        yield "control", f"{seen.controls:,} control characters other than tabs and line ends"
    yield "repeated", f"{plan.repeats.anywhere:.1%} of the text stood in it before, word for word"
    for notice in seen.notices:
        yield "note", notice


def line_ends(plan: DryRun) -> str:
    """Which line ends there are: ``2,310 lines ending in LF``."""
    seen = plan.survey
    kinds = [("CRLF", seen.crlf), ("CR", seen.lone_cr), ("LF", seen.lines - seen.crlf - seen.lone_cr)]
    present = [(name, count) for name, count in kinds if count > 0]
    if len(present) == 1:
        return f"{seen.lines:,} lines ending in {present[0][0]}"
    return f"{seen.lines:,} lines ending in " + ", ".join(f"{name} ({count:,})" for name, count in present)


def network_facts(plan: DryRun) -> Iterator[tuple[str, str]]:
    """What the network is like, and what training it takes."""
    model = plan.config.model
    layers = ", ".join(f"{name} {count:,}" for name, count in plan.layers.items())
    yield "network", f"{model.cell}, {model.layers} x {model.hidden_size}: {layers}"
    ratio = plan.parameters / plan.train_characters
    yield "parameters", f"{plan.parameters:,}: {ratio:.2f} for each character to train on"
    if plan.memory is not None:
        how = "measured" if plan.speed is not None else "at least"
        there = "" if plan.machine_memory is None else f", of {words.size(plan.machine_memory)}"
        yield "memory", f"{words.size(plan.memory)}, {how}{there}"
    steps = f"{plan.steps_per_epoch:,} steps an epoch"
    if plan.total_steps is not None:
        steps += f", {plan.total_steps:,} in all"
    yield "steps", steps
    if plan.speed is not None:
        epoch = plan.steps_per_epoch * plan.characters_per_step / plan.speed
        yield "speed", f"{words.count(plan.speed)} characters/s, measured: {words.duration(epoch)} an epoch"
        yield "time", _time(plan, epoch)


def _time(plan: DryRun, epoch: float) -> str:
    budget = plan.config.training.budget
    if budget is not None:
        return f"{words.duration(budget)}: about {budget / max(epoch, 1e-9):.1f} epochs"
    return f"about {words.duration((plan.total_steps or 0) / plan.steps_per_epoch * epoch)}, validations not counted"
