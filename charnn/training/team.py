"""Every rank's numbers enter, their sum leaves on every rank: who adds up the gradients.

Training is one program, run by ``size`` ranks; each holds its share of the parallel streams. The only thing ranks ever
do together is to add arrays, in the order of ranks, so that a run repeats to the bit:

    Team         one process, alone
    Processes    processes of this machine, over shared memory (``--workers``)
    MPI          processes of many machines (``mpiexec -n N charnn train ...``, needs mpi4py)
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import current_process, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.errors import CharnnError, ConfigError, DivergenceError, WorkerError, printable
from charnn.system import BLAS_THREADS, STOP_SIGNALS

Array = npt.NDArray[Any]

MPI_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
"""Where the launchers of MPICH and Open MPI leave the number of ranks."""

WORKER = "charnn worker"
"""How the started processes are called."""

UNGUARDED = 78
"""Exit code of a worker that was told to train before it was a worker: the main program lacks its guard."""

GO_ON = "the last checkpoint is good: go on with --resume, perhaps with fewer --workers"

PATIENCE = 2.0
"""Seconds that workers have to end by themselves."""

FORWARDING = 0.3
"""Seconds that mpiexec has to pass on an error message: what is under way when a job is aborted may be lost."""

HERE = b"\0"
"""What a worker says at each meeting; anything else is why it cannot go on."""


class Team:
    """One rank of a team; this base class is a team of one."""

    rank = 0
    size = 1

    def buffer(self, size: int, dtype: npt.DTypeLike) -> Array:
        """Zeros (size,) that this team can sum without copying them first."""
        return np.zeros(size, dtype)

    def sum(self, array: Array) -> None:
        """Replace a contiguous ``array`` on every rank by the sum over all ranks. Raises WorkerError if one is gone."""

    def tell(self, text: str) -> str:
        """The text of rank 0, on every rank."""
        return text

    def first_says(self, question: Callable[[], bool]) -> bool:
        """What rank 0 says, asked about the clock or a signal; all others say no, so that a sum is its answer."""
        return self.rank == 0 and question()

    def told_by_first(self, question: Callable[[], bool]) -> bool:
        """What rank 0 says, on every rank."""
        answer = np.array([float(self.first_says(question))])
        self.sum(answer)
        return bool(answer[0])

    def close(self, exit_code: int = 0) -> None:
        """End the team, the other processes included. Any ``exit_code`` but 0 says that this rank failed alone."""

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is done within it ends the team: with its work done, or with the error of this rank.

        A divergence is no error of this rank: all meet it at the same step.
        """
        exit_code = 1
        try:
            yield
            exit_code = 0
        except DivergenceError:
            exit_code = 0
            raise
        except CharnnError as error:
            exit_code = error.exit_code
            raise
        finally:
            self.close(exit_code)


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
        if self.rank:
            try:
                self._peers[0].send_bytes(HERE)
                self._peers[0].recv_bytes()
            except (EOFError, OSError) as error:
                raise WorkerError("the first process of the team is gone") from error
            return
        for number, peer in enumerate(self._peers, 1):
            try:
                said = peer.recv_bytes()
            except (EOFError, OSError):
                raise self._lost(number) from None
            if said != HERE:
                raise WorkerError(f"worker process {number} of {self.size} failed: {said.decode()}", GO_ON)
        for number, peer in enumerate(self._peers, 1):
            try:
                peer.send_bytes(HERE)
            except OSError:
                raise self._lost(number) from None

    def _lost(self, number: int) -> CharnnError:
        worker = self._workers[number - 1]
        worker.join(PATIENCE)
        code = worker.exitcode
        if code == UNGUARDED:
            return ConfigError(
                "workers import the main program anew, where it began to train again: "
                'put the call under if __name__ == "__main__":',
                "or train with workers=1",
            )
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return WorkerError(f"worker process {number} of {self.size} died ({how})", GO_ON)

    def close(self, exit_code: int = 0) -> None:
        atexit.unregister(self.close)
        for peer in self._peers:
            peer.close()
        until = time.monotonic() + PATIENCE
        for worker in self._workers:
            worker.join(max(0.0, until - time.monotonic()))
            if worker.exitcode is None:
                worker.kill()
                worker.join()


