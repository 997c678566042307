"""charnn sample: a run and a prompt enter, text leaves on standard output."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from charnn.cli import tell
from charnn.cli.options import ExamplesFirst, complete_runs
from charnn.defaults import SAMPLE_LENGTH, TEMPERATURE
from charnn.errors import CorpusError, StorageError, UnknownCharacters, printable

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
    "-t", "--temperature", type=float, default=TEMPERATURE, show_default=True, help="0: always the likeliest."
)
@click.option("-n", "--length", type=int, default=SAMPLE_LENGTH, show_default=True, help="Characters to generate.")
@click.option("-p", "--prompt", default="", metavar="TEXT", help="Text to go on from; @FILE, or - for standard input.")
@click.option("--top-k", type=int, default=0, metavar="N", help="Only the N likeliest characters; 0: all.")
@click.option("--top-p", type=float, default=1.0, metavar="P", help="Only the likeliest that reach probability P.")
@click.option("--min-p", type=float, default=0.0, metavar="P", help="Only those at least P times the likeliest.")
@click.option("--seed", type=int, help="The same seed writes the same text.  [default: another each time]")
@click.option("--count", type=int, default=1, show_default=True, help="Samples to draw at once.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given several times.")
@click.option(
    "--unknown", type=click.Choice(["error", "skip"]), default="error", help="Prompt characters the model never saw."
)
@click.option("--newest", is_flag=True, help="The newest checkpoint instead of that of the lowest validation loss.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a sample.")
@click.option("--raw", is_flag=True, help="Leave control characters as they are, on a terminal too.")
def command(run: str | None, prompt: str, seed: int | None, count: int, unknown: str, **options: Any) -> None:
    """Let a trained network write. RUN is a run folder or a checkpoint file; by default the newest under runs/."""
    newest, as_json, raw = options.pop("newest"), options.pop("as_json"), options.pop("raw")
    from charnn.runs.snapshot import load_snapshot
    from charnn.runs.summary import newest_run
    from charnn.sampling.sampler import Sampling, generate

    settings = Sampling(**options | {"stop": tuple(map(_as_utf_8, options["stop"]))})
    text = _prompt(prompt)
    loaded = load_snapshot(Path(run) if run else newest_run(), _warn, newest)
    if missing := loaded.vocabulary.unknown(text):
        if unknown == "error":
            raise _unknown(missing)
        text = loaded.vocabulary.without_unknown(text)
    samples, pieces = generate(loaded.model, loaded.vocabulary, text, settings, seed, count)
    if as_json:
        for _ in pieces:
            pass
        for sample in samples:
            fields = {k: v for k, v in asdict(sample).items() if k not in ("nats", "tokens")}
            print(json.dumps({**fields, "nats_per_character": round(sample.nats_per_character, 6)}))
        return
    from charnn.terminal.safe import TextWriter

    with TextWriter(sys.stdout, raw) as writer:
        if count == 1:
            writer.write(text)
            for _, piece in pieces:
                writer.write(piece)
            writer.write("\n")
            return
        for _ in pieces:
            pass
        for index, sample in enumerate(samples):
            writer.write((f"{SEPARATOR}\n" if index else "") + f"{text}{sample.text}\n")


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
        raise CorpusError(f"there is no prompt file {printable(name)}") from error
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
        characters, f"the prompt has characters the model never saw: {listed}", "leave them out with --unknown skip"
    )


def _warn(message: str) -> None:
    tell(f"Warning: {message}")
