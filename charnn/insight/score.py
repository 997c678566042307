"""The ids of a text of any size enter; the surprise at every character leaves, in nats, block by block, line by line.

The surprise at a character is -log of the probability that the model gave it after all the characters before. Beside
the model, another model and the n-gram baseline (``charnn/baseline``) may judge the same text: each is a column of
``nats``. What is kept of a text that streams by is in ``Tally``: sums by kind, and the lines worth showing.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.baseline.ngrams import NGrams
from charnn.errors import ConfigError, UnknownCharacters
from charnn.insight.kinds import KINDS, Kinds, KindsOf
from charnn.insight.reading import Ids, Reader, regroup
from charnn.network.loss import likeliest, log_totals
from charnn.network.model import CharRNN
from charnn.text.vocabulary import Vocabulary

Nats = npt.NDArray[np.float64]

LONGEST_LINE = 2000
"""Longer lines are cut: a text may be one line of many gigabytes."""

SHORTEST_LINE = 8
"""Shorter lines are left out of the ranking: one odd character would decide it."""


@dataclass(frozen=True, eq=False)
class Scored:
    """n characters in a row, judged by S judges: the model first, then another model, then the n-gram baseline."""

    at: int
    """Position of the first in the text, from 0."""
    ids: Ids  # (n,)
    kinds: Kinds  # (n,)
    nats: Nats  # (n, S)
    expected: Ids  # (n, K) what the model held likeliest instead, the likeliest first
    probabilities: npt.NDArray[np.float32]  # (n, K) of each of these

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, part: slice) -> Scored:
        at = self.at + part.indices(len(self))[0]
        return Scored(
            at, self.ids[part], self.kinds[part], self.nats[part], self.expected[part], self.probabilities[part]
        )

    @classmethod
    def join(cls, parts: Sequence[Scored]) -> Scored:
        """Parts that follow each other, as one."""
        return cls(
            at=parts[0].at,
            ids=np.concatenate([part.ids for part in parts]),
            kinds=np.concatenate([part.kinds for part in parts]),
            nats=np.concatenate([part.nats for part in parts]),
            expected=np.concatenate([part.expected for part in parts]),
            probabilities=np.concatenate([part.probabilities for part in parts]),
        )


@dataclass(frozen=True)
class Line:
    """A line of a text with its end, or a part of a very long one; numbers and columns count from 1."""

    number: int
    column: int
    scored: Scored

    @property
    def surprise(self) -> float:
        """The model's mean surprise in nats per character."""
        return float(self.scored.nats[:, 0].mean())

    @property
    def lead(self) -> float:
        """By how many nats in all the model did better than the second judge."""
        return float((self.scored.nats[:, 1] - self.scored.nats[:, 0]).sum())


class Scorer:
    """Judges a text with one model, and beside it with ``against`` (another model) and ``ngrams``, where given.

    ``context`` is what stands before the text: it is read, not scored. Raises ConfigError if the two models do not
    divide a text into the same characters.
    """

    def __init__(
        self,
        model: CharRNN,
        vocabulary: Vocabulary,
        *,
        alternatives: int = 0,
        streams: int = 1,
        against: tuple[CharRNN, Vocabulary] | None = None,
        ngrams: NGrams | None = None,
        context: Ids | None = None,
    ):
        self.vocabulary, self.alternatives = vocabulary, min(alternatives, len(vocabulary))
        self.ngrams = ngrams
        self.names = ("model", *(["against"] if against else []), *(["baseline"] if ngrams else []))
        self._kinds = KindsOf(vocabulary)
        self._reader = Reader(model, vocabulary.start, streams)
        self._other: Reader | None = None
        self._to_other = np.arange(len(vocabulary))
        if against is not None:
            self._to_other = translation(vocabulary, against[1])
            self._other = Reader(against[0], against[1].start, streams)
        self._context = np.zeros(0, vocabulary.id_type) if context is None else context
        self._reader.warm_up(self._context)
        if self._other is not None:
            self._other.warm_up(self._translated(self._context))

    def blocks(self, ids: Iterable[Ids]) -> Iterator[Scored]:
        """Every character of the text once, in order."""
        at, before = 0, self._context
        for block in regroup(ids, self._reader.block_size):
            nats, expected, likely = self._judge(self._reader, block, self.alternatives)
            judges = [nats]
            if self._other is not None:
                judges.append(self._judge(self._other, self._translated(block), 0)[0])
            if self.ngrams is not None:
                judges.append(self.ngrams.score(block, before))
            last = int(before[-1]) if len(before) else self.vocabulary.start
            yield Scored(at, block, self._kinds(block, last), np.stack(judges, 1), expected, likely)
            at, before = at + len(block), block

    @staticmethod
    def _judge(reader: Reader, block: Ids, K: int) -> tuple[Nats, Ids, npt.NDArray[np.float32]]:
        N = len(block)
        nats = np.empty(N)
        expected, likely = np.empty((N, K), block.dtype), np.empty((N, K), np.float32)
        for chunk in reader.chunks(block):
            logits, at = chunk.workspace.logits, chunk.at.reshape(-1)
            totals = log_totals(logits)
            nats[at] = totals - logits[np.arange(len(at)), chunk.y.reshape(-1)]
            if K:
                best = likeliest(logits, K)
                expected[at] = best
                likely[at] = np.exp(np.take_along_axis(logits, best, axis=1) - totals[:, None])
        return nats, expected, likely

    def _translated(self, ids: Ids) -> Ids:
        """The ids of the same characters in the other model's vocabulary. Raises UnknownCharacters."""
        theirs = self._to_other[ids]
        if len(theirs) and theirs.min() < 0:
            missing = "".join(self.vocabulary.characters[i] for i in np.unique(ids[theirs < 0]))
            raise UnknownCharacters(
                missing,
                f"the other run never saw {len(missing)} characters of this text, such as {missing[0]!r}",
                "--unknown skip leaves such characters out",
            )
        return theirs.astype(np.uint32)


