"""A text file, or the run's own copy of its text, enters; its ids in the run's vocabulary leave.

It is read in the form that the run's own text has. What the model never saw has no id: such characters are an error, or
something near stands in their place, or they are left out and counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from charnn.baseline.ngrams import TRAIN_LIMIT, NGrams, choose_order
from charnn.errors import CheckpointError, CorpusError, printable
from charnn.insight.reading import Ids
from charnn.runs.snapshot import Snapshot
from charnn.text import corpus
from charnn.text.options import ReadOptions
from charnn.text.sources import Sources, code_points, open_sources
from charnn.text.spelling import nothing_left, substitutes
from charnn.text.split import Split
from charnn.text.unicode import NORMAL_FORMS, Codes, code_points_of, text_of
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
    """A text to look at: its ids in blocks, and what stands before it.

    ``size`` is its length in characters, or a little more where it has not been decoded yet; ``part`` says which part
    of the run's own text it is, if any. ``instead`` says what stands in the place of characters that the model never
    saw, and ``unknown`` counts, as they go by, those that nothing stands for.
    """

    name: str
    size: int
    context: Ids
    blocks: Iterable[Ids]
    part: Part | None = None
    instead: dict[str, str] = field(default_factory=dict)
    unknown: int = 0

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
    unknown: str = "error",
    others: Sequence[Vocabulary] = (),
    part: Part = "validation",
) -> Iterator[Text]:
    """A file, a folder or standard input (-); where none is named, a part of the run's own text.

    ``unknown`` says what becomes of characters that the run's vocabulary lacks, or that of ``others``: see ``spell`` in
    ``charnn/text/spelling.py``. Raises CorpusError, also UnknownCharacters; CheckpointError where there is no file and
    no own text.
    """
    if file is None:
        yield own_text(loaded).held_out(part)
        return
    vocabulary = loaded.vocabulary
    shared = vocabulary if unknown == "error" else _shared(vocabulary, others)
    with _open_file(loaded, file, encoding) as (name, sources):
        text = Text(name, sources.bytes, np.zeros(0, vocabulary.id_type), [])
        text.blocks = _encoded(_best_form(sources, shared), vocabulary, shared, unknown, text)
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
    options = loaded.read_options
    if encoding:
        options = replace(options, encoding=encoding)
    with tempfile.TemporaryDirectory() as work, open_sources([file], Path(work), options) as sources:
        yield "standard input" if file == "-" else printable(file), sources


def _shared(vocabulary: Vocabulary, others: Sequence[Vocabulary]) -> Vocabulary:
    """The characters that all of them have. Raises ConfigError where there are none."""
    common = set(vocabulary.characters).intersection(*(other.characters for other in others))
    return replace(vocabulary, characters="".join(sorted(common)))


def _best_form(sources: Sources, vocabulary: Vocabulary) -> Sources:
    """The sources in the one of their forms that has the fewest unknown characters in its first block."""
    found: list[tuple[int, Sources]] = []
    for options in _forms(sources.options):
        form = replace(sources, options=options)
        unknown = len(_missing(np.unique(next(code_points(form), np.zeros(0, np.uint32))), vocabulary))
        found.append((unknown, form))
        if not unknown:
            break
    return min(found, key=lambda one: one[0])[1]


def _forms(options: ReadOptions) -> Iterator[ReadOptions]:
    """Ways to read a file that are the same text, that of the run's own first."""
    yield options
    if options.tokens == "bytes":
        return
    line_ends = [options.line_ends, *(["lf"] if options.line_ends == "keep" else [])]
    normal_forms = [options.normalize, *(NORMAL_FORMS if options.normalize == "none" else [])]
    for normalize, line_end in list(product(normal_forms, line_ends))[1:]:
        yield replace(options, normalize=normalize, line_ends=line_end)


def _missing(codes: Codes, vocabulary: Vocabulary) -> Codes:
    """Those of the code points (N,) that the vocabulary lacks."""
    unknown: npt.NDArray[np.bool_] = vocabulary.encode_code_points(codes, len(vocabulary)) == len(vocabulary)
    return codes[unknown]


def _encoded(sources: Sources, vocabulary: Vocabulary, shared: Vocabulary, unknown: str, text: Text) -> Iterator[Ids]:
    """The ids of the sources, with something or nothing instead of characters that ``shared`` lacks."""
    nothing = True
    for codes in code_points(sources):
        missing = _missing(codes, shared)
        if len(missing):
            text.instead |= substitutes(text_of(np.unique(missing)), shared, unknown)
            codes = code_points_of(text_of(codes).translate({ord(c): found for c, found in text.instead.items()}))
            text.unknown += sum(not text.instead[character] for character in text_of(missing))
        nothing = nothing and not len(codes)
        yield vocabulary.encode_code_points(codes)
    if nothing and text.instead:
        raise nothing_left("".join(text.instead))
