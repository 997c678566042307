"""A network enters; what one character of it costs leaves: multiplications to train, bytes to read to sample.

Only what no implementation can do without is counted: the matrix products with an input that is looked up (a one-hot
vector needs no product), and each weight read once. So a speed in characters per second becomes a share of the limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from charnn.network.cells import find_cell

VOCABULARY = 65
"""Distinct characters of the text that is trained on: as many as an English text has."""

FLOAT = 4
"""Bytes of a weight."""

SAMPLED = 64
"""Characters of a stream that are drawn and timed together."""

TEMPERATURE = 0.8
"""What sampling divides the logits by."""


@dataclass(frozen=True)
class Network:
    """``layers`` recurrent layers of ``hidden_size`` units between one-hot input and a softmax."""

    cell: str
    layers: int
    hidden_size: int
    vocabulary_size: int = VOCABULARY

    @property
    def name(self) -> str:
        return f"{self.cell} {self.layers}x{self.hidden_size}"

    @property
    def gates(self) -> int:
        return len(find_cell(self.cell).gates)

    @property
    def multiplied_weights(self) -> int:
        """Weights that take part in the products of one character: G H H (2L - 1) + H V."""
        H = self.hidden_size
        return self.gates * H * H * (2 * self.layers - 1) + H * self.vocabulary_size

    @property
    def sampling_flops(self) -> int:
        """Floating-point operations to sample one character: a multiplication and an addition a weight."""
        return 2 * self.multiplied_weights

    @property
    def training_flops(self) -> int:
        """Floating-point operations to train on one character: forward, and twice as much backward."""
        return 3 * self.sampling_flops

    @property
    def sampling_bytes(self) -> int:
        """Bytes of weights that are read to sample one character: all products', and one row of the input's."""
        return FLOAT * (self.multiplied_weights + self.gates * self.hidden_size)
