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

from charnn.cli.options import CellName, ExamplesFirst, json_flag

PARTS = ("training", "sampling", "workers", "startup")

EPILOG = """\b
Examples:
  charnn bench --quick
  charnn bench --against torch
  charnn bench --cell gru --hidden 256 --hidden 512 --only training
"""


@click.command("bench", cls=ExamplesFirst, epilog=EPILOG)
@click.option("--against", type=click.Choice(["torch"]), help="Measure PyTorch too, in turn with charnn.")
@click.option("--quick", is_flag=True, help="A first look: an LSTM of 2x128, each measurement once, for half a second.")
@click.option("--only", "parts", type=click.Choice(PARTS), multiple=True, help="Measure these parts only.")
@click.option("--cell", "cells", type=CellName(), multiple=True, help="Cells to measure.  [default: all]")
@click.option(
    "--hidden", "hidden_sizes", type=int, multiple=True, metavar="N", help="Hidden sizes.  [default: 128, 256, 512]"
)
@click.option("--layers", type=int, metavar="N", help="Recurrent layers.  [default: 2]")
@click.option("--batch-size", type=int, metavar="N", help="Batch size.  [default: 50; 100 from 512 units on]")
@click.option("--seq-length", type=int, metavar="N", help="Sequence length.  [default: 50; 100 from 512 units on]")
@click.option("--seconds", type=float, metavar="X", help="Length of a measurement.  [default: 2]")
@click.option("--repeats", type=int, metavar="N", help="Times that each is measured, in turn.  [default: 3]")
@json_flag("Everything that was measured")
def command(quick: bool, as_json: bool, **options: Any) -> None:
    """How fast charnn trains and samples here, beside the limits of the machine.

    Every measurement runs in a process of its own. Do not use the machine while it runs.
    """
    from charnn.benchmark.suite import QUICK, Report, Settings, benchmark
    from charnn.terminal.benchmark import ReportTables, Waiting
    from charnn.terminal.console import output_console

    given = {name: value for name, value in options.items() if value not in (None, ())}
    settings = dataclasses.replace(QUICK if quick else Settings(), **given)
    with _ending_on_sigterm(), contextlib.closing(benchmark(settings)) as events, Waiting() as progress:
        for event in events:
            progress.show(event)
    assert isinstance(event, Report)
    if as_json:
        print(json.dumps(event.to_json(), indent=2))
    else:
        output_console().print(ReportTables(event))


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
