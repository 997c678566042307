"""Entries of a legend enter; lines of styled text leave, none of them wider than asked for."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

Pieces = list[tuple[str, str]]
"""Text in parts, each with its style."""


def pack(entries: list[Pieces], width: int) -> list[Pieces]:
    """Entries side by side, as many as fit on a line."""
    lines: list[Pieces] = []
    for entry in entries:
        if lines and _length(lines[-1]) + 3 + _length(entry) <= width:
            lines[-1] += [("   ", ""), *entry]
        else:
            lines.append([*entry])
    return lines


def with_last(lines: list[Pieces], last: Pieces, width: int, most: int) -> list[Pieces]:
    """``last`` on the right of the last line, or on one more where that is full and there may be more."""
    if not last:
        return lines
    if not lines or _length(lines[-1]) + 3 + _length(last) > width:
        if len(lines) >= most:
            return lines
        lines.append([])
    lines[-1] += [(" " * (width - _length(lines[-1]) - _length(last)), ""), *last]
    return lines


def _length(pieces: Pieces) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def crop(pieces: Pieces, width: int) -> Pieces:
    """At most ``width`` cells of a line, without blanks at its end."""
    kept: Pieces = []
    for text, style in pieces:
        room = width - _length(kept)
        kept.append((text if cell_len(text) <= room else set_cell_size(text, room), style))
    while kept and not kept[-1][0].rstrip(" "):
        kept.pop()
    return kept
