"""Every rank's numbers enter, their sum leaves on every rank: who adds up the gradients.

Training is one program, run by ``size`` ranks; each holds its share of the parallel streams. The only thing ranks ever
do together is to add arrays, in the order of ranks, so that a run repeats to the bit:

    Team         one process, alone
    Processes    processes of this machine, over shared memory (``--workers``)
    MPI          processes of many machines (``mpiexec -n N charnn train ...``, needs mpi4py)
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.errors import CharnnError, WorkerError

Array = npt.NDArray[Any]


ANSWERED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Team:
    """One rank of a team; this base class is a team of one."""

    rank = 0
    size = 1

    def buffer(self, size: int, dtype: npt.DTypeLike) -> Array:
        """Zeros (size,) that this team can sum without copying them first."""
        return np.zeros(size, dtype)

    def sum(self, array: Array) -> None:
        """Replace ``array`` on every rank by the sum over all ranks. Raises WorkerError if one is gone."""

    def close(self) -> None:
        """End the team, the other processes included."""


class Processes(Team):
    """One rank of a team of processes on this machine.

    Every rank writes into a slot of memory that all share; then each adds up one slice of all slots. The pipes between
    rank 0 and the others only say "here I am": an end of file on one is the news that the other side has died.
    """

    def __init__(self, rank: int, size: int, memory: Any, peers: list[Connection], workers: list[BaseProcess]):
        self.rank, self.size = rank, size
        self._slots = np.frombuffer(memory, np.uint8).reshape(size + 1, -1)  # one a rank, and the total
        self._peers, self._workers = peers, workers

    def buffer(self, size: int, dtype: npt.DTypeLike) -> Array:
        return self._slots[self.rank, : size * np.dtype(dtype).itemsize].view(dtype)

    def sum(self, array: Array) -> None:
        slots = self._slots[:, : array.nbytes].view(array.dtype)
        flat = array.reshape(-1)
        if not np.shares_memory(flat, slots[self.rank]):
            np.copyto(slots[self.rank], flat)
        self._meet()
        mine = share(self, flat.size)
        total = slots[-1, mine]
        np.add(slots[0, mine], slots[1, mine], out=total)
        for slot in slots[2:-1]:
            np.add(total, slot[mine], out=total)
        self._meet()
        np.copyto(flat, slots[-1])

    def _meet(self) -> None:
        """Wait until every rank is here."""
        try:
            if self.rank:
                self._peers[0].send_bytes(b"h")
                self._peers[0].recv_bytes()
                return
            for peer in self._peers:
                peer.recv_bytes()
            for peer in self._peers:
                peer.send_bytes(b"g")
        except (EOFError, OSError) as error:
            raise self._somebody_died() from error

    def _somebody_died(self) -> WorkerError:
        for number, worker in enumerate(self._workers, 1):
            worker.join(0.5)
            if worker.exitcode is not None:
                how = f"signal {-worker.exitcode}" if worker.exitcode < 0 else f"exit code {worker.exitcode}"
                return WorkerError(
                    f"worker process {number} of {self.size} died ({how})",
                    "the last checkpoint is good: go on with --resume, perhaps with fewer --workers",
                )
        return WorkerError("the other processes of the team are gone")

    def close(self) -> None:
        for peer in self._peers:
            peer.close()
        for worker in self._workers:
            worker.join(2)
            if worker.exitcode is None:
                worker.kill()
                worker.join()


def launch(size: int, capacity: int, work: Callable[..., None], *arguments: str) -> Team:
    """Start ``size`` - 1 processes that run ``work(team, *arguments)``, and be rank 0 of their team.

    ``capacity`` is the size of the largest array to be summed, in bytes. The processes end when this one does, however
    it ends; they ignore Ctrl-C, which is for rank 0 to answer.
    """
    if size == 1:
        return Team()
    context = get_context("spawn")
    capacity = -(-capacity // 64) * 64
    memory = context.RawArray("B", (size + 1) * capacity)
    peers: list[Connection] = []
    workers: list[BaseProcess] = []
    with _ignoring_interrupts():
        for rank in range(1, size):
            ours, theirs = context.Pipe()
            worker = context.Process(target=_join, args=(rank, size, memory, theirs, work, arguments), daemon=True)
            worker.start()
            theirs.close()
            peers.append(ours)
            workers.append(worker)
    return Processes(0, size, memory, peers, workers)


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes started meanwhile ignore the signals that rank 0 answers, from their first moment on."""
    try:
        before = {number: signal.signal(number, signal.SIG_IGN) for number in ANSWERED}
    except ValueError:  # not in the main thread: signals are somebody else's business
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _join(
    rank: int, size: int, memory: Any, peer: Connection, work: Callable[..., None], arguments: tuple[str, ...]
) -> None:
    """What a started process does: its share of the work, until the team ends."""
    team = Processes(rank, size, memory, [peer], [])
    with contextlib.suppress(CharnnError):  # rank 0 meets the same error and tells it, or is gone
        work(team, *arguments)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(team: Team, streams: int) -> slice:
    """The streams of this rank, of ``streams`` in all: contiguous, and as equal as can be."""
    return slice(streams * team.rank // team.size, streams * (team.rank + 1) // team.size)


def gather(team: Team, part: Array, streams: int) -> Array:
    """The (streams, ...) array whose ``share`` is ``part`` on each rank, on every rank.

    Other ranks' rows are zeros in an integer view, so the sum moves the bits as they are.
    """
    whole = np.zeros((streams, *part.shape[1:]), part.dtype)
    whole[share(team, streams)] = part
    team.sum(whole.view(f"u{part.dtype.itemsize}"))
    return whole
