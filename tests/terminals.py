"""A command on a pseudo-terminal of its own, for tests that type, send signals and look at what appears."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Terminal:
    """``charnn`` with words, in a folder, on a terminal that sends its Ctrl-C to it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.ours, theirs = pty.openpty()
        self.written = b""
        self._seen = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charnn", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def read_until(self, words: bytes) -> None:
        """Wait for ``words`` beyond those that were waited for before, or for the end where they are empty."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (words and words in self.written[self._seen :]):
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.written += os.read(self.ours, 65536)
                except OSError:  # the other side is closed
                    break
            elif self.process.poll() is not None:
                break
        assert words in self.written[self._seen :], self.written
        self._seen = self.written.index(words, self._seen) + len(words)

    def end(self) -> int:
        self.read_until(b"")
        os.close(self.ours)
        return self.process.wait(10)
