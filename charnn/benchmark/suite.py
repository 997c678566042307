"""What to measure enters; a record for every measurement begun and every row done leaves, and at the end the report."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

from charnn.benchmark.children import Answer, ask
from charnn.benchmark.rows import LIMIT, Row, Variant
from charnn.benchmark.work import Network
from charnn.config import flat_settings, resolve
from charnn.errors import ConfigError
from charnn.network.cells import find_cell

PARTS = ("training", "sampling", "workers", "startup")
"""What there is to measure, beside the machine itself."""

RIVALS = ("torch",)
"""What can be measured beside charnn."""

STREAMS = 64
"""Streams that are sampled at once, where it is many."""

LARGE = 512
"""From this hidden size on, batches and sequences are 100 instead of 50 long."""

MAIN_MEMORY = 256_000_000
"""Bytes of an array that no cache holds."""

LAUNCHER = [sys.executable, "-m", "charnn"]


@dataclass(frozen=True)
class Settings:
    """What to measure. Raises ConfigError for values that make no sense.

    ``seconds`` is the time of one measurement, repeated ``repeats`` times in turn with those it is compared to;
    ``batch_size`` and ``seq_length`` None mean 50, or 100 for large networks.
    """

    cells: tuple[str, ...] = ("lstm", "gru", "vanilla")
    hidden_sizes: tuple[int, ...] = (128, 256, 512)
    layers: int = 2
    batch_size: int | None = None
    seq_length: int | None = None
    seconds: float = 2.0
    repeats: int = 3
    parts: tuple[str, ...] = PARTS
    against: str | None = None
    characters: int = 1_000_000
    """Length of the text that is generated and trained on."""

    def __post_init__(self) -> None:
        for name, valid, words in (
            ("cells", self.cells, "at least one"),
            ("hidden_sizes", self.hidden_sizes, "at least one"),
            ("seconds", 0 < self.seconds < math.inf, "above 0"),
            ("repeats", self.repeats >= 1, "at least 1"),
            ("parts", self.parts and set(self.parts) <= set(PARTS), f"among {', '.join(PARTS)}"),
            ("against", self.against in (None, *RIVALS), f"one of {', '.join(RIVALS)}"),
        ):
            if not valid:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"it must be {words}")
        for network in self.networks():
            resolve(flat_settings({**self.training(network)}), fixed=True)

    def networks(self) -> list[Network]:
        """Every cell in every size."""
        return [Network(cell, self.layers, size) for cell in self.cells for size in self.hidden_sizes]

    def training(self, network: Network) -> dict[str, Any]:
        """The options of the configuration for a network's training."""
        usual = 100 if network.hidden_size >= LARGE else 50
        return {
            "cell": network.cell,
            "layers": network.layers,
            "hidden_size": network.hidden_size,
            "batch_size": self.batch_size or usual,
            "seq_length": self.seq_length or usual,
        }


QUICK = Settings(cells=("lstm",), hidden_sizes=(128,), seconds=0.5, repeats=1, parts=("training", "sampling"))
"""A first look, within half a minute."""


@dataclass(frozen=True)
class Measuring:
    """A measurement begins: the ``number``-th of ``total``, at most, in repeat ``repeat`` of its row."""

    row: Row
    variant: Variant
    repeat: int
    number: int
    total: int


@dataclass(frozen=True)
class Measured:
    """All repeats of a row are done."""

    row: Row


@dataclass(frozen=True)
class Report:
    """Everything that was measured, and where."""

    machine: dict[str, Any]
    settings: Settings
    rows: list[Row]
    seconds: float

    def part(self, name: str) -> list[Row]:
        return [row for row in self.rows if row.part == name]

    def to_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "settings": dataclasses.asdict(self.settings),
            "rows": [row.to_json() for row in self.rows],
            "seconds": round(self.seconds, 1),
        }


