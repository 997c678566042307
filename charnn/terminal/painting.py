"""Characters with a value each enter; rows of coloured text leave, or without colour rows of text with marks below.

Colours are backgrounds with a letter colour of their own, so that they can be read on dark and on light terminals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from charnn.network.cells import Array
from charnn.terminal.cells import attaches, text_width
from charnn.terminal.safe import Escaper
from charnn.text.vocabulary import Vocabulary

Painted = tuple[str, float]
"""A character, and the value that colours it."""

Row = list[tuple[str, int]]
"""What stands for each character, and the step of its value."""


@dataclass(frozen=True)
class Scale:
    """The steps in which values are shown: ``limits`` between them, and for each step a style, a mark and its name."""

    limits: tuple[float, ...]
    styles: tuple[str, ...]
    marks: tuple[str, ...]
    names: tuple[str, ...]
    adds: bool = True
    """Whether the values of what is drawn as one add up, as surprises do; otherwise the last one counts."""

    def step(self, value: float) -> int:
        return bisect_right(self.limits, value)


def has_color(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def characters(vocabulary: Vocabulary, ids: Array, values: Array, adds: bool = True) -> list[Painted]:
    """The text of ``ids`` (n,) character by character, each with the sum of ``values`` (n,) over its tokens, or with
    the last of them where values do not add up.

    A character that is cut off at the start or the end of byte tokens shows as U+FFFD.
    """
    if vocabulary.tokens != "bytes":
        return [(vocabulary.characters[i], float(v)) for i, v in zip(ids, values, strict=True)]
    starts = np.flatnonzero((ids & 0xC0) != 0x80)
    starts = starts if len(starts) and starts[0] == 0 else np.append(0, starts)
    stops = [*starts[1:].tolist(), len(ids)]
    spans = list(zip(starts.tolist(), stops, strict=True)) if len(ids) else []
    texts = (bytes(ids[a:b].tolist()).decode(errors="replace") for a, b in spans)
    totals = (float(values[a:b].sum() if adds else values[b - 1]) for a, b in spans)
    return list(zip(texts, totals, strict=True))


def drawn(text: Iterable[Painted], encoding: str, adds: bool = True) -> Iterator[Painted]:
    """What stands for a text on a terminal: characters that are drawn as one, such as a letter with its marks, stand
    together, with the sum of their values, or with the last where values do not add up."""
    escaper = Escaper(encoding)
    cluster, total = "", 0.0
    for (characters, value), (following, _) in pairwise([*text, ("", 0.0)]):
        after = [*characters[1:], following[:1]]
        shown = "".join(escaper.show(character, next_) for character, next_ in zip(characters, after, strict=True))
        if cluster and attaches(shown[0], cluster):
            cluster, total = cluster + shown, total + value if adds else value
            continue
        if cluster:
            yield cluster, total
        cluster, total = shown, value
    if cluster:
        yield cluster, total


@dataclass(frozen=True)
class Legend:
    """A rich renderable: one line that names the steps of a scale."""

    title: str
    scale: Scale

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        colored = has_color(console)
        text = Text().append(f"{self.title}  ", "dim")
        for style, mark, name in zip(self.scale.styles, self.scale.marks, self.scale.names, strict=True):
            shown = f" {name} " if colored else f"{mark if mark.strip() else 'blank'}: {name} "
            text.append(shown, style if colored else "")
        yield text


@dataclass(frozen=True)
class PaintedText:
    """A rich renderable: rows no wider than the console; each begins with room for the ``gutter``, the first with the
    gutter itself."""

    characters: Iterable[Painted]
    scale: Scale
    gutter: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        draw = self._colored if has_color(console) else self._marked
        gutter = self.gutter
        for row in self._rows(max(8, options.max_width - len(gutter)), options):
            yield from draw(row, gutter)
            gutter = " " * len(gutter)

    def _rows(self, most: int, options: ConsoleOptions) -> Iterator[Row]:
        row: Row = []
        used = 0
        for cluster, value in drawn(self.characters, options.encoding, self.scale.adds):
            shown = _visible(cluster, options)
            if row and used + text_width(shown) > most:
                yield row
                row, used = [], 0
            row.append((shown, self.scale.step(value)))
            used += text_width(shown)
            if cluster == "\n":
                yield row
                row, used = [], 0
        if row:
            yield row

    def _colored(self, row: Row, gutter: str) -> Iterator[Text]:
        text = _line(gutter)
        for shown, step in row:
            text.append(shown, self.scale.styles[step] or ("dim" if shown in _LINE_ENDS else ""))
        yield text

    def _marked(self, row: Row, gutter: str) -> Iterator[Text]:
        yield _line(gutter).append("".join(shown for shown, _ in row))
        marks = "".join(self.scale.marks[step] * text_width(shown) for shown, step in row).rstrip()
        if marks:
            yield _line(" " * len(gutter)).append(marks)


def _line(gutter: str) -> Text:
    return Text(no_wrap=True, overflow="ignore").append(gutter, "dim")


_LINE_ENDS = ("↵", "\\n")


def _visible(cluster: str, options: ConsoleOptions) -> str:
    if cluster == "\n":
        return _LINE_ENDS[options.ascii_only]
    return r"\t" if cluster == "\t" else cluster
