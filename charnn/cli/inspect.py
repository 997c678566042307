"""charnn inspect: runs enter, their figures and loss curves leave."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from charnn.cli import tell
from charnn.cli.options import complete_runs

EPILOG = """\b
Examples:
  charnn inspect
  charnn inspect runs/corpus-lstm-1 runs/corpus-gru-1
  charnn inspect --json
"""


@click.command("inspect", epilog=EPILOG)
@click.argument("run", nargs=-1, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="A list of objects, one a run.")
def command(run: tuple[str, ...], as_json: bool) -> None:
    """Loss curves and facts of RUN, or of several overlaid; by default the newest under runs/."""
    from charnn.snapshot import newest_run, read_record

    paths = [Path(name) for name in run] or [newest_run()]
    records = [read_record(path, lambda message: tell(f"Warning: {message}")) for path in paths]
    if as_json:
        print(json.dumps([asdict(record.summary) for record in records], indent=2))
        return
    from charnn.terminal.reports import print_inspection

    print_inspection(records)
