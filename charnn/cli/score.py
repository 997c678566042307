"""charnn score: a run and a text enter; how well the model predicts it, character by character, leaves."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from charnn.cli import note
from charnn.cli.loading import load_run
from charnn.cli.options import (
    ExamplesFirst,
    complete_runs,
    encoding_option,
    json_flag,
    newest_flag,
    one_format,
    tsv_flag,
    unknown_option,
)
from charnn.cli.prompts import note_instead, offering_nearest
from charnn.defaults import ALTERNATIVES
from charnn.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from charnn.baseline.ngrams import NGrams
    from charnn.insight.score import Scorer
    from charnn.insight.texts import Part, Text
    from charnn.runs.snapshot import Snapshot

SHORT = 1500
"""Texts up to this many bytes are shown whole without asking."""

EPILOG = """\b
Examples:
  charnn score runs/corpus-lstm-1 letter.txt
  charnn score runs/corpus-lstm-1 letter.txt --text
  charnn score runs/corpus-lstm-1 letter.txt --against runs/corpus-gru-1
  charnn score runs/corpus-lstm-1 --test --json
  charnn score runs/corpus-lstm-1 --memory
"""


@click.command("score", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", shell_complete=complete_runs)
@click.argument("file", required=False, type=click.Path())
@click.option("--text", "whole", is_flag=True, help="Show the whole text first, coloured by surprise.")
@click.option(
    "--worst",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    metavar="N",
    help="Lines with the highest loss to show.",
)
@click.option(
    "--alternatives",
    type=click.IntRange(0),
    default=ALTERNATIVES,
    show_default=True,
    metavar="K",
    help="Characters to name that were more probable.",
)
@click.option("--at", "at_line", type=click.IntRange(1), metavar="LINE", help="Only this line, character by character.")
@click.option("--against", metavar="RUN2", shell_complete=complete_runs, help="Where one run is better, and where not.")
@click.option("--test", is_flag=True, help="Score the run's held-out test part, which nothing in training looked at.")
@click.option("--memory", is_flag=True, help="The loss by how many characters of context are given.")
@unknown_option
@encoding_option
@click.option("--exact", is_flag=True, help="Read in one stream, however long the text is.")
@newest_flag
@json_flag("The totals")
@tsv_flag("character")
def command(
    run: str,
    file: str | None,
    whole: bool,
    worst: int,
    alternatives: int,
    at_line: int | None,
    against: str | None,
    test: bool,
    memory: bool,
    unknown: str,
    encoding: str | None,
    exact: bool,
    newest: bool,
    as_json: bool,
    as_tsv: bool,
) -> None:
    """How well the model of RUN predicts FILE, in nats per character (- for standard input).

    Without FILE it is the run's validation text, or with --test its test text. Texts of 100,000 characters and more are
    read in 32 parallel streams, each warmed up on the 512 characters before it.
    """
    from charnn.insight.texts import open_text

    one_format(as_json, as_tsv)
    if test and file is not None:
        raise ConfigError("--test and FILE cannot be combined", "--test scores the run's own test part")
    loaded = load_run(run, newest)
    other = load_run(against, newest) if against else None
    others = [other.vocabulary] if other else []
    part: Part = "test" if test else "validation"
    with offering_nearest(), open_text(loaded, file, encoding or "", unknown, others, part) as text:
        heading = f"{run} on {text.name}"
        scorer = None if memory else new_scorer(loaded, text, other, alternatives, exact)
        if scorer is None:
            show_memory(loaded, text, heading, as_json, as_tsv)
        elif as_json:
            print_json(scorer, text)
        elif as_tsv:
            print_tsv(scorer, text)
        elif at_line:
            show_line(scorer, text, at_line)
        else:
            show_score(scorer, text, heading, worst, whole)
        note_instead(text.instead, text.unknown)


def new_scorer(loaded: Snapshot, text: Text, other: Snapshot | None, alternatives: int, exact: bool) -> Scorer:
    """The judges there are: the model, another one, and the n-gram baseline where the run keeps its text."""
    from charnn.insight.reading import streams_for
    from charnn.insight.score import Scorer

    return Scorer(
        loaded.model,
        loaded.vocabulary,
        alternatives=alternatives,
        streams=1 if exact else streams_for(text.size),
        against=(other.model, other.vocabulary) if other else None,
        ngrams=ngrams_of(loaded),
        context=text.context,
    )


def ngrams_of(loaded: Snapshot, order: int | None = None) -> NGrams | None:
    """The n-gram baseline of the run's own text, or None and a note where that is missing."""
    from charnn.insight.texts import count_ngrams, own_text

    try:
        return count_ngrams(loaded, own_text(loaded), order)
    except CheckpointError as error:
        note(f"{error.message}; continuing without the n-gram baseline")
        return None


