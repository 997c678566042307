"""A checkpoint and what lies around it enter; what the page tells of the run leaves, as one JSON object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charnn.defaults import NEURON_CHARACTERS, SAMPLE_LENGTH, TEMPERATURE
from charnn.errors import CheckpointError, CorpusError, Warn, ignore, printable
from charnn.insight.neurons import Finding, Neurons, activations, line_starts, measure_neurons, passage
from charnn.insight.properties import LAST_CHARACTER
from charnn.insight.reading import Ids
from charnn.insight.texts import Text, open_text
from charnn.network.shape import parameter_count
from charnn.runs.snapshot import Snapshot
from charnn.storage.metrics import read_metrics
from charnn.text.unicode import readable
from charnn.text.vocabulary import Vocabulary

CURVE_POINTS = 400
"""Points of the loss curve at most: more than a screen shows."""

EXCERPT = 1500
"""Characters of the text that is shown to begin with."""

CANDIDATES = 20
"""Units that may stand for a property: the best may tell another one better still."""

LEAST_TEXT = 100
"""Characters from which on units can be looked at."""


@dataclass(frozen=True)
class Material:
    """A text that the page shows, and the units that tell most about it; both may be missing."""

    excerpt: str = ""
    units: tuple[Finding, ...] = ()


def own_material(loaded: Snapshot, warn: Warn = ignore) -> Material:
    """The held-out text of the run; where it has none, or a checkpoint stands alone, the page does without."""
    try:
        with open_text(loaded, None) as text:
            return material_of(loaded, text)
    except (CheckpointError, CorpusError) as error:
        warn(f"{error.message}; the page shows no text and no units")
        return Material()


def material_of(loaded: Snapshot, text: Text) -> Material:
    """The units that tell most about ``text``, and the passage of it in which the first of them moves most."""
    ids, context, vocabulary = text.head(NEURON_CHARACTERS), text.context, loaded.vocabulary
    if len(ids) < LEAST_TEXT:
        return Material(excerpt_of(vocabulary, ids, 0))
    neurons = measure_neurons(loaded.model, vocabulary, ids, context=context)
    values = activations(loaded.model, vocabulary, ids, [neurons.most_telling()], context)[:, 0]
    starts = line_starts(ids, vocabulary.characters.find("\n"))
    return Material(excerpt_of(vocabulary, ids, passage(values, starts, EXCERPT)), tuple(telling_units(neurons)))


def telling_units(neurons: Neurons) -> list[Finding]:
    """For every property the best unit that is not taken by another; what takes memory to know comes first."""
    found = [one for name in neurons.properties.names for one in neurons.best(name, CANDIDATES)]
    found.sort(key=lambda one: (one.property in LAST_CHARACTER, -abs(one.r)))
    chosen: dict[str, Finding] = {}
    for one in found:
        taken = {(other.unit.layer, other.unit.index) for other in chosen.values()}
        if (one.unit.layer, one.unit.index) not in taken:
            chosen.setdefault(one.property, one)
    return list(chosen.values())


def excerpt_of(vocabulary: Vocabulary, ids: Ids, start: int) -> str:
    """A passage from ``start`` on, of whole lines if it has any, and of whole characters where ids are bytes."""
    part = ids[start : start + EXCERPT]
    text = vocabulary.decode(part)
    if vocabulary.tokens == "bytes":
        text = readable(text).strip("\ufffd")
    if len(ids) > start + EXCERPT and "\n" in text:
        text = text[: text.rindex("\n") + 1]
    return text


def facts_of(loaded: Snapshot, material: Material) -> dict[str, Any]:
    """What the page says of the run, and what its settings begin with."""
    shape, model = loaded.model.shape, loaded.model
    state, corpus, baseline = loaded.document.state, loaded.document.corpus, loaded.document.baseline
    folder = run_folder(loaded)
    metrics = read_metrics(folder / "metrics.jsonl")[0] if folder else []
    metrics = [line for line in metrics if line["step"] <= state.step]
    last: dict[str, Any] = metrics[-1] if metrics else {}
    return {
        "shape": {
            "cell": shape.cell,
            "activation": model.cell.activation,
            "layers": shape.layers,
            "hidden": shape.hidden_size,
            "embedding": shape.embedding_size,
            "vocabulary": shape.vocabulary_size,
        },
        "vocabulary": loaded.vocabulary.to_json(),
        "unit": "byte" if loaded.vocabulary.tokens == "bytes" else "character",
        "parameters": parameter_count(shape),
        "files": [printable(Path(name).name) for name in corpus.files],
        "corpus": corpus.characters,
        "step": state.step,
        "epoch": last.get("epoch"),
        "elapsed": state.elapsed,
        "train_loss": last.get("train_loss"),
        "val_loss": state.val_loss,
        "baseline": None if baseline is None else {"order": baseline.order, "loss": baseline.loss},
        "curve": thinned([[line["step"], line["train_loss"], line["val_loss"]] for line in metrics]),
        "units": [_unit_to_json(one) for one in material.units],
        "excerpt": material.excerpt,
        "settings": {"temperature": TEMPERATURE, "length": SAMPLE_LENGTH},
    }


def _unit_to_json(finding: Finding) -> dict[str, Any]:
    unit = finding.unit
    return {
        "layer": unit.layer,
        "unit": unit.index,
        "state": unit.state,
        "property": finding.property,
        "r": round(finding.r, 4),
        "chance": round(finding.chance, 4),
    }


def thinned(points: list[Any]) -> list[Any]:
    """At most ``CURVE_POINTS`` points, evenly spread, the first and the last among them."""
    if len(points) <= CURVE_POINTS:
        return points
    return [points[place] for place in np.linspace(0, len(points) - 1, CURVE_POINTS).round().astype(int)]


def run_folder(loaded: Snapshot) -> Path | None:
    """The folder of the run, or None where a checkpoint file stands alone."""
    return loaded.folder if loaded.path.parent.name == "checkpoints" else None


def name_of(loaded: Snapshot) -> str:
    """The name of the run's folder, or of a checkpoint file that stands alone."""
    folder = run_folder(loaded)
    return printable(folder.resolve().name if folder else loaded.path.stem)
