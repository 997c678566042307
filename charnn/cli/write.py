"""charnn write: a run and lines enter, typed or piped; a text that both wrote leaves on standard output."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from charnn.cli import tell
from charnn.cli.drawing import drawing_options, sampling_from
from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, newest_flag, unknown_option
from charnn.cli.prompts import Prompt, as_utf_8, known_prompt, known_stops
from charnn.errors import ConfigError

EPILOG = """\b
Examples:
  charnn write
  charnn write runs/corpus-lstm-1 --temperature 0.7 --prompt @draft.txt
  charnn write --you ANNA --it BERT
  charnn write --seed 1 < lines.txt > text.txt
"""


@click.command("write", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", required=False, shell_complete=complete_runs)
@drawing_options
@click.option("-p", "--prompt", default="", metavar="TEXT", help="Text to begin with; @FILE reads a file.")
@click.option("--you", metavar="NAME", help="A chat, in which this name stands before your lines.")
@click.option("--it", metavar="NAME", help="The name before the network's lines.")
@click.option("--seed", type=int, metavar="N", help="Seed for reproducible output.  [default: random]")
@unknown_option
@newest_flag
def command(
    run: str | None,
    prompt: str,
    you: str | None,
    it: str | None,
    seed: int | None,
    literal: bool,
    unknown: str,
    newest: bool,
    **options: Any,
) -> None:
    """Write together with a trained network, a line of yours and a line of the network's in turn.

    RUN is a run folder or a checkpoint file; by default the newest under runs/. The network goes on to the end of a
    line, or for --length characters. Lines that begin with a colon are commands; :help lists them. Lines may also come
    from a pipe.
    """
    names = _names(you, it)
    settings = sampling_from(options)
    given = Prompt.read(prompt, literal)

    from charnn.cli.exchange import Exchange
    from charnn.cli.keyboard import Keyboard, Script
    from charnn.sampling.session import Session
    from charnn.terminal.writing import Page

    loaded = load_run(run, newest)
    settings = known_stops(settings, loaded, unknown, literal)
    session = Session(loaded.model, loaded.vocabulary, settings, seed)
    page = Page(session, typed=sys.stdin.isatty() and sys.stdout.isatty())
    with Keyboard() if sys.stdin.isatty() else contextlib.nullcontext(Script()) as lines:
        exchange = Exchange(session, page, lines, names, unknown)
        if lines.attended:
            tell(f"{loaded.path}, seed {session.seed}: write a line, or none, and the network goes on.")
            tell(":help lists what else there is; Ctrl-C stops the network, Ctrl-D ends.")
        session.read(known_prompt(given, loaded, unknown))
        page.write(session.text)
        page.end_turn()
        exchange.run()


def _names(you: str | None, it: str | None) -> tuple[str, str] | None:
    """The two who talk, or None where nobody has a name. Raises ConfigError."""
    if you is None and it is None:
        return None
    if not you or not it or you == it:
        raise ConfigError("a chat needs two names", "give --you NAME and --it NAME")
    return as_utf_8(you), as_utf_8(it)
