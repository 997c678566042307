"""Words of the command line enter; how characters are drawn, and the text to go on from, leave.

``sample`` and ``write`` share this.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charnn.defaults import SAMPLE_LENGTH, TEMPERATURE
from charnn.errors import CorpusError, StorageError, UnknownCharacters, printable

if TYPE_CHECKING:
    from charnn.sampling.sampler import Sampling
    from charnn.text.vocabulary import Vocabulary

F = TypeVar("F", bound=Callable[..., Any])

MAX_PROMPT = 2**24
"""Bytes."""

OPTIONS = (
    click.option(
        "-t",
        "--temperature",
        type=float,
        metavar="T",
        default=TEMPERATURE,
        show_default=True,
        help="Below 1 sharpens the distribution, above 1 flattens it; 0 is greedy.",
    ),
    click.option(
        "-n",
        "--length",
        type=int,
        metavar="N",
        default=SAMPLE_LENGTH,
        show_default=True,
        help="Number of characters, or bytes, to generate.",
    ),
    click.option("--top-k", type=int, default=0, metavar="N", help="Draw from the N most probable characters; 0: all."),
    click.option("--top-p", type=float, default=1.0, metavar="P", help="From the most probable that together reach P."),
    click.option(
        "--min-p", type=float, default=0.0, metavar="P", help="From those at least P times as probable as the top."
    ),
    click.option(
        "--no-repeat", type=int, default=0, metavar="N", help="Repeat no passage of N characters; 0: as it comes."
    ),
    click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given several times."),
)


def drawing_options(command: F) -> F:
    """Decorate a command with the options that make a ``Sampling``."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def sampling_from(options: dict[str, Any]) -> Sampling:
    """What these options ask for. Raises ConfigError."""
    from charnn.sampling.sampler import Sampling

    return Sampling(**options | {"stop": tuple(map(as_utf_8, options["stop"]))})


def read_prompt(argument: str) -> str:
    """The prompt itself, or what the file or standard input that it names holds, be it text or any other bytes."""
    if argument != "-" and not argument.startswith("@"):
        return as_utf_8(argument)
    name = "standard input" if argument == "-" else argument[1:]
    try:
        with sys.stdin.buffer if argument == "-" else Path(name).open("rb") as file:
            data = file.read(MAX_PROMPT + 1)
        if len(data) > MAX_PROMPT:
            raise CorpusError(f"the prompt in {printable(name)} is longer than {MAX_PROMPT:,} bytes")
        return data.decode("utf-8", "surrogateescape")
    except FileNotFoundError as error:
        raise CorpusError(f"{printable(name)}: no such prompt file") from error
    except OSError as error:
        raise StorageError(f"cannot read the prompt from {printable(name)}: {error.strerror}") from error


def without_unknown(text: str, vocabulary: Vocabulary, unknown: str) -> str:
    """``text`` as the model can read it. Raises UnknownCharacters, unless they are to be skipped.

    Also raises CorpusError for bytes that are no text, where the model does not read bytes.
    """
    if vocabulary.tokens != "bytes":
        _check_text(text)
    if not (missing := vocabulary.unknown(text)):
        return text
    if unknown == "error":
        listed = " ".join(printable(repr(c)) for c in missing[:10]) + (" ..." if len(missing) > 10 else "")
        message = f"the text has characters the model has never seen: {listed}"
        raise UnknownCharacters(missing, message, "--unknown skip leaves them out")
    return vocabulary.without_unknown(text)


def _check_text(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        place = len(text[: error.start].encode("utf-8"))
        raise CorpusError(f"the text is not UTF-8 at byte {place}", "a network of bytes could read it") from None


def as_utf_8(word: str) -> str:
    """A word of the command line read as UTF-8, as all text is, whatever the locale says; else as it came."""
    try:
        return os.fsencode(word).decode("utf-8")
    except UnicodeError:
        return word
