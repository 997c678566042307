"""charnn sample: a run and a prompt enter, text leaves on standard output."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, json_flag, newest_flag, unknown_option
from charnn.defaults import SAMPLE_LENGTH, TEMPERATURE
from charnn.errors import CorpusError, StorageError, UnknownCharacters, printable

if TYPE_CHECKING:
    from charnn.sampling.sampler import Sample

SEPARATOR = "-" * 20
"""The line between several samples."""

MAX_PROMPT = 2**24

EPILOG = """\b
Examples:
  charnn sample --temperature 0.8
  charnn sample runs/corpus-lstm-1 --prompt "Once upon" --length 1000
  charnn sample -p @opening.txt --count 3 --json
"""


@click.command("sample", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option(
    "-t",
    "--temperature",
    type=float,
    metavar="T",
    default=TEMPERATURE,
    show_default=True,
    help="Below 1 sharpens the distribution, above 1 flattens it; 0 is greedy.",
)
@click.option(
    "-n",
    "--length",
    type=int,
    metavar="N",
    default=SAMPLE_LENGTH,
    show_default=True,
    help="Number of characters to generate.",
)
@click.option("-p", "--prompt", default="", metavar="TEXT", help="Text to continue; @FILE, or - for standard input.")
@click.option("--top-k", type=int, default=0, metavar="N", help="Draw from the N most probable characters; 0: all.")
@click.option("--top-p", type=float, default=1.0, metavar="P", help="From the most probable that together reach P.")
@click.option(
    "--min-p", type=float, default=0.0, metavar="P", help="From those at least P times as probable as the top."
)
@click.option("--seed", type=int, metavar="N", help="Seed for reproducible output.  [default: random]")
@click.option("--count", type=int, metavar="N", default=1, show_default=True, help="Number of samples, drawn together.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given several times.")
@unknown_option
@newest_flag
@json_flag("One object a line for each sample,")
@click.option("--raw", is_flag=True, help="Write control characters as they are, on a terminal too.")
def command(
    run: str | None,
    prompt: str,
    seed: int | None,
    count: int,
    unknown: str,
    newest: bool,
    as_json: bool,
    raw: bool,
    **options: Any,
) -> None:
    """Generate text from a trained network: RUN, a run folder or a checkpoint file, by default the newest run."""
    from charnn.sampling.sampler import Sampling, generate

    settings = Sampling(**options | {"stop": tuple(map(_as_utf_8, options["stop"]))})
    text = _prompt(prompt)
    loaded = load_run(run, newest)
    if missing := loaded.vocabulary.unknown(text):
        if unknown == "error":
            raise _unknown(missing)
        text = loaded.vocabulary.without_unknown(text)
    samples, pieces = generate(loaded.model, loaded.vocabulary, text, settings, seed, count)
    if as_json:
        deque(pieces, maxlen=0)
        print_json(samples)
    else:
        write(text, samples, pieces, raw)


def print_json(samples: list[Sample]) -> None:
    for sample in samples:
        fields = {key: value for key, value in asdict(sample).items() if key not in ("nats", "tokens")}
        print(json.dumps({**fields, "nats_per_character": round(sample.nats_per_character, 6)}))


def write(prompt: str, samples: list[Sample], pieces: Iterator[tuple[int, str]], raw: bool) -> None:
    """One sample as it is drawn; several one after the other, once all are complete."""
    from charnn.terminal.safe import TextWriter

    with TextWriter(sys.stdout, raw) as writer:
        if len(samples) == 1:
            writer.write(prompt)
            for _, piece in pieces:
                writer.write(piece)
            writer.write("\n")
            return
        deque(pieces, maxlen=0)
        for index, sample in enumerate(samples):
            writer.write((f"{SEPARATOR}\n" if index else "") + f"{prompt}{sample.text}\n")


def _prompt(argument: str) -> str:
    """The prompt itself, or what the file or standard input that it names holds."""
    if argument != "-" and not argument.startswith("@"):
        return _as_utf_8(argument)
    name = "standard input" if argument == "-" else argument[1:]
    try:
        with sys.stdin.buffer if argument == "-" else Path(name).open("rb") as file:
            data = file.read(MAX_PROMPT + 1)
        if len(data) > MAX_PROMPT:
            raise CorpusError(f"the prompt in {printable(name)} is longer than {MAX_PROMPT:,} bytes")
        return data.decode("utf-8")
    except FileNotFoundError as error:
        raise CorpusError(f"{printable(name)}: no such prompt file") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"the prompt in {printable(name)} is not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise StorageError(f"cannot read the prompt from {printable(name)}: {error.strerror}") from error


def _as_utf_8(word: str) -> str:
    """A word of the command line read as UTF-8, as all text is, whatever the locale says; else as it came."""
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word


def _unknown(characters: str) -> UnknownCharacters:
    listed = " ".join(printable(repr(c)) for c in characters[:10]) + (" ..." if len(characters) > 10 else "")
    return UnknownCharacters(
        characters, f"the prompt has characters the model has never seen: {listed}", "--unknown skip leaves them out"
    )
