"""A run and a text enter; what of the text stands word for word in the text that the run was trained on leaves.

Every text shares short passages with every other of its kind, so only passages of some length count as copied. What
length that is, the training text says itself: the first at which no more than one in a hundred of its characters
belong to a passage that it holds twice. (What it holds twice over ``QUOTED`` characters is copied there, too, and left
out of this.) To compare with, the same is measured of the validation text, which the run has not seen, and of what the
run writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charnn.errors import ConfigError, Warn, ignore
from charnn.insight.index import blocks
from charnn.insight.passages import Lengths, Search, copied, habitual, line_numbers, passages
from charnn.insight.texts import OwnText, own_text
from charnn.runs.snapshot import Snapshot
from charnn.sampling.sampler import Sampling, generate
from charnn.storage.cache import Cache
from charnn.text.corpus import Ids
from charnn.text.suffixes import Coding

COMPARED = 100_000
"""Characters of the training and the validation text that are compared with, at most."""

PIECES = 20
"""Of a longer training text, so many pieces are taken, evenly spread."""

CACHE = "copies"
"""The folder in the run's folder."""

SAMPLES, SAMPLE_LENGTH = 16, 500
"""What the run writes to be compared with: texts, and characters of each, at temperature 1."""


@dataclass(frozen=True)
class Figures:
    """How much of a text is copied: its length, its longest passage, and its share in passages that are long enough."""

    characters: int
    longest: int
    share: float


@dataclass(frozen=True)
class Comparison:
    """What copying means for a run: passages count from ``at_least`` characters on, and so much of this is copied.

    ``validation`` is the run's own validation text, None without one; ``samples`` are what its checkpoint of this
    ``step`` writes at temperature 1.
    """

    at_least: int
    validation: Figures | None
    samples: Figures
    step: int


@dataclass(frozen=True)
class Passage:
    """``length`` characters from ``start`` on that stand in the training text, too, from ``corpus_start`` on.

    That is in this ``line`` of it, from 1 on.
    """

    start: int
    length: int
    corpus_start: int
    line: int


@dataclass(frozen=True)
class Copies:
    """What of a text is copied: ``share`` of its ``characters`` stand in the ``passages``, sorted by where they start.

    These are all that have ``at_least`` so many characters and are part of no other; they may overlap. ``longest`` is
    the length of the longest passage, however short it is.
    """

    characters: int
    longest: int
    share: float
    at_least: int
    passages: list[Passage]
    validation: Figures | None
    samples: Figures

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def find_copies(
    loaded: Snapshot, texts: Sequence[Ids], at_least: int | None = None, warn: Warn = ignore
) -> list[Copies]:
    """What of each text stands in the run's training text; what has no id in the run's vocabulary stands nowhere.

    Passages count from ``at_least`` characters on, by default from the length that the training text itself asks for.
    ``warn`` hears why nothing can be kept in the run's folder. Raises CheckpointError without a copy of that text.
    """
    if at_least is not None and at_least < 1:
        raise ConfigError(f"at_least is {at_least}", "a passage has at least 1 character")
    own, searches = own_text(loaded), [Search(text) for text in texts]
    comparison = _compare(_look_up(loaded, own, searches, warn), at_least, loaded.step)
    line_end = loaded.vocabulary.characters.find("\n")
    return [_copies(search, comparison, own.train, line_end) for search in searches]


def _copies(search: Search, comparison: Comparison, train: Ids, line_end: int) -> Copies:
    found = passages(search, comparison.at_least)
    lines = line_numbers(train, line_end, found.places)
    rows = (row.tolist() for row in (found.starts, found.lengths, found.places, lines))
    figures = figures_of(search.lengths, comparison.at_least)
    return Copies(
        characters=figures.characters,
        longest=max(figures.longest, int(found.lengths.max(initial=0))),
        share=figures.share,
        at_least=comparison.at_least,
        passages=[Passage(*row) for row in zip(*rows, strict=True)],
        validation=comparison.validation,
        samples=comparison.samples,
    )


def compare(loaded: Snapshot, warn: Warn = ignore) -> Comparison:
    """How much the run copies of its own accord. Raises CheckpointError without a copy of its training text."""
    return _compare(_look_up(loaded, own_text(loaded), [], warn), None, loaded.step)


