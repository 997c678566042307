"""Scored lines and their tally enter; the text coloured by surprise, tables and examples leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from charnn.insight.kinds import KINDS
from charnn.insight.score import Line, Tally
from charnn.terminal.painting import Legend, PaintedText, Scale, characters
from charnn.terminal.safe import one_line
from charnn.text.vocabulary import Vocabulary

SURPRISE = Scale(
    limits=(1, 2, 4, 6),
    styles=("", "#000000 on #ffeaa7", "#000000 on #fdb863", "#000000 on #f4743b", "#ffffff on #a50f15"),
    marks=(" ", "1", "2", "4", "6"),
    names=("below 1", "1-2", "2-4", "4-6", "over 6"),
)
"""Nats: 1 is a probability of 37%, 2 of 14%, 4 of 2%, 6 of 0.2%."""

LEAD = Scale(
    limits=(-2, -1, -0.3, 0.3, 1, 2),
    styles=(
        "#ffffff on #b35806",
        "#000000 on #f1a340",
        "#000000 on #fee0b6",
        "",
        "#000000 on #d8daeb",
        "#000000 on #998ec3",
        "#ffffff on #542788",
    ),
    marks=("W", "w", "-", " ", "+", "b", "B"),
    names=("2", "1", "0.3 worse", "even", "0.3 better", "1", "2"),
)

NAMES = {"against": "other run"}
"""How a judge is called in a table, where that is not its name in JSON."""

PLACES = 2
"""Places in a line for which the alternatives are shown."""


@dataclass(frozen=True)
class TextView:
    """The text coloured by surprise, or by how far the model is ahead of the other run: line by line, as it comes."""

    vocabulary: Vocabulary
    lead: bool = False

    @property
    def scale(self) -> Scale:
        return LEAD if self.lead else SURPRISE

    @property
    def legend(self) -> Legend:
        return Legend("against the other run, nats:" if self.lead else "surprise in nats:", self.scale)

    def line(self, line: Line) -> PaintedText:
        """One line with its number."""
        nats = line.scored.nats
        values = nats[:, 1] - nats[:, 0] if self.lead else nats[:, 0]
        return PaintedText(characters(self.vocabulary, line.scored.ids, values), self.scale, f"{line.number:>6} ")


@dataclass(frozen=True)
class ScoreSummary:
    """A rich renderable: totals, and the loss by kind of character with the other judges beside it."""

    tally: Tally
    heading: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        totals = self.tally.totals()
        yield Text(one_line(self.heading, options.encoding), "bold")
        yield Text(
            f"{self.tally.characters:,} characters, {totals['nats_per_character']:.3f} nats per character "
            f"({totals['bits_per_character']:.3f} bits), perplexity {totals['perplexity']:.2f}\n"
        )
        yield self._kinds()

    def _kinds(self) -> Table:
        tally = self.tally
        names = [NAMES.get(name, name) for name in tally.names]
        table = Table(box=None, pad_edge=False)
        table.add_column("kind")
        for name in ("share", *names, *(f"vs {name}" for name in names[1:])):
            table.add_column(name, justify="right")
        for row in tally.by_kind():
            table.add_row(row["kind"], *_figures(row["characters"] / tally.characters, [row[n] for n in tally.names]))
        means = [tally.mean(judge) for judge in range(len(tally.names))]
        table.add_row("all", *_figures(1.0, means), style="bold")
        return table


def _figures(share: float, nats: Sequence[float]) -> Iterator[str]:
    yield f"{share:.1%}"
    yield from (f"{value:.3f}" for value in nats)
    yield from (f"{nats[0] - other:+.3f}" for other in nats[1:])


@dataclass(frozen=True)
class RankedLines:
    """A rich renderable: lines worth looking at, each with its figure, its colours, and what was expected at its oddest
    places; nothing where there are none."""

    title: str
    lines: Sequence[Line]
    view: TextView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.lines:
            return
        yield Text()
        yield Text(self.title, "bold")
        yield self.view.legend
        for line in self.lines:
            figure = f"{line.lead:+.1f} nats" if self.view.lead else f"{line.surprise:.2f} nats per character"
            yield Text(f"line {line.number}: {figure}", "dim")
            yield self.view.line(line)
            for place in _oddest(line):
                yield _expected(line, place, self.view.vocabulary, options.encoding)


def _oddest(line: Line) -> list[int]:
    if not line.scored.expected.shape[1]:
        return []
    return sorted(np.argsort(-line.scored.nats[:, 0], kind="stable")[:PLACES].tolist())


def _expected(line: Line, place: int, vocabulary: Vocabulary, encoding: str) -> Text:
    """One place: the character, its surprise, and what the model held likelier."""
    nats = line.scored.nats[place, 0]
    character = quoted(vocabulary, int(line.scored.ids[place]), encoding)
    text = Text(no_wrap=True, overflow="ignore").append(f"       column {line.column + place}: ", "dim")
    text.append(f"{character} {nats:.1f} nats ({percent(np.exp(-nats))}), expected ")
    return text.append(", ".join(_likely(line, place, vocabulary, encoding)), "dim")


def _likely(line: Line, place: int, vocabulary: Vocabulary, encoding: str) -> Iterator[str]:
    """What the model held likeliest at a place: ``'e' 25%``."""
    scored = line.scored
    for token, probability in zip(scored.expected[place], scored.probabilities[place], strict=True):
        yield f"{quoted(vocabulary, int(token), encoding)} {percent(probability)}"


def percent(p: float) -> str:
    """A probability in as few digits as tell it."""
    return f"{p:.0%}" if p >= 0.1 else f"{p:.1%}" if p >= 0.001 else f"{p:.0e}"


def quoted(vocabulary: Vocabulary, token: int, encoding: str) -> str:
    if vocabulary.tokens == "bytes" and token > 127:
        return f"0x{token:02x}"
    return f"'{one_line(vocabulary.characters[token], encoding)}'"


@dataclass(frozen=True)
class LineTable:
    """A rich renderable: every character of one line with its surprise and what the model held likeliest there."""

    line: Line
    vocabulary: Vocabulary

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line, scored = self.line, self.line.scored
        table = Table(box=None, pad_edge=False)
        for name in ("column", "", "nats", "kind", "expected"):
            table.add_column(name, justify="right" if name in ("column", "nats") else "left")
        for place in range(len(scored)):
            nats = float(scored.nats[place, 0])
            style = SURPRISE.styles[SURPRISE.step(nats)]
            character = Text(quoted(self.vocabulary, int(scored.ids[place]), options.encoding), style)
            likely = Text("  ".join(_likely(line, place, self.vocabulary, options.encoding)))
            table.add_row(f"{line.column + place}", character, f"{nats:.2f}", KINDS[scored.kinds[place]], likely)
        yield table
