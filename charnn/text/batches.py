"""Ids enter; chunks (x, y) of T steps of B parallel streams leave, y being x one character later.

The text is cut into B long streams that are read side by side, T characters a step, so that the state after one chunk
is the right state before the next. Where training stands is a value, ``Position``: it and the seed determine every
batch that follows. Nothing here keeps state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from charnn.errors import CorpusError
from charnn.text.corpus import release

Ids = npt.NDArray[np.unsignedinteger]

MAPPED = 1 << 24
"""Bytes of the text that may be read before they are let go: a text may be larger than memory."""


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
        if position.chunk % max(1, MAPPED // (self.ids.itemsize * self.batch_size * T)) == 0:
            release(self.ids)
        return both[:-1], both[1:]

    def after(self, position: Position) -> Position:
        """The position of the following chunk."""
        if position.chunk + 1 < self.chunks_per_epoch:
            return Position(position.epoch, position.chunk + 1)
        return Position(position.epoch + 1, 0)
