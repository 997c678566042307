"""Imports run one way: every arrow in the sources against the table, and what the quick commands leave unloaded."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "charnn"

LEVELS = [
    {"errors"},
    {
        *("config", "sources", "vocabulary", "batches", "yardstick", "cells", "loss", "optimizers", "team"),
        *("checkpoint", "folder", "metrics", "records", "repeats"),
    },
    {"layers", "dropout", "corpus", "counting"},
    {"model"},
    {"layout", "stepper"},
    {"snapshot"},
    {"run", "advice", "fitting"},
    {"opening", "divergence"},
    {"trainer", "sampler", "insight"},
    {"api", "planning", "benchmark"},
    {"terminal"},
    {"cli"},
    {"__init__", "__main__"},
]
"""A module or folder imports what stands above it, nothing beside or below it."""

HOMES = {
    "yaml": {"config"},
    "safetensors": {"checkpoint"},
    "mpi4py": {"team"},
    "torch": {"benchmark"},
    "rich": {"terminal"},
    "click": {"cli"},
}
"""Packages with one place; NumPy has its own rule, and any other package has none."""

WITHOUT_NUMPY = {"__init__", "__main__", "errors", "config", "cli", "folder", "metrics", "records"}

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The module or folder right below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """The dotted name of everything that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(path: Path) -> Iterator[str]:
    """The parts of the package that a file imports, other than its own."""
    for name in imported(path):
        first, _, rest = name.partition(".")
        if first == "charnn":
            target = rest.partition(".")[0]
            assert target in LEVEL or target == "__version__", f"{path} imports {name}, which has no level"
            if target in LEVEL and target != part(path):
                yield target


def test_every_module_has_a_level_and_every_level_its_modules() -> None:
    assert {part(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_levels_above_it(path: Path) -> None:
    here = part(path)
    upward = [target for target in arrows(path) if LEVEL[target] >= LEVEL[here]]
    assert not upward, f"{here} is on level {LEVEL[here]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_package_of_others_is_imported_at_its_home_alone(path: Path) -> None:
    packages = {name.partition(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"charnn"}
    allowed = {name for name, homes in HOMES.items() if part(path) in homes}
    if part(path) not in WITHOUT_NUMPY:
        allowed.add("numpy")
    assert packages <= allowed


def test_the_check_sees_imports_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text("import numpy.typing as npt\ndef f():\n    from charnn import run as runs\n    import yaml, os\n")
    assert sorted(imported(path)) == ["charnn.run", "numpy.typing", "os", "yaml"]


# What is loaded


def loaded(script: str, **environment: str) -> set[str]:
    """The packages in memory at the end of a script that prints something."""
    watching = f"import atexit, sys\natexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))\n{script}"
    variables = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", watching], env=variables, capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout
    return {name.partition(".")[0] for name in done.stderr.split()}


def command(*words: str) -> str:
    return f"sys.argv = {['charnn', *words]}\nfrom charnn.__main__ import main\nmain()"


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], ["train", "--help"], ["sample", "--help"], ["inspect", "--help"], ["runs", "-h"]],
)
def test_help_loads_no_numpy_rich_or_yaml(words: list[str]) -> None:
    packages = loaded(command(*words))
    assert "click" in packages and not packages & {"numpy", "rich", "yaml", "safetensors"}


@pytest.mark.parametrize(
    "typed", ["charnn ", "charnn train --c", "charnn train --cell ", "charnn sample ", "charnn train --config "]
)
def test_tab_completion_loads_no_numpy_rich_or_yaml(typed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)}
    packages = loaded(command(), _CHARNN_COMPLETE="bash_complete", **words)
    assert "click" in packages and not packages & {"numpy", "rich", "yaml", "safetensors"}


def test_importing_charnn_loads_next_to_nothing() -> None:
    packages = loaded("import charnn; charnn.__version__; charnn.errors.CharnnError; print(1)")
    assert "charnn" in packages and not packages & {"click", "rich", "yaml", "numpy", "safetensors"}
