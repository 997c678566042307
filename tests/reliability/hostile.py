"""A good checkpoint enters, forged and broken ones leave; run as a program, it feeds thousands of them to charnn.

    python hostile.py random|structural RUN COUNT SEED

A random mutant has bytes changed, and must be refused or load exactly what was written. A structural one is a document
or an array changed by somebody who knows the format, with a SHA-256 that is right again: it must be refused with one of
charnn's own errors, or be good enough to sample from, to look at and to train on.
"""

from __future__ import annotations

import copy
import json
import math
import random
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from charnn.errors import CharnnError, CheckpointError
from charnn.storage import checkpoint

VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 2, 7, 255, 2**16, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30)),
    *(0.5, -0.0, -1.5, 1e-300, 1e308, 0.95, 1.0, "", "x", "auto", "\x1b[2J", "../../x", "\ud800", "9" * 400, "nan"),
    *([], [1], [[]], {}, {"a": 1}, ["\x1b]0;x\x07"], "x" * 3000, "\u202e", [None] * 300),
]
CELLS = ["vanilla", "lstm", "gru", "base", "__init__", "../x"]


def forge(path: Path, arrays: dict[str, np.ndarray], document: dict[str, Any], schema: int = checkpoint.SCHEMA) -> None:
    """Write what charnn itself would not: any document and any arrays, with the SHA-256 they need."""
    signed = {**document, "schema": schema}
    text = checkpoint._canonical({**signed, "sha256": checkpoint._digest(arrays, signed)})
    header: dict[str, Any] = {"__metadata__": {checkpoint.KEY: text}}
    body = b""
    for name, array in arrays.items():
        kind = checkpoint.DTYPE_NAMES[array.dtype]
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + array.nbytes],
        }
        body += array.tobytes()
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + body)


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 8])):
        place, what = chance.randrange(len(mutant)), chance.randrange(5)
        if what == 0:
            mutant[place] ^= 1 << chance.randrange(8)
        elif what == 1:
            mutant[place : place + 4] = chance.randbytes(4)
        elif what == 2:
            mutant[place:place] = chance.randbytes(chance.choice([1, 8]))
        elif what == 3:
            del mutant[place : place + chance.choice([1, 8, 4096])]
        else:
            other = chance.randrange(len(mutant))
            mutant[place : place + 8] = mutant[other : other + 8]
    return bytes(mutant)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to everything inside a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(place for key in keys for place in places(value[key], (*path, key)))]


def mutate_document(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    mutant = copy.deepcopy(document)
    for _ in range(chance.choice([1, 1, 2])):
        *way, key = chance.choice(places(mutant)[1:])
        parent: Any = mutant
        for step in way:
            parent = parent[step]
        what = chance.randrange(8)
        if what == 0:
            del parent[key]
        elif what == 1 and isinstance(parent, dict):
            parent[chance.choice(["x", "\x1b[2J", "lr", ""])] = chance.choice(VALUES)
        elif what == 2 and isinstance(parent[key], int | float):
            parent[key] = parent[key] * chance.choice([-1, 2, 1000]) + chance.choice([0, 1, 0.5])
        else:
            parent[key] = copy.deepcopy(chance.choice([*VALUES, *CELLS]))
    return mutant


def mutate_arrays(arrays: dict[str, np.ndarray], chance: random.Random) -> dict[str, np.ndarray]:
    mutant = {name: array.copy() for name, array in arrays.items()}
    name = chance.choice(list(mutant))
    array, what = mutant[name], chance.randrange(8)
    if what == 0:
        del mutant[name]
    elif what == 1:
        mutant[chance.choice(["x", "model.x", "model.\x1b[2J", "carry.7.h", "optimizer.", "model"])] = array
    elif what == 2:
        mutant[name] = array.astype(chance.choice(["f8", "i4", "u1", "?"]))
    elif what == 3:
        mutant[name] = array.reshape(chance.choice([(-1,), (*array.shape, 1), (1, *array.shape)]))
    elif what == 4:
        mutant[name] = array[:-1]
    elif what == 5:
        mutant[name] = np.concatenate([array, array])
    elif what == 6:
        mutant[name] = np.full_like(array, chance.choice([math.nan, math.inf, 3e38, -3e38, 1e30]))
    else:
        array[(0,) * array.ndim] = chance.choice([math.nan, math.inf, 3e38])
    return mutant


def use(run: Path) -> None:
    """Everything that charnn does with a run folder, in short."""
    from charnn.runs.opening import resume
    from charnn.runs.snapshot import load_snapshot
    from charnn.runs.summary import read_report
    from charnn.sampling.sampler import Sampling, generate
    from charnn.terminal.console import output_console
    from charnn.terminal.inspection import Inspection
    from charnn.terminal.runs import RunTable
    from charnn.training.trainer import train

    used = 0

    def attempt(what: Any) -> None:
        nonlocal used
        try:
            what()
        except CharnnError as error:
            assert "\x1b" not in error.message and len(error.message) < 5000, error.message[:200]
        else:
            used += 1

    def sample() -> None:
        loaded = load_snapshot(run)
        for _ in generate(loaded.model, loaded.vocabulary, "", Sampling(length=3), seed=1)[1]:
            pass

    def look() -> None:
        record = read_report(run)
        output_console().print(Inspection([record], "steps"))
        output_console().print(RunTable([record]))

    def go_on() -> None:
        with resume(run) as training:
            for _ in train(training, lambda: True):
                pass

    for what in (sample, look, go_on):
        attempt(what)


def main(kind: str, run: Path, count: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    path = checkpoint.list_checkpoints(run / "checkpoints")[0]
    data, good = path.read_bytes(), checkpoint.read(path)
    work = run.with_name("mutants")
    refused, slowest = 0, 0.0
    for index in range(count):
        mutant = work / "checkpoints" / path.name
        if kind == "random":
            work.joinpath("checkpoints").mkdir(parents=True, exist_ok=True)
            mutant.write_bytes(mutate_bytes(data, chance))
        else:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(run, work)
            for other in checkpoint.list_checkpoints(work / "checkpoints")[1:]:
                other.unlink()
            arrays, document = good.arrays, good.document
            if chance.random() < 0.7:
                document = mutate_document(document, chance)
            else:
                arrays = mutate_arrays(arrays, chance)
            forge(mutant, arrays, document)
        begun = time.process_time()
        try:
            loaded = checkpoint.read(mutant)
            if kind == "random":
                assert loaded.document == good.document, index
                assert all(loaded.arrays[name].tobytes() == array.tobytes() for name, array in good.arrays.items()), (
                    index
                )
            else:
                use(work)
        except CheckpointError:
            refused += 1
        except Exception:
            print(f"mutant {index} of seed {seed} is kept in {work}", file=sys.stderr)
            raise
        slowest = max(slowest, time.process_time() - begun)
    return {"tried": count, "refused": refused, "slowest": slowest}


if __name__ == "__main__":
    _, kind, folder, count, seed = sys.argv
    import charnn.cli.sample
    import charnn.training.trainer  # noqa: F401 (what they need counts before the limit is set)

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2**26
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sys.stdout.write("\n" + json.dumps(main(kind, Path(folder), int(count), int(seed))))
