"""What must never appear in the sources: ways to run code, or to open a door, that data could reach."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from harness import ROOT

SOURCES = sorted((ROOT / "charnn").rglob("*.py"))

FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "h5py"),  # they run what they read
    *("zipfile", "tarfile", "gzip", "bz2", "lzma", "zlib"),  # they write where the archive says, and swell
    *("socket", "urllib", "http", "ftplib", "requests", "xml", "ssl"),
    *("code", "codeop", "runpy", "imp", "webbrowser"),
}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
MAY_NAME = {"input": {"charnn/cli/keyboard.py"}}  # a line typed at a terminal, which it edits and does not run
FORBIDDEN_ATTRIBUTES = {
    *("system", "popen", "execv", "execve", "execvp", "spawnl", "spawnv", "startfile"),
    *("load_module", "unsafe_load", "full_load", "load_all", "UnsafeLoader", "FullLoader", "CSafeLoader", "CLoader"),
    *("fromfile", "loadtxt", "genfromtxt", "extractall", "memmap"),
}
MAY_IMPORT = {
    "subprocess": {"charnn/baseline/background.py", "charnn/benchmark/children.py", "charnn/benchmark/measure.py"},
    "torch": {"charnn/benchmark/pytorch.py"},
    "importlib": {
        *("charnn/__init__.py", "charnn/cli/__init__.py", "charnn/network/cells/__init__.py"),
        *("charnn/benchmark/child.py", "charnn/benchmark/suite.py"),
        *("charnn/cli/keyboard.py", "charnn/storage/lock.py"),  # what some systems lack
        "charnn/export/page.py",  # files of the package
    },
    "ctypes": {"charnn/benchmark/measure.py"},  # asks BLAS for the name of its kernels
}


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_holds_nothing_that_could_run_data(path: Path) -> None:
    tree = tree_of(path)
    modules = {name.partition(".")[0] for name in imported(tree)}
    assert not modules & FORBIDDEN_MODULES
    for module, allowed in MAY_IMPORT.items():
        assert module not in modules or str(path.relative_to(ROOT)) in allowed
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    here = {name for name, allowed in MAY_NAME.items() if str(path.relative_to(ROOT)) in allowed}
    assert not names & FORBIDDEN_NAMES - here
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & FORBIDDEN_ATTRIBUTES


def calls(tree: ast.Module, module: str, function: str) -> list[ast.Call]:
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [
        call
        for call in found
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == function
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == module
    ]


def test_numpy_loads_no_objects_and_yaml_builds_none() -> None:
    for path in SOURCES:
        tree = tree_of(path)
        for call in calls(tree, "np", "load"):
            options = {keyword.arg: keyword.value for keyword in call.keywords}
            assert isinstance(options["allow_pickle"], ast.Constant) and options["allow_pickle"].value is False
        for name in ("load", "safe_load", "compose"):
            assert not calls(tree, "yaml", name), path


def test_the_walls_between_the_modules_stand() -> None:
    for path in SOURCES:
        name, modules = str(path.relative_to(ROOT)), {m.partition(".")[0] for m in imported(tree_of(path))}
        assert "safetensors" not in modules or name == "charnn/storage/checkpoint.py"
        assert "yaml" not in modules or name == "charnn/yaml_file.py"
        assert "multiprocessing" not in modules or name in ("charnn/training/team.py", "charnn/baseline/background.py")


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    for bad in (
        "import pickle",
        "from zipfile import ZipFile",
        "eval('1')",
        "import os; os.system('x')",
        "import subprocess",
    ):
        path.write_text(bad)
        with pytest.raises((AssertionError, ValueError)):
            test_a_source_holds_nothing_that_could_run_data(path)
