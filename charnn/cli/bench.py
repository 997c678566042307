"""charnn bench: what to measure enters, speed on this machine leaves."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator
from typing import Any

import click

from charnn.cli.options import ExamplesFirst
from charnn.config import cell_names

PARTS = ("training", "sampling", "workers", "startup")

EPILOG = """\b
Examples:
  charnn bench --quick
  charnn bench --against torch
  charnn bench --cell gru --hidden 256 --hidden 512 --only training
"""


@click.command("bench", cls=ExamplesFirst, epilog=EPILOG)
@click.option("--against", type=click.Choice(["torch"]), help="Measure PyTorch in turn with charnn.")
@click.option("--quick", is_flag=True, help="A first look: an LSTM of 2x128, once, for half a second each.")
@click.option("--only", "parts", type=click.Choice(PARTS), multiple=True, help="These parts alone.")
@click.option("--cell", "cells", type=click.Choice(cell_names()), multiple=True, help="Cells.  [default: all]")
@click.option("--hidden", "hidden_sizes", type=int, multiple=True, metavar="N", help="Units.  [default: 128, 256, 512]")
@click.option("--layers", type=int, metavar="N", help="Recurrent layers.  [default: 2]")
@click.option("--batch-size", type=int, metavar="N", help="Streams.  [default: 50, from 512 units on 100]")
@click.option("--seq-length", type=int, metavar="N", help="Steps.  [default: 50, from 512 units on 100]")
@click.option("--seconds", type=float, metavar="X", help="Time of one measurement.  [default: 2]")
@click.option("--repeats", type=int, metavar="N", help="Measurements of each, in turn.  [default: 3]")
@click.option("--json", "as_json", is_flag=True, help="Everything that was measured, as one object.")
def command(quick: bool, as_json: bool, **options: Any) -> None:
    """How fast charnn trains and samples here, beside what the machine can do at best.

    Every measurement runs in a process of its own. Leave the machine alone meanwhile.
    """
    from charnn.benchmark.suite import QUICK, Report, Settings, benchmark
    from charnn.terminal.benchmark import ReportTables, Waiting
    from charnn.terminal.console import output_console

    given = {name: value for name, value in options.items() if value not in (None, ())}
    settings = dataclasses.replace(QUICK if quick else Settings(), **given)
    with _ending_on_sigterm(), contextlib.closing(benchmark(settings)) as records, Waiting() as progress:
        for record in records:
            progress.show(record)
    assert isinstance(record, Report)
    if as_json:
        print(json.dumps(record.to_json(), indent=2))
    else:
        output_console().print(ReportTables(record))


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, with what it has started, unless it was inherited as ignored."""
    before = signal.getsignal(signal.SIGTERM)
    if before == signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
