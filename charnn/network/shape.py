"""A configuration enters; the shape of its network leaves, and how many parameters that has, without making any."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from charnn.config import OPTIONS, ModelConfig
from charnn.errors import ConfigError
from charnn.network.cells import find_cell

LARGEST: int = OPTIONS["model.hidden_size"].metadata["high"]
"""The largest hidden size that may be asked for."""


@dataclass(frozen=True)
class Shape:
    """What fixes a network: its cell and its sizes. ``embedding_size`` 0 means one-hot input."""

    vocabulary_size: int
    cell: str = "lstm"
    activation: str = ""
    layers: int = 2
    hidden_size: int = 128
    embedding_size: int = 0


def shape_of(config: ModelConfig, vocabulary_size: int) -> Shape:
    """The network that a configuration describes. Raises ConfigError as ``check_model`` does."""
    check_model(config)
    return Shape(
        vocabulary_size=vocabulary_size,
        cell=config.cell,
        activation="" if config.activation == "auto" else config.activation,
        layers=config.layers,
        hidden_size=config.hidden_size,
        embedding_size=config.embedding_size,
    )


def check_model(config: ModelConfig) -> None:
    """Raises ConfigError for an option that the cell does not have, or that has no effect beside another."""
    cell, name = find_cell(config.cell), config.cell
    if config.forget_bias != ModelConfig.forget_bias:
        if not cell.forget_gates:
            raise ConfigError(f"the {name} cell has no forget gate", "leave forget_bias out, or choose cell lstm")
        if config.chrono:
            raise ConfigError("forget_bias has no effect where chrono is given", "leave one of them out")
    if config.chrono and not cell.timing_gates:
        raise ConfigError("chrono initialisation needs a gated cell", "leave chrono out, or choose cell gru or lstm")
    if config.activation not in ("auto", *cell.activations):
        known = ", ".join(cell.activations) or "none to choose"
        raise ConfigError(f"the {name} cell has no activation {config.activation}", f"it has: {known}")


def parameters_by_layer(shape: Shape) -> dict[str, int]:
    """The number of parameters of each layer, lowest first."""
    cell = find_cell(shape.cell)
    V, E, H, G = shape.vocabulary_size, shape.embedding_size, shape.hidden_size, len(cell.gates)
    counts = {"embedding": V * E} if E else {}
    for layer in range(shape.layers):
        inputs = H if layer else E or V
        counts[f"{shape.cell} {layer + 1}"] = (inputs + 1 + H) * G * H + cell.apart * H
    return {**counts, "output": (H + 1) * V}


def parameter_count(shape: Shape) -> int:
    """P, the length of ``CharRNN.vector``."""
    return sum(parameters_by_layer(shape).values())


def hidden_size_for(parameters: int, shape: Shape) -> int:
    """The hidden size, up to ``LARGEST``, with which such a network has as nearly ``parameters`` as possible."""

    def count(size: int) -> int:
        return parameter_count(dataclasses.replace(shape, hidden_size=size))

    low, high = 1, LARGEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return min((low, high), key=lambda size: abs(count(size) - parameters))
