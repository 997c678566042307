"""A text that is written in turns enters, piece by piece; it appears on standard output, with what is asked about it.

On a terminal somebody has typed their own lines already, and every turn ends with a line of the screen.
"""

from __future__ import annotations

import sys

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from charnn.sampling.session import Session
from charnn.terminal.console import output_console
from charnn.terminal.painting import Legend, PaintedText, characters
from charnn.terminal.safe import TextWriter
from charnn.terminal.score import SURPRISE, percent, quoted


class Page:
    """Where the text of a session appears. ``typed`` says that the terminal shows already what is read."""

    def __init__(self, session: Session, typed: bool, raw: bool = False):
        self._session, self._typed = session, typed
        self._writer = TextWriter(sys.stdout, raw)
        self._mid_line = False

    def read(self, text: str) -> None:
        """What the session has read."""
        if not self._typed:
            self.write(text)

    def write(self, text: str) -> None:
        """What the network writes."""
        self._writer.write(text)
        if text:
            self._mid_line = not text.endswith("\n")

    def end_line(self) -> None:
        """Begin a line, whether or not the text does."""
        if self._mid_line:
            self.write("\n")

    def end_turn(self) -> None:
        if self._typed:
            self.end_line()
        self._writer.flush()

    def show_expected(self, k: int) -> None:
        """The ``k`` likeliest next characters."""
        vocabulary, encoding = self._session.vocabulary, output_console().encoding
        likely = [(vocabulary.characters.index(character), p) for character, p in self._session.expected(k)]
        self._print(Text("  ".join(f"{quoted(vocabulary, token, encoding)} {percent(p)}" for token, p in likely)))

    def show_surprise(self, lines: int) -> None:
        """The last ``lines`` of the text, coloured by the model's surprise at each character."""
        vocabulary = self._session.vocabulary
        ids, nats = self._session.ids.astype(np.intp), np.nan_to_num(self._session.nats)
        ends = np.flatnonzero(ids[:-1] == vocabulary.characters.find("\n"))
        begin = int(ends[-lines]) + 1 if len(ends) >= lines else 0
        text = PaintedText(characters(vocabulary, ids[begin:], nats[begin:]), SURPRISE)
        self._print(Legend("surprise in nats:", SURPRISE), text)

    def _print(self, *shown: RenderableType) -> None:
        """On rows of their own, between what the writer has written and what it will."""
        self.end_line()
        self._writer.flush()
        console = output_console()
        for renderable in shown:
            console.print(renderable, soft_wrap=True)
        sys.stdout.flush()