def kept_comparison(folder: Path, fingerprint: str) -> Comparison | None:
    """What is known of a run without looking at its text, if anything is. The fingerprint is that of the text."""
    cache = Cache(folder / CACHE, {"corpus": fingerprint}, ignore)
    lengths, step = _read(cache)
    return _compare(lengths, None, step) if lengths.keys() == COMPARED_WITH.keys() else None


def figures_of(lengths: Lengths, at_least: int) -> Figures:
    share = float(copied(lengths, at_least).mean()) if len(lengths) else 0.0
    return Figures(len(lengths), int(lengths.max(initial=0)), share)


def _compare(lengths: dict[str, Lengths], at_least: int | None, step: int) -> Comparison:
    at_least = habitual(lengths["training"]) if at_least is None else at_least
    validation, samples = (figures_of(lengths[name], at_least) for name in ("validation", "samples"))
    return Comparison(at_least, validation if validation.characters else None, samples, step)


# What is compared with


def _training(loaded: Snapshot, own: OwnText) -> Search:
    """The training text itself, or pieces of it that are spread over it."""
    N = len(own.train)
    pieces = 1 if N <= COMPARED else PIECES
    length = min(N, COMPARED) // pieces
    starts = np.linspace(0, N - length, pieces).astype(np.int64).tolist()
    texts = [own.train[start : start + length] for start in starts]
    places = np.concatenate([np.append(np.arange(start, start + length), -1) for start in starts])
    return Search(_apart(texts, len(loaded.vocabulary)), places)


def _validation(loaded: Snapshot, own: OwnText) -> Search:
    return Search(np.array(own.ids[own.cut.validation][:COMPARED]))


def _samples(loaded: Snapshot, own: OwnText) -> Search:
    samples, pieces = generate(
        loaded.model, loaded.vocabulary, "", Sampling(length=SAMPLE_LENGTH), seed=0, count=SAMPLES
    )
    for _ in pieces:
        pass
    return Search(_apart([loaded.vocabulary.encode(sample.text) for sample in samples], len(loaded.vocabulary)))


COMPARED_WITH = {"training": _training, "validation": _validation, "samples": _samples}


def _apart(texts: Sequence[Ids], end: int) -> Ids:
    """Texts one after the other, each with an id at its end that stands in no text."""
    return np.concatenate([np.append(text.astype(np.uint32), np.uint32(end)) for text in texts])


# What is kept in the run's folder


def _look_up(loaded: Snapshot, own: OwnText, searches: Sequence[Search], warn: Warn) -> dict[str, Lengths]:
    """Look up texts, and all that they are compared with that is not known yet: the longest passages of these."""
    size = len(loaded.vocabulary)
    facts = {
        "corpus": loaded.document.corpus.fingerprint,
        "characters": len(own.train),
        "depth": Coding(size).depth,
    }
    with Cache(loaded.folder / CACHE, facts, warn) as cache:
        lengths, step = _read(cache)
        if step != loaded.step:
            lengths.pop("samples", None)
        new = {name: make(loaded, own) for name, make in COMPARED_WITH.items() if name not in lengths}
        for start, suffixes in blocks(own.train, size, cache):
            for each in (*searches, *new.values()):
                each.look_in(start, suffixes)
        for name, each in new.items():
            lengths[name] = each.lengths[each.ids < size]  # without what keeps texts apart
            cache.keep(_file(name), {"lengths": lengths[name]}, {"step": loaded.step})
    return lengths


def _read(cache: Cache) -> tuple[dict[str, Lengths], int]:
    """The longest passages that are known, by what they are of, and the step of the samples."""
    lengths: dict[str, Lengths] = {}
    step = -1
    for name in COMPARED_WITH:
        found = cache.read(_file(name))
        if found is None:
            continue
        array, of_step = found.arrays.get("lengths", np.zeros(0)), found.document.get("step")
        measured = array.dtype == np.int32 and array.ndim == 1 and (len(array) or name == "validation")
        if measured and type(of_step) is int:
            lengths[name], step = array, of_step
    return lengths, step


def _file(name: str) -> str:
    return f"{name}.safetensors"
