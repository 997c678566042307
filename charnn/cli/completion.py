"""charnn completion: the name of a shell enters, the script that teaches it charnn's words leaves."""

from __future__ import annotations

import click

from charnn.cli.options import ExamplesFirst

SHELLS = ("bash", "zsh", "fish")

EPILOG = """\b
Examples, each a line for the shell's startup file:
  eval "$(charnn completion bash)"      # ~/.bashrc
  eval "$(charnn completion zsh)"       # ~/.zshrc, after compinit
  charnn completion fish | source       # ~/.config/fish/config.fish
"""


@click.command("completion", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Completion of commands, options, runs and presets with the Tab key, for SHELL."""
    from click.shell_completion import get_completion_class

    from charnn.cli import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "charnn", "_CHARNN_COMPLETE").source())
