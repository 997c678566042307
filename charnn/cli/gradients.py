"""charnn gradients: trained runs or fresh cells enter; how far gradients reach back through time leaves."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from charnn.cli.loading import load_run
from charnn.cli.options import CellName, ExamplesFirst, complete_runs, json_flag, newest_flag, one_format, tsv_flag
from charnn.defaults import GRADIENT_POSITIONS, GRADIENT_SEED, GRADIENT_STEPS
from charnn.errors import ConfigError

if TYPE_CHECKING:
    from charnn.insight.flow import Flow, Fresh
    from charnn.insight.reading import Ids
    from charnn.network.model import CharRNN

EPILOG = """\b
Examples:
  charnn gradients runs/corpus-lstm-1 runs/corpus-vanilla-1
  charnn gradients --cell vanilla --cell lstm --cell gru
  charnn gradients --cell vanilla --activation tanh --activation relu --scale 1 --scale 1.5
"""


@click.command("gradients", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", nargs=-1, shell_complete=complete_runs)
@click.option("--cell", "cells", multiple=True, type=CellName(), help="A cell before training.")
@click.option("--activation", "activations", multiple=True, metavar="NAME", help="Of fresh cells that have a choice.")
@click.option("--scale", "scales", multiple=True, type=float, metavar="X", help="Factor on fresh recurrent weights.")
@click.option(
    "--hidden", metavar="N", type=click.IntRange(1), default=128, show_default=True, help="Hidden size of fresh cells."
)
@click.option(
    "--layers", metavar="N", type=click.IntRange(1), default=1, show_default=True, help="Layers of fresh cells."
)
@click.option(
    "--seed",
    metavar="N",
    type=click.IntRange(0),
    default=GRADIENT_SEED,
    show_default=True,
    help="Seed of weights and positions.",
)
@click.option("--text", "file", metavar="FILE", help="Text to read.  [default: validation text; random characters]")
@click.option(
    "--steps",
    metavar="N",
    type=click.IntRange(2, 5000),
    default=GRADIENT_STEPS,
    show_default=True,
    help="How many steps back.",
)
@click.option(
    "--positions",
    metavar="N",
    type=click.IntRange(1),
    default=GRADIENT_POSITIONS,
    show_default=True,
    help="Number of losses to average over.",
)
@newest_flag
@json_flag("A list of objects, one for each network,")
@tsv_flag("step back")
def command(
    run: tuple[str, ...],
    cells: tuple[str, ...],
    activations: tuple[str, ...],
    scales: tuple[float, ...],
    hidden: int,
    layers: int,
    seed: int,
    file: str | None,
    steps: int,
    positions: int,
    newest: bool,
    as_json: bool,
    as_tsv: bool,
) -> None:
    """How the gradient of a loss shrinks or grows with every step back in time, in trained runs or in fresh cells.

    Runs read their validation text, or FILE; fresh cells read FILE, else the first run's text, else random characters.
    """
    from charnn.insight.flow import fresh_networks

    if not run and not cells:
        raise ConfigError("no network to measure", "name runs, or cells: charnn gradients --cell vanilla --cell lstm")
    if (activations or scales) and not cells:
        raise ConfigError("--activation and --scale are for fresh cells", "add --cell vanilla")
    one_format(as_json, as_tsv)
    fresh = fresh_networks(cells, activations, scales, hidden_size=hidden, layers=layers, seed=seed)
    flows = measure(run, fresh, file, newest, {"steps": steps, "positions": positions, "seed": seed})
    if as_json:
        print(json.dumps([flow.to_json() for flow in flows], indent=2))
    elif as_tsv:
        print_tsv(flows)
    else:
        from charnn.terminal.console import output_console
        from charnn.terminal.gradients import FlowReport

        heading = f"How far gradients reach: {positions} losses, {steps} steps back"
        output_console().print(FlowReport(flows, heading))


def measure(
    runs: tuple[str, ...], fresh: list[Fresh], file: str | None, newest: bool, options: dict[str, int]
) -> list[Flow]:
    """What gradients do in runs and fresh networks, these on the text of the first run where there is no file."""
    from charnn.insight.flow import measure_flow, plain_text, random_text
    from charnn.insight.memory import TEXT_LIMIT

    flows, texts = [], []
    for path in runs:
        model, ids, clipped = open_run(path, file, newest)
        texts.append((ids, model.shape.vocabulary_size))
        flows.append(measure_flow(path, model, ids, clipped=clipped, **options))
    if fresh:
        if not texts:
            texts.append(plain_text(file, TEXT_LIMIT) if file else random_text(TEXT_LIMIT, options["seed"]))
        ids, size = texts[0]
        flows += [measure_flow(one.label, one.model(size), ids, **options) for one in fresh]
    return flows


def open_run(path: str, file: str | None, newest: bool) -> tuple[CharRNN, Ids, float | None]:
    """A run's model, what it reads, and the share of its training steps that were clipped."""
    from charnn.insight.flow import clipped_share
    from charnn.insight.memory import TEXT_LIMIT
    from charnn.insight.texts import open_text

    loaded = load_run(path, newest)
    with open_text(loaded, file) as text:
        return loaded.model, text.head(TEXT_LIMIT), clipped_share(loaded)


def print_tsv(flows: list[Flow]) -> None:
    """A row for each network and step back: mean and typical norm, and the two paths alone."""
    from charnn.terminal.safe import one_line

    print("network", "steps_back", "mean", "typical", "elementwise", "product", sep="\t")
    for flow in flows:
        reach, label = flow.reach, one_line(flow.label, sys.stdout.encoding)
        columns = (reach.mean, reach.typical, reach.elementwise.mean(axis=1), reach.product.mean(axis=1))
        for back, values in enumerate(zip(*columns, strict=True), start=1):
            print(label, back, *(f"{value:.6e}" for value in values), sep="\t")
