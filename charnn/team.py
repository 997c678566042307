"""Every rank's numbers enter, their sum leaves on every rank: who adds up the gradients.

Training is one program, run by ``size`` ranks; each holds its share of the parallel streams. The only thing ranks ever
do together is to add arrays, in the order of ranks, so that a run repeats to the bit:

    Alone        one process
    Processes    processes of this machine, over shared memory (``--workers``)
    MPI          processes of many machines (``mpiexec -n N charnn train ...``, needs mpi4py)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Alone:
    """The team of one."""

    rank = 0
    size = 1

    def sum(self, array: Array) -> None:
        """Replace ``array`` on every rank by the sum over all ranks."""

    def close(self) -> None:
        """End the team."""


Team = Alone


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
