"""``python -m charnn``, and the ``charnn`` command."""

from __future__ import annotations

import os
import sys

from charnn.system import BLAS_THREADS


def main() -> None:
    """Run the command line.

    What trains has a process for each core, with one BLAS thread each; the rest has one process with as many threads
    as there are cores. BLAS reads this before NumPy is first imported.
    """
    if sys.argv[1:2] in (["train"], ["compare"]):
        for name in BLAS_THREADS:
            os.environ.setdefault(name, "1")
    try:
        from charnn.cli import run, streams

        streams.repair()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while modules are being imported
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
