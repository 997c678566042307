"""A measurement enters, its answer leaves: each one runs in a fresh process, and none outlives this one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from charnn.errors import WorkerError, printable
from charnn.system import BLAS_THREADS

Answer = dict[str, Any]


def environment(threads: int | None) -> dict[str, str]:
    """The environment with ``threads`` BLAS threads; with None, every library's own choice."""
    kept = {name: value for name, value in os.environ.items() if name not in BLAS_THREADS}
    return kept if threads is None else kept | dict.fromkeys(BLAS_THREADS, str(threads))


def ask(task: str, blas_threads: int | None = None, **spec: Any) -> Answer:
    """Run one task of ``child`` in a process of its own and return its answer.

    Raises WorkerError if it fails. However this call ends, the process and all that it started have ended then.
    """
    words = [sys.executable, "-m", "charnn.benchmark.child", json.dumps({"task": task, **spec})]
    with tempfile.TemporaryFile() as complaints, session(words, environment(blas_threads), complaints) as process:
        assert process.stdout is not None
        answer = process.stdout.read()
        if process.wait() == 0:
            return dict(json.loads(answer.splitlines()[-1]))
        complaints.seek(0)
        said = complaints.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing said why"]
    raise WorkerError(f"the measurement {task} failed (exit code {process.returncode}): {printable(said[0])[:300]}")


@contextlib.contextmanager
def session(words: list[str], variables: dict[str, str], stderr: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, killed at the end with everything it started.

    It is out of reach of Ctrl-C, which is for this process to answer; that its standard input ends tells it that this
    process is gone.
    """
    process = subprocess.Popen(
        words, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
    )
    try:
        yield process
    finally:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.communicate()
