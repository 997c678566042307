"""The lengths of files and the shares to hold out enter; how much of each file is trained on, validated and tested on
leaves.

A single file is cut in three: its beginning is trained on, and what is held out for validation and for testing follows.
Of several files each gives its share, so that the held-out parts stand for the whole text and not for its last file. A
long file gives its end. A short one is held out whole or not at all: its end alone would be like no other, as the last
bars of a tune are. Which ones is drawn at random, but always alike, so that runs on the same files can be compared, and
go on from one another, whatever their seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.errors import ConfigError

Parts = npt.NDArray[np.integer[Any]]
"""Characters of each file (F, 3) that are trained on, validated on and tested on: its beginning, and what follows."""

SHORT = 0.5
"""A file is short if it is no longer than this share of the smallest part that is held out: at the usual tenth, one of
twenty files of the same length."""


@dataclass(frozen=True)
class Split:
    """Where a corpus is cut; validation and test may be empty. Without gaps, in this order."""

    train: slice
    validation: slice
    test: slice

    @classmethod
    def of(cls, sizes: Sequence[int]) -> Split:
        """From the sizes of the three parts."""
        train, validation, test = sizes
        stops = train, train + validation, train + validation + test
        return cls(slice(0, stops[0]), slice(stops[0], stops[1]), slice(stops[1], stops[2]))


def share_out(lengths: Sequence[int], val_fraction: float, test_fraction: float) -> Parts:
    """The parts of files of these lengths. Raises ConfigError as ``cut`` does."""
    val, test = _exact(val_fraction, test_fraction)
    parts = np.array([_cut(length, val, test) for length in lengths], np.int64)  # (F, 3)
    held_out = min((share for share in (val, test) if share), default=Fraction(0)) * sum(lengths)
    short = np.flatnonzero(np.array(lengths) <= float(SHORT * held_out))
    if len(lengths) > 1 and len(short):
        parts[short] = _whole_files(parts[short].sum(axis=1), float(val), float(test))
    return parts


def cut(length: int, val_fraction: float, test_fraction: float) -> tuple[int, int, int]:
    """The sizes of the parts of one text of `length` characters: train first, then validation, test last.

    The fractions count as the decimals they are written as, so 0.1 is one tenth exactly; train ends after
    floor(length * (1 - val - test)) characters, and an empty part has fraction 0. Raises ConfigError for fractions
    outside 0 <= p < 1, or that leave nothing to train on.
    """
    return _cut(length, *_exact(val_fraction, test_fraction))


def _cut(length: int, val: Fraction, test: Fraction) -> tuple[int, int, int]:
    train_end, val_end = int(length * (1 - val - test)), int(length * (1 - test))
    return train_end, val_end - train_end, length - val_end


def _exact(val_fraction: float, test_fraction: float) -> tuple[Fraction, Fraction]:
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= value < 1:
            raise ConfigError(f"{name} is {value}", "a fraction of the text: 0 or more, and less than 1")
    val, test = Fraction(str(float(val_fraction))), Fraction(str(float(test_fraction)))
    if val + test >= 1:
        raise ConfigError(f"val_fraction {val_fraction} and test_fraction {test_fraction} leave nothing to train on")
    return val, test


def _whole_files(lengths: Parts, val: float, test: float) -> Parts:
    """The parts (F, 3) of short files, each of them in one: drawn until the held-out ones have about their shares."""
    order = np.random.Generator(np.random.Philox(0)).permutation(len(lengths))
    middles = np.cumsum(lengths[order]) - lengths[order] / 2  # where the middle of each lies, one after the other
    part = np.zeros(len(lengths), np.intp)
    part[order[middles <= (val + test) * lengths.sum()]] = 1
    part[order[middles <= test * lengths.sum()]] = 2
    parts = np.zeros((len(lengths), 3), lengths.dtype)
    parts[np.arange(len(lengths)), part] = lengths
    return parts