def print_json(scorer: Scorer, text: Text) -> None:
    from charnn.insight.score import Tally, lines

    tally = Tally(scorer.names, keep=0)
    for line in lines(scorer.blocks(text), scorer.vocabulary):
        tally.add(line)
    totals = tally.totals()
    counts = {"characters": tally.characters, "unknown": text.unknown}
    result: dict[str, Any] = {**counts, **totals, "part": text.part, "kinds": tally.by_kind()}
    if "against" in tally.names:
        result["against"] = tally.totals(tally.names.index("against"))
    print(json.dumps(result, indent=2))


def print_tsv(scorer: Scorer, text: Text) -> None:
    """A row for each character, as it is scored."""
    from charnn.insight.kinds import KINDS
    from charnn.insight.score import lines
    from charnn.terminal.safe import one_line

    encoding, shown = sys.stdout.encoding, scorer.vocabulary.characters
    places = [name for k in range(1, scorer.alternatives + 1) for name in (f"expected{k}", f"p{k}")]
    print("position", "line", "column", "character", "kind", *scorer.names, *places, sep="\t")
    for line in lines(scorer.blocks(text), scorer.vocabulary):
        scored = line.scored
        for k, (token, kind) in enumerate(zip(scored.ids.tolist(), scored.kinds.tolist(), strict=True)):
            likely = zip(scored.expected[k].tolist(), scored.probabilities[k].tolist(), strict=True)
            print(
                *(scored.at + k, line.number, line.column + k, one_line(shown[token], encoding), KINDS[kind]),
                *(f"{nats:.6f}" for nats in scored.nats[k].tolist()),
                *(cell for i, p in likely for cell in (one_line(shown[i], encoding), f"{p:.6f}")),
                sep="\t",
            )


def show_line(scorer: Scorer, text: Text, number: int) -> None:
    from charnn.insight.score import lines
    from charnn.terminal.console import output_console
    from charnn.terminal.score import LineTable

    found = False
    for line in lines(scorer.blocks(text), scorer.vocabulary):
        if line.number == number:
            output_console().print(LineTable(line, scorer.vocabulary))
            found = True
        elif line.number > number:
            return
    if not found:
        raise ConfigError(f"{text.name} has no line {number}")


def show_score(scorer: Scorer, text: Text, heading: str, worst: int, whole: bool) -> None:
    from charnn.insight.score import Tally, lines
    from charnn.terminal.console import output_console
    from charnn.terminal.score import RankedLines, ScoreSummary, TextView

    out, against, shown = output_console(), "against" in scorer.names, whole or text.size <= SHORT
    tally, view = Tally(scorer.names, keep=worst), TextView(scorer.vocabulary, lead=against)
    if shown:
        out.print(view.legend)
    for line in tally.watch(lines(scorer.blocks(text), scorer.vocabulary)):
        if shown:
            out.print(view.line(line))
    out.print(ScoreSummary(tally, heading))
    titles = {"worst": "Lines with the highest loss"}
    if against:
        titles = {"ahead": "Where the first run is better", "behind": "Where the second run is better"}
    for sort, title in titles.items():
        out.print(RankedLines(title, tally.ranked(sort), view), crop=False)


def show_memory(loaded: Snapshot, text: Text, heading: str, as_json: bool, as_tsv: bool) -> None:
    """The loss by length of context, up to four times the training chunk."""
    from charnn.insight.memory import ORDERS, TEXT_LIMIT, longest_context, measure_memory

    memory = measure_memory(
        loaded.model,
        loaded.vocabulary.start,
        text.head(TEXT_LIMIT),
        context=text.context,
        ngrams=ngrams_of(loaded, ORDERS),
        longest=longest_context(loaded.config.training.seq_length),
    )
    if as_json:
        print(json.dumps(memory.to_json(), indent=2))
    elif as_tsv:
        print("context", "nats_per_character", "error", sep="\t")
        for k, loss, error in zip(memory.contexts, memory.losses, memory.errors, strict=True):
            print(k, f"{loss:.6f}", f"{error:.6f}", sep="\t")
    else:
        from charnn.terminal.console import output_console
        from charnn.terminal.memory import MemoryReport

        output_console().print(MemoryReport(memory, heading))
