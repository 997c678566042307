"""The commands of the first page train on a shipped text; its pictures leave: the training display, two loss curves.

    python .github/images/make.py

It takes a minute, and is no part of the package.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from charnn.config import Setting, resolve
from charnn.runs.opening import create
from charnn.runs.run import TrainingRun
from charnn.runs.snapshot import read_report
from charnn.terminal.console import PlainConsole
from charnn.terminal.inspection import loss_chart
from charnn.terminal.training.course import Course
from charnn.terminal.training.dashboard import Dashboard
from charnn.terminal.training.preview import Preview
from charnn.training.events import Step, Validated
from charnn.training.trainer import train
from charnn.yaml_file import read_file

IMAGES = Path(__file__).parent
ROOT = IMAGES.parent.parent
CORPUS, PRESET = ROOT / "corpora" / "dialogues.txt", ROOT / "configs" / "tiny.yaml"
CELLS = ("gru", "lstm")
"""The preset's own, and the one that the first page sets beside it."""

SHOWN_AT = 0.7
"""How far training has come in the picture of its display."""


def picture(course: Course) -> str:
    """The screen as SVG."""
    console = PlainConsole(record=True, width=100, height=30, file=io.StringIO(), force_terminal=True)
    console.print(Dashboard(course), height=30)
    return console.export_svg(title="charnn train corpora/dialogues.txt --config configs/tiny.yaml")


def watched(run: TrainingRun) -> str:
    """Train to the end; the picture on the way."""
    course, svg = Course(run), ""
    for event in train(run):
        course.take(event)
        if isinstance(event, Validated):
            course.sample, course.sample_step = Preview(run).draw() or "", event.step
        if isinstance(event, Step) and not svg and event.step >= SHOWN_AT * event.total_steps:
            svg = picture(course)
    return svg


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("runs").mkdir()
        runs = [Path("runs") / f"dialogues-{cell}-1" for cell in CELLS]
        for cell, path in zip(CELLS, runs, strict=True):
            resolved = resolve(read_file(PRESET), {"model.cell": Setting(cell, "--cell")}, fixed=True)
            with create(resolved, [CORPUS], path) as run:
                svg = watched(run)
            if path == runs[0]:
                (IMAGES / "training.svg").write_text(svg)
        (IMAGES / "loss.svg").write_text(loss_chart([read_report(path) for path in runs], "epochs").svg())


if __name__ == "__main__":
    main()
