"""Text that is safe to show enters; what is drawn as one leaves, and how many columns it takes.

Rich measures text, but takes whatever follows a joiner for a part of an emoji, which letters are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from charnn.terminal.scripts import JOINER, Kind, is_picture, kind

_AFTER_JOINER = re.compile(f"(?<={JOINER})")
_SKIN_COLORS = ("\U0001f3fb", "\U0001f3ff")
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")


def text_width(text: str) -> int:
    """The columns that a text takes."""
    return cell_len(text) if JOINER not in text else sum(cell_len(part) for part in _measurable(text))


def measurable(text: str) -> Text:
    """A rich text that rich measures as ``text_width`` does."""
    return Text.assemble(*((part, "none") for part in _measurable(text)))


def _measurable(text: str) -> list[str]:
    """The text in parts that rich measures right: cut between a joiner and a letter."""
    parts = [""]
    for piece in _AFTER_JOINER.split(text):
        if parts[-1] and not is_picture(piece[:1]):
            parts.append(piece)
        else:
            parts[-1] += piece
    return parts


def clusters(text: str) -> Iterator[str]:
    """The text cut between what is drawn apart."""
    cluster = ""
    for character in text:
        if cluster and not attaches(character, cluster):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def attaches(character: str, cluster: str) -> bool:
    """Whether a character is drawn as a part of the cluster before it."""
    if kind(character) in (Kind.MARK, Kind.JAMO, Kind.SELECTOR, Kind.JOINER):
        return True
    first, last = _FLAG_LETTERS
    if first <= character <= last:
        return len(cluster) == 1 and first <= cluster <= last
    dark, light = _SKIN_COLORS
    return is_picture(character) and (cluster[-1] == JOINER or dark <= character <= light)
