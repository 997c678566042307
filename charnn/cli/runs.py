"""charnn runs: nothing enters, a table of the runs under runs/ leaves."""

from __future__ import annotations

import click

from charnn.cli import tell, warn
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

    reports = []
    for path in list_runs():
        try:
            reports.append(read_report(path))
        except CharnnError as error:
            warn(error.message)
    if reports:
        output_console().print(RunTable(reports))
    else:
        tell(f"There are no runs under {RUNS}/ yet. Train one: charnn train TEXT")
