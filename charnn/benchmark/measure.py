"""What to measure enters; its answer leaves: charnn's speed and memory, and what this machine can do at best.

Each function is a task of ``child`` and returns what JSON can hold. ``value`` is a rate: floating-point operations,
bytes or characters per second; of ``command`` it is a time in seconds.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import itertools
import os
import platform
import random
import string
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from charnn.benchmark.timing import median_seconds, peak_memory
from charnn.benchmark.work import SAMPLED, TEMPERATURE, VOCABULARY
from charnn.config import flat_settings, resolve
from charnn.network.cells import Array
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.runs.fitting import cores
from charnn.runs.opening import create
from charnn.runs.run import TrainingRun
from charnn.sampling.sampler import Sampling, generate
from charnn.text.vocabulary import Vocabulary
from charnn.training.events import Step
from charnn.training.trainer import train

ALPHABET = sorted(f"\n {string.ascii_letters}!$&',-.3:;?")
"""65 characters, those of the English text that everybody measures with."""

WORDS = 2000
"""Different words of the generated text."""

PRODUCTS = (256, 512, 1024)
"""Sizes of the square matrices whose product is timed; the fastest counts."""

Answer = dict[str, Any]


# The machine


def machine() -> Answer:
    """What this machine is, and which BLAS NumPy multiplies with."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        **_blas(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith("OPENBLAS_")},
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas() -> Answer:
    """Name and version of the BLAS that NumPy was built with, and the kernels it has chosen; empty if unknown."""
    name = version = ""
    with contextlib.suppress(TypeError, KeyError):  # NumPy before 1.26 only prints
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        name, version = blas["name"], blas["version"]
    return {"blas": name, "blas_version": version, "blas_kernels": _openblas_kernels()}


def _openblas_kernels() -> str:
    """The processor that the OpenBLAS in NumPy's wheel has chosen its kernels for, such as SkylakeX."""
    for path in Path(np.__file__).parent.parent.glob("numpy.libs/*openblas*"):
        library = ctypes.CDLL(str(path))
        for name in ("scipy_openblas_get_corename64_", "scipy_openblas_get_corename", "openblas_get_corename64_"):
            with contextlib.suppress(AttributeError):
                get_name = getattr(library, name)
                get_name.restype = ctypes.c_char_p
                return str(get_name(), "ascii", "replace")
    return ""


def sgemm(cores: int, seconds: float) -> Answer:
    """Operations per second of products of square float32 matrices: ``cores`` threads, each with its own matrices.

    To be run with one BLAS thread, so that the threads never wait for each other: the most that the cores can do.
    """
    with ThreadPoolExecutor(cores) as pool:
        rates = {
            size: sum(pool.map(_product_rate, [size] * cores, [seconds / len(PRODUCTS)] * cores)) for size in PRODUCTS
        }
    best = max(rates, key=lambda size: rates[size])
    return {"value": rates[best], "matrix": best}


def _product_rate(size: int, seconds: float) -> float:
    a, b, out = (_random(size, size) for _ in range(3))
    return 2 * size**3 / median_seconds(lambda: np.matmul(a, b, out=out), seconds)


def bandwidth(bytes: int, seconds: float) -> Answer:
    """Bytes per second at which BLAS reads an array over and over: the fastest of sgemv, both ways round, and sdot.

    An array that fits in a cache is read from there, just as weights of that size are.
    """
    columns = 1024 if bytes >= 1 << 20 else 64
    matrix = _random(max(2, bytes // (4 * columns)) // 2 * 2, columns)
    left, right = _random(len(matrix)), _random(columns)
    into_left, into_right = np.empty_like(left), np.empty_like(right)
    first, second = matrix.reshape(2, -1)
    kernels = {
        "sgemv": lambda: np.matmul(matrix, right, out=into_left),
        "sgemv transposed": lambda: np.matmul(left, matrix, out=into_right),
        "sdot": lambda: np.dot(first, second),
    }
    rates = {name: matrix.nbytes / median_seconds(call, seconds / len(kernels)) for name, call in kernels.items()}
    best = max(rates, key=lambda name: rates[name])
    return {"value": rates[best], "kernel": best}


def _random(*shape: int) -> Array:
    return np.random.default_rng(1).random(shape, np.float32)


# charnn


def prepare(folder: str, characters: int) -> Answer:
    """Write a text of ``characters`` from ``ALPHABET``, and a run on it that ``charnn sample`` can read."""
    text = Path(folder) / "text.txt"
    text.write_text(generated_text(characters))
    run = _new_run(text, Path(folder) / "run", cell="lstm", hidden_size=128)
    run.close()
    return {"text": str(text), "run": str(run.path)}


def generated_text(characters: int, seed: int = 1) -> str:
    """Made-up words in lines, the n-th of them as frequent as 1 / n (Zipf 1935); every character of ``ALPHABET``."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(ALPHABET[2:], k=rng.randint(1, 9))) for _ in range(WORDS)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, WORDS + 1)))
    lines = ["".join(ALPHABET)]
    length = len(ALPHABET)
    while length < characters:
        lines.append(" ".join(rng.choices(words, cum_weights=weights, k=8)))
        length += len(lines[-1]) + 1
    return "\n".join(lines)[:characters]


def training(text: str, seconds: float, workers: int | None, **network: Any) -> Answer:
    """Characters per second of whole steps of the real trainer, and its memory.

    A step is batch, forward, backward, clipping and Adam; what saving and validating would take is left out.
    """
    with (
        tempfile.TemporaryDirectory(dir=Path(text).parent) as folder,
        _new_run(Path(text), Path(folder) / "run", workers=workers, **network) as run,
    ):
        steps = _steps(run)
        duration = median_seconds(lambda: next(steps), seconds)
        memory = peak_memory(lambda: next(steps), seconds / 4)
        steps.close()
        characters = run.batches.batch_size * run.batches.seq_length
        return {"value": characters / duration, "memory": memory, "workers": run.config.training.workers}


def _new_run(text: Path, path: Path, **options: Any) -> TrainingRun:
    """A run that trains for ever and writes nothing on its way."""
    never = 10**9
    schedule = {"schedule": "constant", "steps": never, "checkpoint_every": never, "log_every": never}
    settings = {name: value for name, value in options.items() if value is not None}
    return create(resolve(flat_settings({"val_fraction": 0.0, **schedule, **settings}), fixed=True), [text], path)


def _steps(run: TrainingRun) -> Generator[Step, None, None]:
    """One event a step. Closed, it ends the training and its processes."""
    events = train(run)
    try:
        yield from (event for event in events if isinstance(event, Step))
    finally:
        events.close()  # type: ignore[attr-defined]


def sampling(streams: int, seconds: float, cell: str, layers: int, hidden_size: int) -> Answer:
    """Characters per second that ``charnn sample`` draws, of all streams together."""
    model = CharRNN(Shape(VOCABULARY, cell, layers=layers, hidden_size=hidden_size))
    model.initialise(1)
    vocabulary = Vocabulary.from_code_points(np.array([ord(c) for c in ALPHABET], np.uint32))
    settings = Sampling(length=10**12, temperature=TEMPERATURE)
    _, pieces = generate(model, vocabulary, "", settings, seed=1, count=streams)
    count = SAMPLED * streams

    def draw() -> None:
        collections.deque(itertools.islice(pieces, count), maxlen=0)

    return {"value": count / median_seconds(draw, seconds)}


# Commands


def command(words: Sequence[str], seconds: float) -> Answer:
    """Seconds from the start of a command to its end; its files are in the system's cache."""

    def start() -> None:
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    return {"value": median_seconds(start, seconds)}
