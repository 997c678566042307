"""Every checkpoint format there ever was is still read: one small run per cell and schema is kept in tests/data.

A run was made by ``make_old_runs.py`` with the version that wrote its schema first. It is never made again: a later
charnn must sample from it, look at it and resume it, and write the same text.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import ROOT, Zygote, assert_told, checkpoints

DATA = ROOT / "tests" / "data"
OLD = sorted(DATA.glob("schema-*"))


def test_every_schema_up_to_now_and_the_first_cells_are_kept() -> None:
    from charnn.storage.checkpoint import SCHEMA

    kept = {path.name for path in OLD}
    assert {f"schema-{schema}-{cell}" for schema in range(1, SCHEMA + 1) for cell in ("gru", "lstm", "vanilla")} <= kept
    assert all(sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 20_000 for path in OLD)


@pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)
def test_an_old_run_writes_the_text_it_always_wrote(old: Path, charnn: Zygote) -> None:
    expected = json.loads((old / "expected.json").read_text())
    result = charnn.run("sample", old, *expected["arguments"])
    assert_told(result, 0)
    assert result.out.decode() == expected["text"]


@pytest.mark.parametrize("old", OLD, ids=lambda path: path.name)
def test_an_old_run_is_looked_at_and_resumed(old: Path, charnn: Zygote, tmp_path: Path) -> None:
    expected = json.loads((old / "expected.json").read_text())
    run = Path(shutil.copytree(old, tmp_path / "run"))
    assert_told(charnn.run("inspect", run), 0)
    summary = json.loads(charnn.run("inspect", run, "--json").out)[0]
    assert {name: summary[name] for name in expected["summary"]} == expected["summary"]
    assert_told(charnn.run("train", "--resume", run, "--steps", str(summary["step"] + 2)), 0, "Done")
    assert int(checkpoints(run)[-1].stem[5:]) == summary["step"] + 2
