"""charnn copies: a run and a text enter; what of it stands word for word in the run's training text leaves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from charnn.cli import warn
from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, encoding_option, json_flag, newest_flag

if TYPE_CHECKING:
    from charnn.insight.copies import Copies
    from charnn.runs.snapshot import Snapshot
    from charnn.sampling.sampler import Sample

EPILOG = """\b
Examples:
  charnn copies runs/corpus-lstm-1 letter.txt
  charnn sample runs/corpus-lstm-1 | charnn copies runs/corpus-lstm-1 -
  charnn copies runs/corpus-lstm-1 letter.txt --at-least 40 --json
"""


@click.command("copies", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", shell_complete=complete_runs)
@click.argument("file", type=click.Path())
@click.option(
    "--at-least",
    type=click.IntRange(1),
    metavar="K",
    help="Characters from which a passage counts.  [default: from where chance and habit do not explain it]",
)
@click.option("--text", "whole", is_flag=True, help="The whole text, however long, instead of lines with copies.")
@encoding_option
@newest_flag
@json_flag("Figures and passages")
def command(
    run: str, file: str, at_least: int | None, whole: bool, encoding: str | None, newest: bool, as_json: bool
) -> None:
    """What of FILE (- for standard input) stands word for word in the text that RUN was trained on.

    The same of the run's validation text and of what it writes shows what is usual. The first time, the training text
    is sorted, which takes a second or two a megabyte; the result is kept in the run's folder.
    """
    from charnn.insight.copies import find_copies
    from charnn.insight.texts import read_codes

    loaded = load_run(run, newest)
    codes, vocabulary = read_codes(loaded, file, encoding or ""), loaded.vocabulary
    (copies,) = find_copies(loaded, [vocabulary.encode_code_points(codes, len(vocabulary))], at_least, warn)
    if as_json:
        print(json.dumps(copies.to_json(), indent=2))
        return
    from charnn.terminal.copies import CopiesView

    view = CopiesView(copies, codes, vocabulary)
    view.print_text(whole)
    view.print_figures("standard input" if file == "-" else file)


def copies_of(loaded: Snapshot, samples: list[Sample]) -> list[Copies]:
    """What each sample copied, without its prompt."""
    from charnn.insight.copies import find_copies

    return find_copies(loaded, [loaded.vocabulary.encode(sample.text) for sample in samples], warn=warn)


def tell_copies(loaded: Snapshot, samples: list[Sample]) -> None:
    """The same on standard error: standard output holds what was written and nothing else."""
    from charnn.terminal.console import notes_console
    from charnn.terminal.copies import CopiesView
    from charnn.text.unicode import code_points_of

    characters = code_points_of(loaded.vocabulary.characters)
    for number, (sample, copies) in enumerate(zip(samples, copies_of(loaded, samples), strict=True), start=1):
        codes = characters[loaded.vocabulary.encode(sample.text)]
        name = "this sample" if len(samples) == 1 else f"sample {number}"
        CopiesView(copies, codes, loaded.vocabulary, notes_console()).print_figures(name)
