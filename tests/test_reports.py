"""What inspect, runs and a dry run show, and what they advise."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from charnn import cli
from charnn.cli import main
from charnn.config import cell_names, flat_settings, resolve
from charnn.network.cells import find_cell
from charnn.network.model import CharRNN
from charnn.network.shape import parameters_by_layer, shape_of
from charnn.planning import advice
from charnn.runs.opening import create
from charnn.runs.summary import RunReport, read_report
from charnn.terminal import inspection, words
from charnn.terminal.console import PlainConsole
from charnn.terminal.inspection import Inspection
from charnn.terminal.runs import RunTable
from charnn.training.trainer import Trainer

TEXT = "she sells sea shells by the sea shore; the shells she sells are sea shells, I am sure.\n" * 40
SETTINGS = {"hidden_size": 8, "layers": 1, "batch_size": 4, "seq_length": 16, "steps": 40, "validate_every": 10}


@pytest.fixture(autouse=True)
def utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LANG", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs under runs/."""
    folder = tmp_path_factory.mktemp("reports")
    (folder / "runs").mkdir()
    (folder / "text.txt").write_text(TEXT)
    for name, cell in (("first-lstm-1", "lstm"), ("second-gru-1", "gru")):
        resolved = resolve(flat_settings({**SETTINGS, "cell": cell}))
        with create(resolved, [folder / "text.txt"], folder / "runs" / name) as run:
            for _ in Trainer(run).train():
                pass
    return folder


@pytest.fixture
def reports(folder: Path) -> list[RunReport]:
    return [read_report(path) for path in sorted((folder / "runs").iterdir())]


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.chdir(folder)
    yield CliRunner()