def benchmark(settings: Settings) -> Generator[Measuring | Measured | Report, None, None]:
    """Measure; the last record is the report. Closed, interrupted or killed, it leaves no process behind.

    Raises ConfigError where the rival is not installed, WorkerError if a measurement fails.
    """
    started = time.monotonic()
    rival = {name: _version(name) for name in RIVALS if name == settings.against}
    with tempfile.TemporaryDirectory(prefix="charnn-bench-") as folder:
        machine = {**ask("machine"), **rival}
        prepared = ask("prepare", folder=folder, characters=settings.characters)
        rows = planned_rows(settings, machine["cores"], prepared)
        number, total = 0, settings.repeats * sum(len(row.variants) for row in rows)
        for row in rows:
            yield from _measure(row, settings.repeats, number, total)
            number += settings.repeats * len(row.variants)
            yield Measured(row)
    rows += memory(rows, settings)
    yield Report(machine, settings, rows, time.monotonic() - started)


def _version(package: str) -> str:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"{package} is not installed", f"pip install {package}, or leave out --against {package}")
    return importlib.metadata.version(package)


def _measure(row: Row, repeats: int, number: int, total: int) -> Iterator[Measuring]:
    """All repeats of a row, every other one in the opposite order."""
    for repeat in range(repeats):
        order = row.variants if repeat % 2 == 0 else row.variants[::-1]
        for variant in order:
            number += 1
            if variant.dropped:
                continue
            yield Measuring(row, variant, repeat + 1, number, total)
            variant.answers.append(ask(variant.task, variant.blas_threads, **variant.spec))
        if repeat == 0:
            row.drop_the_slow()


