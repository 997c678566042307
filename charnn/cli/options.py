"""Options of the configuration enter, click options leave, and back: the flags of ``train`` and what they set.

What several commands ask for alike is spelled here once, as are the order of a help page and the completion of names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from charnn.config import CELL_ALIASES, KEYS, OPTIONS, Setting, cell_names
from charnn.defaults import UNKNOWN
from charnn.errors import ConfigError
from charnn.option import choices_of
from charnn.shipped import preset_lines, preset_names

F = TypeVar("F", bound=Callable[..., Any])

FLAGS = {
    "Network": {
        "--cell": "cell",
        "--activation": "activation",
        "--layers": "layers",
        "--hidden": "hidden_size",
        "--embedding": "embedding_size",
        "--dropout": "dropout",
    },
    "Length": {
        "--epochs": "epochs",
        "--steps": "steps",
        "--budget": "budget",
    },
    "Optimization": {
        "--seq-length": "seq_length",
        "--batch-size": "batch_size",
        "--optimizer": "optimizer",
        "--lr": "learning_rate",
        "--schedule": "schedule",
        "--clip": "clip_norm",
        "--clip-value": "clip_value",
        "--seed": "seed",
        "--workers": "workers",
    },
    "Text": {
        "--val-fraction": "val_fraction",
        "--test-fraction": "test_fraction",
        "--tokens": "tokens",
        "--encoding": "encoding",
        "--normalize": "normalize",
        "--line-ends": "line_ends",
        "--include": "include",
        "--exclude": "exclude",
    },
    "Validation and checkpoints": {
        "--validate-every": "validate_every",
        "--checkpoint-every": "checkpoint_every",
        "--on-divergence": "on_divergence",
    },
}
"""Flags of ``charnn train`` by group, and the option each one sets. All other options are reached with --set."""

METAVARS = {
    "budget": "TIME",
    "encoding": "NAME",
    "include": "GLOB",
    "exclude": "GLOB",
    "epochs": "X",
    "learning_rate": "X",
    "clip_norm": "NORM",
    "clip_value": "X",
    "dropout": "P",
    "val_fraction": "P",
    "test_fraction": "P",
}


class CellName(click.Choice[str]):
    """One of the cells there are, also by what it is called elsewhere."""

    def __init__(self) -> None:
        super().__init__(cell_names())

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return super().convert(value if value in self.choices else CELL_ALIASES.get(value, value), param, ctx)


class ExamplesFirst(click.Command):
    """A command whose help shows its examples before its options."""

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        self.format_epilog(ctx, formatter)
        self.format_options(ctx, formatter)


class GroupedCommand(ExamplesFirst):
    """A command whose help shows its options under the headings of ``FLAGS``, and then the presets."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = {flag: heading for heading, flags in FLAGS.items() for flag in flags}
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups.setdefault(headings.get(param.opts[0], "Options"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        if presets := preset_lines():  # a package that was copied alone has none
            with formatter.section("Presets"):
                formatter.write_dl(list(presets.items()))


newest_flag = click.option(
    "--newest", is_flag=True, help="The newest checkpoint instead of the one with the lowest validation loss."
)
quiet_flag = click.option("-q", "--quiet", is_flag=True, help="One line instead of the whole screen.")
unknown_option = click.option(
    "--unknown",
    type=click.Choice(UNKNOWN),
    default="error",
    show_default=True,
    help="What to do about characters the model has never seen: nearest takes what is like them.",
)
encoding_option = click.option("--encoding", metavar="NAME", help="Encoding of FILE.  [default: as the run's text]")


def json_flag(answer: str) -> Callable[[F], F]:
    return click.option("--json", "as_json", is_flag=True, help=f"{answer} as JSON.")


def tsv_flag(row: str) -> Callable[[F], F]:
    return click.option("--tsv", "as_tsv", is_flag=True, help=f"A table with a row for each {row}.")


def one_format(as_json: bool, as_tsv: bool) -> None:
    """Raises ConfigError where an answer is asked for in two formats."""
    if as_json and as_tsv:
        raise ConfigError("--json and --tsv cannot be combined", "give one of them")


def set_option(command: F) -> F:
    """Decorate a command with ``--set``, which reaches every option of the configuration."""
    return click.option(
        "--set",
        "assignments",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        help="Set any option of the configuration; may be given several times.",
        shell_complete=complete_settings,
    )(command)


def config_flags(command: F) -> F:
    """Decorate a command with all ``FLAGS``; their values arrive as text, to be checked by the configuration."""
    for flags in reversed(FLAGS.values()):
        for flag, key in reversed(flags.items()):
            spec = OPTIONS[KEYS[key]]
            names = list(choices_of(spec))
            metavar = "|".join(names) or METAVARS.get(key, "N")
            default = "auto" if spec.metadata.get("auto") else spec.default
            several = bool(spec.metadata.get("several"))
            shown = "" if default in (None, "") else f"  [default: {default}]"
            repeated = "; may be given several times" if several else ""
            help_text = spec.metadata["help"][:1].upper() + spec.metadata["help"][1:] + repeated + "." + shown
            command = click.option(
                flag,
                key,
                metavar=metavar,
                multiple=several,
                help=help_text,
                shell_complete=lambda c, p, i, n=names: _starting(n, i),
            )(command)
    return command


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def flag_settings(values: dict[str, Any]) -> dict[str, Setting]:
    """The settings that were given as flags."""
    flags = {key: flag for group in FLAGS.values() for flag, key in group.items()}
    given = {key: _joined(value) if isinstance(value, tuple) else value for key, value in values.items()}
    return {KEYS[key]: Setting(value, flags[key]) for key, value in given.items() if value is not None}


def _joined(values: tuple[str, ...]) -> str | None:
    """What a flag said that may be given several times, as one option keeps it."""
    return ",".join(values) if values else None


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """``section.key=`` for the shell, then the values where they are few."""
    name, equals, value = incomplete.partition("=")
    if not equals:
        return [f"{option}=" for option in OPTIONS if option.startswith(incomplete)]
    choices = choices_of(OPTIONS[name]) if name in OPTIONS else ()
    return [f"{name}={choice}" for choice in _starting(choices, value)]


def complete_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """Runs under runs/ for the shell, then any path."""
    names = sorted(str(folder.parent) for folder in Path("runs").glob("*/checkpoints"))
    return _names_or_files(names, incomplete)


def complete_presets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The presets for the shell, by name and those in configs/ by path, then any path."""
    return _names_or_files([*preset_names(), *sorted(map(str, Path("configs").glob("*.yaml")))], incomplete)


def _names_or_files(names: list[str], incomplete: str) -> list[Any]:
    """The names that begin so, or any path where there is none.

    A name with a line end would be two to the shell, and one with a control character would act on the terminal.
    """
    from click.shell_completion import CompletionItem

    safe = [name for name in _starting(names, incomplete) if name.isprintable()]
    return [CompletionItem(name) for name in safe] or [CompletionItem(incomplete, type="file")]
