"""How training scales with machines: what a step exchanges, measured, and the efficiency that follows, predicted.

    mpiexec -n 2 python tests/mpi_speed.py 512 1024

trains an LSTM of two layers of each size for a few steps, 50 streams of 100 characters a rank, and prints the time of
a step, the time of adding up, and the bytes that a rank sends in a step. Started without mpiexec it measures how fast
one process computes, in processor time, which others who use the machine disturb little, and predicts for n machines

    E(n) = t_compute / (t_compute + t_comm(n))
    t_comm(n) = bytes(n) / bandwidth + 2 (n - 1) latency        bytes(n) = 2 (n - 1) / n * 4 P
"""

from __future__ import annotations

import itertools
import random
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from charnn.config import flat_settings, resolve
from charnn.network.cells import Array
from charnn.runs.opening import create
from charnn.training import trainer
from charnn.training.events import Step
from charnn.training.team import MPI, Team, world

STREAMS, LENGTH, LAYERS, STEPS = 50, 100, 2, 5
BANDWIDTH, LATENCY = 1.25e9, 50e-6
"""Bytes a second and seconds a message: Ethernet with 10 Gbit/s."""


class Counted:
    """A communicator that counts the bytes which this rank sends to others."""

    def __init__(self, communicator: Any) -> None:
        self._communicator, self.sent = communicator, 0
        self.others = communicator.Get_size() - 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._communicator, name)

    def Alltoall(self, mine: Array, parts: Array) -> None:
        self.sent += mine.nbytes * self.others // (self.others + 1)
        self._communicator.Alltoall(mine, parts)

    def Allgather(self, mine: Array, whole: Array) -> None:
        self.sent += mine.nbytes * self.others
        self._communicator.Allgather(mine, whole)


class TimedMPI(MPI):
    """Ranks that wait for each other before they add up, so that waiting does not count as adding."""

    def __init__(self, communicator: Counted) -> None:
        super().__init__(communicator)
        self.counted, self.seconds, self.bytes = communicator, list[float](), list[int]()

    def sum(self, array: Array) -> None:
        self.counted.Barrier()
        started, sent = time.perf_counter(), self.counted.sent
        super().sum(array)
        self.seconds.append(time.perf_counter() - started)
        self.bytes.append(self.counted.sent - sent)


def measure(hidden_size: int, team: Team, clock: Callable[[], float]) -> tuple[int, float]:
    """Parameters, and the median seconds of a step, of training with ``STREAMS`` streams a rank."""
    rng = random.Random(1)
    options = {"layers": LAYERS, "hidden_size": hidden_size, "seq_length": LENGTH, "steps": STEPS, "val_fraction": 0.0}
    settings = {**options, "batch_size": STREAMS * team.size, "workers": team.size}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text("".join(rng.choices(string.printable[:65], k=STREAMS * team.size * LENGTH * (STEPS + 2))))
        with create(resolve(flat_settings(settings), fixed=True), [text], Path(folder) / "run") as run:
            events = trainer.train(run, team=team if team.size > 1 else None)
            ends = [clock() for event in events if isinstance(event, Step)]
            return run.model.size, statistics.median(b - a for a, b in itertools.pairwise(ends))


def flops(hidden_size: int, characters: int) -> float:
    """Multiplications and additions of the products of a step: forward, and twice as many backward."""
    H, V = hidden_size, 65
    return 3 * 2 * (4 * H * H * (2 * LAYERS - 1) + H * V) * characters


def predict(hidden_size: int, parameters: int, seconds: float) -> None:
    """Print the efficiency on 8 and 64 machines that compute as fast as this process."""
    for n in (8, 64):
        data = 2 * (n - 1) / n * 4 * parameters
        exchange = data / BANDWIDTH + 2 * (n - 1) * LATENCY
        print(
            f"    {n:2} machines: {data / 1e6:6.1f} MB a rank, {exchange * 1e3:6.1f} ms to add up:"
            f" E = {seconds / (seconds + exchange):.3f};"
            f" were they 10 times as fast: {seconds / (seconds + 10 * exchange):.3f}"
        )


def main(sizes: list[int]) -> None:
    alone = world()
    for hidden_size in sizes:
        if not isinstance(alone, MPI):
            parameters, seconds = measure(hidden_size, alone, time.process_time)
            work = flops(hidden_size, STREAMS * LENGTH)
            print(
                f"lstm {LAYERS}x{hidden_size}, {parameters:,} parameters: {work / 1e9:.1f} GFLOP a step,"
                f" {seconds:.2f} s, {work / seconds / 1e9:.0f} GFLOP/s"
            )
            predict(hidden_size, parameters, seconds)
            continue
        team = TimedMPI(Counted(alone._world))
        if team.rank:
            trainer.work(team, team.tell(""))
            continue
        parameters, seconds = measure(hidden_size, team, time.perf_counter)
        summing = statistics.median(team.seconds[:STEPS])  # the steps come before all other sums
        print(
            f"lstm {LAYERS}x{hidden_size}, {parameters:,} parameters, {team.size} ranks: {seconds:.2f} s a step, of it"
            f" {summing * 1e3:.1f} ms to add up; a rank sends {team.bytes[0]:,} bytes a step",
            flush=True,
        )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]])
