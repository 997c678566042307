"""Train the small runs that test_versions.py keeps for ever; to be run once for every new schema.

python tests/reliability/make_old_runs.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from charnn.storage.checkpoint import SCHEMA

DATA = Path(__file__).parent.parent / "data"
TEXT = "The tide tables hang by the door, and nobody who goes out reads them.\n" * 12
ARGUMENTS = [
    "--hidden",
    "4",
    "--layers",
    "1",
    "--embedding",
    "0",
    "--seq-length",
    "8",
    "--batch-size",
    "2",
    "--steps",
    "12",
    "--lr",
    "0.03",
    "--checkpoint-every",
    "12",
]
SAMPLE = ["--length", "60", "--temperature", "0.5", "--seed", "3", "--prompt", "The tide"]
FIGURES = ("cell", "layers", "hidden", "parameters", "vocabulary", "step", "val_loss", "best_step", "baseline_loss")


def charnn(*words: str | Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "charnn", *map(str, words)], check=True, stdout=subprocess.PIPE
    ).stdout.decode()


def make(cell: str) -> None:
    run = DATA / f"schema-{SCHEMA}-{cell}"
    if run.exists():
        sys.exit(f"{run} exists: a kept run is never made again")
    text = DATA / "tide.txt"
    text.write_text(TEXT)
    charnn("train", text.relative_to(Path.cwd()), "-o", run, "--cell", cell, *ARGUMENTS)
    text.unlink()
    (run / "lock").unlink()
    shutil.rmtree(run / "copies", ignore_errors=True)
    for path in sorted((run / "checkpoints").iterdir())[:-1]:
        path.unlink()
    summary = json.loads(charnn("inspect", run, "--json"))[0]
    expected = {
        "arguments": SAMPLE,
        "text": charnn("sample", run, *SAMPLE),
        "summary": {name: summary[name] for name in FIGURES},
    }
    (run / "expected.json").write_text(json.dumps(expected, indent=2) + "\n")


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    for name in sys.argv[1:] or ["gru", "lstm", "vanilla"]:
        make(name)
