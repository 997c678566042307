"""A configuration file: how it may be written, and the faults that are told with file, line and key."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import complaint

from charnn.config import Setting, resolve
from charnn.errors import ConfigError
from charnn.yaml_file import MAX_FILE_SIZE, read_file


def error(call: Any) -> str:
    return complaint(call, ConfigError)


@pytest.fixture
def yaml(tmp_path: Path) -> Any:
    """Read a configuration with this content."""
    path = tmp_path / "my.yaml"

    def read(content: str | bytes) -> dict[str, Setting]:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_file(path)

    return read


def test_numbers_in_a_file_are_numbers(yaml: Any) -> None:
    config = resolve(yaml("optimization:\n  learning_rate: 1e-3\ntraining:\n  steps: '50'\n")).config
    assert (config.optimization.learning_rate, config.training.steps) == (0.001, 50)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing\n",
        "---\nmodel:\n  layers: 2\n...\n",
        "model:\ndata: {}\n",
        "\ufeffmodel:\r\n  layers: 2\r\n",
        "{model: {layers: 2}}",
    ],
)
def test_a_plain_file_is_read_however_it_is_written(yaml: Any, content: str) -> None:
    assert resolve(yaml(content)).config.model.layers == 2


FAULTS = {
    "unknown key": (
        "model:\n  layers: 2\n  hiden_size: 3\n",
        3,
        "unknown key model.hiden_size (did you mean model.hidden_size?",
    ),
    "key of another section": ("model:\n  seed: 3\n", 2, "did you mean training.seed?"),
    "unknown section": ("modle:\n  layers: 2\n", 1, "unknown section modle (did you mean model?"),
    "wrong type": ("model:\n  layers: many\n", 2, "layers must be a whole number, not many"),
    "a word for a truth value": ("training:\n  seed: no\n", 2, "seed must be a whole number, not no"),
    "a time of day": ("training:\n  steps: 12:30:00\n", 2, "steps must be a whole number, not 12:30:00"),
    "nothing": ("model:\n  layers:\n", 2, "layers must be a whole number"),
    "out of range": ("model:\n\n  dropout: 1.5\n", 3, "dropout must be at most 0.95, not 1.5"),
    "no such choice": ("model:\n  cell: lsmt\n", 2, "did you mean lstm?"),
    "duplicate key": ("model:\n  layers: 1\n  layers: 1\n", 3, "model.layers appears twice"),
    "duplicate section": ("model:\n  layers: 1\nmodel:\n  layers: 1\n", 3, "section model appears twice"),
    "two documents": ("model:\n  layers: 1\n---\nmodel:\n  layers: 2\n", 3, "a second document"),
    "alias": ("model: &m\n  layers: 1\ndata: *m\n", 1, "aliases"),
    "alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", 1, "unknown section a"),
    "anchored value": ("model:\n  layers: &a 1\n", 2, "aliases, anchors and tags"),
    "merge key": ("model:\n  <<: {layers: 2}\n", 2, "unknown key model.<<"),
    "tag": ("model:\n  cell: !!python/object/apply:os.system [ls]\n", 2, "tags"),
    "list": ("- model\n", 1, "expected sections of simple values"),
    "list of values": ("model:\n  layers: [1, 2]\n", 2, "expected sections of simple values"),
    "deeper mapping": ("model:\n  layers:\n    a: 1\n", 3, "expected sections of simple values"),
    "a word": ("model\n", 1, "expected sections of simple values"),
    "a value for a section": ("model: lstm\n", 1, "expected sections of simple values"),
    "a space too few": ("model:\n  layers:2\n", 2, "expected sections of simple values"),
    "tabs": ("model:\n\tlayers: 2\n", 2, "not valid YAML"),
    "unclosed": ("model: {layers: 2\n", 2, "not valid YAML"),
    "control characters": ("model:\n  cell: \x00\n", 2, "not valid YAML: special characters are not allowed"),
    "escapes": ('model:\n  "\\e[2J": 2\n', 2, r"unknown key model.\x1b[2J"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_file_is_reported_with_file_line_and_key(yaml: Any, tmp_path: Path, fault: str) -> None:
    content, line, words = FAULTS[fault]
    what = error(lambda: yaml(content))
    assert what.startswith(f"{tmp_path / 'my.yaml'}:{line}: ") and words in what


def test_a_file_that_is_no_text_is_refused(yaml: Any, tmp_path: Path) -> None:
    assert "not UTF-8 at byte 7" in error(lambda: yaml(b"model:\n\xff"))
    assert "not UTF-8" in error(lambda: yaml("model:\n".encode("utf-16")))
    assert "larger than 64 KB" in error(lambda: yaml("#" * (MAX_FILE_SIZE + 1)))
    assert "no such configuration file" in error(lambda: read_file(tmp_path))
    assert "no such configuration file" in error(lambda: read_file(tmp_path / "a\x1b[2J"))


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "[" * 60_000, "{" * 60_000, "model:\n  layers: " + "[" * 60_000, "? " * 30_000, "#" * 10_000_000],
    ids=["100,000 brackets", "brackets", "braces", "brackets in a value", "keys", "10 MB"],
)
def test_a_file_made_to_keep_the_parser_busy_is_refused_with_little_work(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(content)
    command = [sys.executable, "-m", "charnn", "train", "nothing.txt", "--config", str(path)]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))  # seconds; read to its end, it takes a minute

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(path) in done.stderr and "Traceback" not in done.stderr
