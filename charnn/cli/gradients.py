"""charnn gradients: trained runs or fresh cells enter; how far gradients reach back through time leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charnn.cli import tell
from charnn.cli.options import ExamplesFirst, complete_runs
from charnn.config import cell_names
from charnn.defaults import GRADIENT_POSITIONS, GRADIENT_SEED, GRADIENT_STEPS
from charnn.errors import ConfigError

if TYPE_CHECKING:
    from charnn.insight.flow import Flow
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
@click.option("--cell", "cells", multiple=True, type=click.Choice(cell_names()), help="A cell before training.")
@click.option("--activation", "activations", multiple=True, metavar="NAME", help="Of the cells that have a choice.")
@click.option("--scale", "scales", multiple=True, type=float, metavar="X", help="Factor on fresh recurrent weights.")
@click.option("--hidden", type=click.IntRange(1), default=128, show_default=True, help="Units of fresh cells.")
@click.option("--layers", type=click.IntRange(1), default=1, show_default=True, help="Layers of fresh cells.")
@click.option(
    "--seed", type=click.IntRange(0), default=GRADIENT_SEED, show_default=True, help="Seed of weights and positions."
)
@click.option("--text", "file", metavar="FILE", help="What is read.  [default: validation text; random characters]")
@click.option(
    "--steps", type=click.IntRange(2, 5000), default=GRADIENT_STEPS, show_default=True, help="How far to go back."
)
@click.option(
    "--positions",
    type=click.IntRange(1),
    default=GRADIENT_POSITIONS,
    show_default=True,
    help="Losses to average over.",
)
@click.option("--newest", is_flag=True, help="The newest checkpoint instead of that of the lowest validation loss.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects, one a network.")
@click.option("--tsv", "as_tsv", is_flag=True, help="A table with a row for each step back.")
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
    from charnn.insight.flow import fresh_networks, measure_flow, plain_text, random_text
    from charnn.insight.memory import TEXT_LIMIT

    if not run and not cells:
        raise ConfigError("nothing to look at", "name runs, or cells: charnn gradients --cell vanilla --cell lstm")
    if (activations or scales) and not cells:
        raise ConfigError("--activation and --scale are for fresh cells", "add --cell vanilla")
    if as_json and as_tsv:
        raise ConfigError("--json and --tsv exclude each other")
    fresh = fresh_networks(cells, activations, scales, hidden_size=hidden, layers=layers, seed=seed)
    options = {"steps": steps, "positions": positions, "seed": seed}
    flows, texts = [], []
    for path in run:
        model, ids, clipped = open_run(path, file, newest)
        texts.append((ids, model.shape.vocabulary_size))
        flows.append(measure_flow(path, model, ids, clipped=clipped, **options))
    if fresh:
        ids, size = texts[0] if texts else plain_text(file, TEXT_LIMIT) if file else random_text(TEXT_LIMIT, seed)
        flows += [measure_flow(one.label, one.model(size), ids, **options) for one in fresh]
    if as_json:
        print(json.dumps([flow.to_json() for flow in flows], indent=2))
    elif as_tsv:
        print_tsv(flows)
    else:
        from charnn.terminal.gradients import print_flows

        print_flows(flows, f"How far gradients reach: {positions} losses, {steps} steps back")


def open_run(path: str, file: str | None, newest: bool) -> tuple[CharRNN, Ids, float | None]:
    """A run's model, what it reads, and the share of its training steps that were clipped."""
    from charnn.insight.flow import clipped_share
    from charnn.insight.memory import TEXT_LIMIT
    from charnn.insight.texts import open_text
    from charnn.runs.snapshot import load_snapshot

    loaded = load_snapshot(Path(path), lambda message: tell(f"Warning: {message}"), newest)
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
