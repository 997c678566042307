"""The presets in configs/ enter; each trains, holds only what differs from the defaults, and is listed."""

from __future__ import annotations

import random
import re
import shlex
import shutil
from pathlib import Path

import pytest
from pages import ROOT, Page

import charnn
from charnn import config
from charnn.cli import run
from charnn.yaml_file import read_file

CONFIGS = ROOT / "configs"
PRESETS = sorted(CONFIGS.glob("*.yaml"))
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)


@every_preset
def test_a_preset_trains(preset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(1)
    text = tmp_path / "text.txt"
    text.write_text("".join(rng.choices("abcdefgh \n", k=12000)))
    words = ["train", str(text), "--config", str(preset), "--out", str(tmp_path / "run")]
    shorter = ["--steps", "2", "--batch-size", "2", "--hidden", "8"]
    code = run([*words, *shorter])
    assert code == 0, capfd.readouterr().err
    assert charnn.load(tmp_path / "run").step == 2


@every_preset
def test_a_preset_holds_only_what_differs_from_the_defaults(preset: Path) -> None:
    default = config.Config().to_json()
    for name, setting in read_file(preset).items():
        section, _, key = name.partition(".")
        assert config.coerce(name, setting) != default[section][key], f"{preset.name}: {name} is the default"


@every_preset
def test_a_preset_begins_with_the_command_that_uses_it(preset: Path) -> None:
    comment = preset.read_text(encoding="utf-8").partition("\n\n")[0]
    assert f"--config configs/{preset.name}" in comment


def test_the_page_lists_the_presets() -> None:
    section = Page(CONFIGS / "README.md").section("Presets")
    assert set(re.findall(r"\]\(([\w-]+\.yaml)\)", section)) == {path.name for path in PRESETS}


def test_the_commands_of_the_results_are_valid(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is tried as a dry run, on texts of a few thousand characters."""
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    shutil.copytree(CONFIGS, tmp_path / "configs")
    (tmp_path / "corpora").mkdir()
    head = (ROOT / "corpora" / "dialogues.txt").read_text(encoding="ascii")[:12_000]
    for name in ("tinyshakespeare.txt", "corpora/dialogues.txt", "corpora/harbour.txt"):
        (tmp_path / name).write_text(head)
    monkeypatch.chdir(tmp_path)
    commands = set(re.findall(r"`charnn (train [^`]+)`", (CONFIGS / "RESULTS.md").read_text(encoding="utf-8")))
    assert len(commands) > 8
    for command in sorted(commands):
        code = run([*shlex.split(command), "--dry-run"])
        assert code == 0, f"{command}: {capfd.readouterr().err}"
