"""Every cell against its textbook equations; and a cell that is added as one new file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import write_text
from pages import ROOT, Page
from reference import STEPS, VARIANTS, forward, random_chunk, random_masks, random_model

from charnn.config import cell_names
from charnn.network.cells import Cell, find_cell
from charnn.network.dropout import NOTHING_DROPPED

(MINIMAL_GATED_UNIT,) = [
    block.text for block in Page(ROOT / "charnn" / "network" / "README.md").blocks if "class MGU" in block.text
]
"""The cell that the page of the network adds."""


def test_every_cell_has_a_textbook_version() -> None:
    assert set(STEPS) == set(cell_names())


@pytest.mark.parametrize("embedding", [0, 4], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
def test_logits_and_state_are_those_of_the_textbook(cell: str, activation: str, layers: int, embedding: int) -> None:
    T, B = 5, 3
    model = random_model(cell, activation, layers, embedding, V=6, H=4)
    x, _, carry = random_chunk(model, T, B)
    for masks in (NOTHING_DROPPED, random_masks(model, T, B)):
        workspace = model.workspace(T, B)
        after = model.forward(x, carry, workspace, masks)
        logits, state = forward(model, x, carry, masks)
        np.testing.assert_allclose(workspace.logits.reshape(T, B, -1), logits, rtol=0, atol=1e-12)
        assert after.shape == (layers, len(model.cell.state), B, 4)
        np.testing.assert_allclose(after, state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", cell_names())
def test_a_cell_declares_what_a_layer_needs(cell: str) -> None:
    kind = find_cell(cell)
    assert issubclass(kind, Cell)
    assert kind.state[0] == "h"
    assert len(set(kind.gates)) == len(kind.gates) >= kind.sigmoids + kind.apart
    assert set(kind.forget_gates) <= set(kind.gates)
    assert set(kind.timing_gates) <= set(kind.gates)
    assert sorted(kind.torch_gates) in ([], sorted(kind.gates))
    assert bool(kind.torch_gates) == bool(kind.torch_name)


def test_a_file_without_a_cell_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charnn.network.cells.empty", ModuleType("charnn.network.cells.empty"))
    with pytest.raises(LookupError, match=r"empty\.py defines no subclass of Cell"):
        find_cell("empty")


# A fourth cell, in a copy of the package


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with charnn, one more cell in it, and the gradient checks."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "charnn", folder / "charnn", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "charnn" / "network" / "cells" / "mgu.py").write_text(MINIMAL_GATED_UNIT, encoding="utf-8")
    for name in ("test_gradients.py", "reference.py"):
        shutil.copy(ROOT / "tests" / name, folder)
    return folder


def python(folder: Path, *arguments: str) -> str:
    """What a Python that imports charnn from this folder prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_file_in_the_cells_folder_is_a_choice_of_the_configuration_and_the_command_line(copy: Path) -> None:
    script = "import charnn.config as c; print(c.__file__, '+'.join(c.cell_names()))"
    where, found = python(copy, "-c", script).split()
    assert where.startswith(str(copy))
    assert set(found.split("+")) == {*cell_names(), "mgu"}
    assert "mgu" in python(copy, "-m", "charnn", "train", "--help")


def test_a_new_cell_is_picked_up_by_the_gradient_checks(copy: Path) -> None:
    report = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "mgu", "test_gradients.py")
    assert " passed" in report and " failed" not in report
    assert int(report.split(" passed")[0].split()[-1]) >= 8


def test_a_new_cell_trains_and_samples(copy: Path) -> None:
    text = str(write_text(copy, 2000))
    size = ("--hidden", "8", "--layers", "2", "--steps", "3", "--batch-size", "4", "--seq-length", "8")
    python(copy, "-m", "charnn", "train", text, "--out", "run", "--cell", "mgu", *size)
    assert len(python(copy, "-m", "charnn", "sample", "run", "--length", "9", "--seed", "1")) == 10


def test_a_gate_cannot_take_a_name_that_the_layer_uses() -> None:
    with pytest.raises(TypeError, match="a gate cannot be called scratch"):

        class Clashing(Cell):
            gates = ("f", "scratch")
