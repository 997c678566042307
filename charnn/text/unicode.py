"""Text enters and its code points leave, or the other way round; pieces of text enter and leave in a normal form."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from charnn.errors import CorpusError

Codes = npt.NDArray[np.unsignedinteger[Any]]

NORMAL_FORMS: dict[str, Literal["NFC", "NFD"]] = {"nfc": "NFC", "nfd": "NFD"}

MARKS_AT_MOST = 1024
"""Combining marks in a row: the time to normalize such a run grows with the square of its length."""

_MARKS_IN_A_ROW = re.compile(rb"[^\0]{%d}" % (MARKS_AT_MOST + 1))  # of canonical combining classes, where 0 is no mark


def code_points_of(text: str) -> Codes:
    """The code points (N,) of a text."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")  # (N,)


def text_of(code_points: Codes) -> str:
    """The text of code points (N,)."""
    return code_points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def bytes_of(text: str) -> bytes:
    """A text in UTF-8. A surrogate from U+DC80 to U+DCFF stands for a byte that was no UTF-8 when the text was decoded,
    and becomes that byte again (PEP 383)."""
    return text.encode("utf-8", "surrogateescape")


def readable(text: str) -> str:
    """The text with U+FFFD for every byte that is no UTF-8."""
    return bytes_of(text).decode("utf-8", "replace")


def has_endless_marks(text: str) -> bool:
    """Whether `unicodedata.normalize` could take hours: the time it needs grows with the square of such a run."""
    return not text.isascii() and bool(_MARKS_IN_A_ROW.search(bytes(map(unicodedata.combining, text))))


def with_lf(text: str) -> str:
    """The text with LF for every CR LF and every CR alone."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def normalized(texts: Iterable[str], form: Literal["NFC", "NFD"]) -> Iterator[str]:
    """The texts, joined, in a normal form. What may still change with the text to come is held back."""
    boundary, held = _boundaries(), ""
    for text in texts:
        text = held + text
        apart = boundary[code_points_of(text)]  # (N,)
        joining = np.flatnonzero(~apart)
        if np.any(joining[MARKS_AT_MOST:] - joining[:-MARKS_AT_MOST] == MARKS_AT_MOST):
            raise CorpusError(f"the text has more than {MARKS_AT_MOST} combining marks in a row", "--normalize none")
        cut = len(text) - 1
        while cut and not apart[cut]:
            cut -= 1
        if cut:
            yield unicodedata.normalize(form, text[:cut])
        held = text[cut:]
    if held:
        yield unicodedata.normalize(form, held)


@cache
def _boundaries() -> npt.NDArray[np.bool_]:
    """For each code point, (0x110000,), whether normalization never reaches across its left side.

    That is so where its decomposition begins with a character that is neither a mark, which may change places with
    marks before it, nor composes with what comes before, as some vowel signs and the jamo of Hangul do.
    """
    parts = (unicodedata.decomposition(chr(code)).split() for code in range(0x110000))
    joins = {chr(int(pair[1], 16)) for pair in parts if len(pair) == 2 and pair[0][0] != "<"}
    joins |= set(map(chr, [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]))  # Hangul composes by arithmetic
    firsts = (unicodedata.normalize("NFD", chr(code))[0] for code in range(0x110000))
    apart = (not unicodedata.combining(first) and first not in joins for first in firsts)
    return np.fromiter(apart, dtype=np.bool_, count=0x110000)