def planned_rows(settings: Settings, cores: int, prepared: Answer) -> list[Row]:
    """The rows to be measured; ``prepared`` names the text and the run that there are."""
    networks = settings.networks()
    rows = machine_rows(cores, settings.seconds / 2)
    if "training" in settings.parts:
        rows += [training_row(settings, network, cores, prepared["text"]) for network in networks]
    if "sampling" in settings.parts:
        rows += [sampling_row(settings, network, cores, 1) for network in networks]
        middle = sorted(settings.hidden_sizes)[len(settings.hidden_sizes) // 2]
        rows += [sampling_row(settings, n, cores, STREAMS) for n in networks if n.hidden_size == middle]
    if "workers" in settings.parts and cores > 1:
        rows += [workers_row(settings, networks[0], cores, prepared["text"])]
    if "startup" in settings.parts:
        rows += startup_rows(settings, prepared["run"])
    return rows


def machine_rows(cores: int, seconds: float) -> list[Row]:
    """The limits of the machine as such; every row that has one measures its own again, within its own repeats."""
    counts = {"one core": 1, "all cores": cores} if cores > 1 else {"one core": 1}
    products = [
        Row("machine", f"sgemm, {name}", "FLOP/s", [sgemm("machine", count, seconds)]) for name, count in counts.items()
    ]
    reading = reads("machine", MAIN_MEMORY, cores, seconds)
    return [*products, Row("machine", "reading 256 MB", "bytes/s", reading)]


def sgemm(kind: str, cores: int, seconds: float) -> Variant:
    spec = {"cores": cores, "seconds": seconds}
    return Variant(kind, f"sgemm, {_plural(cores, 'core')}", "sgemm", spec, blas_threads=1)


def reads(kind: str, size: int, cores: int, seconds: float) -> list[Variant]:
    """Reading ``size`` bytes with one BLAS thread, and with one a core."""
    spec = {"bytes": size, "seconds": seconds}
    return [
        Variant(kind, _plural(count, "thread"), "bandwidth", spec, blas_threads=count) for count in sorted({1, cores})
    ]


def training_row(settings: Settings, network: Network, cores: int, text: str) -> Row:
    """Whole training steps, on all cores, against the product of matrices on all cores."""
    options = settings.training(network)
    spec = {"text": text, "seconds": settings.seconds, **options}
    variants = [
        Variant("charnn", "auto", "training", {**spec, "workers": None}, blas_threads=1),
        sgemm(LIMIT, cores, settings.seconds / 4),
    ]
    if module := _rival_module(settings, network):
        torch_spec = {**{name: value for name, value in spec.items() if name != "cell"}, "module": module}
        variants += [
            Variant("torch", name, "torch_training", {**torch_spec, "embedding": name == "embedding"})
            for name in ("one-hot", "embedding")
        ]
    return Row("training", network.name, "characters/s", variants, options, network.training_flops)


def sampling_row(settings: Settings, network: Network, cores: int, streams: int) -> Row:
    """Drawing characters: one stream reads all weights for each, many streams share what is read."""
    seconds = settings.seconds / 2
    shape = {"cell": network.cell, "layers": network.layers, "hidden_size": network.hidden_size}
    variants = sampling("charnn", shape, streams, cores, seconds)
    facts = {**shape, "streams": streams}
    if streams == 1:
        limits = reads(LIMIT, network.sampling_bytes, cores, seconds / 2)
        cost = network.sampling_bytes
    else:
        limits = [sgemm(LIMIT, cores, seconds / 2), *sampling("one stream", shape, 1, cores, seconds)]
        cost = network.sampling_flops
    variants += limits
    if module := _rival_module(settings, network):
        spec = {"streams": streams, "seconds": seconds, "layers": network.layers, "hidden_size": network.hidden_size}
        variants += [
            Variant(
                "torch", f"{name}, {_plural(n, 'thread')}", "torch_sampling", {**spec, "module": name, "threads": n}
            )
            for name in (module, f"{module}Cell")
            for n in sorted({1, min(2, cores)})
        ]
    return Row("sampling", network.name, "characters/s", variants, facts, cost)


def sampling(kind: str, shape: dict[str, Any], streams: int, cores: int, seconds: float) -> list[Variant]:
    """charnn's sampling with one BLAS thread, and with one a core."""
    spec = {"streams": streams, "seconds": seconds, **shape}
    return [
        Variant(kind, _plural(count, "thread"), "sampling", spec, blas_threads=count) for count in sorted({1, cores})
    ]


def workers_row(settings: Settings, network: Network, cores: int, text: str) -> Row:
    """Processes with one BLAS thread each against one process with as many BLAS threads."""
    options = settings.training(network)
    spec = {"text": text, "seconds": settings.seconds, **options}
    variants = [
        Variant("charnn", f"{cores} workers", "training", {**spec, "workers": cores}, blas_threads=1),
        Variant(
            "one worker", f"one worker, {cores} BLAS threads", "training", {**spec, "workers": 1}, blas_threads=cores
        ),
    ]
    return Row("workers", network.name, "characters/s", variants, options)


def startup_rows(settings: Settings, run: str) -> list[Row]:
    """From the start of a command to its end, its files in the system's cache."""
    seconds = settings.seconds / 2

    def variant(kind: str, setting: str, *words: str) -> Variant:
        return Variant(kind, setting, "command", {"words": words, "seconds": seconds})

    showing = [
        variant("charnn", "charnn --help", *LAUNCHER, "--help"),
        variant("python", "python -c pass", sys.executable, "-c", "pass"),
    ]
    drawing = [variant("charnn", "charnn sample RUN -n 1", *LAUNCHER, "sample", run, "-n", "1")]
    if settings.against == "torch":
        drawing.append(variant("torch", "import torch", sys.executable, "-c", "import torch"))
    return [
        Row("startup", variants[0].setting, "seconds", variants, less_is_better=True) for variants in (showing, drawing)
    ]


def memory(rows: list[Row], settings: Settings) -> list[Row]:
    """What the training of the largest networks took: known from the same measurements."""
    return [
        Row(
            "memory",
            row.name,
            "bytes",
            [variant for variant in row.variants if variant.kind != LIMIT],
            row.facts,
            figure="memory",
            less_is_better=True,
        )
        for row in rows
        if row.part == "training" and row.facts["hidden_size"] == max(settings.hidden_sizes)
    ]


def _rival_module(settings: Settings, network: Network) -> str:
    """The module of torch.nn with the same equations; empty where none is asked for, or none is there."""
    return find_cell(network.cell).torch_name if settings.against == "torch" else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
