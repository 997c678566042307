"""A zygote for the whole session, a corpus, and a run that was never interrupted."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import TALLY, TEXT, TINY, Golden, Tally, Zygote, fingerprints, metrics_of


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory where there is such a disk: hundreds of runs then do not wait for a slow one."""
    home = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=home if os.access(home, os.W_OK) else None, prefix="charnn-") as name:
        yield Path(name)


@pytest.fixture
def tmp_path(memory: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def charnn(memory: Path) -> Iterator[Zygote]:
    (memory / "zygote").mkdir()
    zygote = Zygote(memory / "zygote")
    yield zygote
    zygote.close()


@pytest.fixture(scope="session")
def text(memory: Path) -> Path:
    path = memory / "text.txt"
    path.write_bytes(TEXT)
    return path


def make_golden(charnn: Zygote, text: Path, folder: Path, arguments: list[str]) -> Golden:
    result = charnn.run("train", text, "-o", folder, *arguments, "--set", "training.keep=1000")
    assert result.code == 0, result.err
    return Golden(arguments, folder, fingerprints(folder), metrics_of(folder), result.seconds)


@pytest.fixture
def faulty(charnn: Zygote) -> Zygote:
    """Processes whose system calls can be made to fail."""
    if not charnn.faults:
        pytest.skip("system calls cannot be intercepted here: no C compiler, or not Linux")
    return charnn


@pytest.fixture(scope="session")
def tally() -> Tally:
    return TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for what, (good, tried) in TALLY.counts.items():
        terminalreporter.write_line(f"{what}: {good:,} of {tried:,}")
    if TALLY.slowest[1]:
        terminalreporter.write_line(f"slowest bad input: {TALLY.slowest[0]}, {TALLY.slowest[1]:.2f} s")


@pytest.fixture(scope="session")
def golden(charnn: Zygote, text: Path, memory: Path) -> Golden:
    """300 steps, saved every 10."""
    arguments = [*TINY, "--steps", "300", "--checkpoint-every", "10", "--validate-every", "75"]
    arguments += ["--set", "training.log_every=7"]
    return make_golden(charnn, text, memory / "golden", arguments)


@pytest.fixture(scope="session")
def short(charnn: Zygote, text: Path, memory: Path) -> Golden:
    """9 steps, saved every 3: short enough to be tried once for every system call it makes."""
    arguments = [*TINY, "--steps", "9", "--checkpoint-every", "3", "--validate-every", "5"]
    arguments += ["--set", "training.log_every=2"]
    return make_golden(charnn, text, memory / "short", arguments)
