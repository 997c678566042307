"""charnn compare: a text and some cells enter; equally large networks, trained equally long, leave side by side."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charnn.cli import note, tell
from charnn.cli.options import CellName, ExamplesFirst, json_flag, quiet_flag, set_option
from charnn.cli.showing import train_visibly
from charnn.cli.signals import Stopped, StopSignals
from charnn.config import KEYS, Setting, parse_assignment
from charnn.defaults import COMPARE_BUDGET, COMPARE_PARAMETERS
from charnn.errors import ConfigError

if TYPE_CHECKING:
    from charnn.insight.compare import Comparison

EPILOG = """\b
Examples:
  charnn compare corpus.txt --parameters 200000 --budget 5m
  charnn compare corpus.txt --cell vanilla --cell lstm --set model.layers=1
  charnn compare --resume runs/corpus-compare-1
"""


@click.command("compare", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("corpus", nargs=-1, type=click.Path())
@click.option("--cell", "cells", multiple=True, type=CellName(), help="A cell to compare.  [default: all]")
@click.option(
    "--parameters",
    type=click.IntRange(1),
    metavar="N",
    help=f"Parameters of each network.  [default: {COMPARE_PARAMETERS:,}]",
)
@click.option("--budget", metavar="TIME", help=f"Training time of each.  [default: {COMPARE_BUDGET}]")
@click.option("--steps", metavar="N", help="Updates of each, instead of a time.")
@click.option("--seed", metavar="N", help="Seed of each training.")
@click.option("--workers", metavar="N", help="Processes that share the work of each.")
@set_option
@click.option("-o", "--out", metavar="FOLDER", help="Folder to make.  [default: runs/<corpus>-compare-<n>]")
@click.option("--resume", metavar="FOLDER", help="Continue a comparison, or show it again.")
@quiet_flag
@json_flag("A list of objects, one for each cell,")
def command(
    corpus: tuple[str, ...],
    cells: tuple[str, ...],
    parameters: int | None,
    budget: str | None,
    steps: str | None,
    seed: str | None,
    workers: str | None,
    assignments: tuple[str, ...],
    out: str | None,
    resume: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train each cell on CORPUS with as many parameters and for as long as the others, one after the other.

    The runs are kept in one folder. Ctrl-C saves and stops; --resume continues.
    """
    from charnn.insight import compare

    given = {"budget": budget, "steps": steps, "seed": seed, "workers": workers}
    flags = {KEYS[key]: Setting(value, f"--{key}") for key, value in given.items() if value is not None}
    if resume is not None:
        if corpus or cells or parameters or flags or assignments or out:
            raise ConfigError("--resume takes no other options", f"charnn compare --resume {shlex.quote(resume)}")
        comparison = compare.reopen(Path(resume))
    else:
        if not corpus:
            raise ConfigError("no text to train on", "charnn compare TEXT, or charnn compare --resume FOLDER")
        settings = {name: one for text in assignments for name, one in parse_assignment(text).items()} | flags
        target = None if out is None else Path(out)
        comparison = compare.begin(corpus, cells, parameters, settings, target)
    with StopSignals() as signals:
        for cell in comparison.cells:
            if not comparison.is_finished(cell) and not signals():
                train_one(comparison, cell, signals, quiet)
        if signals():
            tell(f"Stopped. To continue: charnn compare --resume {shlex.quote(str(comparison.path))}")
            return signals.exit_code
    show(comparison, as_json)
    return 0


def train_one(comparison: Comparison, cell: str, signals: StopSignals, quiet: bool) -> None:
    """Train one cell to its end, or until a signal comes, and show how it goes."""
    try:
        with signals.interrupting() as stop:
            run = comparison.open(cell, note, stop)
    except Stopped:
        return
    train_visibly(run, signals, quiet)


def show(comparison: Comparison, as_json: bool) -> None:
    from charnn.insight.compare import judge

    standings = [judge(comparison, cell) for cell in comparison.cells]
    if as_json:
        print(json.dumps([one.to_json() for one in standings], indent=2))
    else:
        from charnn.terminal.compare import Standings
        from charnn.terminal.console import output_console

        output_console().print(Standings(standings))
        note(f"the runs are in {comparison.path}")
