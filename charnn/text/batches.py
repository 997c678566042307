"""Ids enter; chunks (x, y) of T steps of B parallel streams leave, y being x one character later.

The text is cut into B long streams that are read side by side, T characters a step, so that the state after one chunk
is the right state before the next. Where training stands is a value, ``Position``: it and the seed determine every
batch that follows. Nothing here keeps state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from charnn.errors import CorpusError

Ids = npt.NDArray[np.unsignedinteger]

BURN_IN = 512
"""Characters read before a stream's first scored one, to warm its state up: long memories need a few hundred."""

MIN_STREAM = 1024
"""Scored characters a stream should have at least, so that the burn-in stays cheap."""

SCORING_STEPS = 64
"""Characters of each stream that a scoring pass reads at a time: no loss depends on it, and few need little memory."""


@dataclass(frozen=True)
class Position:
    """The next chunk to be trained on."""

    epoch: int = 0
    chunk: int = 0


@dataclass(frozen=True)
class Batches:
    """The training chunks of ``ids`` (N,): B streams, T characters a chunk.

    Every epoch starts at another offset below T, drawn from the seed and the epoch, so that chunk borders move. Raises
    CorpusError if the text is too short for a single chunk.
    """

    ids: Ids
    batch_size: int
    seq_length: int
    seed: int = 0

    def __post_init__(self) -> None:
        N, B, T = len(self.ids), self.batch_size, self.seq_length
        if N - 1 < B * T:
            fitting = max(1, min(B, (N - 1) // T))
            raise CorpusError(
                f"the training text has {N:,} characters, too few for {B} streams of {T} (needs {B * T + 1:,})",
                f"try --batch-size {fitting} --seq-length {min(T, max(1, (N - 1) // fitting))}",
            )

    @property
    def _slack(self) -> int:
        """Offsets there are to choose from, less one."""
        return min(self.seq_length - 1, len(self.ids) - 1 - self.batch_size * self.seq_length)

    @property
    def _stride(self) -> int:
        """Characters from the start of one stream to the start of the next."""
        return (len(self.ids) - 1 - self._slack) // self.batch_size

    @property
    def chunks_per_epoch(self) -> int:
        return self._stride // self.seq_length

    def offset(self, epoch: int) -> int:
        """Where the first stream starts in this epoch."""
        return int(np.random.Generator(np.random.Philox([self.seed, epoch])).integers(self._slack + 1))

    def batch(self, position: Position, columns: slice = slice(None)) -> tuple[Ids, Ids]:
        """The chunk at ``position``: x and y (T, B), or the streams in ``columns`` of them."""
        T, stride = self.seq_length, self._stride
        start = self.offset(position.epoch) + position.chunk * T
        first, stop, _ = columns.indices(self.batch_size)
        text = self.ids[start + first * stride : start + (stop - 1) * stride + T + 1]
        streams = sliding_window_view(text, T + 1)[::stride]  # (B, T + 1), nothing copied yet
        both = np.ascontiguousarray(streams.T)  # (T + 1, B)
        return both[:-1], both[1:]

    def after(self, position: Position) -> Position:
        """The position of the following chunk."""
        if position.chunk + 1 < self.chunks_per_epoch:
            return Position(position.epoch, position.chunk + 1)
        return Position(position.epoch + 1, 0)


@dataclass(frozen=True)
class ScoringChunk:
    """One chunk of a scoring pass: x and y (T, S), which of them count, and which streams start from zeros here.

    ``scored`` (T, S) is False during the burn-in and past the end of the text; ``cold`` (S,) is True where the stream's
    state must be set to zero before this chunk.
    """

    x: Ids
    y: Ids
    scored: npt.NDArray[np.bool_]
    cold: npt.NDArray[np.bool_]


def scoring_streams(characters: int, most: int = 64) -> int:
    """How many parallel streams to score a text of this length with."""
    return max(1, min(most, characters // MIN_STREAM))


def scoring_chunks(ids: Ids, context: Ids, streams: int, seq_length: int) -> Iterator[ScoringChunk]:
    """Chunks that score every character of ``ids`` (N,) once, in S parallel streams with carried state.

    ``context`` is the text just before (its last characters are read, not scored). Without any, the first character has
    nothing that predicts it and is not scored. Each stream begins with a burn-in on the characters before its part, so
    that its state is as warm as if one stream had read everything.
    """
    before = context[-BURN_IN - 1 :]
    last = len(before) + len(ids) - 1  # indices count from the beginning of ``before``
    first = max(1, len(before))  # index of the first scored character
    length = -(-(last + 1 - first) // streams)  # scored characters a stream
    targets = first + np.arange(streams) * length  # each stream's first
    burn_in = BURN_IN if streams > 1 or len(before) else 0
    enough = targets - 1 - burn_in >= 0  # streams that have the whole burn-in before them
    starts = [(k, min(seq_length, -k)) for k in range(-burn_in, 0, seq_length)]
    starts += [(k, min(seq_length, length - k)) for k in range(0, length, seq_length)]
    for k, T in starts:
        at = targets + (k + np.arange(T))[:, None]  # (T, S): index of each target
        inside = (at <= last) & (at < targets + length)
        scored = inside if k >= 0 else np.zeros_like(inside)
        cold = np.full(streams, k == -burn_in) | (~enough & (k == 0))
        at = np.clip(at, 1, last)
        yield ScoringChunk(_characters(before, ids, np.maximum(at - 1, 0)), _characters(before, ids, at), scored, cold)


def _characters(before: Ids, ids: Ids, at: npt.NDArray[np.intp]) -> Ids:
    """The characters at the indices ``at`` of ``before`` and ``ids``, one after the other, which are not joined."""
    found: Ids = ids[np.maximum(at - len(before), 0)]
    early = at < len(before)
    found[early] = before[at[early]]
    return found
