"""Arguments enter, charnn runs in a process of its own, and what it did leaves: exit code, texts, time, memory, faults.

Beside it, an oracle that shares no code with charnn: hashes of everything a checkpoint or a line of metrics says, but
for what clocks measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TEXT = (ROOT / "corpora" / "dialogues.txt").read_bytes()[:20_000]

KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, COUNT, SIGNAL = 1, 2, 3, 4, 5, 6
EVERY = 10**6
"""More system calls than any run here makes."""

TINY = ["--hidden", "16", "--layers", "1", "--embedding", "0", "--seq-length", "32", "--batch-size", "8"]
TINY += ["--dropout", "0.1"]
"""A network and chunks so small that hundreds of steps take a second."""

WRITTEN = "    "
"""How lines begin that a network wrote at the end of its training."""

CLOCKS = ("elapsed", "timed", "metrics_length", "chars_per_second", "elapsed_seconds")
"""What differs between two runs that are otherwise the same to the bit."""

DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True)
class Golden:
    """A run that nothing disturbed, with every checkpoint kept: how to make it, and what it came to."""

    arguments: list[str]
    path: Path
    fingerprints: dict[str, str]
    metrics: list[dict[str, object]]
    seconds: float


@dataclass(frozen=True)
class Result:
    """How a process ended. ``code`` is minus the signal's number where a signal ended it."""

    code: int
    out: bytes
    err: str
    seconds: float
    late: bool
    faults: int
    peak: int


class Child:
    """A charnn process on its way."""

    def __init__(self, factory: Zygote, pid: int, out: Path, err: Path) -> None:
        self.factory, self.pid, self._out, self._err = factory, pid, out, err

    def kill(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace") if self._err.is_file() else ""

    def wait(self, timeout: float = DEFAULT_TIMEOUT) -> Result:
        reply = self.factory.ask({"what": "wait", "pid": self.pid, "timeout": timeout})
        out = self._out.read_bytes() if self._out.is_file() else b""
        return Result(out=out, err=self.err, **reply)


class Zygote:
    """Forks charnn processes, see zygote.py; ``faults`` says whether calls of theirs can be made to fail."""

    def __init__(self, scratch: Path, package: Path = ROOT) -> None:
        self.scratch, self.count = scratch, 0
        library = build_faults(scratch)
        self.faults = library is not None
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": str(package), "OPENBLAS_NUM_THREADS": "1", "COLUMNS": "80"}
        environment |= {"LD_PRELOAD": str(library)} if library else {}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            cwd=scratch,
        )
        theirs.close()
        self.connection = ours
        self.lines = ours.makefile("r")

    def close(self) -> None:
        self.lines.close()
        self.connection.close()
        self.process.wait()

    def ask(self, request: dict[str, Any]) -> Any:
        self.connection.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(self.lines.readline())

    def start(
        self,
        *arguments: str | Path,
        folder: Path | None = None,
        stdin: str | Path = os.devnull,
        stdout: str | Path | None = None,
        stderr: str | Path | None = None,
        environment: dict[str, str] | None = None,
        ignored: Sequence[int] = (),
        memory: int = 0,
        cpu: int = 0,
        fault: tuple[Path, int, int, int] | None = None,
    ) -> Child:
        """``memory`` (bytes on top of what it begins with) and ``cpu`` (seconds) limit the process.

        ``fault`` is (root, how, n, errno): what happens at the n-th system call on something below root.
        """
        self.count += 1
        out = Path(stdout or self.scratch / f"{self.count}.out")
        err = Path(stderr or self.scratch / f"{self.count}.err")
        request = {
            "what": "spawn",
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder or self.scratch),
            "stdin": str(stdin),
            "stdout": str(out),
            "stderr": str(err),
            "environment": environment or {},
            "ignored": list(ignored),
            "memory": memory,
            "cpu": cpu,
            "fault": [str(fault[0]), *fault[1:]] if fault else None,
        }
        return Child(self, self.ask(request), out, err)

    def run(self, *arguments: str | Path, timeout: float = DEFAULT_TIMEOUT, **options: Any) -> Result:
        return self.start(*arguments, **options).wait(timeout)


