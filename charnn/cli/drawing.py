"""Words of the command line enter; how characters are drawn leaves. ``sample`` and ``write`` share this."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from charnn.cli.prompts import as_utf_8
from charnn.defaults import SAMPLE_LENGTH, TEMPERATURE

if TYPE_CHECKING:
    from charnn.sampling.sampler import Sampling

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "-t",
        "--temperature",
        type=float,
        metavar="T",
        default=TEMPERATURE,
        show_default=True,
        help="Below 1 sharpens the distribution, above 1 flattens it; 0 is greedy.",
    ),
    click.option(
        "-n",
        "--length",
        type=int,
        metavar="N",
        default=SAMPLE_LENGTH,
        show_default=True,
        help="Number of characters, or bytes, to generate.",
    ),
    click.option("--top-k", type=int, default=0, metavar="N", help="Draw from the N most probable characters; 0: all."),
    click.option("--top-p", type=float, default=1.0, metavar="P", help="From the most probable that together reach P."),
    click.option(
        "--min-p", type=float, default=0.0, metavar="P", help="From those at least P times as probable as the top."
    ),
    click.option(
        "--no-repeat", type=int, default=0, metavar="N", help="Repeat no passage of N characters; 0: as it comes."
    ),
    click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given several times."),
    click.option("--literal", is_flag=True, help="Take --prompt and --stop as they stand, also \\, @ and -."),
)


def drawing_options(command: F) -> F:
    """Decorate a command with the options that make a ``Sampling``."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def sampling_from(options: dict[str, Any]) -> Sampling:
    """What these options ask for; stops are still as they were typed. Raises ConfigError."""
    from charnn.sampling.sampler import Sampling

    return Sampling(**options | {"stop": tuple(map(as_utf_8, options["stop"]))})
