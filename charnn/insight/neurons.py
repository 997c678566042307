"""A model and a text enter; which single units tell what about the text, and how often gates are shut, leaves.

A unit tells a property (``properties.py``) as far as the two are correlated over the text (Pearson's r): the unit's
value after a character, and what is true of the text up to it. Neighbouring characters are alike in both, so chance
correlations are larger than for independent draws, and with hundreds of units some will look like a discovery. What
chance can do is measured: the properties are moved along the text, end around, by a hundred distances, which keeps
all that neighbours share and breaks any true relation. ``chance`` is the largest |r| that any unit then reached. A
pair above it would come up in fewer than one in a hundred texts without a relation.

A gate is left-saturated where it is below 0.1, right-saturated where it is above 0.9 (Karpathy, Johnson and Li 2015).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.errors import ConfigError, CorpusError, printable
from charnn.insight.properties import LAST_CHARACTER, Properties, properties_of
from charnn.insight.reading import STREAMS, Chunk, Ids, Reader, regroup
from charnn.network.cells import Array
from charnn.network.model import CharRNN
from charnn.text.vocabulary import Vocabulary

SHIFTS = 100
LEFT, RIGHT = 0.1, 0.9
ROWS = 2048
"""Characters whose correlations are summed at once."""


@dataclass(frozen=True)
class Unit:
    """One component of a state: layers and units count from 0, as in the checkpoint's names and the arrays."""

    layer: int
    index: int
    state: str = "h"

    def __str__(self) -> str:
        return f"{self.layer}:{self.index}" + ("" if self.state == "h" else f":{self.state}")

    @classmethod
    def parse(cls, text: str, model: CharRNN) -> Unit:
        """The unit that ``L:U``, or ``L:U:c`` for another state than h, names. Raises ConfigError."""
        parts = text.split(":")
        try:
            unit = cls(int(parts[0]), int(parts[1]), *parts[2:])
        except (ValueError, IndexError, TypeError):
            raise ConfigError(f"{printable(text)[:40]} names no unit", "LAYER:UNIT, for example 1:57") from None
        shape = model.shape
        inside = 0 <= unit.layer < shape.layers and 0 <= unit.index < shape.hidden_size
        if not inside or unit.state not in model.cell.state:
            raise ConfigError(
                f"the network has no unit {printable(text)[:40]}",
                f"layers 0 to {shape.layers - 1}, units 0 to {shape.hidden_size - 1}, "
                f"states {', '.join(model.cell.state)}",
            )
        return unit


@dataclass(frozen=True)
class Finding:
    """One unit tells one property: correlation ``r``, where chance reaches ``chance``."""

    unit: Unit
    property: str
    r: float
    chance: float


@dataclass(frozen=True, eq=False)
class Gates:
    """Of every sigmoid gate of L layers: the share of characters at which each unit's gate was nearly shut or open."""

    names: tuple[str, ...]  # G
    left: npt.NDArray[np.float64]  # (L, G, H) below 0.1
    right: npt.NDArray[np.float64]  # (L, G, H) above 0.9


@dataclass(frozen=True, eq=False)
class Neurons:
    """Correlations of U units with F properties over N characters."""

    units: tuple[Unit, ...]  # U
    properties: Properties
    correlations: npt.NDArray[np.float64]  # (U, F)
    chance: npt.NDArray[np.float64]  # (F,)
    gates: Gates

    def best(self, name: str, most: int = 1) -> list[Finding]:
        """The units that tell a property best, of those that do better than chance."""
        column = self.properties.names.index(name)
        values = self.correlations[:, column]
        order = np.argsort(-np.abs(values), kind="stable")[:most]
        chance = float(self.chance[column])
        return [Finding(self.units[u], name, float(values[u]), chance) for u in order if abs(values[u]) > chance]

    def ranked(self, most: int | None = None) -> list[Finding]:
        """Every unit with the property it tells best, the most telling first; units below chance are left out."""
        ratio = np.where(np.abs(self.correlations) > self.chance, np.abs(self.correlations), 0)  # (U, F)
        if not ratio.shape[1]:
            return []
        columns = ratio.argmax(axis=1)
        order = [u for u in np.argsort(-ratio.max(axis=1), kind="stable")[:most] if ratio[u].any()]
        names, found = self.properties.names, []
        for u in order:
            column = columns[u]
            found.append(
                Finding(self.units[u], names[column], float(self.correlations[u, column]), float(self.chance[column]))
            )
        return found

    def most_telling(self) -> Unit:
        """The unit that tells best what takes memory to know; if there is none, what the last character tells."""
        found = [finding for name in self.properties.names for finding in self.best(name)]
        found.sort(key=lambda one: (one.property in LAST_CHARACTER, -abs(one.r)))
        return found[0].unit if found else self.units[0]

    def to_json(self) -> dict[str, Any]:
        """What a program may want to read."""
        return {
            "characters": len(self.properties.values),
            "properties": {
                name: [{"unit": str(one.unit), "r": one.r, "chance": one.chance} for one in self.best(name, 5)]
                for name in self.properties.names
            },
            "gates": [
                {"layer": layer, "gate": name, "left": float(left.mean()), "right": float(right.mean())}
                for layer, (lefts, rights) in enumerate(zip(self.gates.left, self.gates.right, strict=True))
                for name, left, right in zip(self.gates.names, lefts, rights, strict=True)
            ],
        }


