"""What only POSIX has may be missing: every module loads without it, and one process trains, samples and scores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import write_text

PACKAGE = Path(__file__).parent.parent / "charnn"

WITHOUT_POSIX = """
import mmap, os, shutil, signal, subprocess, sys, tempfile, types

subprocess.signal = types.SimpleNamespace(**vars(signal))  # the standard library keeps what it needs of them
subprocess.os = shutil.os = types.SimpleNamespace(**vars(os))
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"):
    sys.modules[name] = None
everywhere = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"}
for name in [name for name in vars(signal) if name.startswith("SIG") and name not in everywhere]:
    delattr(signal, name)
for name in ("pthread_sigmask", "pthread_kill", "sigwait", "sigpending", "alarm", "setitimer"):
    delattr(signal, name)
missing = "O_NOFOLLOW O_NONBLOCK O_DIRECTORY O_NOCTTY pread pwrite nice sysconf set_blocking killpg getpgrp getsid"
for name in f"{missing} sched_getaffinity fork getuid geteuid mkfifo".split():
    if hasattr(os, name):
        delattr(os, name)
if hasattr(mmap, "MADV_DONTNEED"):
    del mmap.MADV_DONTNEED
"""


def python(script: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, after everything that only POSIX has was taken away."""
    command = [sys.executable, "-c", WITHOUT_POSIX + script, *words]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def charnn(folder: Path, *words: str) -> str:
    """What a command writes on standard output, which must succeed."""
    done = python("from charnn.__main__ import main; main()", *words, folder=folder)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text and a run on it that was trained without what only POSIX has."""
    folder = tmp_path_factory.mktemp("portability")
    write_text(folder)
    small = ["--hidden", "16", "--layers", "1", "--batch-size", "4", "--seq-length", "8", "--steps", "20"]
    charnn(folder, "train", "text.txt", *small, "--workers", "1", "--out", "run")
    return folder


def test_every_module_loads(tmp_path: Path) -> None:
    names = [".".join(["charnn", *path.relative_to(PACKAGE).with_suffix("").parts]) for path in PACKAGE.rglob("*.py")]
    loadable = sorted({name.removesuffix(".__init__") for name in names} - {"charnn.benchmark.pytorch"})
    script = "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = python(script, *loadable, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_script_sees_that_they_are_missing(tmp_path: Path) -> None:
    for missing in ("import fcntl", "import resource", "signal.SIGHUP", "from signal import SIGKILL", "os.nice(1)"):
        assert python(missing, folder=tmp_path).returncode == 1, missing


def test_a_map_of_a_text_is_let_go_as_far_as_the_system_can(home: Path) -> None:
    script = "import numpy as np; from charnn.text.corpus import release; release(np.load(sys.argv[1], mmap_mode='r'))"
    assert python(script, "run/corpus.npy", folder=home).returncode == 0


def test_a_run_trained_in_one_process_goes_on(home: Path) -> None:
    charnn(home, "train", "--resume", "run", "--steps", "25")
    assert (home / "run" / "checkpoints" / "step-00000025.safetensors").is_file()


def test_a_run_is_sampled_scored_and_inspected(home: Path) -> None:
    assert len(charnn(home, "sample", "run", "--length", "40")) == 41
    assert json.loads(charnn(home, "score", "run", "--json"))["nats_per_character"] > 0
    assert json.loads(charnn(home, "inspect", "run", "--json"))[0]["status"] in ("finished", "running")


def test_a_dry_run_says_what_it_can_find_out(home: Path) -> None:
    shown = charnn(home, "train", "text.txt", "--dry-run", "--hidden", "16", "--workers", "1")
    assert "characters/s, measured" in shown and "memory" not in shown
