"""Installed means complete: presets and corpora travel with charnn, and are found from anywhere by their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from charnn import cli
from charnn.insight.compare import begin
from charnn.shipped import find, find_preset, preset_names
from charnn.text.sources import open_sources

ROOT = Path(__file__).parent.parent
SMALL = ["--steps", "2", "--layers", "1", "--hidden", "8", "--seq-length", "16", "--batch-size", "4", "--workers", "1"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


# Names


def test_what_is_not_here_is_found_among_what_comes_with_charnn() -> None:
    for name in ("corpora/dialogues.txt", "configs/tiny.yaml", "corpora"):
        assert find(Path(name)) == ROOT / name
    assert find_preset("gru") == find_preset("configs/gru.yaml") == ROOT / "configs" / "gru.yaml"


def test_what_is_here_wins(elsewhere: Path) -> None:
    for name in ("corpora/dialogues.txt", "configs/gru.yaml", "gru"):
        path = elsewhere / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        assert find(Path(name)) == find_preset(name) == Path(name)
    Path("corpora/harbour.txt").symlink_to("nowhere")
    assert find(Path("corpora/harbour.txt")) == Path("corpora/harbour.txt")


@pytest.mark.parametrize(
    "name", ["corpora/missing.txt", "corpora/../setup.py", "configs/../corpora", "setup.py", "tests", "charnn", "a\0b"]
)
def test_nothing_else_of_charnn_is_found(name: str) -> None:
    assert find(Path(name)) == find_preset(name) == Path(name)


def test_a_folder_in_the_place_of_a_preset_is_no_configuration(elsewhere: Path) -> None:
    (elsewhere / "gru").mkdir()
    assert find_preset("gru") == ROOT / "configs" / "gru.yaml"


# Commands


def test_a_preset_and_a_corpus_train_from_any_folder(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for config in ("tiny", "configs/tiny.yaml"):
        assert cli.run(["train", "corpora/dialogues.txt", "--config", config, *SMALL]) == 0, capsys.readouterr().err
    runs = [path.name for path in sorted((elsewhere / "runs").iterdir())]
    assert runs == ["dialogues-gru-1", "dialogues-gru-2"]
    assert cli.run(["train", "corpora/dialogues.txt", "--resume", "runs/dialogues-gru-1", "--steps", "3"]) == 0
    assert cli.run(["score", "runs/dialogues-gru-1", "corpora/dialogues.txt", "--json"]) == 0


def test_values_of_a_preset_are_told_by_its_place_among_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    assert cli.run(["train", "corpora/dialogues.txt", "--config", "tiny", *SMALL, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "configs/tiny.yaml:" in shown and str(ROOT) not in shown


def test_a_preset_that_is_none_is_met_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["train", "corpora/dialogues.txt", "--config", "grru"]) == 2
    assert "did you mean gru?" in capsys.readouterr().err
    assert cli.run(["train", "corpora/dialogues.txt", "--config", "\x1b"]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in preset_names()) and "\x1b" not in told


def test_a_comparison_remembers_where_a_shipped_corpus_is(elsewhere: Path) -> None:
    comparison = begin(["corpora/dialogues.txt"], ["gru"], 3000, {}, elsewhere / "out")
    assert comparison.corpora == (str(ROOT / "corpora" / "dialogues.txt"),)


def test_a_shipped_corpus_is_told_by_the_name_that_was_given(tmp_path: Path) -> None:
    with open_sources(["corpora/dialogues.txt"], tmp_path) as sources:
        assert [source.name for source in sources.files] == ["corpora/dialogues.txt"]


def test_help_names_every_preset_and_what_it_is_for() -> None:
    assert preset_names() == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    shown = CliRunner().invoke(cli.main, ["train", "--help"]).stdout.partition("Presets:\n")[2]
    lines = dict(line.split(maxsplit=1) for line in shown.splitlines() if not line.startswith("   "))
    assert list(lines) == preset_names() and all(len(text) > 20 for text in lines.values())


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of what it is built from."""
    pytest.importorskip("setuptools", minversion="70.1", reason="building a wheel offline needs setuptools 70.1")
    pytest.importorskip("pip", reason="building a wheel needs pip")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("charnn", "configs", "corpora"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet", "--wheel-dir", str(target)]
    command = [sys.executable, "-m", "pip", "wheel", *options, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (file,) = target.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_holds_every_module_preset_and_corpus(wheel: zipfile.ZipFile) -> None:
    modules = [path.relative_to(ROOT) for path in (ROOT / "charnn").rglob("*.py")]
    shipped = [*(ROOT / "configs").glob("*.yaml"), *(ROOT / "corpora").glob("*.txt"), ROOT / "corpora" / "README.md"]
    web = [path.relative_to(ROOT) for path in (ROOT / "charnn" / "export" / "web").iterdir()]
    expected = {
        *map(str, modules),
        *map(str, web),
        "charnn/py.typed",
        *(f"charnn/{path.relative_to(ROOT)}" for path in shipped),
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_what_is_in_the_wheel_trains_in_an_empty_folder(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    words = [sys.executable, "-m", "charnn", "train", "corpora/dialogues.txt", "--config", "gru", *SMALL]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    where = [sys.executable, "-c", "from charnn.shipped import find_preset; print(find_preset('gru'))"]
    found = subprocess.run(where, env=environment, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == str(tmp_path / "site" / "charnn" / "configs" / "gru.yaml")
