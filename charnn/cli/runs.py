"""charnn runs: nothing enters, a table of the runs under runs/ leaves."""

from __future__ import annotations

import click

from charnn.cli import tell
from charnn.cli.options import ExamplesFirst
from charnn.errors import CharnnError

EPILOG = """\b
Example:
  charnn runs
"""


@click.command("runs", cls=ExamplesFirst, epilog=EPILOG)
def command() -> None:
    """A table of the runs under runs/, newest first."""
    from charnn.runs.summary import RUNS, list_runs, read_report
    from charnn.terminal.console import output_console
    from charnn.terminal.runs import RunTable

    records = []
    for path in list_runs():
        try:
            records.append(read_report(path))
        except CharnnError as error:
            tell(f"Warning: {error.message}")
    if records:
        output_console().print(RunTable(records))
    else:
        tell(f"There are no runs under {RUNS}/ yet. Train one: charnn train TEXT")