def translation(ours: Vocabulary, theirs: Vocabulary) -> npt.NDArray[np.int64]:
    """For each of our ids, theirs of the same character, or -1: (V,). Raises ConfigError."""
    if (ours.tokens, ours.normalize) != (theirs.tokens, theirs.normalize):
        raise ConfigError(
            f"the two runs cut a text differently: {ours.tokens}, normalize {ours.normalize} "
            f"and {theirs.tokens}, normalize {theirs.normalize}",
            "compare runs with the same --tokens and --normalize",
        )
    places = {character: index for index, character in enumerate(theirs.characters)}
    return np.array([places.get(character, -1) for character in ours.characters])


def lines(blocks: Iterable[Scored], vocabulary: Vocabulary) -> Iterator[Line]:
    """The same characters line by line; a line ends with \\n."""
    end = vocabulary.characters.find("\n")
    held: Scored | None = None
    number, column = 1, 1
    for piece in itertools.chain.from_iterable(_pieces(block, end) for block in blocks):
        held = piece if held is None else Scored.join([held, piece])
        complete = held.ids[-1] == end
        if complete or len(held) >= LONGEST_LINE:
            yield Line(number, column, held)
            number, column = (number + 1, 1) if complete else (number, column + len(held))
            held = None
    if held is not None:
        yield Line(number, column, held)


def _pieces(block: Scored, end: int) -> Iterator[Scored]:
    """A block cut after each line end, and where a line is too long."""
    start = 0
    for stop in (*(np.flatnonzero(block.ids == end) + 1).tolist(), len(block)):
        while start < stop:
            cut = min(stop, start + LONGEST_LINE)
            yield block[start:cut]
            start = cut


@dataclass
class Tally:
    """Sums over a text that goes by, and its most telling lines: at most ``keep`` of each sort.

    ``worst`` are those with the highest mean surprise; with a second model, ``ahead`` and ``behind`` are those where
    the first did better and worse by the most nats.
    """

    names: Sequence[str]
    keep: int = 5
    counts: npt.NDArray[np.int64] = field(init=False)  # (kinds,)
    sums: Nats = field(init=False)  # (kinds, S)

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(KINDS), np.int64)
        self.sums = np.zeros((len(KINDS), len(self.names)))
        self._best: dict[str, list[tuple[float, int, Line]]] = {"worst": [], "ahead": [], "behind": []}

    def watch(self, all_lines: Iterable[Line]) -> Iterator[Line]:
        """Pass lines on and count them."""
        for line in all_lines:
            self.add(line)
            yield line

    def add(self, line: Line) -> None:
        kinds = line.scored.kinds
        self.counts += np.bincount(kinds, minlength=len(KINDS))
        for judge in range(len(self.names)):
            self.sums[:, judge] += np.bincount(kinds, line.scored.nats[:, judge], minlength=len(KINDS))
        if len(line.scored) >= SHORTEST_LINE:
            self._offer("worst", line.surprise, line)
        if "against" in self.names and line.lead:
            self._offer("ahead" if line.lead > 0 else "behind", abs(line.lead), line)

    def _offer(self, sort: str, value: float, line: Line) -> None:
        heap = self._best[sort]
        if len(heap) < self.keep:
            heapq.heappush(heap, (value, -line.scored.at, line))
        elif heap and value > heap[0][0]:
            heapq.heapreplace(heap, (value, -line.scored.at, line))

    def ranked(self, sort: str) -> list[Line]:
        """The lines of a sort, the most telling first."""
        return [line for _, _, line in sorted(self._best[sort], key=lambda entry: entry[:2], reverse=True)]

    @property
    def characters(self) -> int:
        return int(self.counts.sum())

    def mean(self, judge: int = 0) -> float:
        """Nats per character over the whole text."""
        return float(self.sums[:, judge].sum() / self.counts.sum())

    def by_kind(self) -> list[dict[str, Any]]:
        """For each kind that occurs: kind, characters, and each judge's nats per character."""
        return [
            {"kind": kind, "characters": int(count), **dict(zip(self.names, (sums / count).tolist(), strict=True))}
            for kind, count, sums in zip(KINDS, self.counts, self.sums, strict=True)
            if count
        ]

    def totals(self, judge: int = 0) -> dict[str, float]:
        """Nats and bits per character, and the perplexity. Raises ConfigError for an empty text."""
        if not self.characters:
            raise ConfigError("there is nothing to score in an empty text")
        mean = self.mean(judge)
        return {
            "nats_per_character": mean,
            "bits_per_character": mean / math.log(2),
            "perplexity": math.exp(min(mean, 700.0)),
        }
