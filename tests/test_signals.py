"""However a training on a terminal ends or pauses, the terminal is as it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminals import Terminal

from charnn.cli.signals import StopSignals

TEXT = "she sells sea shells by the sea shore; the shells she sells are sea shells, I am sure.\n" * 60
HIDE, SHOW, ENTER, LEAVE = b"\x1b[?25l", b"\x1b[?25h", b"\x1b[?1049h", b"\x1b[?1049l"


def training(folder: Path, *arguments: str) -> Terminal:
    """``charnn train`` on a pseudo-terminal."""
    (folder / "text.txt").write_text(TEXT)
    small = ["--hidden", "8", "--layers", "1", "--batch-size", "4", "--seq-length", "16"]
    return Terminal(folder, "train", "text.txt", *small, *arguments)


def restored(terminal: Terminal) -> bool:
    written = terminal.written
    return written.rindex(LEAVE) > written.rindex(ENTER) and written.rindex(SHOW) > written.rindex(HIDE)


@pytest.mark.races
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_restores_the_terminal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    terminal = training(tmp_path, "--steps", "1000000")
    terminal.read_until(b"of 1,000,000")
    terminal.process.send_signal(number)
    assert terminal.end() == code
    assert restored(terminal) and b"resume: charnn train --resume" in terminal.written


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[StopSignals, list[object]]]:
    """Signals as they arrive in this process, and what is done about them, in order."""
    done: list[object] = []
    monkeypatch.setattr("charnn.cli.signals.os._exit", done.append)
    monkeypatch.setattr("charnn.cli.signals.os.kill", lambda pid, number: done.append(number))
    with StopSignals() as signals:
        signals.restore, signals.back = lambda: done.append("restore"), lambda: done.append("back")
        yield signals, done


def test_a_second_interrupt_restores_the_terminal_and_quits(told: tuple[StopSignals, list[object]]) -> None:
    signals, done = told
    signal.raise_signal(signal.SIGINT)
    assert signals() and not done
    signal.raise_signal(signal.SIGINT)
    assert done == ["restore", 130]


def test_suspending_gives_the_terminal_back_for_a_while(told: tuple[StopSignals, list[object]]) -> None:
    signals, done = told
    for _ in range(2):
        signal.raise_signal(signal.SIGTSTP)
    assert done == 2 * ["restore", signal.SIGTSTP, "back"]
    assert not signals()


def test_divergence_restores_the_terminal(tmp_path: Path) -> None:
    terminal = training(tmp_path, "--steps", "1000000", "--lr", "1000", "--clip", "0", "--optimizer", "sgd")
    assert terminal.end() == 5
    assert restored(terminal) and b"diverged" in terminal.written
