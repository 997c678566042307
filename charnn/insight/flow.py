"""Trained runs and cells as they are before training enter; what gradients do in each of them leaves, side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charnn.defaults import GRADIENT_POSITIONS, GRADIENT_SEED, GRADIENT_STEPS
from charnn.errors import ConfigError, printable
from charnn.insight.gradients import Reach, measure_reach
from charnn.insight.jacobians import Jacobians, measure_jacobians
from charnn.insight.reading import Ids
from charnn.network.cells import find_cell
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.runs.snapshot import Snapshot
from charnn.storage.metrics import read_metrics
from charnn.text.sources import code_points, open_sources
from charnn.text.vocabulary import Vocabulary

RANDOM_VOCABULARY = 64
"""Distinct characters of the random text that fresh cells read where there is no other."""


@dataclass(frozen=True, eq=False)
class Flow:
    """All that was measured of one network; ``clipped`` is the share of its training steps that were clipped."""

    label: str
    reach: Reach
    jacobians: Jacobians
    clipped: float | None = None

    def to_json(self) -> dict[str, Any]:
        """What a program may want to read."""
        return {"label": self.label, **self.reach.to_json(), **self.jacobians.to_json(), "clipped": self.clipped}


@dataclass(frozen=True)
class Fresh:
    """A network before training; its recurrent weights are drawn as for training, times ``scale``.

    Raises ConfigError for an activation that the cell does not have.
    """

    cell: str
    activation: str = ""
    scale: float = 1.0
    hidden_size: int = 128
    layers: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        choices = find_cell(self.cell).activations
        if self.activation and self.activation not in choices:
            known = ", ".join(choices) or "none"
            raise ConfigError(f"a {self.cell} cell has no activation {printable(self.activation)}", f"it has: {known}")

    @property
    def label(self) -> str:
        words = ["fresh", self.cell, self.activation, "" if self.scale == 1 else f"x{self.scale:g}"]
        return " ".join(word for word in words if word)

    def model(self, vocabulary_size: int) -> CharRNN:
        """The network, in double precision."""
        shape = Shape(vocabulary_size, self.cell, self.activation, self.layers, self.hidden_size)
        model = CharRNN(shape, np.float64)
        model.initialise(self.seed)
        for name, array in model.parameters.items():
            if name.endswith(".Wh"):
                array *= self.scale
        model.pack()
        return model


def fresh_networks(
    cells: Sequence[str], activations: Sequence[str], scales: Sequence[float], **sizes: int
) -> list[Fresh]:
    """Every combination of cell, activation and scale; activations only for the cells that have a choice."""
    found = []
    for cell in cells:
        choices = find_cell(cell).activations
        chosen = [name for name in activations if name in choices] if choices or len(cells) > 1 else activations
        found += [Fresh(cell, name, scale, **sizes) for name in chosen or [""] for scale in scales or [1.0]]
    unused = [name for name in activations if not any(fresh.activation == name for fresh in found)]
    if unused:
        raise ConfigError(f"none of the cells has an activation {printable(unused[0])}", "vanilla has tanh and relu")
    return found


def measure_flow(
    label: str,
    model: CharRNN,
    text: Ids,
    *,
    steps: int = GRADIENT_STEPS,
    positions: int = GRADIENT_POSITIONS,
    seed: int = GRADIENT_SEED,
    clipped: float | None = None,
) -> Flow:
    """Reach and Jacobians of a model on ``text`` (N,). Raises CorpusError for a text too short."""
    reach = measure_reach(model, text, steps=steps, positions=positions, seed=seed)
    return Flow(label, reach, measure_jacobians(model, text, seed=seed), clipped)


def clipped_share(loaded: Snapshot) -> float | None:
    """The share of the run's training steps whose gradient was clipped; None where its folder is not there."""
    metrics, _ = read_metrics(loaded.folder / "metrics.jsonl")
    steps = [0, *(line["step"] for line in metrics)]
    clipped = sum(line["clipped"] * (line["step"] - before) for line, before in zip(metrics, steps, strict=False))
    return float(clipped / steps[-1]) if steps[-1] else None


def random_text(length: int, seed: int) -> tuple[Ids, int]:
    """Characters drawn alike and independently, and the size of their vocabulary."""
    rng = np.random.Generator(np.random.Philox(seed))
    return rng.integers(0, RANDOM_VOCABULARY, length).astype(np.uint8), RANDOM_VOCABULARY


def plain_text(file: str, most: int) -> tuple[Ids, int]:
    """The first characters of a file in a vocabulary of their own, and its size. Raises CorpusError."""
    with tempfile.TemporaryDirectory() as work, open_sources([file], Path(work)) as sources:
        codes, left = [], most
        for block in code_points(sources):
            codes.append(block[:left])
            left -= len(codes[-1])
            if left <= 0:
                break
    if not codes:
        return np.zeros(0, np.uint8), 1
    text = np.concatenate(codes)
    vocabulary = Vocabulary.from_code_points(text)
    return vocabulary.encode_code_points(text), len(vocabulary)
