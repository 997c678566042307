"""charnn sample: a run enters, new text of its model leaves on standard output."""

from __future__ import annotations

import base64
import json
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from charnn.cli import note
from charnn.cli.copies import copies_of, tell_copies
from charnn.cli.drawing import drawing_options, sampling_from
from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, json_flag, newest_flag, unknown_option
from charnn.cli.prompts import Prompt, known_prompt, known_stops

if TYPE_CHECKING:
    from charnn.insight.copies import Copies
    from charnn.sampling.sampler import Sample

SEPARATOR = "-" * 20
"""The line between several samples."""

EPILOG = """\b
Examples:
  charnn sample --temperature 0.8
  charnn sample runs/corpus-lstm-1 --prompt "Once upon" --length 1000
  charnn sample -p @opening.txt --count 3 --json
"""


@click.command("sample", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", required=False, shell_complete=complete_runs)
@drawing_options
@click.option("-p", "--prompt", default="", metavar="TEXT", help="Text to continue; @FILE, or - for standard input.")
@click.option("--seed", type=int, metavar="N", help="Seed for reproducible output.  [default: random]")
@click.option("--count", type=int, metavar="N", default=1, show_default=True, help="Number of samples, drawn together.")
@click.option("--copies", is_flag=True, help="Say what of it stands word for word in the training text.")
@unknown_option
@newest_flag
@json_flag("One object a line for each sample,")
@click.option("--raw", is_flag=True, help="Write control characters as they are, on a terminal too.")
def command(
    run: str | None,
    prompt: str,
    seed: int | None,
    count: int,
    copies: bool,
    literal: bool,
    unknown: str,
    newest: bool,
    as_json: bool,
    raw: bool,
    **options: Any,
) -> None:
    """Generate text from a trained network: RUN, a run folder or a checkpoint file, by default the newest run."""
    from charnn.sampling.sampler import generate

    settings = sampling_from(options)
    given = Prompt.read(prompt, literal)
    loaded = load_run(run, newest)
    settings, text = known_stops(settings, loaded, unknown, literal), known_prompt(given, loaded, unknown)
    bytewise = loaded.vocabulary.tokens == "bytes"
    samples, pieces = generate(loaded.model, loaded.vocabulary, text, settings, seed, count)
    if as_json:
        deque(pieces, maxlen=0)
        print_json(samples, bytewise, copies_of(loaded, samples) if copies else [])
    else:
        write(text, samples, pieces, raw, bytewise)
        if copies:
            tell_copies(loaded, samples)
    note_loops(samples)


def print_json(samples: list[Sample], bytewise: bool, copies: list[Copies]) -> None:
    """One object a sample, with what it copied where that is known."""
    from charnn.text.unicode import bytes_of, readable

    for sample, copied in zip_longest(samples, copies):
        fields = {key: value for key, value in asdict(sample).items() if key not in ("nats", "tokens")}
        if bytewise:
            fields |= {key: readable(fields[key]) for key in ("prompt", "text")}
            fields["bytes"] = base64.b64encode(bytes_of(sample.text)).decode("ascii")
        fields["nats_per_character"] = round(sample.nats_per_character, 6)
        print(json.dumps(fields | ({"copies": copied.to_json()} if copied else {})))


def write(prompt: str, samples: list[Sample], pieces: Iterator[tuple[int, str]], raw: bool, bytewise: bool) -> None:
    """One sample as it is drawn; several one after the other, once all are complete.

    Bytes leave as they are, with no line end that was not drawn, but on a terminal.
    """
    from charnn.terminal.safe import TextWriter

    with TextWriter(sys.stdout, raw) as writer:
        if len(samples) == 1:
            writer.write(prompt)
            for _, piece in pieces:
                writer.write(piece)
            if not bytewise or sys.stdout.isatty():
                writer.write("\n")
            return
        deque(pieces, maxlen=0)
        for index, sample in enumerate(samples):
            writer.write((f"{SEPARATOR}\n" if index else "") + f"{prompt}{sample.text}\n")


def note_loops(samples: list[Sample]) -> None:
    """Say so where a text has fallen into a loop, and what helps."""
    from charnn.sampling.loops import loop_length

    lengths = [loop_length(sample.text) for sample in samples]
    if not any(lengths):
        return
    what = "the text ends" if len(samples) == 1 else f"{sum(map(bool, lengths))} of {len(samples)} texts end"
    note(f"{what} in a loop of {max(lengths)} characters; try a higher --temperature, or --no-repeat 20")
