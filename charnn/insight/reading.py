"""A model and the ids of a text of any size enter; the model's buffers after every chunk leave, and which characters
they belong to.

One stream reads the text as it is: the state after one character is the state before the next. With more streams, a
block of the text is cut into equal parts that are read side by side. The first goes on where the last block ended; the
others start cold ``BURN_IN`` characters early, which warms their state up until hardly any difference remains.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.network.model import Carry, CharRNN
from charnn.network.workspace import Workspace
from charnn.text.streams import BURN_IN, side_by_side

Ids = npt.NDArray[np.unsignedinteger[Any]]

STREAM = 4096
"""Characters of one stream in a block: eight times the burn-in."""

CHUNK = 256
"""Time steps at once."""

LOGITS = 1 << 23
"""Logits at once, at most: what bounds memory for large vocabularies."""

PARALLEL_FROM = 100_000
"""From this many characters on a text is read in parallel streams, unless told otherwise."""

STREAMS = 32


def streams_for(characters: int) -> int:
    """How many streams to read a text of this length with: one as long as that takes no more than seconds."""
    return 1 if characters < PARALLEL_FROM else STREAMS


@dataclass(frozen=True, eq=False)
class Chunk:
    """T steps of B streams: ``y`` (T, B) followed ``x`` (T, B) and stands at ``at`` (T, B) in the block."""

    x: Ids
    y: Ids
    at: npt.NDArray[np.int64]
    workspace: Workspace
    """After the forward pass: states, gates, and the logits (T * B, V) of ``y``."""


class Reader:
    """Reads a text block by block, from a cold state as after a line end, or after a context."""

    def __init__(self, model: CharRNN, start: int, streams: int = 1):
        self.model, self.streams = model, streams
        self._before = start  # the character before the next block
        self._carry = model.zero_carry(1)
        self._workspaces: dict[tuple[int, int], Workspace] = {}

    @property
    def block_size(self) -> int:
        """Characters to hand over at once."""
        return self.streams * STREAM

    def warm_up(self, context: Ids) -> None:
        """Read the end of what stands before the text."""
        for _ in self.chunks(context[-BURN_IN:]):
            pass

    def chunks(self, block: Ids) -> Iterator[Chunk]:
        """Read the next block (N,); every character is in exactly one chunk. The state is carried to the next call."""
        if not len(block):
            return
        text = np.concatenate([np.array([self._before], block.dtype), block])  # (N + 1,)
        parts = max(1, min(self.streams, len(block) // (2 * BURN_IN)))
        length = len(block) // parts
        starts = np.arange(parts) * length
        carry = self._carry
        if parts > 1:
            warm = self.model.zero_carry(parts - 1)
            for _, carry_after in self._read(text, starts[1:] - BURN_IN, BURN_IN, warm):
                warm = carry_after
            carry = np.concatenate([carry, warm], axis=2)
        for chunk, carry_after in self._read(text, starts, length, carry):
            carry = carry_after
            yield chunk
        carry = carry[:, :, -1:]
        rest = parts * length
        for chunk, carry_after in self._read(text, np.array([rest]), len(block) - rest, carry):
            carry = carry_after
            yield chunk
        self._carry, self._before = carry, int(block[-1])

    def _read(
        self, text: Ids, starts: npt.NDArray[np.int64], length: int, carry: Carry
    ) -> Iterator[tuple[Chunk, Carry]]:
        """``length`` characters from each of ``starts`` (B,) on, in chunks."""
        B = len(starts)
        steps = max(1, min(CHUNK, LOGITS // (B * self.model.shape.vocabulary_size)))
        for at in side_by_side(starts, length, steps):  # (T, B)
            x, y = text[at], text[at + 1]
            workspace = self._workspace(*at.shape)
            carry = self.model.forward(x, carry, workspace)
            yield Chunk(x, y, at, workspace), carry

    def _workspace(self, T: int, B: int) -> Workspace:
        if (T, B) not in self._workspaces:
            if len(self._workspaces) > 3:
                self._workspaces.clear()
            self._workspaces[T, B] = self.model.workspace(T, B)
        return self._workspaces[T, B]


def regroup(blocks: Iterable[Ids], size: int) -> Iterator[Ids]:
    """The same ids in blocks of ``size``, the last one shorter."""
    held: list[Ids] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(block)
        if count >= size:
            joined = np.concatenate(held)
            whole = count - count % size
            yield from (joined[start : start + size] for start in range(0, whole, size))
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)