class MPI(Team):
    """One rank of an MPI job.

    Each rank gets its slice of every rank's array, adds the slices up in the order of ranks, and hands the total to
    all: 2 (size - 1) / size times the array's bytes are sent and received, whatever the size.
    """

    def __init__(self, world: Any):
        self._world = world
        self.rank, self.size = world.Get_rank(), world.Get_size()
        self._scratch: dict[tuple[int, str], tuple[Array, Array]] = {}

    def sum(self, array: Array) -> None:
        flat = array.reshape(-1)
        slices, parts = self._buffers(flat)
        slices.reshape(-1)[: flat.size] = flat
        self._world.Alltoall(slices, parts)  # parts[r]: this rank's slice of rank r
        total = np.add(parts[0], parts[1])
        for part in parts[2:]:
            np.add(total, part, out=total)
        self._world.Allgather(total, slices)
        np.copyto(flat, slices.reshape(-1)[: flat.size])

    def _buffers(self, flat: Array) -> tuple[Array, Array]:
        """Two arrays (size, slice) for arrays like this one, the last slice padded with zeros."""
        key = flat.size, flat.dtype.str
        if key not in self._scratch:
            shape = self.size, -(-flat.size // self.size)
            self._scratch[key] = np.zeros(shape, flat.dtype), np.zeros(shape, flat.dtype)
        return self._scratch[key]

    def tell(self, text: str) -> str:
        data = np.frombuffer(text.encode(), np.uint8).copy()
        length = np.array([len(data)])
        self._world.Bcast(length)
        if self.rank:
            data = np.empty(length[0], np.uint8)
        self._world.Bcast(data)
        return str(data.tobytes(), "utf-8")

    def close(self, exit_code: int = 0) -> None:
        """The others would wait for a rank that failed: as this process exits, the whole job ends."""
        if exit_code:
            atexit.register(self._abort, exit_code)

    def _abort(self, exit_code: int) -> None:
        time.sleep(FORWARDING)
        self._world.Abort(exit_code)


def world() -> Team:
    """The MPI job that this process belongs to, or a team of one. Raises ConfigError where mpi4py is missing."""
    if not any(int(os.environ.get(name, "1")) > 1 for name in MPI_SIZES):
        return Team()
    try:
        from mpi4py import MPI as mpi
    except (ImportError, RuntimeError) as error:
        raise ConfigError(
            f"started by mpiexec, but mpi4py cannot be loaded: {error}", "pip install 'charnn[mpi]'"
        ) from error
    return MPI(mpi.COMM_WORLD)


def launch(size: int, capacity: int, work: Callable[..., None], *arguments: str) -> Team:
    """Start ``size`` - 1 processes that run ``work(team, *arguments)``, and be rank 0 of their team.

    ``capacity`` is the size of the largest array to be summed, in bytes. The processes end when this one does, however
    it ends; they ignore Ctrl-C, which is for rank 0 to answer.
    """
    if size == 1:
        return Team()
    forbid_nesting()
    context = get_context("spawn")
    capacity = -(-capacity // 64) * 64
    memory = context.RawArray("B", (size + 1) * capacity)
    peers: list[Connection] = []
    workers: list[BaseProcess] = []
    team = Processes(0, size, memory, peers, workers)
    atexit.register(team.close)  # before multiprocessing waits for its children, who wait for this process
    with _for_workers():
        for rank in range(1, size):
            ours, theirs = context.Pipe()
            arguments_of_join = (rank, size, memory, theirs, work, arguments)
            worker = context.Process(target=_join, args=arguments_of_join, name=f"{WORKER} {rank}", daemon=True)
            worker.start()
            theirs.close()
            peers.append(ours)
            workers.append(worker)
    return team


def forbid_nesting() -> None:
    """End a worker that was told to train before it got to its work, because the main program lacks its guard."""
    if current_process().name.startswith(WORKER):
        sys.exit(UNGUARDED)


@contextlib.contextmanager
def _for_workers() -> Iterator[None]:
    """Processes started meanwhile are deaf to what rank 0 answers, from the start, and use one BLAS thread.

    Blocked signals stay blocked in a new process; here they arrive a moment later.
    """
    unset = [name for name in BLAS_THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(unset, "1"))
    try:
        with _stop_signals_blocked() if hasattr(signal, "pthread_sigmask") else contextlib.nullcontext():
            yield
    finally:
        for name in unset:
            del os.environ[name]


@contextlib.contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    resource_tracker.ensure_running()  # multiprocessing would unblock the signals as it starts this one
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _join(
    rank: int, size: int, memory: Any, peer: Connection, work: Callable[..., None], arguments: tuple[str, ...]
) -> None:
    """What a started process does: its share of the work, until the team ends. Rank 0 hears of what goes wrong."""
    try:
        work(Processes(rank, size, memory, [peer], []), *arguments)
    except WorkerError:
        pass  # rank 0 is gone
    except Exception as error:
        if os.environ.get("CHARNN_DEBUG") == "1":
            traceback.print_exc()
        what = error.message if isinstance(error, CharnnError) else f"{type(error).__name__} {error}"
        with contextlib.suppress(OSError):
            peer.send_bytes(printable(what)[:1000].encode())


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
