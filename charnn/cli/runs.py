"""charnn runs: nothing enters, a table of the runs under runs/ leaves."""

from __future__ import annotations

import click

from charnn.cli import tell
from charnn.errors import CharnnError

EPILOG = """\b
Example:
  charnn runs
"""


@click.command("runs", epilog=EPILOG)
def command() -> None:
    """A table of the runs under runs/, newest first."""
    from charnn.snapshot import RUNS, list_runs, read_record
    from charnn.terminal.reports import print_runs

    records = []
    for path in list_runs():
        try:
            records.append(read_record(path))
        except CharnnError as error:
            tell(f"Warning: {error.message}")
    if records:
        print_runs(records)
    else:
        tell(f"There are no runs under {RUNS}/ yet. Train one: charnn train TEXT")
