"""Command-line words enter, an exit code leaves: one module a command, found and imported only when it is called.

This is the one place where errors become exit codes (see ``charnn/errors.py``).
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import io
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import click

from charnn.cli import streams
from charnn.cli.options import ExamplesFirst
from charnn.errors import CharnnError, printable

LONGEST_LINE = 1000
"""Characters of one line of a message: a screen of eighty columns shows no more together with the rest."""

COMMANDS = {
    "train": "Train a network on a text.",
    "sample": "Generate text from a trained network.",
    "write": "Write together with a trained network, line by line.",
    "inspect": "Loss curves and facts of runs.",
    "runs": "A table of the runs under runs/.",
    "score": "How well a model predicts a text, character by character.",
    "copies": "What of a text stands word for word in a run's training text.",
    "neurons": "What single units respond to.",
    "gradients": "How far gradients reach back through time.",
    "compare": "Train cells of equal size equally long, and compare them.",
    "export": "A web page in which a trained network writes.",
    "bench": "Speed on this machine, beside its limits.",
    "completion": "Tab completion for bash, zsh and fish.",
}
"""Every command with the first line of its help; the module has the command's name."""

EPILOG = """\b
Examples:
  charnn train corpus.txt
  charnn sample --temperature 0.8
  charnn inspect
"""


class Refused(Exception):
    """An OSError on its way out; click would turn that of a reader who went away into exit code 1."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error


@contextlib.contextmanager
def _past_click() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refused(error) from error


class Commands(ExamplesFirst, click.Group):
    """Commands by name, imported when needed; a near miss is suggested."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        words = list(args)
        with _past_click():
            context = super().make_context(info_name, args, *rest, **extra)
        context.meta["charnn.words"] = words
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with _past_click():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"charnn.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Commands: {', '.join(COMMANDS)}."
            raise click.UsageError(f"no such command: {printable(args[0])[:80]}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from the names above: nothing is imported for it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="charnn", message="charnn %(version)s")
def main() -> None:
    """Train a character-level recurrent neural network on any text, then generate more of it."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every failure is told on standard error in at most a screen."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries to their programmers
    try:
        code = main.main(list(arguments), prog_name="charnn", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except Exception as error:
        if os.environ.get("CHARNN_DEBUG") == "1" and not isinstance(error, click.exceptions.Exit):
            tell(traceback.format_exc().rstrip())
        return _report(error)
    except KeyboardInterrupt:
        return 130


def _report(error: Exception) -> int:
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        return 130
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        tell(shown.getvalue().rstrip())
        return error.exit_code
    if isinstance(error, CharnnError):
        tell(f"Error: {error.message}")
        if error.hint:
            tell(f"  {error.hint}")
        return error.exit_code
    if isinstance(error, OSError | Refused):
        return _report_os_error(error.error if isinstance(error, Refused) else error)
    if isinstance(error, MemoryError):
        tell("Error: not enough memory")
        tell("  try a smaller --hidden, --batch-size or --seq-length")
        return 6
    tell(f"Error: a bug in charnn: {type(error).__name__}: {error}")
    tell("  run again with CHARNN_DEBUG=1 for a traceback, and report it")
    return 1


def _report_os_error(error: OSError) -> int:
    streams.abandon_output()
    if isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE:
        return 141  # the reader is gone: nothing is left to say
    where = f": {error.filename}" if error.filename else ""
    tell(f"Error: {error.strerror or error}{where}")
    return 6


def note(message: str) -> None:
    tell(f"Note: {message}")


def warn(message: str) -> None:
    tell(f"Warning: {message}")


def tell(message: str) -> None:
    """Say something on standard error, on lines that cannot control a terminal.

    A standard error that is gone is no reason to fail.
    """
    lines = [printable(line) for line in message.split("\n")]
    shown = [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..." for line in lines]
    with contextlib.suppress(OSError):
        click.echo("\n".join(shown), err=True)
