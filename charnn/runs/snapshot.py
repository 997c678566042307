"""A run folder or a checkpoint file enters; the model in it leaves, to be sampled and looked into.

Nothing here writes, locks, or needs the text the run was trained on: a folder may be moved, copied, mounted read-only,
or be in the middle of its training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from charnn.config import Config
from charnn.errors import Warn, ignore
from charnn.network.model import CharRNN
from charnn.network.shape import shape_of
from charnn.network.state_dict import load_state_dict
from charnn.runs.arrays import weights
from charnn.runs.document import Document, naming, open_checkpoint
from charnn.text.options import ReadOptions
from charnn.text.unicode import with_lf
from charnn.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Snapshot:
    """What sampling and looking inside need of a checkpoint: the model, its vocabulary, and how it came about."""

    path: Path
    model: CharRNN
    document: Document

    @property
    def folder(self) -> Path:
        """The run folder, if the checkpoint is in one."""
        return self.path.parent.parent

    @property
    def vocabulary(self) -> Vocabulary:
        return self.document.vocabulary

    @property
    def config(self) -> Config:
        return self.document.config

    @property
    def step(self) -> int:
        return self.document.state.step

    @property
    def read_options(self) -> ReadOptions:
        """How another text is to be read so that it is like the run's own."""
        options = ReadOptions.of(self.config.data)
        only_crlf = self.document.corpus.crlf and self.vocabulary.tokens == "chars"
        return replace(options, line_ends="crlf") if only_crlf else options

    def as_read(self, text: str) -> str:
        """A text with its line ends as they are where the run reads a file."""
        line_ends = self.read_options.line_ends
        if line_ends == "keep":
            return text
        return with_lf(text) if line_ends == "lf" else with_lf(text).replace("\n", "\r\n")


def load_snapshot(path: Path, warn: Warn = ignore, newest: bool = False) -> Snapshot:
    """The model in a run folder (its checkpoint of the lowest validation loss, or the newest good one) or in a file.

    Raises CheckpointError if there is none, or it is damaged.
    """
    loaded, document = open_checkpoint(path, warn, newest)
    with naming(loaded.path):
        shape = shape_of(document.config.model, len(document.vocabulary))
        found = weights(loaded, shape)
        model = CharRNN(shape)
        load_state_dict(model, found)
    return Snapshot(loaded.path, model, document)