def measure_neurons(
    model: CharRNN,
    vocabulary: Vocabulary,
    text: Ids,
    *,
    context: Ids | None = None,
    since: Sequence[str] = (),
    shifts: int = SHIFTS,
    seed: int = 0,
) -> Neurons:
    """Correlate every unit with every property of ``text`` (N,); ``since`` adds characters to count from.

    ``context`` stands before the text. Raises CorpusError for a text of fewer than 100 characters.
    """
    N = len(text)
    if N < 100:
        raise CorpusError(f"a text of {N} characters is too short to tell what units respond to", "give a longer one")
    properties = properties_of(vocabulary, text, since)
    values = properties.values.astype(np.float64)
    standard = ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32)  # (N, F)
    rng = np.random.Generator(np.random.Philox(seed))
    moved = np.append(0, rng.integers(N // 10, N - N // 10, shifts))  # (R + 1,) the first is the text as it is
    sums = _Sums(model, standard, moved)
    for chunk in _chunks(model, vocabulary, text, context):
        sums.add(chunk)
    r = sums.correlations()  # (U, R + 1, F)
    chance = np.abs(r[:, 1:]).max(axis=(0, 1)) if shifts else np.zeros(len(properties.names))
    return Neurons(tuple(all_units(model)), properties, r[:, 0], chance, sums.gates())


def all_units(model: CharRNN) -> list[Unit]:
    """Every unit of every layer and state, in the order of ``correlations``."""
    shape = model.shape
    return [
        Unit(n, u, state) for n in range(shape.layers) for state in model.cell.state for u in range(shape.hidden_size)
    ]


def activations(
    model: CharRNN, vocabulary: Vocabulary, text: Ids, units: Sequence[Unit], context: Ids | None = None
) -> npt.NDArray[np.float32]:
    """The values of some units after each character of ``text`` (N,): (N, units)."""
    values = np.empty((len(text), len(units)), np.float32)
    for chunk in _chunks(model, vocabulary, text, context):
        for column, unit in enumerate(units):
            states = chunk.workspace.recurrent[unit.layer].states[unit.state]
            values[chunk.at, column] = states[1:, :, unit.index]
    return values


def _chunks(model: CharRNN, vocabulary: Vocabulary, text: Ids, context: Ids | None) -> Iterator[Chunk]:
    """The model's buffers after reading each character: unlike in scoring, ``at`` is where that character stands.

    A reader predicts y from x. What has been read at place n is text[n], so the text is handed over one early.
    """
    reader = Reader(model, int(text[0]), STREAMS)
    if context is not None and len(context):
        reader = Reader(model, vocabulary.start, STREAMS)
        reader.warm_up(np.append(context, text[0]))
    start = 0
    for block in regroup([np.append(text[1:], text[-1:])], reader.block_size):
        for chunk in reader.chunks(block):
            yield Chunk(chunk.x, chunk.y, chunk.at + start, chunk.workspace)
        start += len(block)


class _Sums:
    """Running sums over the text: of every unit, of its square, and of its products with all moved properties."""

    def __init__(self, model: CharRNN, standard: npt.NDArray[np.float32], moved: npt.NDArray[np.int64]):
        self.cell, self.standard, self.moved = model.cell, standard, moved
        shape = model.shape
        U, F = len(all_units(model)), standard.shape[1]
        self.sum, self.squares = np.zeros(U), np.zeros(U)
        self.products = np.zeros((U, len(moved) * F))
        self.gate_names = model.cell.gates[: model.cell.sigmoids]
        self.left = np.zeros((shape.layers, len(self.gate_names), shape.hidden_size))
        self.right = np.zeros_like(self.left)

    def add(self, chunk: Chunk) -> None:
        layers = chunk.workspace.recurrent
        states = [layer.states[name][1:] for layer in layers for name in self.cell.state]
        values = np.concatenate([state.reshape(-1, state.shape[-1]) for state in states], axis=1)  # (T * B, U)
        self.sum += values.sum(axis=0, dtype=np.float64)
        self.squares += np.einsum("nu,nu->u", values, values, dtype=np.float64)
        at = chunk.at.reshape(-1)
        for first in range(0, len(at), ROWS):
            places = (at[first : first + ROWS, None] + self.moved) % len(self.standard)
            columns = self.standard[places].reshape(len(places), -1)  # (rows, (R + 1) * F)
            self.products += values[first : first + ROWS].T @ columns
        for index, layer in enumerate(layers):
            for step in layer.steps:
                for gate, name in enumerate(self.gate_names):
                    opening: Array = getattr(step, name)  # (B, H)
                    self.left[index, gate] += (opening < LEFT).sum(axis=0)
                    self.right[index, gate] += (opening > RIGHT).sum(axis=0)

    def correlations(self) -> npt.NDArray[np.float64]:
        """Pearson's r (U, R + 1, F); 0 for a unit that never moves."""
        N = len(self.standard)
        variance = np.maximum(self.squares / N - (self.sum / N) ** 2, 0)
        spread = np.sqrt(variance)[:, None]
        r = np.zeros_like(self.products)
        np.divide(self.products / N, spread, out=r, where=spread > 1e-6)
        return r.reshape(len(self.sum), len(self.moved), -1)

    def gates(self) -> Gates:
        N = len(self.standard)
        return Gates(self.gate_names, self.left / N, self.right / N)


def line_starts(ids: Ids, line_end: int) -> npt.NDArray[np.intp]:
    """Where lines begin in ``ids`` (N,): at 0, and after every ``line_end``."""
    return np.append(0, np.flatnonzero(ids[:-1] == line_end) + 1)


def passage(values: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], length: int) -> int:
    """Of ``starts``, where the ``values`` (N,) of a unit vary most over the next ``length`` characters."""
    sums = np.cumsum(np.append(0, values.astype(np.float64)))
    squares = np.cumsum(np.append(0, values.astype(np.float64) ** 2))
    ends = np.minimum(starts + length, len(values))
    n = np.maximum(ends - starts, 1)
    variance = (squares[ends] - squares[starts]) / n - ((sums[ends] - sums[starts]) / n) ** 2
    return int(starts[np.argmax(variance * (n / length))])
