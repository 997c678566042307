"""A path or a text enters; a loaded model, or events of its training, leave: charnn for Python programs.

run = charnn.load("runs/hamlet-lstm-1")
"".join(run.sample(prompt="To be", length=200, temperature=0.8, seed=1))
run.score("To be, or not to be").nats
for event in charnn.train("hamlet.txt", cell="gru", hidden_size=256): ...
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.config import Config, Setting, flat_settings, resolve
from charnn.defaults import (
    ALTERNATIVES,
    EXPORT_DTYPE,
    GRADIENT_POSITIONS,
    GRADIENT_SEED,
    GRADIENT_STEPS,
    NEURON_CHARACTERS,
)
from charnn.errors import CheckpointError, ConfigError
from charnn.export.facts import material_of, own_material
from charnn.export.page import write_page
from charnn.insight import compare as comparisons
from charnn.insight.compare import Standing
from charnn.insight.copies import Copies, find_copies
from charnn.insight.flow import Flow, clipped_share, measure_flow
from charnn.insight.memory import ORDERS, POSITIONS, TEXT_LIMIT, Memory, longest_context, measure_memory
from charnn.insight.neurons import Neurons, measure_neurons
from charnn.insight.reading import Ids, streams_for
from charnn.insight.score import Scored, Scorer
from charnn.insight.texts import Text, count_ngrams, open_text, own_text
from charnn.network.model import CharRNN
from charnn.runs import opening, snapshot, summary
from charnn.sampling.sampler import Sampling, generate
from charnn.sampling.session import Session
from charnn.text.spelling import spell, written
from charnn.text.vocabulary import Vocabulary
from charnn.training import trainer
from charnn.training.events import Event
from charnn.training.team import forbid_nesting

StrPath = str | PathLike[str]


@dataclass(frozen=True, eq=False)
class Score:
    """How well a model predicts a text. ``nats`` (N,) is the surprise -log p at each of its N tokens, in order.

    ``kinds`` (N,) are indices into ``charnn.insight.kinds.KINDS``. ``expected`` (N, K) are the K characters that the
    model held likeliest at each place, the likeliest first, ``probabilities`` (N, K) theirs.
    """

    text: str
    nats: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.int8]
    expected: npt.NDArray[np.str_]
    probabilities: npt.NDArray[np.float32]

    @property
    def nats_per_character(self) -> float:
        return float(self.nats.mean())

    @property
    def bits_per_character(self) -> float:
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely characters that would surprise as much."""
        return math.exp(min(self.nats_per_character, 700.0))


