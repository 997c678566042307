"""The name of a preset or a corpus enters; the path of the file that comes with charnn leaves.

They lie in ``configs/`` and ``corpora/``: inside the package where it is installed, beside it in a checkout.
"""

from __future__ import annotations

from pathlib import Path

FOLDERS = ("configs", "corpora")


def shipped_folder(name: str) -> Path:
    """Where the presets or the corpora lie."""
    package = Path(__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def find(path: Path) -> Path:
    """The path itself; or, where nothing is there, the file or folder of that name that comes with charnn.

    ``corpora/dialogues.txt`` is so found from anywhere, and a file of one's own wins.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        if path.parts[:1] in [(folder,) for folder in FOLDERS] and ".." not in path.parts:
            there = shipped_folder(path.parts[0]).joinpath(*path.parts[1:])
            return there if there.exists() else path
    except (OSError, ValueError):
        pass  # whoever opens it will say so
    return path


def preset_names() -> list[str]:
    """The presets that come with charnn."""
    return sorted(path.stem for path in shipped_folder("configs").glob("*.yaml"))


def preset_lines() -> dict[str, str]:
    """Every preset with what it is for: the comment that its file begins with."""
    files = {name: shipped_folder("configs") / f"{name}.yaml" for name in preset_names()}
    return {name: file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") for name, file in files.items()}


def find_preset(name: str) -> Path:
    """The file that ``name`` stands for: a path, as ``find`` has it, or a preset by its name alone."""
    path = find(Path(name))
    if not path.is_file() and name in preset_names():
        return shipped_folder("configs") / f"{name}.yaml"
    return path
