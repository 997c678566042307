"""Stretches of the train and the validation part of a text enter; traits of it that would mislead leave, as figures.

A text may be larger than memory: of each part a million characters are looked at, in stretches all over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from charnn.runs.run import TrainingRun
from charnn.text.batches import Ids
from charnn.text.corpus import release
from charnn.text.unicode import Codes, code_points_of, text_of

SAMPLE, STRETCHES = 1 << 20, 16
"""Characters of a part that are looked at, at most, and in how many stretches."""


@dataclass(frozen=True)
class Traits:
    """``train_loss`` and ``validation_loss`` are the mean surprise, in nats, at each character of a part where only the
    frequencies of the training characters are known; ``noise`` is the standard error of their difference.

    ``in_order`` is the share of lines that sort after the line before, out of ``lines`` that differ from it;
    ``repeated`` is the share of the text in lines that stood before, word for word.
    """

    train_loss: float
    validation_loss: float
    noise: float
    lines: int
    in_order: float
    repeated: float


def traits_of(train: Codes, validation: Codes) -> Traits:
    """Look at the code points (N,) of both parts; without a validation part it is as the train part is."""
    train_loss, validation_loss, noise = _unigram_losses(train, validation if len(validation) else train)
    lines = [line for part in (train, validation) for line in text_of(part).splitlines() if line.strip()]
    pairs = [(before, line) for before, line in pairwise(lines) if before != line]
    rising = max(_share(a < b for a, b in pairs), _share(a.casefold() <= b.casefold() for a, b in pairs))
    return Traits(train_loss, validation_loss, noise, len(pairs), rising, _repeated(lines))


def traits_of_run(run: TrainingRun) -> Traits:
    """Look at the text of a run."""
    characters = code_points_of(run.vocabulary.characters)  # (V,)
    train, validation = (characters[_sample(ids)] for ids in (run.train_ids, run.validation_ids))
    return traits_of(train, validation)


class Passing:
    """Looks at a text while the pieces of it pass by, file by file. ``sizes`` are those of its three parts."""

    def __init__(self, sizes: Iterable[int]) -> None:
        self._places = [_places(size) for size in sizes][:2]
        self._seen = [0, 0]
        self._kept: tuple[list[Codes], list[Codes]] = ([], [])

    def watch(self, pieces: Iterable[tuple[int, Codes]]) -> Iterator[tuple[int, Codes]]:
        """The same pieces, each with its part: 0 train, 1 validation, 2 test."""
        for part, codes in pieces:
            if part < 2:
                start = self._seen[part]
                self._seen[part] += len(codes)
                for place in self._places[part]:
                    kept = codes[max(0, place.start - start) : max(0, place.stop - start)]
                    if len(kept):
                        self._kept[part].append(kept.copy())
            yield part, codes

    def traits(self) -> Traits:
        train, validation = (np.concatenate([code_points_of(""), *kept]) for kept in self._kept)
        return traits_of(train, validation)


def _places(length: int) -> list[slice]:
    """Where to look at a part: all of it, or stretches at equal distances."""
    if length <= SAMPLE:
        return [slice(0, length)]
    size = SAMPLE // STRETCHES
    starts = np.linspace(0, length - size, STRETCHES).astype(np.int64).tolist()
    return [slice(start, start + size) for start in starts]


def _sample(ids: Ids) -> Ids:
    sample = np.concatenate([ids[place] for place in _places(len(ids))])
    release(ids)
    return sample


def _unigram_losses(train: Codes, validation: Codes) -> tuple[float, float, float]:
    """The loss on both parts of the frequencies of the first, half a count added, and its standard error."""
    size = int(max(train.max(), validation.max())) + 1
    counts, others = np.bincount(train, minlength=size), np.bincount(validation, minlength=size)
    known = counts + others > 0
    counts, others = counts[known], others[known]  # (V,)
    surprise = -np.log((counts + 0.5) / (len(train) + 0.5 * len(counts)))
    mean, expected = np.average(surprise, weights=others), np.average(surprise, weights=counts)
    variance = np.average((surprise - mean) ** 2, weights=others)
    return float(expected), float(mean), float(np.sqrt(variance / len(validation)))


def _share(truths: Iterable[bool]) -> float:
    found = list(truths)
    return sum(found) / max(1, len(found))


def _repeated(lines: list[str]) -> float:
    seen = set[str]()
    repeated = 0
    for line in lines:
        repeated += len(line) if line in seen else 0
        seen.add(line)
    return repeated / max(1, sum(map(len, lines)))
