"""charnn export: a run enters, a file leaves in which its network runs without charnn."""

from __future__ import annotations

import json
from pathlib import Path

import click

from charnn.cli import note
from charnn.cli.loading import load_run
from charnn.cli.options import ExamplesFirst, complete_runs, json_flag, newest_flag, unknown_option
from charnn.cli.prompts import note_instead, offering_nearest
from charnn.defaults import EXPORT_DTYPE

EPILOG = """\b
Examples:
  charnn export runs/corpus-lstm-1 page.html
  charnn export runs/corpus-lstm-1 page.html --dtype float32 --text letter.txt
"""


@click.command("export", cls=ExamplesFirst, epilog=EPILOG)
@click.argument("run", shell_complete=complete_runs)
@click.argument("file", type=click.Path())
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    default=EXPORT_DTYPE,
    show_default=True,
    help="Precision of the weights: float32 is exact, and twice as large.",
)
@click.option(
    "--text", "text_file", metavar="FILE", help="A text to show in the page.  [default: the run's validation text]"
)
@unknown_option
@newest_flag
@json_flag("Name, size and precision of the file")
def command(run: str, file: str, dtype: str, text_file: str | None, unknown: str, newest: bool, as_json: bool) -> None:
    """Write the network of RUN into FILE, a web page (.html) in which it writes, in any browser and offline.

    Whoever gets the page gets the network, the names of its text files, 1,500 characters of the text shown, and the
    loss curve of the run.
    """
    from charnn.export.facts import material_of, own_material
    from charnn.export.page import check_name, write_page
    from charnn.insight.texts import open_text

    check_name(Path(file))
    loaded = load_run(run, newest)
    if text_file is None:
        material = own_material(loaded, lambda message: note(f"{message} (--text gives it one)"))
    else:
        with offering_nearest(), open_text(loaded, text_file, unknown=unknown) as text:
            material = material_of(loaded, text)
            note_instead(text.instead, text.unknown)
    size = write_page(loaded, Path(file), material, dtype)
    if as_json:
        figures = {"bytes": size, "parameters": loaded.model.size, "step": loaded.step, "dtype": dtype}
        print(json.dumps({"file": file, **figures}))
    else:
        note(f"wrote {file}, {size / 1e6:.2f} MB: open it in a browser")
