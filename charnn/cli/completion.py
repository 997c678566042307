"""charnn completion: the name of a shell enters, the script that teaches it charnn's words leaves."""

from __future__ import annotations

import click

from charnn.cli.options import ExamplesFirst

SHELLS = ("bash", "zsh", "fish")

EPILOG = """\b
Examples:
  charnn completion bash
  charnn completion fish
"""


@click.command("completion", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """A script that lets the Tab key complete commands, options, runs and presets in SHELL.

    \b
    A line for the shell's startup file:
      ~/.bashrc                    eval "$(charnn completion bash)"
      ~/.zshrc, after compinit     eval "$(charnn completion zsh)"
      ~/.config/fish/config.fish   charnn completion fish | source
    """
    from click.shell_completion import get_completion_class

    from charnn.cli import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "charnn", "_CHARNN_COMPLETE").source())
