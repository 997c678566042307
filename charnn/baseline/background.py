"""The ids of a run's text enter; the n-gram baseline of them (``charnn/baseline/ngrams.py``) leaves when it is known.

It is measured in a process of its own, with the lowest priority, so that training neither waits for it nor slows down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from charnn.baseline.ngrams import Baseline, measure
from charnn.system import lower_priority

PAUSE = 0.01
"""Seconds between two looks whether it is done."""


class BackgroundBaseline:
    """A baseline on its way. Close it: that ends the process, whether or not it is done."""

    def __init__(self, ids: Path, train_stop: int, validation_stop: int, vocabulary_size: int):
        self._answer: bytes | None = None
        numbers = (train_stop, validation_stop, vocabulary_size)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "charnn.baseline.background", str(ids.resolve()), *map(str, numbers)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent.parent,  # where this very package is found
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the trainer to answer
        )

    def poll(self) -> Baseline | None:
        """The baseline, if it is known by now."""
        return None if self._process.poll() is None else self.wait()

    def wait(self, stop: Callable[[], bool] = lambda: False) -> Baseline | None:
        """The baseline, however long it takes; None if told to stop, or where it could not be measured."""
        while self._process.poll() is None:
            if stop():
                return None
            time.sleep(PAUSE)
        if self._answer is None:
            self._answer, _ = self._process.communicate()
        try:
            values = json.loads(self._answer)
        except ValueError:
            return None
        return Baseline(**{**values, "losses_by_order": tuple(values["losses_by_order"])})

    def close(self) -> None:
        """End the process."""
        if self._answer is None:
            self._process.kill()
            self._answer, _ = self._process.communicate()


def _end_with(parent: int) -> None:
    """Leave if the trainer is gone."""
    if os.getppid() != parent:
        sys.exit(1)


def main(path: str, train_stop: str, validation_stop: str, vocabulary_size: str) -> None:
    """What the process does: measure, and print the result as JSON."""
    lower_priority()
    parent = os.getppid()
    ids = np.load(path, mmap_mode="r", allow_pickle=False)
    train, validation = ids[: int(train_stop)], ids[int(train_stop) : int(validation_stop)]
    found = measure(
        train,
        validation,
        int(vocabulary_size),
        context=train,
        stop=lambda: _end_with(parent),
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
