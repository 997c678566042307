"""A measurement as JSON enters on the command line; its answer leaves as one line of JSON on standard output.

``python -m charnn.benchmark.child '{"task": "sgemm", ...}'`` is what ``children`` starts. Whoever started it holds its
standard input open; when that ends, however it ended, this process and all it has started end too.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading

HOMES = {
    "machine": "measure",
    "prepare": "measure",
    "sgemm": "measure",
    "bandwidth": "measure",
    "training": "measure",
    "sampling": "measure",
    "command": "measure",
    "torch_training": "pytorch",
    "torch_sampling": "pytorch",
}
"""Every task with the module that has a function of its name; only that one is imported."""


def main() -> None:
    """Do one task."""
    if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
        threading.Thread(target=_end_with_parent, daemon=True).start()
    spec = json.loads(sys.argv[1])
    task = spec.pop("task")
    module = importlib.import_module(f"charnn.benchmark.{HOMES[task]}")
    print(json.dumps(getattr(module, task)(**spec)))


def _end_with_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
