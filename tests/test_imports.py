"""Imports run one way: every arrow in the sources against the table, and what the quick commands leave unloaded."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "charnn"

MAY_IMPORT = {
    "errors": "",
    "defaults": "",
    "system": "",
    "shipped": "",
    "option": "errors",
    "config": "option errors",
    "yaml_file": "config option shipped errors",
    "storage": "errors",
    "baseline": "errors system",
    "text": "storage shipped errors defaults",
    "network": "config errors",
    "sampling": "text network errors defaults",
    "runs": "text network storage baseline yaml_file config errors",
    "training": "runs text network storage errors system",
    "insight": "runs sampling text network baseline storage config shipped errors defaults",
    "export": "insight runs text network baseline storage config errors defaults",
    "planning": "training runs text network config errors system",
    "benchmark": "training runs sampling text network config errors system",
    "api": "export insight training runs sampling text network config errors defaults",
    "terminal": "benchmark planning insight training runs sampling text network baseline storage config errors",
    "cli": "terminal api benchmark planning export insight training runs sampling text network baseline storage config "
    "yaml_file option shipped errors defaults system",
    "__init__": "api insight training sampling errors",
    "__main__": "cli system",
}
"""For every room, the rooms that it may import from: none of them below or beside it."""

HOMES = {
    "yaml": {"yaml_file"},
    "safetensors": {"storage"},
    "mpi4py": {"training"},
    "torch": {"benchmark"},
    "rich": {"terminal"},
    "click": {"cli"},
}
"""Packages with one place; NumPy has its own rule, and any other package has none."""

WITHOUT_NUMPY = {
    "__init__",
    "__main__",
    "errors",
    "defaults",
    "system",
    "shipped",
    "option",
    "config",
    "yaml_file",
    "cli",
}

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
            assert target in MAY_IMPORT or target == "__version__", f"{path} imports {name}, which is in no room"
            if target in MAY_IMPORT and target != part(path):
                yield target


def modules(path: Path) -> set[str]:
    """The dotted names of the modules of the package that a file imports."""
    found = set()
    for name in imported(path):
        while name.startswith("charnn.") and not is_module(name):
            name = name.rpartition(".")[0]
        if name.startswith("charnn."):
            found.add(name)
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def dotted(path: Path) -> str:
    """The name under which a file is imported."""
    return ".".join(["charnn", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def test_every_room_has_a_row() -> None:
    assert {part(path) for path in FILES} == set(MAY_IMPORT)


def test_the_table_has_no_circle() -> None:
    assert circle({room: set(targets.split()) for room, targets in MAY_IMPORT.items()}) == []


def test_modules_import_one_another_in_no_circle() -> None:
    assert circle({dotted(path): modules(path) for path in FILES}) == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """What is left when everything that imports nothing, or only what was taken away before, is taken away."""
    left = dict(arrows)
    while free := [name for name, targets in left.items() if not targets & left.keys() - {name}]:
        for name in free:
            del left[name]
    return sorted(left)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_the_rooms_in_its_row(path: Path) -> None:
    assert set(arrows(path)) <= set(MAY_IMPORT[part(path)].split())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_a_private_name_of_another(path: Path) -> None:
    names = [name for name in imported(path) if name.startswith("charnn.")]
    private = [name for name in names if re.search(r"\._[a-z]", name)]
    assert not private


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
