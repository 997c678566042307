"""A path or a text enters; a loaded model, or records of its training, leave: charnn for Python programs.

run = charnn.load("runs/hamlet-lstm-1")
"".join(run.sample(prompt="To be", length=200, temperature=0.8, seed=1))
run.score("To be, or not to be").nats
for record in charnn.train("hamlet.txt", cell="gru", hidden_size=256): ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn import run as runs
from charnn import snapshot, trainer
from charnn.config import Config, Setting, flat_settings, resolve
from charnn.errors import ConfigError
from charnn.model import CharRNN
from charnn.sampler import Sampling, generate
from charnn.team import forbid_nesting
from charnn.trainer import Record
from charnn.vocabulary import Vocabulary

StrPath = str | PathLike[str]

SCORE_LENGTH = 256


@dataclass(frozen=True, eq=False)
class Score:
    """How well a model predicts a text. ``nats`` (N,) is the surprise -log p at each of its N tokens, in order."""

    text: str
    nats: npt.NDArray[np.float64]

    @property
    def nats_per_character(self) -> float:
        return float(self.nats.mean())

    @property
    def bits_per_character(self) -> float:
        return self.nats_per_character / math.log(2)

    @property
    def perplexity(self) -> float:
        """The number of equally likely characters that would surprise as much."""
        return math.exp(self.nats_per_character)


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

    def sample(self, prompt: str = "", *, seed: int | None = None, **settings: Any) -> Iterator[str]:
        """Text that goes on from ``prompt``, in pieces as it is drawn; the prompt itself is not repeated.

        ``settings`` are the fields of ``charnn.Sampling``: length (characters), temperature, top_k, top_p, min_p and
        stop (a tuple of texts). The same seed gives the same text. Raises UnknownCharacters, ConfigError.
        """
        unknown = set(settings) - set(Sampling.__dataclass_fields__)
        if unknown:
            raise ConfigError(f"sample takes no {', '.join(sorted(unknown))}", "see help(charnn.Sampling)")
        _, pieces = generate(self.model, self.vocabulary, prompt, Sampling(**settings), seed)
        return (text for _, text in pieces)

    def score(self, text: str) -> Score:
        """The surprise at every character of ``text``, read in one stream from a cold state, as after a line end.

        Raises UnknownCharacters for characters outside the vocabulary, ConfigError for an empty text.
        """
        ids = self.vocabulary.encode(text)
        if not len(ids):
            raise ConfigError("there is nothing to score in an empty text")
        x = np.concatenate([np.array([self.vocabulary.start], ids.dtype), ids[:-1]])
        carry, nats = self.model.zero_carry(1), []
        for start in range(0, len(ids), SCORE_LENGTH):
            piece = slice(start, start + SCORE_LENGTH)
            workspace = self.model.workspace(len(ids[piece]), 1)
            losses, carry = self.model.losses(x[piece, None], ids[piece, None], carry, workspace)
            nats.append(losses[:, 0])
        return Score(text, np.concatenate(nats).astype(np.float64))


def load(path: StrPath | None = None, *, best: bool = False) -> Run:
    """The model in a run folder or a checkpoint file; by default that of the newest run under ``runs/``.

    Of a folder the newest good checkpoint is read, or with ``best`` the one with the lowest validation loss. Raises
    CheckpointError if there is none or it is damaged.
    """
    return Run(snapshot.load_snapshot(snapshot.newest_run() if path is None else Path(path), best=best))


def train(
    corpus: StrPath | Sequence[StrPath] | None = None,
    *,
    out: StrPath | None = None,
    resume: StrPath | None = None,
    init_from: StrPath | None = None,
    **options: Any,
) -> Iterator[Record]:
    """Train a network on text files and folders, or go on with a run; yields the records of ``charnn.trainer``.

    ``options`` are the options of the configuration by name: cell="gru", hidden_size=256, epochs=5. With ``resume``
    only epochs, steps, budget and workers may be given. ``workers`` is 1 unless given: more are processes that import
    the main program anew, which then needs the usual ``if __name__ == "__main__":``. The run is saved when the iterator
    ends; one that is abandoned keeps its last checkpoint. Raises the errors of ``charnn.errors``.
    """
    forbid_nesting()
    if (corpus is None) == (resume is None):
        raise ConfigError("train needs either a corpus or a run to resume")
    settings = flat_settings({key: value for key, value in options.items() if value is not None})
    if resume is not None:
        run = runs.resume(Path(resume), [settings])
    else:
        settings.setdefault("training.workers", Setting(1, "default"))
        sources = [corpus] if isinstance(corpus, str | PathLike) else list(corpus or [])
        initial = None if init_from is None else snapshot.load_snapshot(Path(init_from))
        target = None if out is None else Path(out)
        run = runs.create(resolve(settings), [str(source) for source in sources], target, initial=initial)
    with run:
        yield from trainer.train(run)
