"""charnn inspect: runs enter, their figures and loss curves leave."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from charnn.cli import tell
from charnn.cli.options import ExamplesFirst, complete_runs
from charnn.errors import ConfigError

EPILOG = """\b
Examples:
  charnn inspect
  charnn inspect runs/corpus-lstm-1 --watch
  charnn inspect runs/corpus-lstm-1 runs/corpus-gru-1 --by time
  charnn inspect --svg loss.svg
"""


@click.command("inspect", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", nargs=-1, shell_complete=complete_runs)
@click.option(
    "--by",
    type=click.Choice(["steps", "epochs", "characters", "time"]),
    default="steps",
    show_default=True,
    help="What the curves run over.",
)
@click.option("--watch", is_flag=True, help="Follow a run that is being trained, until it ends or Ctrl-C.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False), help="Write the curves as a picture.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects, one a run.")
def command(run: tuple[str, ...], by: str, watch: bool, svg: str | None, as_json: bool) -> None:
    """Loss curves and facts of RUN, or of several overlaid; by default the newest under runs/."""
    if watch + as_json + bool(svg) > 1:
        raise ConfigError("--watch, --svg and --json exclude each other", "give one of them")
    from charnn.runs.summary import newest_run, read_report

    paths = [Path(name) for name in run] or [newest_run()]
    records = [read_report(path, lambda message: tell(f"Warning: {message}")) for path in paths]
    if as_json:
        print(json.dumps([asdict(record.summary) for record in records], indent=2))
        return
    from charnn.storage.disk import write_output
    from charnn.terminal import console, inspection

    out = console.output_console()
    if svg:
        title = ", ".join(record.summary.run for record in records)
        write_output(Path(svg), inspection.loss_chart(records, by, title=title).svg())
        tell(f"Wrote {svg}")
    elif watch:
        if not console.can_redraw(out):
            raise ConfigError("--watch needs a terminal", "without it, inspect shows how things stand")
        out.print(inspection.watch(out, lambda: [read_report(path) for path in paths], by))
    else:
        out.print(inspection.Inspection(records, by))
