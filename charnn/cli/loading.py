"""The name of a run, typed on the command line, enters; the model of that run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from charnn.cli import warn

if TYPE_CHECKING:
    from charnn.runs.snapshot import Snapshot


def load_run(name: str | None, newest: bool) -> Snapshot:
    """The model of a run folder or checkpoint file, by default of the newest run. Raises CheckpointError."""
    from charnn.runs.snapshot import load_snapshot
    from charnn.runs.summary import newest_run

    return load_snapshot(newest_run() if name is None else Path(name), warn, newest)