def build_faults(scratch: Path) -> Path | None:
    """Compile the shim that makes system calls fail; None where there is no compiler or no such loader."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = scratch / "faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    done = subprocess.run(command, capture_output=True)
    return library if done.returncode == 0 else None


def plain_charnn(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """``python -m charnn`` without any help: for what the inherited streams, signals and locale do."""
    command = [sys.executable, "-m", "charnn", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **options.pop("environment", {})}
    defaults: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, env=environment, timeout=60, **{**defaults, **options})


def wait_until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Look until it holds; an assertion if it does not within that time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)


def spread(total: int, most: int) -> list[int]:
    """Up to ``most`` of the numbers 1 to ``total``, evenly."""
    return sorted({1 + index * total // most for index in range(most) if index * total // most < total})


def finish(charnn: Zygote, run: Path, text: Path, arguments: Sequence[str]) -> Result:
    """Go on as a person would: resume what has a checkpoint, and begin again what has none."""
    if checkpoints(run):
        return charnn.run("train", "--resume", run)
    return charnn.run("train", text, "-o", run, *arguments)


class Tally:
    """What was tried and what came of it, for the end of the report."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.slowest = ("", 0.0)

    def __call__(self, what: str, good: int = 1, tried: int | None = None) -> None:
        count = self.counts.setdefault(what, [0, 0])
        count[0] += good
        count[1] += good if tried is None else tried

    def time(self, what: str, seconds: float) -> None:
        self.slowest = max(self.slowest, (what, seconds), key=lambda pair: pair[1])


TALLY = Tally()


# The oracle


def parse_checkpoint(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Type, shape and bytes of every array, and the document."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    document = json.loads(header.pop("__metadata__")["charnn"])
    arrays = {}
    for name, spec in header.items():
        start, stop = spec["data_offsets"]
        arrays[name] = f"{spec['dtype']} {spec['shape']} ".encode() + data[end + start : end + stop]
    return arrays, document


def fingerprint(path: Path) -> str:
    """A hash of weights, optimizer state, carry, position, history and metrics so far, without what clocks measured."""
    arrays, document = parse_checkpoint(path)
    state = {name: value for name, value in document["state"].items() if name not in CLOCKS}
    lines = metrics_of(path.parent.parent, document["state"]["metrics_length"])
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        hasher.update(f"{name} {len(arrays[name])} ".encode() + arrays[name])
    hasher.update(json.dumps([state, lines], sort_keys=True).encode())
    return hasher.hexdigest()


def metrics_of(run: Path, length: int | None = None) -> list[dict[str, Any]]:
    """The lines within the first ``length`` bytes of the metrics, all whole, without what clocks measured."""
    data = (run / "metrics.jsonl").read_bytes()[:length]
    assert length is None or len(data) == length
    assert data.endswith(b"\n") or not data
    lines = [json.loads(line) for line in data.splitlines()]
    return [{name: value for name, value in line.items() if name not in CLOCKS} for line in lines]


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*.safetensors"))


def fingerprints(run: Path) -> dict[str, str]:
    """Of every checkpoint of a run, by file name."""
    return {path.name: fingerprint(path) for path in checkpoints(run)}


def assert_as_if_nothing_had_happened(golden: Golden, run: Path) -> None:
    """The run has ended, bit for bit as the undisturbed one did, and nothing is left lying about."""
    found = fingerprints(run)
    assert found and max(found) == max(golden.fingerprints)
    assert_checkpoints_are_true(golden, run)
    assert metrics_of(run) == golden.metrics
    assert litter(run) == []


def assert_checkpoints_are_true(golden: Golden, run: Path) -> None:
    """Every checkpoint there is holds exactly what the undisturbed run had at that step."""
    for name, found in fingerprints(run).items():
        assert found == golden.fingerprints[name], name


def litter(run: Path) -> list[str]:
    """What has no place in a run folder that nobody is writing to."""
    known = {"config.yaml", "corpus.npy", "metrics.jsonl", "lock", "checkpoints", "copies"}
    names = {path.name for path in checkpoints(run)}
    found = [path.name for path in run.iterdir() if path.name not in known]
    return found + [path.name for path in (run / "checkpoints").iterdir() if path.name not in names]


def assert_told(result: Result, code: int, *words: str) -> None:
    """The exit code, what standard error says, and that it says so in a screen, harmlessly."""
    assert result.code == code, (result.code, result.err, result.out[-500:])
    assert not result.late, f"took longer than {result.seconds:.0f} s"
    assert_calm(result.err)
    for word in words:
        assert word in result.err, (word, result.err)


def assert_calm(err: str) -> None:
    """No traceback, no more than a screen, nothing that could control a terminal."""
    assert "Traceback" not in err and "bug in charnn" not in err, err
    said = [line for line in err.splitlines() if line.strip() and not line.startswith(WRITTEN)]
    assert len(said) <= 20, err
    assert all(c.isprintable() or c == "\n" for c in err), repr(err)


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of that size, mounted on a folder; skips where this may not be done."""
    import pytest

    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
