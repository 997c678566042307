"""The same training as one MPI job: the losses of one process, one rank that speaks, and an end for all together."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import names, write_text

pytest.importorskip("mpi4py", reason="needs mpi4py, and the mpiexec of an MPI: pip install mpi4py mpich")

LAUNCHER = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

OPEN_MPI = LAUNCHER is not None and b"Open MPI" in subprocess.run([LAUNCHER, "--version"], capture_output=True).stdout

pytestmark = pytest.mark.skipif(LAUNCHER is None, reason="needs mpiexec: pip install mpich")

WILD = "--cell vanilla --activation relu --optimizer sgd --lr 1000 --clip 0"
NET = (
    "--layers 2 --hidden 8 --batch-size 7 --seq-length 8 --dropout 0.25 --validate-every 10 --set training.log_every=5"
)


def start(
    folder: Path, ranks: int, *arguments: str, program: Sequence[str] = ("-m", "charnn")
) -> subprocess.Popen[str]:
    """``charnn train`` in a session of its own, as an MPI job unless it is one rank."""
    command = [sys.executable, *program, "train", *arguments]
    open_mpi = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # more ranks than cores
    }
    return subprocess.Popen(
        [str(LAUNCHER), "-n", str(ranks), *command] if ranks > 1 else command,
        cwd=folder,
        env={**os.environ, **open_mpi, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(job: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it said on standard error."""
    try:
        _, said = job.communicate(timeout=120)
    finally:
        job.kill()
    return job.returncode, said


def train(folder: Path, ranks: int, *arguments: str) -> tuple[int, str]:
    """The exit code and standard error of a training from its beginning to its end."""
    return end(start(folder, ranks, *arguments))


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock said."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("chars_per_second", "elapsed_seconds")} for line in lines]


def losses(run: Path) -> list[float]:
    return [loss for line in metrics(run) for loss in (line["train_loss"], line["val_loss"]) if loss is not None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_text(tmp_path)
    return tmp_path


def test_any_number_of_ranks_gives_the_losses_of_one_process_and_rank_0_alone_reports(folder: Path) -> None:
    for ranks in (1, 2, 4):
        code, said = train(
            folder, ranks, "text.txt", "-o", f"run-{ranks}", "--steps", "24", *NET.split(), "--workers", "1"
        )
        assert code == 0, said
        assert said.count("Training lstm 2x8") == 1
        assert said.count("Done: 24 steps") == 1
    alone, two, four = (losses(folder / f"run-{ranks}") for ranks in (1, 2, 4))
    assert len(alone) == 8
    assert two == pytest.approx(alone, rel=1e-5)
    assert four == pytest.approx(alone, rel=1e-5)
    assert names(folder) == ["run-1", "run-2", "run-4", "text.txt"]


def test_a_job_that_is_stopped_saves_and_goes_on_to_the_same_bits(folder: Path) -> None:
    arguments = ("text.txt", *NET.split(), "--steps", "120")
    assert train(folder, 2, *arguments, "-o", "whole")[0] == 0
    job = start(folder, 2, *arguments, "-o", "parts")
    assert job.stderr is not None
    while not (line := job.stderr.readline()).startswith("step"):
        assert line
    os.killpg(job.pid, signal.SIGINT)
    code, said = end(job)
    if not OPEN_MPI:  # which passes on neither the exit code nor the last words of a job that is interrupted
        assert code == 130, said
        assert said.count("everything is saved") == 1
    assert metrics(folder / "parts")
    assert metrics(folder / "parts") != metrics(folder / "whole")
    code, said = train(folder, 2, "--resume", "parts")
    assert code == 0, said
    assert said.count("Resuming lstm 2x8") == 1
    assert metrics(folder / "parts") == metrics(folder / "whole")


def test_an_error_of_rank_0_ends_the_whole_job_with_its_exit_code_and_is_told_once(folder: Path) -> None:
    (folder / "taken").mkdir()
    (folder / "taken" / "something").touch()
    (folder / "damaged" / "checkpoints").mkdir(parents=True)
    (folder / "damaged" / "checkpoints" / "step-00000001.safetensors").write_bytes(b"no checkpoint")
    for expected, arguments in {
        3: ("nothing.txt",),
        2: ("text.txt", "-o", "taken"),
        4: ("--resume", "damaged"),
        5: ("text.txt", *NET.split(), *WILD.split()),
    }.items():
        code, said = train(folder, 2, *arguments)
        assert code == expected, said
        assert said.count("Error:") == 1
        assert "Traceback" not in said


def test_more_ranks_than_streams_are_refused(folder: Path) -> None:
    code, said = train(folder, 2, "text.txt", "--batch-size", "1")
    assert code == 2
    assert said.count("2 workers cannot share 1 parallel streams") == 1


@pytest.fixture
def tidy() -> Iterator[None]:
    """MPICH leaves its shared memory behind when a job is aborted."""
    memory = Path("/dev/shm")
    before = set(memory.glob("mpich_shm_*"))
    yield
    for path in set(memory.glob("mpich_shm_*")) - before:
        path.unlink()


@pytest.mark.usefixtures("tidy")
def test_a_rank_that_cannot_open_the_run_says_so_and_ends_the_job(folder: Path) -> None:
    """As on a second machine that does not see the folder."""
    program = folder / "elsewhere.py"
    program.write_text(
        "import os, sys\n"
        "if os.environ.get('PMI_RANK', os.environ.get('OMPI_COMM_WORLD_RANK')) == '1':\n"
        "    os.chdir('/')\n"
        "from charnn.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    code, said = end(start(folder, 2, "text.txt", "-o", "run", *NET.split(), program=[str(program)]))
    assert code == 4, said
    assert "Error: there is no checkpoint run/checkpoints" in said
