"""However a training on a terminal ends or pauses, the terminal is as it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from charnn.cli.signals import StopSignals

TEXT = "she sells sea shells by the sea shore; the shells she sells are sea shells, I am sure.\n" * 60
HIDE, SHOW, ENTER, LEAVE = b"\x1b[?25l", b"\x1b[?25h", b"\x1b[?1049h", b"\x1b[?1049l"


class Terminal:
    """``charnn train`` on a pseudo-terminal."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        (folder / "text.txt").write_text(TEXT)
        self.ours, theirs = pty.openpty()
        self.written = b""
        command = [sys.executable, "-m", "charnn", "train", "text.txt", "--hidden", "8", "--layers", "1"]
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parent.parent)}
        self.process = subprocess.Popen(
            [*command, "--batch-size", "4", "--seq-length", "16", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, words: bytes) -> None:
        """Wait for ``words``, or for the end where they are empty."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (words and words in self.written):
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.ours, 65536)
                except OSError:  # the other side is closed
                    break
            elif self.process.poll() is not None:
                break
        assert words in self.written

    def end(self) -> int:
        self.read_until(b"")
        os.close(self.ours)
        return self.process.wait(10)

    def restored(self) -> bool:
        return self.written.rindex(LEAVE) > self.written.rindex(ENTER) and self.written.rindex(
            SHOW
        ) > self.written.rindex(HIDE)


@pytest.mark.races
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_restores_the_terminal(tmp_path: Path, number: signal.Signals, code: int) -> None:
    terminal = Terminal(tmp_path, "--steps", "1000000")
    terminal.read_until(b"of 1,000,000")
    terminal.process.send_signal(number)
    assert terminal.end() == code
    assert terminal.restored() and b"resume: charnn train --resume" in terminal.written


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
    terminal = Terminal(tmp_path, "--steps", "1000000", "--lr", "1000", "--clip", "0", "--optimizer", "sgd")
    assert terminal.end() == 5
    assert terminal.restored() and b"diverged" in terminal.written
