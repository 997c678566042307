"""What is copied of a text enters; the text with copied passages marked, figures and the longest passages leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from charnn.errors import CharnnError
from charnn.insight.copies import Comparison, Copies, Figures, Passage, compare
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import load_snapshot
from charnn.terminal.console import output_console
from charnn.terminal.painting import Legend, Painted, PaintedText, Scale, characters
from charnn.terminal.safe import one_line
from charnn.text.unicode import Codes, text_of
from charnn.text.vocabulary import Vocabulary

MARKS = Scale(
    limits=(0.5,),
    styles=("", "#000000 on #fdb863"),
    marks=(" ", "^"),
    names=("not in the training text", "copied"),
)

MOSTLY, PARTLY = 0.5, 0.02
"""How much more of what a run writes is copied than of its validation text, to say so."""

QUICKLY_SORTED, QUICKLY_SAMPLED = 2_000_000, 4_000_000
"""Characters of a training text and parameters of a network that a second or so is enough for."""

LISTED = 5
"""Passages listed, the longest first."""

QUOTED = 60
"""Characters of a passage that are quoted."""

SHOWN_WHOLE = 5000
"""Texts up to this many characters are shown whole without asking; of others, lines that hold a passage."""

LINES = 100
"""Of these, at most so many."""


def own_words(comparison: Comparison) -> str:
    """In one sentence, whether what a run writes is its own."""
    share = comparison.samples.share
    beyond = share - (comparison.validation.share if comparison.validation else 0.0)
    verdict = "mostly copied" if beyond > MOSTLY else "partly copied" if beyond > PARTLY else "its own"
    beside = f", of the validation text {comparison.validation.share:.1%}" if comparison.validation else ""
    passages = f"passages of {comparison.at_least} characters or more"
    return f"{verdict}: {share:.1%} of what it writes stands in the training text in {passages}{beside}"


def own_words_of(run: TrainingRun) -> str:
    """The same of a run that was trained just now; nothing where that would take more than a second or two to say."""
    if len(run.train_ids) > QUICKLY_SORTED or run.model.size > QUICKLY_SAMPLED:
        return ""
    try:
        sentence = own_words(compare(load_snapshot(run.path)))
    except CharnnError:  # such as a folder that cannot be read any more
        return ""
    return f"{sentence[0].upper()}{sentence[1:]}."


class CopiesView:
    """A text and what of it is copied, to be printed. ``codes`` (n,) are its characters, or its bytes."""

    def __init__(self, copies: Copies, codes: Codes, vocabulary: Vocabulary, console: Console | None = None):
        self.copies, self.codes, self.vocabulary = copies, codes, vocabulary
        self.console = console or output_console()

    def print_text(self, whole: bool = False) -> None:
        """The text with its copied passages marked; of a long one, by default, only lines that hold some."""
        whole = whole or len(self.codes) <= SHOWN_WHOLE
        left = len(self.codes) if whole else LINES
        self.console.print(Legend("", MARKS))
        for number, line in enumerate(_lines(self._marked()), start=1):
            if left and (whole or any(value for _, value in line)):
                left -= 1
                self.console.print(PaintedText(line, MARKS, f"{number:>6} "), soft_wrap=True)
        self.console.print()

    def print_figures(self, name: str) -> None:
        """How much is copied, beside the same of the validation text and of samples, and the longest passages."""
        copies, shown = self.copies, one_line(name, self.console.encoding)
        headline = (
            f"{copies.share:.1%} of {shown} stands word for word in the training text, "
            f"in passages of {copies.at_least} characters or more"
        )
        self.console.print(Text(headline, "bold"), soft_wrap=True)
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for column in ("characters", "copied", "longest passage"):
            table.add_column(column, justify="right")
        text = Figures(copies.characters, copies.longest, copies.share)
        rows = ((shown, text), ("validation text", copies.validation), ("what the run writes", copies.samples))
        for label, figures in rows:
            if figures:
                table.add_row(Text(label), f"{figures.characters:,}", f"{figures.share:.1%}", f"{figures.longest:,}")
        self.console.print(table)
        for passage in sorted(copies.passages, key=lambda passage: -passage.length)[:LISTED]:
            self.console.print(self._told(passage), soft_wrap=True)

    def _told(self, passage: Passage) -> Text:
        """One passage: how long it is, where it stands here and there, and how it begins."""
        here = 1 + int(np.count_nonzero(self.codes[: passage.start] == ord("\n")))
        quoted = self.codes[passage.start : passage.start + min(passage.length, QUOTED)]
        text = bytes(quoted).decode(errors="replace") if self.vocabulary.tokens == "bytes" else text_of(quoted)
        dots = "..." if passage.length > QUOTED else ""
        where = f"{passage.length:>6,} characters, line {here:,}, in the training text {passage.line:,}: "
        return Text(where, "dim").append(f"'{one_line(text, self.console.encoding)}{dots}'", "not dim")

    def _marked(self) -> list[Painted]:
        """Every character with 1 where it is copied."""
        marks = np.zeros(len(self.codes))
        for passage in self.copies.passages:
            marks[passage.start : passage.start + passage.length] = 1
        if self.vocabulary.tokens == "bytes":
            return characters(self.vocabulary, self.codes, marks)
        return list(zip(text_of(self.codes), marks.tolist(), strict=True))


def _lines(text: list[Painted]) -> Iterator[list[Painted]]:
    line: list[Painted] = []
    for character in text:
        line.append(character)
        if character[0] == "\n":
            yield line
            line = []
    if line:
        yield line
