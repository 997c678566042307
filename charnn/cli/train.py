"""charnn train: texts and options enter, a trained run leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charnn.cli import note, tell, warn
from charnn.cli.options import (
    GroupedCommand,
    complete_presets,
    complete_runs,
    config_flags,
    flag_settings,
    quiet_flag,
    set_option,
)
from charnn.cli.showing import train_visibly
from charnn.cli.signals import Stopped, StopSignals
from charnn.config import Resolved, Setting, parse_assignment, resolve
from charnn.errors import ConfigError
from charnn.shipped import find_preset

if TYPE_CHECKING:
    from charnn.runs.run import TrainingRun

EPILOG = """\b
Examples:
  charnn train corpus.txt
  charnn train corpus.txt --cell gru --hidden 256 --budget 10m
  charnn train corpora/dialogues.txt --config tiny
  charnn train corpus.txt --dry-run
  charnn train --resume runs/corpus-lstm-1 --epochs 40
"""


@click.command("train", cls=GroupedCommand, epilog=EPILOG)
@click.argument("corpus", nargs=-1, type=click.Path())
@click.option("-o", "--out", metavar="RUN", help="Run folder to make.  [default: runs/<corpus>-<cell>-<n>]")
@click.option(
    "-c",
    "--config",
    "file",
    metavar="FILE|NAME",
    help="YAML file, or a preset by its name; flags win over it.",
    shell_complete=complete_presets,
)
@set_option
@click.option("--resume", metavar="RUN", help="Continue a run exactly where it stopped.", shell_complete=complete_runs)
@click.option(
    "--init-from", metavar="RUN", help="Fine-tune: start from another run's weights.", shell_complete=complete_runs
)
@click.option("--dry-run", is_flag=True, help="Show what would be trained, how fast, and what will not work.")
@quiet_flag
@config_flags
def command(
    corpus: tuple[str, ...],
    out: str | None,
    file: str | None,
    assignments: tuple[str, ...],
    resume: str | None,
    init_from: str | None,
    dry_run: bool,
    quiet: bool,
    **flags: str | None,
) -> int:
    """Train a network on CORPUS: text files, folders of them, or - for standard input.

    The run is saved as it goes. Ctrl-C saves and stops; --resume continues exactly where it stopped.
    """
    layers = [] if file is None else [_read_file(file)]
    layers += [parse_assignment(text) for text in assignments]
    layers.append(flag_settings(flags))
    if resume is not None:
        if out or init_from or dry_run:
            raise ConfigError("--resume cannot be combined with --out, --init-from or --dry-run")
        return _train(lambda stop, ranks: _resume(Path(resume), layers, corpus, stop, ranks), quiet)
    resolved = resolve(*layers, fixed=bool(file))
    if not corpus:
        raise ConfigError("no text to train on", "charnn train TEXT, or charnn train --resume RUN")
    if dry_run:
        return _dry_run(resolved, corpus)

    def create(stop: Callable[[], None], ranks: int) -> TrainingRun:
        return _create(resolve(*layers, _ranks(ranks), fixed=resolved.fixed), corpus, out, init_from, stop)

    return _train(create, quiet)


def _read_file(name: str) -> dict[str, Setting]:
    """A file, or a preset by its name, which is then told by its place among the others."""
    from charnn.yaml_file import read_file

    path = find_preset(name)
    return read_file(path, name if path == Path(name) else f"configs/{path.name}")


def _ranks(number: int) -> dict[str, Setting]:
    """In an MPI job its ranks are the workers."""
    return {"training.workers": Setting(number, "mpiexec")} if number > 1 else {}


def _create(
    resolved: Resolved,
    corpus: tuple[str, ...],
    out: str | None,
    init_from: str | None,
    stop: Callable[[], None],
) -> TrainingRun:
    from charnn.runs import opening, snapshot
    from charnn.terminal.training.display import reading_progress

    initial = None if init_from is None else snapshot.load_snapshot(Path(init_from), warn=warn)
    with reading_progress() as progress:
        run = opening.create(
            resolved,
            corpus,
            None if out is None else Path(out),
            stdin=sys.stdin.buffer,
            initial=initial,
            notice=note,
            progress=progress,
            stop=stop,
        )
    _warn_of(run)
    return run


def _warn_of(run: TrainingRun) -> None:
    """One line for each trait of the text, or of the plan, that will mislead whoever looks at the losses."""
    from charnn.planning.advice import about_traits
    from charnn.planning.traits import traits_of_run

    for advice in about_traits(traits_of_run(run)):
        warn(f"{advice.message}; {advice.hint}")
    _warn_of_updates(run, run.config.training.updates(run.batches.chunks_per_epoch))


def _warn_of_updates(run: TrainingRun, updates: int | None) -> None:
    from charnn.planning.advice import about_updates

    for advice in about_updates(updates, run.batches.chunks_per_epoch):
        warn(f"{advice.message}; {advice.hint}")


def _resume(
    path: Path, layers: list[dict[str, Setting]], corpus: tuple[str, ...], stop: Callable[[], None], ranks: int
) -> TrainingRun:
    from charnn.runs import opening

    return opening.resume(path, [*layers, _ranks(ranks)], corpus, warn=warn, stop=stop)


def _train(opened: Callable[[Callable[[], None], int], TrainingRun], quiet: bool) -> int:
    """Train on all ranks: rank 0 opens the run and shows it, the others of an MPI job only share the work."""
    from charnn.training.team import world
    from charnn.training.trainer import work

    with StopSignals() as signals:
        team = world()
        if team.rank:
            with team.together():
                work(team, team.tell(""))
            return signals.exit_code
        run = None
        try:
            with signals.interrupting() as stop:
                run = opened(stop, team.size)
        except Stopped as stopped:
            tell(stopped.message)
            return signals.exit_code
        finally:
            if run is None:
                team.tell("")
        with team.together():
            stopped_early = train_visibly(run, signals, quiet, team if team.size > 1 else None)
        if not stopped_early and run.config.training.budget is not None:
            _warn_of_updates(run, run.state.step)
        return signals.exit_code if stopped_early else 0


def _dry_run(resolved: Resolved, corpus: tuple[str, ...]) -> int:
    from charnn.planning.dry_run import dry_run
    from charnn.terminal.console import output_console
    from charnn.terminal.dry_run import DryRunReport

    output_console().print(DryRunReport(dry_run(resolved, corpus, sys.stdin.buffer, note)))
    return 0
