"""A text file, or the run's own copy of its text, enters; its ids in the run's vocabulary leave.

What the model never saw has no id: such characters are an error, or are left out and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from charnn.baseline.ngrams import TRAIN_LIMIT, NGrams, choose_order
from charnn.errors import CheckpointError, CorpusError, printable
from charnn.insight.reading import Ids
from charnn.runs.snapshot import Snapshot
from charnn.text import corpus
from charnn.text.options import ReadOptions
from charnn.text.sources import Sources, code_points, open_sources
from charnn.text.split import Split
from charnn.text.unicode import Codes
from charnn.text.vocabulary import Vocabulary

CONTEXT = 4096
"""Characters before a part of the run's own text that a model may read first."""


Part = Literal["validation", "test"]
"""The parts of a run's own text that were held out of training."""


@dataclass(frozen=True, eq=False)
class OwnText:
    """The text of a run (N,), and where it is cut."""

    ids: Ids
    cut: Split

    @property
    def train(self) -> Ids:
        return self.ids[self.cut.train]

    def held_out(self, part: Part) -> Text:
        """A part that was held out, with what stands before it. Raises CorpusError where the run has none."""
        place = self.cut.test if part == "test" else self.cut.validation
        if place.start == place.stop:
            hint = f"name a text file, or train with --{'test' if part == 'test' else 'val'}-fraction 0.1"
            raise CorpusError(f"the run has no {part} part", hint)
        before = self.ids[max(0, place.start - CONTEXT) : place.start]
        return Text(f"its {part} text", place.stop - place.start, before, [self.ids[place]], part=part)


def own_text(loaded: Snapshot) -> OwnText:
    """What the run's folder keeps of its text. Raises CheckpointError where a checkpoint file stands alone."""
    path = loaded.folder / "corpus.npy"
    if not path.is_file():
        raise CheckpointError(
            f"there is no copy of the run's own text at {printable(str(path))}", "name the run's folder, or a text file"
        )
    facts = loaded.document.corpus
    return OwnText(corpus.open_ids(path, facts.fingerprint), facts.split)


def count_ngrams(loaded: Snapshot, own: OwnText, order: int | None = None) -> NGrams:
    """The n-gram baseline of the run's training text: up to ``order``, or the order of the run's baseline."""
    train, size = own.train[-TRAIN_LIMIT:], len(loaded.vocabulary)
    if order is None:
        baseline = loaded.document.baseline
        order = choose_order(train, size) if baseline is None else baseline.order
    return NGrams.count(train, order, size)


@dataclass
class Text:
    """A text to look at: its ids in blocks, and what stands before it. ``unknown`` counts what was left out so far.

    ``size`` is its length in characters, or a little more where it has not been decoded yet; ``part`` says which part
    of the run's own text it is, if any.
    """

    name: str
    size: int
    context: Ids
    blocks: Iterable[Ids]
    unknown: int = 0
    part: Part | None = None

    def __iter__(self) -> Iterator[Ids]:
        return iter(self.blocks)

    def head(self, most: int) -> Ids:
        """The first characters, at most so many, as one array. Raises CorpusError where there are none."""
        parts, left = [self.context[:0]], most
        for block in self.blocks:
            parts.append(block[:left])
            left -= len(parts[-1])
            if left <= 0:
                break
        ids = np.concatenate(parts)
        if not len(ids):
            raise CorpusError(f"{self.name} is empty")
        return ids


@contextmanager
def open_text(
    loaded: Snapshot,
    file: str | None,
    encoding: str = "",
    skip: bool = False,
    others: Sequence[Vocabulary] = (),
    part: Part = "validation",
) -> Iterator[Text]:
    """A file, a folder or standard input (-); where none is named, a part of the run's own text.

    With ``skip``, characters that the run's vocabulary lacks, or that of ``others``, are left out. Raises CorpusError,
    also UnknownCharacters while the text is read; CheckpointError where there is no file and no own text.
    """
    if file is None:
        yield own_text(loaded).held_out(part)
        return
    vocabulary = loaded.vocabulary
    with _open_file(loaded, file, encoding) as (name, sources):
        text = Text(name, sources.bytes, np.zeros(0, vocabulary.id_type), [])
        text.blocks = _encoded(sources, vocabulary, text, others if skip else None)
        yield text


def read_codes(loaded: Snapshot, file: str, encoding: str = "") -> Codes:
    """The whole of a file, a folder or standard input (-), with what the run's vocabulary lacks: code points (N,).

    Of byte tokens, the bytes. Raises CorpusError, also for a text that is empty.
    """
    with _open_file(loaded, file, encoding) as (name, sources):
        blocks = list(code_points(sources))
    if not blocks:
        raise CorpusError(f"{name} is empty")
    return np.concatenate(blocks)


@contextmanager
def _open_file(loaded: Snapshot, file: str, encoding: str) -> Iterator[tuple[str, Sources]]:
    """What to call a text, and the text: read as the run's own was, but for an ``encoding`` that is said."""
    options = ReadOptions.of(loaded.config.data)
    if encoding:
        options = replace(options, encoding=encoding)
    with tempfile.TemporaryDirectory() as work, open_sources([file], Path(work), options) as sources:
        yield "standard input" if file == "-" else printable(file), sources


def _encoded(
    sources: Sources, vocabulary: Vocabulary, text: Text, others: Sequence[Vocabulary] | None
) -> Iterator[Ids]:
    """The ids of the sources; with ``others``, only of characters that all vocabularies have."""
    known = set(vocabulary.characters).intersection(*(other.characters for other in others or ()))
    codes_known = np.array(sorted(map(ord, known)))
    for codes in code_points(sources):
        if others is not None:
            kept = codes[np.isin(codes, codes_known)]
            text.unknown += len(codes) - len(kept)
            codes = kept
        yield vocabulary.encode_code_points(codes)
