"""Trains on a shipped text; the pictures of the README leave: the training display, and the loss curves of two runs.

    python .github/images/make.py

It takes some minutes, and is no part of the package.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from charnn.config import flat_settings, resolve
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

IMAGES = Path(__file__).parent
CORPUS = IMAGES.parent.parent / "corpora" / "dialogues.txt"
RUNS = {
    "dialogues-lstm-1": {"cell": "lstm", "hidden_size": 96, "dropout": 0.2, "epochs": 60},
    "dialogues-gru-1": {"cell": "gru", "hidden_size": 96, "dropout": 0.2, "epochs": 60},
}
SHOWN_AT = 0.7
"""How far training has come in the picture of its display."""


def picture(course: Course) -> str:
    """The screen as SVG."""
    console = PlainConsole(record=True, width=100, height=30, file=io.StringIO(), force_terminal=True)
    console.print(Dashboard(course), height=30)
    return console.export_svg(title="charnn train dialogues.txt --hidden 96 --dropout 0.2")


def watched(run: TrainingRun) -> str:
    """Train to the end; the picture on the way."""
    course, svg = Course(run), ""
    for record in train(run):
        course.take(record)
        if isinstance(record, Validated):
            course.sample, course.sample_step = Preview(run).draw() or "", record.step
        if isinstance(record, Step) and not svg and record.step >= SHOWN_AT * record.total_steps:
            svg = picture(course)
    return svg


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("runs").mkdir()
        for name, settings in RUNS.items():
            with create(resolve(flat_settings(settings)), [CORPUS], Path("runs") / name) as run:
                svg = watched(run)
            if name == "dialogues-lstm-1":
                (IMAGES / "training.svg").write_text(svg)
        records = [read_report(Path("runs") / name) for name in RUNS]
        (IMAGES / "loss.svg").write_text(loss_chart(records, "epochs").svg())


if __name__ == "__main__":
    main()
