"""What several test modules need: a text to train on, a tiny run, and the words of an error."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charnn.config import flat_settings, resolve
from charnn.errors import CharnnError, CorpusError, printable
from charnn.runs.opening import create
from charnn.runs.run import TrainingRun

WORDS = """the sea a ship and wind rain harbour light on under over green grey slow old sails sings waits""".split()  # noqa: SIM905

TINY: dict[str, Any] = {
    "layers": 1,
    "hidden_size": 8,
    "batch_size": 4,
    "seq_length": 8,
    "warmup_steps": 5,
    "steps": 20,
}
"""Options of a run that trains in a fraction of a second."""


def some_text(characters: int = 4000, seed: int = 1) -> str:
    """Words in random order: the same text for the same seed."""
    rng = random.Random(seed)
    text = ""
    while len(text) < characters:
        text += " ".join(rng.choice(WORDS) for _ in range(rng.randint(3, 8))).capitalize() + ".\n"
    return text[:characters]


def write_text(folder: Path, characters: int = 4000, seed: int = 1) -> Path:
    """A file of ``some_text``."""
    path = folder / "text.txt"
    path.write_text(some_text(characters, seed))
    return path


def new_run(folder: Path, name: str = "run", characters: int = 4000, **options: Any) -> TrainingRun:
    """A run on ``some_text``, not trained yet; options by key alone win over ``TINY``."""
    settings = {**TINY, **options}
    return create(resolve(flat_settings(settings), fixed=True), [write_text(folder, characters)], folder / name)


def complaint(call: Callable[[], object], error: type[CharnnError] = CorpusError) -> str:
    """What an error says, which always prints harmlessly."""
    with pytest.raises(error) as caught:
        call()
    message = f"{caught.value.message} ({caught.value.hint})"
    assert message == printable(message)
    return message


def names(folder: Path) -> list[str]:
    """What a folder holds, by name."""
    return sorted(path.name for path in folder.iterdir())