class Run:
    """A trained model, ready to write and to judge. Made by ``load``."""

    def __init__(self, loaded: snapshot.Snapshot):
        self._snapshot = loaded

    @property
    def path(self) -> Path:
        """The checkpoint file it was read from."""
        return self._snapshot.path

    @property
    def model(self) -> CharRNN:
        return self._snapshot.model

    @property
    def vocabulary(self) -> Vocabulary:
        return self._snapshot.vocabulary

    @property
    def config(self) -> Config:
        return self._snapshot.config

    @property
    def step(self) -> int:
        """Updates the model has seen."""
        return self._snapshot.step

    def sample(
        self, prompt: str = "", *, seed: int | None = None, unknown: str = "error", **settings: Any
    ) -> Iterator[str]:
        """Text that goes on from ``prompt``, in pieces as it is drawn; the prompt itself is not repeated.

        ``settings`` are the fields of ``charnn.Sampling``: length (characters), temperature, top_k, top_p, min_p and
        stop (a tuple of texts). The same seed gives the same text. Of characters that the network has never seen,
        ``unknown`` says whether they are an error, "nearest" that something near stands in their place, "skip" nothing.
        Raises UnknownCharacters, also for a stop that the network can never write, and ConfigError.

        A network of bytes counts bytes; one that is no UTF-8 comes as a surrogate, which
        ``text.encode("utf-8", "surrogateescape")`` makes a byte again.
        """
        prompt = self._spelled(prompt, unknown)
        _, pieces = generate(self.model, self.vocabulary, prompt, self._sampling("sample", settings), seed)
        return (text for _, text in pieces)

    def session(self, *, seed: int | None = None, **settings: Any) -> Session:
        """A text to be written together: ``read`` adds yours, ``write`` lets the network go on, ``undo`` goes back.

        The network's state is kept from turn to turn. ``settings`` are those of ``sample``. Raises ConfigError.
        """
        return Session(self.model, self.vocabulary, self._sampling("session", settings), seed)

    def score(self, text: str, *, alternatives: int = ALTERNATIVES, unknown: str = "error") -> Score:
        """The surprise at every character of ``text``, read from a cold state, as after a line end.

        Texts of 100,000 tokens and more are read in parallel streams, each warmed up on the 512 tokens before it.
        ``unknown`` is that of ``sample``. Raises UnknownCharacters, ConfigError for an empty text.
        """
        text = self._spelled(text, unknown)
        ids = self.vocabulary.encode(text)
        if not len(ids):
            raise ConfigError("there is nothing to score in an empty text")
        return self._score(text, ids, None, alternatives)

    def score_test(self, *, alternatives: int = ALTERNATIVES) -> Score:
        """The surprise at every character of the run's test part, which nothing in training has looked at.

        It is read after the text that stands before it. Raises CorpusError where the run has no test part,
        CheckpointError where its folder, which keeps the text, is not there.
        """
        test = own_text(self._snapshot).held_out("test")
        ids = test.head(test.size)
        return self._score(self.vocabulary.decode(ids), ids, test.context, alternatives)

    def _score(self, text: str, ids: Ids, context: Ids | None, alternatives: int) -> Score:
        streams = streams_for(len(ids))
        scorer = Scorer(self.model, self.vocabulary, alternatives=alternatives, streams=streams, context=context)
        scored = Scored.join(list(scorer.blocks([ids])))
        characters = np.array(list(self.vocabulary.characters))
        return Score(text, scored.nats[:, 0], scored.kinds, characters[scored.expected], scored.probabilities)

    def copies(self, text: str, at_least: int | None = None) -> Copies:
        """What of ``text`` stands word for word in the text that the run was trained on.

        Passages count from ``at_least`` characters on, by default from the length that neither chance nor habit
        explains. The first call sorts the training text, and keeps that in the run's folder where it can. Raises
        CheckpointError where the run has no copy of its training text.
        """
        ids = self.vocabulary.encode(text, len(self.vocabulary))
        return find_copies(self._snapshot, [ids], at_least)[0]

    def memory(self, text: str | None = None, *, longest: int | None = None, positions: int = POSITIONS) -> Memory:
        """The loss as a function of how many characters of context are given, on ``text`` or the validation text.

        Contexts go up to ``longest`` characters, by default four times those of a training step, within 256 and 1024.
        N-grams stand beside it where the run keeps its own text. Raises CorpusError for a text too short.
        """
        with self._material(text) as material:
            try:
                ngrams = count_ngrams(self._snapshot, own_text(self._snapshot), ORDERS)
            except CheckpointError:
                ngrams = None
            return measure_memory(
                self.model,
                self.vocabulary.start,
                material.head(TEXT_LIMIT),
                context=material.context,
                ngrams=ngrams,
                longest=longest or longest_context(self.config.training.seq_length),
                positions=positions,
            )

    def gradients(
        self,
        text: str | None = None,
        *,
        steps: int = GRADIENT_STEPS,
        positions: int = GRADIENT_POSITIONS,
        seed: int = GRADIENT_SEED,
    ) -> Flow:
        """How the gradient of a loss shrinks or grows with every step back, on ``text`` or the validation text.

        Raises CorpusError for a text shorter than ``steps``.
        """
        with self._material(text) as material:
            ids, clipped = material.head(TEXT_LIMIT), clipped_share(self._snapshot)
        options = {"steps": steps, "positions": positions, "seed": seed}
        return measure_flow(str(self.path), self.model, ids, clipped=clipped, **options)

    def neurons(
        self, text: str | None = None, *, since: Sequence[str] = (), characters: int = NEURON_CHARACTERS
    ) -> Neurons:
        """Which units tell what about ``text``, or the validation text, with what chance can do beside it.

        Raises CorpusError for a text of fewer than 100 characters.
        """
        with self._material(text) as material:
            ids = material.head(characters)
            return measure_neurons(self.model, self.vocabulary, ids, context=material.context, since=since)

    def export(self, path: StrPath, *, text: str | None = None, dtype: str = EXPORT_DTYPE) -> None:
        """Write a page (.html) in which the network writes and reads, whole or not at all.

        It shows a passage of ``text``, or of the validation text, and the units that tell most about it. ``dtype`` is
        the precision of its weights: float16, or float32, which is exact. Raises ConfigError, StorageError.
        """
        if text is None:
            shown = own_material(self._snapshot)
        else:
            with self._material(text) as material:
                shown = material_of(self._snapshot, material)
        write_page(self._snapshot, Path(path), shown, dtype)

    @contextmanager
    def _material(self, text: str | None) -> Iterator[Text]:
        """``text``, or the run's validation text."""
        if text is not None:
            ids = self.vocabulary.encode(self._spelled(text, "error"))
            yield Text("the text", len(ids), ids[:0], [ids])
            return
        with open_text(self._snapshot, None) as opened:
            yield opened

    def _spelled(self, text: str, unknown: str) -> str:
        return spell(self._snapshot.as_read(text), self.vocabulary, unknown).text

    def _sampling(self, call: str, settings: dict[str, Any]) -> Sampling:
        """The settings, with stops as the network would write them. Raises ConfigError, UnknownCharacters."""
        if unknown := set(settings) - set(Sampling.__dataclass_fields__):
            raise ConfigError(f"{call} takes no {', '.join(sorted(unknown))}", "see help(charnn.Sampling)")
        sampling = Sampling(**settings)
        stops = (written(self._snapshot.as_read(stop), self.vocabulary) for stop in sampling.stop)
        return dataclasses.replace(sampling, stop=tuple(stops))


