"""charnn neurons: a run and a text enter; what single units respond to leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charnn.cli import note
from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, encoding_option, json_flag, newest_flag, unknown_option
from charnn.cli.prompts import note_instead, offering_nearest
from charnn.defaults import NEURON_CHARACTERS
from charnn.errors import ConfigError

if TYPE_CHECKING:
    from charnn.insight.neurons import Neurons, Unit
    from charnn.insight.reading import Ids
    from charnn.runs.snapshot import Snapshot

SHOWN = 480
"""Characters of a passage on the terminal."""

ON_PAGE = 4000
"""Characters of the text on a page."""

EPILOG = """\b
Examples:
  charnn neurons runs/corpus-lstm-1
  charnn neurons runs/corpus-lstm-1 letter.txt --unit 1:57 --since ,
  charnn neurons runs/corpus-lstm-1 --top 20 --html units.html
"""


@click.command("neurons", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", shell_complete=complete_runs)
@click.argument("file", required=False, type=click.Path())
@click.option("--unit", "names", multiple=True, metavar="L:U", help="Show this unit; L:U:c for the cell state.")
@click.option("--top", type=click.IntRange(0), default=0, metavar="N", help="List the N most telling units.")
@click.option(
    "--since", multiple=True, metavar="CHARACTER", help="One more property: how many characters since this one."
)
@click.option("--gates", "gate_charts", is_flag=True, help="A chart for each gate, with a dot for each unit.")
@click.option("--html", "page_file", metavar="FILE", help="Write the text coloured by the best units to a page.")
@click.option(
    "--characters",
    type=click.IntRange(100),
    default=NEURON_CHARACTERS,
    show_default=True,
    metavar="N",
    help="How much of the text to read.",
)
@unknown_option
@encoding_option
@newest_flag
@json_flag("One object")
def command(
    run: str,
    file: str | None,
    names: tuple[str, ...],
    top: int,
    since: tuple[str, ...],
    gate_charts: bool,
    page_file: str | None,
    characters: int,
    unknown: str,
    encoding: str | None,
    newest: bool,
    as_json: bool,
) -> None:
    """What single units of RUN respond to in FILE: by correlation, beside what chance alone would reach.

    Without FILE it is the run's validation text. A unit L:U is number U of layer L, both from 0.
    """
    from charnn.insight.neurons import Unit, measure_neurons
    from charnn.insight.texts import open_text

    loaded = load_run(run, newest)
    units = [Unit.parse(name, loaded.model) for name in names]
    with offering_nearest(), open_text(loaded, file, encoding or "", unknown) as text:
        ids, context = text.head(characters), text.context
        note_instead(text.instead, text.unknown)
    neurons = measure_neurons(loaded.model, loaded.vocabulary, ids, context=context, since=since)
    if page_file:
        write_units(page_file, loaded, neurons, units, ids, context, f"{run}: what single units respond to")
    if as_json:
        print(json.dumps(neurons.to_json(), indent=2))
    else:
        heading = f"{run} on {len(ids):,} characters of {text.name}"
        show(heading, loaded, neurons, units or [neurons.most_telling()], ids, context, top, gate_charts)


def show(
    heading: str,
    loaded: Snapshot,
    neurons: Neurons,
    units: list[Unit],
    ids: Ids,
    context: Ids,
    top: int,
    gate_charts: bool,
) -> None:
    """Tables first, then for each of the units the passage in which it moves most."""
    from charnn.insight.neurons import activations, line_starts, passage
    from charnn.terminal import neurons as screen
    from charnn.terminal.console import output_console

    out = output_console()
    out.print(screen.Findings(neurons, heading))
    if top:
        out.print()
        out.print(screen.Ranking(neurons.ranked(top)))
    line_end = loaded.vocabulary.characters.find("\n")
    starts = line_starts(ids, line_end)
    for unit, values in zip(units, activations(loaded.model, loaded.vocabulary, ids, units, context).T, strict=True):
        start = passage(values, starts, SHOWN)
        part = slice(start, start + SHOWN)
        out.print()
        out.print(screen.Passage(unit, loaded.vocabulary, ids[part], values[part], float(abs(values).max()) or 1.0))
    if neurons.gates.names:
        out.print()
        out.print(screen.GateTable(neurons.gates))
    if gate_charts:
        out.print()
        for chart in screen.gate_charts(neurons.gates):
            out.print(chart)


def write_units(
    file: str, loaded: Snapshot, neurons: Neurons, units: list[Unit], ids: Ids, context: Ids, title: str
) -> None:
    """The named units, or for every property its best one, on a page of their own. Raises StorageError."""
    from charnn.insight.neurons import activations
    from charnn.storage.disk import write_output
    from charnn.terminal.neurons_page import page

    captions = {unit: f"unit {unit}" for unit in units}
    if not units:
        for name in neurons.properties.names:
            for one in neurons.best(name):
                captions.setdefault(one.unit, f"unit {one.unit}: {name}, r = {one.r:+.2f}, chance {one.chance:.2f}")
    if not captions:
        raise ConfigError("no unit does better than chance on this text", "name one with --unit, or give a longer text")
    text = ids[:ON_PAGE]
    values = activations(loaded.model, loaded.vocabulary, text, list(captions), context)
    largest = abs(values).max(axis=0)
    largest[largest == 0] = 1
    shown = list(zip(captions.values(), (values / largest).T, strict=True))
    write_output(Path(file), page(title, loaded.vocabulary, text, shown))
    note(f"wrote {len(shown)} units to {file}")
