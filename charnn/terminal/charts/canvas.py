"""Dots, lines and words at positions enter; rows of styled characters leave.

A cell holds 2 x 4 braille dots in one style, that of the last series with a dot in it, or one letter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from charnn.terminal.charts.spec import Point

_BRAILLE = 0x2800
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # [x][y], y downward


@dataclass
class Pen:
    """How a series draws: its style, its letter, and whether it gives way to everything else."""

    style: str
    letter: str
    faint: bool = False


@dataclass
class _Cell:
    bits: int = 0
    text: str | None = None  # a character; "" is the right half of a wide one
    style: str = ""
    faint: bool = True


class Canvas:
    """A grid of cells, addressed in dots by the drawing methods and in cells by the writing ones; y grows downward."""

    def __init__(self, columns: int, rows: int, letters: bool = False) -> None:
        self.columns, self.rows = columns, rows
        self.across, self.down = (1, 1) if letters else (2, 4)
        self.width, self.height = columns * self.across, rows * self.down
        self._cells = [[_Cell() for _ in range(columns)] for _ in range(rows)]

    def dot(self, x: int, y: int, pen: Pen) -> None:
        """One dot; outside the canvas nothing happens."""
        if not (0 <= x < self.width and 0 <= y < self.height):
            return
        cell = self._cells[y // self.down][x // self.across]
        if cell.faint and not pen.faint:
            cell.bits = 0
        cell.style, cell.faint = pen.style, pen.faint
        if self.across == 1:
            cell.text = pen.letter
        else:
            cell.bits |= _BITS[x % 2][y % 4]

    def line(self, start: Point, end: Point, pen: Pen) -> None:
        """The dots between two positions, without a hole; what lies above the canvas is cut off."""
        if start[1] < 0 or end[1] < 0:
            if start[1] < 0 and end[1] < 0:
                return
            start, end = _cut(start, end), _cut(end, start)
        for x, y in _bresenham(round(start[0]), round(start[1]), round(end[0]), round(end[1])):
            self.dot(x, y, pen)

    def write(self, column: int, row: int, text: str, style: str) -> None:
        """Words over the dots, cut at the right edge; what has no width joins the character before it."""
        cells = self._cells[row]
        for index, character in enumerate(text):
            width = cell_len(character)
            if width == 0 and index and column:
                cells[column - 1].text = (cells[column - 1].text or "") + character
            if column + width > self.columns:
                return
            for part in [character, ""][:width]:
                cells[column] = _Cell(0, part, style, faint=False)
                column += 1

    def taken(self, column: int, row: int, width: int) -> bool:
        """Whether words would cover more than a faint line, or leave the canvas."""
        if not (0 <= row < self.rows and 0 <= column <= self.columns - width):
            return True
        return not all(cell.faint for cell in self._cells[row][column : column + width])

    def lines(self) -> Iterator[list[tuple[str, str]]]:
        """Each row as (text, style) pieces."""
        for row in self._cells:
            pieces: list[tuple[str, str]] = []
            for cell in row:
                if pieces and pieces[-1][1] == cell.style:
                    pieces[-1] = (pieces[-1][0] + _character(cell), cell.style)
                else:
                    pieces.append((_character(cell), cell.style))
            yield pieces


def _character(cell: _Cell) -> str:
    if cell.text is not None:
        return cell.text
    return chr(_BRAILLE + cell.bits) if cell.bits else " "


def _cut(point: Point, other: Point) -> Point:
    """``point``, or where the line from it to ``other`` enters the canvas from above."""
    if point[1] >= 0:
        return point
    share = point[1] / (point[1] - other[1])
    return point[0] + share * (other[0] - point[0]), 0.0


def _bresenham(x: int, y: int, to_x: int, to_y: int) -> Iterator[tuple[int, int]]:
    wide, high = abs(to_x - x), -abs(to_y - y)
    step_x, step_y = int(math.copysign(1, to_x - x)), int(math.copysign(1, to_y - y))
    error = wide + high
    while True:
        yield x, y
        if (x, y) == (to_x, to_y):
            return
        twice = 2 * error
        if twice >= high:
            error += high
            x += step_x
        if twice <= wide:
            error += wide
            y += step_y