def load(path: StrPath | None = None, *, newest: bool = False) -> Run:
    """The model in a run folder or a checkpoint file; by default that of the newest run under ``runs/``.

    Of a folder the checkpoint of the lowest validation loss is read, or with ``newest`` the last good one. Raises
    CheckpointError if there is none or it is damaged.
    """
    return Run(snapshot.load_snapshot(summary.newest_run() if path is None else Path(path), newest=newest))


def train(
    corpus: StrPath | Sequence[StrPath] | None = None,
    *,
    out: StrPath | None = None,
    resume: StrPath | None = None,
    init_from: StrPath | None = None,
    **options: Any,
) -> Iterator[Event]:
    """Train a network on text files and folders, or go on with a run; yields events: ``charnn.Step`` and others.

    ``options`` are the options of the configuration by name: cell="gru", hidden_size=256, epochs=5. With ``budget``,
    what is not given of the network is fitted to it (see ``charnn/runs/fitting.py``). With ``resume`` only those in
    ``charnn.config.CHANGEABLE`` may be given. ``workers`` is 1 unless given: more are processes that import the main
    program anew, which then needs the usual ``if __name__ == "__main__":``. The run is saved when the iterator ends;
    one that is abandoned keeps its last checkpoint. Raises the errors of ``charnn.errors``.
    """
    forbid_nesting()
    if (corpus is None) == (resume is None):
        raise ConfigError("train needs either a corpus or a run to resume")
    settings = flat_settings({key: value for key, value in options.items() if value is not None})
    if resume is not None:
        run = opening.resume(Path(resume), [settings])
    else:
        settings.setdefault("training.workers", Setting(1, "default"))
        sources = [corpus] if isinstance(corpus, str | PathLike) else list(corpus or [])
        initial = None if init_from is None else snapshot.load_snapshot(Path(init_from))
        target = None if out is None else Path(out)
        run = opening.create(resolve(settings), [str(source) for source in sources], target, initial=initial)
    with run:
        yield from trainer.train(run)


def compare(
    corpus: StrPath | Sequence[StrPath] | None = None,
    *,
    cells: Sequence[str] | None = None,
    parameters: int | None = None,
    out: StrPath | None = None,
    resume: StrPath | None = None,
    **options: Any,
) -> list[Standing]:
    """Train several cells, by default all there are, with equally many parameters; what became of each of them.

    ``options`` are those of ``train``, the same for all; one of steps, epochs and budget says how long each is trained,
    five minutes unless given. ``parameters`` are 200,000 unless given. ``resume`` goes on with the comparison in a
    folder, or looks at it again. Raises the errors of ``charnn.errors``.
    """
    if (corpus is None) == (resume is None):
        raise ConfigError("compare needs either a corpus or a comparison to resume")
    if resume is not None:
        if options or cells or parameters or out:
            raise ConfigError("resume takes no other arguments: the comparison keeps what it was begun with")
        comparison = comparisons.reopen(Path(resume))
    else:
        settings = flat_settings(options)
        settings.setdefault("training.workers", Setting(1, "default"))
        sources = [corpus] if isinstance(corpus, str | PathLike) else list(corpus or [])
        target = None if out is None else Path(out)
        names = list(map(str, sources))
        comparison = comparisons.begin(names, cells or (), parameters, settings, target)
    for cell in comparison.cells:
        if not comparison.is_finished(cell):
            with comparison.open(cell) as run:
                for _ in trainer.train(run):
                    pass
    return [comparisons.judge(comparison, cell) for cell in comparison.cells]
