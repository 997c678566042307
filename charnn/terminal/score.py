"""Scored lines and their tally enter; the text coloured by surprise, tables and examples leave, on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from charnn.insight.kinds import KINDS
from charnn.insight.score import Line, Tally
from charnn.terminal.console import output_console
from charnn.terminal.painting import Scale, characters, has_color, paint
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


class TextView:
    """The text coloured by surprise, as it comes."""

    def __init__(self, vocabulary: Vocabulary, lead: bool = False, console: Console | None = None):
        self.vocabulary, self.lead, self.console = vocabulary, lead, console or output_console()
        self.scale = LEAD if lead else SURPRISE

    def legend(self) -> None:
        title = "against the other run, nats:" if self.lead else "surprise in nats:"
        self.console.print(self.scale.legend(title, has_color(self.console)))

    def show(self, line: Line) -> None:
        """One line with its number."""
        nats = line.scored.nats
        values = nats[:, 1] - nats[:, 0] if self.lead else nats[:, 0]
        cells = characters(self.vocabulary, line.scored.ids, values)
        for row in paint(cells, self.scale, self.console, f"{line.number:>6} "):
            self.console.print(row, soft_wrap=True)


def print_summary(tally: Tally, heading: str, console: Console | None = None) -> None:
    """Totals, and the loss by kind of character with the other judges beside it."""
    console = console or output_console()
    totals = tally.totals()
    console.print(Text(one_line(heading), style="bold"))
    console.print(
        f"{tally.characters:,} characters, {totals['nats_per_character']:.3f} nats per character "
        f"({totals['bits_per_character']:.3f} bits), perplexity {totals['perplexity']:.2f}\n"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("kind")
    names = [NAMES.get(name, name) for name in tally.names]
    for name in ("share", *names, *(f"vs {name}" for name in names[1:])):
        table.add_column(name, justify="right")
    for row in tally.by_kind():
        table.add_row(row["kind"], *_figures(row["characters"] / tally.characters, [row[n] for n in tally.names]))
    means = [tally.mean(judge) for judge in range(len(tally.names))]
    table.add_row("all", *_figures(1.0, means), style="bold")
    console.print(table)


def _figures(share: float, nats: Sequence[float]) -> Iterator[str]:
    yield f"{share:.1%}"
    yield from (f"{value:.3f}" for value in nats)
    yield from (f"{nats[0] - other:+.3f}" for other in nats[1:])


def print_lines(
    title: str, ranked: Iterable[Line], vocabulary: Vocabulary, lead: bool = False, console: Console | None = None
) -> None:
    """Lines worth looking at, each with its figure, its colours, and what was expected at its oddest places."""
    console = console or output_console()
    view = TextView(vocabulary, lead, console)
    shown = False
    for line in ranked:
        if not shown:
            console.print()
            console.print(Text(title, style="bold"))
            view.legend()
            shown = True
        figure = f"{line.lead:+.1f} nats" if lead else f"{line.surprise:.2f} nats per character"
        console.print(Text(f"line {line.number}: {figure}", style="dim"))
        view.show(line)
        for place in _oddest(line):
            console.print(_expected(line, place, vocabulary, console), soft_wrap=True)


def _oddest(line: Line) -> list[int]:
    if not line.scored.expected.shape[1]:
        return []
    return sorted(np.argsort(-line.scored.nats[:, 0], kind="stable")[:PLACES].tolist())


def _expected(line: Line, place: int, vocabulary: Vocabulary, console: Console) -> Text:
    """One place: the character, its surprise, and what the model held likelier."""
    scored = line.scored
    quoted = [_quoted(vocabulary, int(i), console) for i in (scored.ids[place], *scored.expected[place])]
    likely = ", ".join(f"{q} {_percent(p)}" for q, p in zip(quoted[1:], scored.probabilities[place], strict=True))
    nats = scored.nats[place, 0]
    text = Text().append(f"       column {line.column + place}: ", "dim")
    text.append(f"{quoted[0]} {nats:.1f} nats ({_percent(np.exp(-nats))}), expected ")
    return text.append(likely, "dim")


def _percent(p: float) -> str:
    return f"{p:.0%}" if p >= 0.1 else f"{p:.1%}" if p >= 0.001 else f"{p:.0e}"


def _quoted(vocabulary: Vocabulary, token: int, console: Console) -> str:
    character = vocabulary.characters[token]
    if vocabulary.tokens == "bytes" and token > 127:
        return f"0x{token:02x}"
    return f"'{one_line(character, console.encoding)}'"


def print_place(line: Line, vocabulary: Vocabulary, console: Console | None = None) -> None:
    """Every character of one line with its surprise and what the model held likeliest there."""
    console = console or output_console()
    scored = line.scored
    table = Table(box=None, pad_edge=False)
    for name, justify in (("column", "right"), ("", "left"), ("nats", "right"), ("kind", "left"), ("expected", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for place in range(len(scored)):
        likely = (
            f"{_quoted(vocabulary, int(i), console)} {_percent(p)}"
            for i, p in zip(scored.expected[place], scored.probabilities[place], strict=True)
        )
        nats = float(scored.nats[place, 0])
        shown = Text(_quoted(vocabulary, int(scored.ids[place]), console), SURPRISE.styles[SURPRISE.step(nats)])
        kind = KINDS[scored.kinds[place]]
        table.add_row(f"{line.column + place}", shown, f"{nats:.2f}", kind, Text("  ".join(likely)))
    console.print(table)