def shown(renderable: Any, width: int = 80, height: int | None = None) -> list[str]:
    console = PlainConsole(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor")
    lines = console.render_lines(renderable, console.options.update(height=height), pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


@pytest.mark.parametrize("width", [60, 80, 120, 240])
def test_the_table_of_runs_fits_and_squeezes_nothing(reports: list[RunReport], width: int) -> None:
    lines = shown(RunTable(reports), width)
    assert len(lines) == 3
    assert all(cell_len(line) <= width for line in lines)
    assert (
        "lstm 1x8" in lines[1] and "finished" in lines[1] and words.loss(reports[0].summary.best_val_loss) in lines[1]
    )
    assert ("▁" in lines[1]) is (width >= 80)


def test_runs_lists_the_newest_first(here: CliRunner) -> None:
    names = re.findall(r"runs/\S+", here.invoke(main, ["runs"]).output)
    assert names == ["runs/second-gru-1", "runs/first-lstm-1"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_one_run_is_shown_in_full(reports: list[RunReport], width: int) -> None:
    lines = shown(Inspection(reports[:1]), width)
    assert all(cell_len(line) <= width for line in lines)
    text = " ".join(" ".join(lines).split())
    for part in (
        "finished",
        "on disk",
        "lstm 1 ",
        "output ",
        "step 40 of 40",
        "-gram baseline, at step",
        "at step",
        "fit ",
        "best",
    ):
        assert part in text


def test_several_runs_are_laid_over_one_another_and_ranked(reports: list[RunReport]) -> None:
    lines = shown(Inspection(reports), 120)
    legend = "".join(line for line in lines if "━━" in line)
    assert "first-lstm-1" in legend and "second-gru-1" in legend
    losses = [report.summary.best_val_loss for report in reports]
    best = reports[losses.index(min(losses))].summary  # type: ignore[type-var]
    assert f"{best.cell} 1x8" in lines[-2]


@pytest.mark.parametrize(
    ("by", "last"),
    [
        ("steps", lambda report: 40),
        ("epochs", lambda report: report.metrics[-1]["epoch"]),
        ("characters", lambda report: 40 * 4 * 16),
        ("time", lambda report: report.metrics[-1]["elapsed_seconds"]),
    ],
)
def test_curves_run_over_what_was_asked_for(reports: list[RunReport], by: str, last: Any) -> None:
    chart = inspection.loss_chart(reports[:1], by)
    assert chart.series[0].xs[-1] == pytest.approx(last(reports[0]))
    assert chart.x_label == by


def test_inspect_writes_a_picture(here: CliRunner, folder: Path) -> None:
    result = here.invoke(main, ["inspect", "--svg", "loss.svg"])
    assert result.exit_code == 0
    picture = ElementTree.parse(folder / "loss.svg")
    assert "runs/second-gru-1" in "".join(picture.getroot().itertext())


def test_inspect_keeps_its_json(here: CliRunner) -> None:
    answer = json.loads(here.invoke(main, ["inspect", "--json"]).stdout)
    assert answer[0]["status"] == "finished" and answer[0]["baseline_loss"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--watch"], "terminal"),
        (["--watch", "--json"], "cannot be combined"),
        (["--svg", "a.svg", "--json"], "cannot be combined"),
    ],
)
@pytest.mark.usefixtures("here")
def test_inspect_refuses_what_cannot_go_together(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["inspect", *arguments]) == 2
    shown = capsys.readouterr()
    assert words in shown.err and not shown.out


def test_watching_follows_a_run_until_it_ends(reports: list[RunReport]) -> None:
    running = replace(reports[0], summary=replace(reports[0].summary, status="running"))
    looks, waits = iter([[running], [running], [reports[0]]]), []
    file = io.StringIO()
    console = PlainConsole(file=file, width=80, height=24, force_terminal=True, _environ={"TERM": "xterm"})
    last = inspection.watch(console, lambda: next(looks), "steps", waits.append)
    assert last.reports == [reports[0]] and len(waits) == 2
    assert file.getvalue().rindex("\x1b[?1049l") > file.getvalue().rindex("\x1b[?1049h")


def test_a_watched_screen_is_filled_and_not_overfull(reports: list[RunReport]) -> None:
    for height in (24, 50):
        assert height - 4 <= len(shown(Inspection(reports[:1]), 80, height)) <= height


# Advice


def history(
    report: RunReport, validation: list[float], training: float, steps: int = 10_000, **model: Any
) -> RunReport:
    """A run with these validation losses, evenly spread."""
    every = steps // len(validation)
    metrics = [
        {"step": every * (i + 1), "epoch": i + 1.0, "train_loss": training, "val_loss": loss, "elapsed_seconds": 1.0}
        for i, loss in enumerate(validation)
    ]
    config = replace(report.config, model=replace(report.config.model, **model))
    summary = replace(report.summary, epoch=float(len(validation)))
    return replace(report, metrics=metrics, config=config, summary=summary)


@pytest.mark.parametrize(
    ("validation", "training", "sentence", "hint"),
    [
        ([2.0, 1.6, 1.5, 1.6, 1.7], 0.9, "Overfitting since step 6,000", "from its best"),
        ([3.0, 2.5, 2.2, 2.0, 1.8], 1.75, "Still learning", "--resume"),
        ([2.0, 1.51, 1.50, 1.50, 1.50], 1.2, "Starting to overfit", "--dropout"),
        ([2.0, 1.51, 1.50, 1.50, 1.50], 1.48, "Underfitting", "--hidden 16"),
        ([2.0, 1.51, 1.50, 1.50, 1.50], 1.4, "A good fit", "--hidden"),
        ([2.0, 1.9], 1.4, "Too early", "wait"),
    ],
)
def test_the_fit_is_said_in_a_sentence(
    reports: list[RunReport], validation: list[float], training: float, sentence: str, hint: str
) -> None:
    found = advice.diagnose(history(reports[0], validation, training))
    assert found.message.startswith(sentence) and hint in found.hint


def test_a_network_is_not_blamed_for_a_short_training(reports: list[RunReport]) -> None:
    found = advice.diagnose(history(reports[0], [2.0, 1.51, 1.50, 1.50, 1.50], 1.49, steps=100))
    assert found.message.startswith("Undertrained") and "--epochs 20" in found.hint


@pytest.mark.parametrize(
    ("dropout", "training", "sentence"),
    [
        ({}, 1.60, "Undertrained"),
        ({}, 1.70, "Misleading: validation loss 1.500 is far below training loss 1.700"),
        ({"dropout": 0.3}, 1.70, "Undertrained"),
        ({"input_dropout": 0.3}, 1.70, "Undertrained"),
        ({"dropout": 0.3}, 2.10, "Misleading"),
    ],
)
def test_a_validation_loss_far_below_the_training_loss_is_not_called_close(
    reports: list[RunReport], dropout: dict[str, float], training: float, sentence: str
) -> None:
    report = history(reports[0], [2.0, 1.51, 1.50, 1.50, 1.50], training, steps=100)
    report = replace(report, config=replace(report.config, model=replace(report.config.model, **dropout)))
    assert advice.diagnose(report).message.startswith(sentence)


def test_without_a_validation_part_there_is_no_verdict(reports: list[RunReport]) -> None:
    config = replace(reports[0].config, data=replace(reports[0].config.data, val_fraction=0.0))
    assert "--val-fraction" in advice.diagnose(replace(reports[0], config=config)).hint


@pytest.mark.parametrize("cell", cell_names())
@pytest.mark.parametrize("embedding", [0, 5])
@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_are_counted_without_making_them(cell: str, embedding: int, layers: int) -> None:
    model = resolve(
        flat_settings({"cell": cell, "embedding_size": embedding, "layers": layers, "hidden_size": 6})
    ).config.model
    assert find_cell(cell)
    assert sum(parameters_by_layer(shape_of(model, 11)).values()) == CharRNN(shape_of(model, 11)).size


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (1.52, "1.520, 0.15 below the 4-gram baseline"),
        (1.9, "1.900, 0.23 above the 4-gram baseline"),
        (1.67, "1.670, level with the 4-gram baseline"),
    ],
)
def test_a_loss_is_shown_beside_the_baseline(reports: list[RunReport], loss: float, expected: str) -> None:
    baseline = reports[0].baseline
    assert baseline is not None
    assert words.judged(loss, replace(baseline, loss=1.669, order=4)) == expected
    assert words.judged(loss, None) == f"{loss:.3f}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(8.4, "8s"), (200, "3m 20s"), (7500, "2h 05m"), (270000, "3d 03h"), (-1, "0s")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1234, "1.2k"), (99_960, "100k"), (999_700, "1.0M"), (2.5e9, "2.5G")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert words.count(value) == text


def test_the_end_of_a_long_path_is_kept() -> None:
    assert words.end_of("runs/a-very-long-name", 10) == "..ong-name"
    assert words.end_of("short", 10) == "short"
