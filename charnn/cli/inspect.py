"""charnn inspect: runs enter, their figures and loss curves leave."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from charnn.cli import note, warn
from charnn.cli.options import ExamplesFirst, complete_runs, json_flag
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
    help="The horizontal axis.",
)
@click.option("--watch", is_flag=True, help="Follow a run while it trains, until it ends or Ctrl-C.")
@click.option("--svg", metavar="FILE", type=click.Path(dir_okay=False), help="Write the curves to an SVG picture.")
@json_flag("A list of objects, one for each run,")
def command(run: tuple[str, ...], by: str, watch: bool, svg: str | None, as_json: bool) -> None:
    """Loss curves and facts of RUN, or of several runs in one chart; by default of the newest under runs/."""
    if watch + as_json + bool(svg) > 1:
        raise ConfigError("--watch, --svg and --json cannot be combined", "give one of them")
    from charnn.runs.summary import newest_run, read_report

    paths = [Path(name) for name in run] or [newest_run()]
    reports = [read_report(path, warn) for path in paths]
    if as_json:
        print(json.dumps([asdict(report.summary) for report in reports], indent=2))
        return
    from charnn.storage.disk import write_output
    from charnn.terminal import console, inspection

    out = console.output_console()
    if svg:
        title = ", ".join(report.summary.run for report in reports)
        write_output(Path(svg), inspection.loss_chart(reports, by, title=title).svg())
        note(f"wrote {svg}")
    elif watch:
        if not console.can_redraw(out):
            raise ConfigError("--watch needs a terminal", "leave it out to see the run as it is now")
        out.print(inspection.watch(out, lambda: [read_report(path) for path in paths], by))
    else:
        out.print(inspection.Inspection(reports, by))
