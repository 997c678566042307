"""Characters with a value each enter; rows of coloured text leave, or without colour rows of text with marks below.

Colours are backgrounds with a letter colour of their own, so that they can be read on dark and on light terminals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from charnn.network.cells import Array
from charnn.terminal.safe import one_line
from charnn.text.vocabulary import Vocabulary

Painted = tuple[str, float]
"""A character, and the value that colours it."""


@dataclass(frozen=True)
class Scale:
    """The steps in which values are shown: ``limits`` between them, and for each step a style, a mark and its name."""

    limits: tuple[float, ...]
    styles: tuple[str, ...]
    marks: tuple[str, ...]
    names: tuple[str, ...]

    def step(self, value: float) -> int:
        return bisect_right(self.limits, value)

    def legend(self, title: str, colored: bool) -> Text:
        """One line that names the steps."""
        text = Text().append(f"{title}  ", "dim")
        for style, mark, name in zip(self.styles, self.marks, self.names, strict=True):
            shown = f" {name} " if colored else f"{mark if mark.strip() else 'blank'}: {name} "
            text.append(shown, style if colored else "")
        return text


def has_color(console: Console) -> bool:
    return console.color_system is not None and not console.no_color


def characters(vocabulary: Vocabulary, ids: Array, values: Array) -> list[Painted]:
    """The text of ``ids`` (n,) character by character, each with the sum of ``values`` (n,) over its tokens.

    A character that is cut off at the start or the end of byte tokens shows as U+FFFD.
    """
    if vocabulary.tokens != "bytes":
        return [(vocabulary.characters[i], float(v)) for i, v in zip(ids, values, strict=True)]
    starts = np.flatnonzero((ids & 0xC0) != 0x80)
    starts = starts if len(starts) and starts[0] == 0 else np.append(0, starts)
    stops = [*starts[1:].tolist(), len(ids)]
    spans = list(zip(starts.tolist(), stops, strict=True)) if len(ids) else []
    return [(bytes(ids[a:b].tolist()).decode(errors="replace"), float(values[a:b].sum())) for a, b in spans]


def paint(text: Iterable[Painted], scale: Scale, console: Console, gutter: str = "") -> Iterator[Text]:
    """Rows no wider than the console; each begins with room for the ``gutter``, the first with the gutter itself."""
    width = max(8, console.width - cell_len(gutter))
    row: list[tuple[str, int]] = []
    used = 0
    for character, value in text:
        shown = _visible(character, console)
        if used + cell_len(shown) > width and row:
            yield from _finish(row, scale, console, gutter)
            row, used, gutter = [], 0, " " * len(gutter)
        row.append((shown, scale.step(value)))
        used += cell_len(shown)
        if character == "\n":
            yield from _finish(row, scale, console, gutter)
            row, used, gutter = [], 0, " " * len(gutter)
    if row:
        yield from _finish(row, scale, console, gutter)


def _finish(row: Sequence[tuple[str, int]], scale: Scale, console: Console, gutter: str) -> Iterator[Text]:
    text = Text(no_wrap=True, overflow="ignore").append(gutter, "dim")
    if has_color(console):
        for shown, step in row:
            text.append(shown, scale.styles[step] or ("dim" if shown in _LINE_ENDS else ""))
        yield text
        return
    yield text.append("".join(shown for shown, _ in row))
    marks = "".join(scale.marks[step] * cell_len(shown) for shown, step in row).rstrip()
    if marks:
        yield Text(" " * len(gutter) + marks, no_wrap=True, overflow="ignore")


_LINE_ENDS = ("↵", "\\n")


def _visible(character: str, console: Console) -> str:
    if character == "\n":
        return _LINE_ENDS[console.options.ascii_only]
    return one_line(character, console.encoding)
