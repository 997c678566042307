"""What charnn bench counts, compares and prints, and that it leaves nothing behind. No test asserts a speed."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import complaint
from rich.console import Console

from charnn.benchmark import child, children, measure, suite
from charnn.benchmark.children import ask, environment
from charnn.benchmark.rows import LIMIT, Row, Variant
from charnn.benchmark.suite import Measured, Measuring, Report, Settings, benchmark, planned_rows
from charnn.benchmark.work import VOCABULARY, Network
from charnn.cli import bench, run
from charnn.config import cell_names
from charnn.errors import ConfigError, WorkerError
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.system import BLAS_THREADS
from charnn.terminal.benchmark import ReportTables, Waiting

SMALL: dict[str, Any] = {
    "cells": ("lstm",),
    "hidden_sizes": (8,),
    "batch_size": 4,
    "seq_length": 8,
    "seconds": 0.01,
    "repeats": 1,
    "characters": 3000,
}
needs_sessions = pytest.mark.skipif(not hasattr(os, "getsid"), reason="needs POSIX")
needs_proc = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")


# Arithmetic


@pytest.mark.parametrize("cell", cell_names())
@pytest.mark.parametrize("layers", [1, 3])
def test_every_weight_but_those_looked_up_is_multiplied_once_forward_and_twice_backward(cell: str, layers: int) -> None:
    network = Network(cell, layers, 16)
    model = CharRNN(Shape(VOCABULARY, cell, layers=layers, hidden_size=16))
    products = [
        a.size for name, a in model.parameters.items() if not name.endswith((".b", ".bh")) and "input" not in name
    ]
    assert network.training_flops == 3 * 2 * sum(products)
    assert network.sampling_flops == 2 * sum(products)
    one_row = model.parameters["input.Wx"][0].size
    assert network.sampling_bytes == 4 * (sum(products) + one_row)


def test_an_lstm_of_2x512_reads_twelve_and_a_half_megabytes_a_character() -> None:
    assert Network("lstm", 2, 512).sampling_bytes == pytest.approx(12.7e6, rel=0.01)


def answers(*values: float) -> list[Any]:
    return [{"value": value} for value in values]


def row(*variants: tuple[str, str, list[Any]], **options: Any) -> Row:
    made = [Variant(kind, setting, "", {}, answers=found) for kind, setting, found in variants]
    return Row("training", "lstm 2x8", "characters/s", made, **options)


def test_a_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    measured = row(("charnn", "", answers(10, 40, 90)), ("torch", "", answers(10, 10, 60)))
    assert measured.ratio("charnn", "torch") == 1.5
    assert measured.median("charnn") == 40


def test_a_share_of_the_limit_counts_what_a_character_costs() -> None:
    measured = row(("charnn", "", answers(3, 3)), (LIMIT, "", answers(600, 800)), cost=100)
    assert measured.median(LIMIT) == 7
    assert measured.ratio("charnn", LIMIT) == pytest.approx((3 / 6 + 3 / 8) / 2)


def test_the_best_setting_counts_and_one_far_behind_is_not_measured_again() -> None:
    measured = row(("torch", "slow", answers(69)), ("torch", "near", answers(71)), ("torch", "fast", answers(100)))
    measured.drop_the_slow()
    assert [v.setting for v in measured.variants if v.dropped] == ["slow"]
    measured.variants[1].answers += answers(300, 300)
    measured.variants[2].answers += answers(100, 100)
    best = measured.best("torch")
    assert best is not None
    assert best.setting == "near"


def test_where_less_is_better_the_smallest_counts() -> None:
    measured = row(("torch", "a", answers(2)), ("torch", "b", answers(1)), less_is_better=True)
    measured.drop_the_slow()
    assert [v.setting for v in measured.variants if v.dropped] == ["a"]
    assert measured.median("torch") == 1


def test_a_figure_that_the_system_does_not_tell_is_left_out() -> None:
    measured = row(("charnn", "", [{"value": 5.0, "memory": None}]), figure="memory")
    assert measured.median("charnn") is None
    assert measured.to_json()["results"]["charnn"]["median"] is None


def test_the_generated_text_has_as_many_characters_as_the_arithmetic_supposes() -> None:
    text = measure.generated_text(2000)
    assert len(text) == 2000
    assert len(set(text)) == len(measure.ALPHABET) == VOCABULARY


# Plans


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seconds": 0.0}, "seconds is 0.0"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"repeats": 0}, "repeats is 0"),
        ({"cells": ()}, "cells is ()"),
        ({"cells": ("elman",)}, "cell must be one of gru, lstm, vanilla, not elman"),
        ({"hidden_sizes": (0,)}, "hidden_size must be at least 1, not 0"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"parts": ("speed",)}, "parts is ('speed',)"),
        ({"against": "jax"}, "against is jax"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    assert words in complaint(lambda: Settings(**wrong), ConfigError)


def test_pytorch_is_asked_for_only_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="torch is not installed"):
        next(benchmark(Settings(against="torch", **SMALL)))


def test_large_networks_have_longer_and_wider_batches() -> None:
    rows = planned_rows(Settings(parts=("training",)), 2, {"text": "text", "run": "run"})
    shapes = {r.name: (r.facts["batch_size"], r.facts["seq_length"]) for r in rows if r.part == "training"}
    assert len(shapes) == 9
    assert shapes["gru 2x256"] == (50, 50)
    assert shapes["lstm 2x512"] == (100, 100)


def test_training_has_one_blas_thread_a_worker_and_pytorch_its_own_choice() -> None:
    rows = planned_rows(Settings(against="torch"), 4, {"text": "text", "run": "run"})
    threads = {(r.part, v.kind): v.blas_threads for r in rows for v in r.variants if r.part in ("training", "workers")}
    assert threads["training", "charnn"] == 1
    assert threads["training", "torch"] is None
    assert threads["workers", "charnn"] == 1
    assert threads["workers", "one worker"] == 4


def test_every_task_that_is_planned_has_a_function_that_takes_it() -> None:
    rows = planned_rows(Settings(against="torch"), 2, {"text": "text", "run": "run"})
    assert {v.task for r in rows for v in r.variants} | {"machine", "prepare"} == set(child.HOMES)
    for name in [name for name, home in child.HOMES.items() if home == "measure"]:
        assert callable(getattr(measure, name))


def test_the_command_offers_the_parts_there_are() -> None:
    assert bench.PARTS == suite.PARTS


def test_one_core_has_no_workers_to_compare() -> None:
    rows = planned_rows(Settings(), 1, {"text": "text", "run": "run"})
    assert not [r for r in rows if r.part == "workers"]


# Children


def test_thread_variables_reach_a_child_only_where_they_are_meant_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in BLAS_THREADS:
        monkeypatch.setenv(name, "1")
    assert not set(BLAS_THREADS) & set(environment(None))
    assert {environment(3)[name] for name in BLAS_THREADS} == {"3"}


@needs_sessions
def test_a_measurement_that_fails_says_why() -> None:
    with pytest.raises(WorkerError, match=r"the measurement bandwidth failed .*TypeError"):
        ask("bandwidth", colour="green")


def measuring(task: str) -> set[int]:
    """The processes that run this task."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"charnn.benchmark.child" in words and f'"task": "{task}"'.encode() in words[-2]:
                found.add(int(path.parent.name))
    return found


def members(session: int) -> set[int]:
    """The processes of a session that have not ended."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, number = path.read_text().rpartition(")")[2].split()[:4]
            if int(number) == session and state != "Z":
                found.add(int(path.parent.name))
    return found


def until(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not condition():
        time.sleep(0.02)
    return bool(condition())


def started(words: list[str], folder: Path) -> subprocess.Popen[bytes]:
    variables = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen([sys.executable, *words], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]


@needs_proc
@pytest.mark.parametrize(("number", "code"), ENDINGS, ids=lambda value: str(int(value)))
def test_however_the_command_ends_no_process_and_no_file_stays(tmp_path: Path, number: int, code: int) -> None:
    before = measuring("sgemm")
    with started(["-m", "charnn", "bench", "--quick", "--seconds", "600"], tmp_path) as process:
        assert until(lambda: measuring("sgemm") - before)
        (session,) = measuring("sgemm") - before
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert until(lambda: not members(session))
    assert number == signal.SIGKILL or not list(tmp_path.iterdir())


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_workers_of_a_training_end_with_the_process_that_asked_for_it(tmp_path: Path, number: int) -> None:
    path = tmp_path / "text.txt"
    path.write_text(measure.generated_text(3000))
    shape = {"cell": "lstm", "layers": 1, "hidden_size": 8, "batch_size": 4, "seq_length": 8, "workers": 2}
    script = f"from charnn.benchmark.children import ask\nask('training', text={str(path)!r}, seconds=600, **{shape})"
    before = measuring("training")
    with started(["-c", script], tmp_path) as process:
        assert until(lambda: measuring("training") - before)
        (session,) = measuring("training") - before
        assert until(lambda: len(members(session)) >= 3)  # with the process that tracks shared memory
        process.send_signal(number)
        process.communicate(timeout=60)
    assert until(lambda: not members(session))


@needs_sessions
def test_a_measurement_that_does_not_watch_its_parent_is_killed_all_the_same(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(20)"]
    with (
        (tmp_path / "stderr").open("wb") as stderr,
        pytest.raises(KeyboardInterrupt),
        children.session(words, environment(None), stderr) as process,
    ):
        raise KeyboardInterrupt
    assert process.returncode == -signal.SIGKILL


# The whole


@pytest.fixture(scope="module")
def records() -> Iterator[list[Measuring | Measured | Report]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suite, "MAIN_MEMORY", 1 << 20)
        yield list(benchmark(Settings(**SMALL)))


@pytest.fixture
def report(records: list[Measuring | Measured | Report]) -> Report:
    assert isinstance(records[-1], Report)
    return records[-1]


@needs_sessions
def test_every_measurement_is_announced_and_every_row_told(records: list[Measuring | Measured | Report]) -> None:
    report = records[-1]
    assert isinstance(report, Report)
    numbers = [record.number for record in records if isinstance(record, Measuring)]
    told = [record.row for record in records if isinstance(record, Measured)]
    assert numbers == sorted(set(numbers))
    assert told == [r for r in report.rows if r.part != "memory"]
    assert all(len(v.answers) >= 1 for r in report.rows for v in r.variants)


@needs_sessions
def test_the_json_holds_machine_settings_rows_and_every_single_answer(report: Report) -> None:
    data = json.loads(json.dumps(report.to_json()))
    assert set(data) == {"machine", "settings", "rows", "seconds"}
    assert {"cpu", "cores", "python", "numpy", "blas", "blas_kernels", "environment"} <= set(data["machine"])
    assert data["settings"]["cells"] == ["lstm"]
    parts = [r["part"] for r in data["rows"]]
    assert set(parts) - {"workers"} == {"machine", "training", "sampling", "memory", "startup"}
    training = next(r for r in data["rows"] if r["part"] == "training")
    assert (training["cell"], training["hidden_size"], training["unit"]) == ("lstm", 8, "characters/s")
    result = training["results"]["charnn"]
    assert set(result) == {"setting", "median", "share_of_limit", "ratio"}
    assert result["median"] > 0
    assert result["share_of_limit"] > 0
    assert training["variants"][0]["answers"][0]["workers"] == 1


@needs_proc
def test_memory_is_that_of_a_process_with_numpy_in_it(report: Report) -> None:
    (memory,) = report.part("memory")
    median = memory.median("charnn")
    assert median is not None
    assert 5e6 < median < 1e9


def filled(settings: Settings) -> Report:
    """A report of made-up figures."""
    rows = planned_rows(settings, 2, {"text": "text", "run": "run"})
    for r in rows:
        for count, variant in enumerate(r.variants):
            value = (r.cost if variant.kind == LIMIT else 1) * 99_999 * (2 + count)
            variant.answers += [{"value": value, "memory": 123_456_789}] * settings.repeats
    rows += suite.memory(rows, settings)
    machine = {"cpu": "A CPU", "cores": 2, "python": "3.11.0", "numpy": "2.0.0", "torch": "2.13.0", "blas": "openblas"}
    machine |= {"blas_version": "0.3", "blas_kernels": "Haswell", "environment": {"OPENBLAS_CORETYPE": "Haswell"}}
    return Report(machine, settings, rows, 99.0)


def shown(report: Report) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(ReportTables(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_tables_fit_eighty_columns_and_have_a_line_for_every_network() -> None:
    text = shown(filled(Settings(against="torch")))
    lines = text.splitlines()
    assert all(len(line.rstrip()) <= 80 for line in lines)
    for network in Settings().networks():
        assert len([line for line in lines if line.startswith(f"{network.name} ")]) == 3 - (network.hidden_size != 256)
    assert "OPENBLAS_CORETYPE=Haswell" in text
    assert "PyTorch, import torch" in text


def test_without_a_rival_no_table_speaks_of_one() -> None:
    text = shown(filled(Settings()))
    assert "its best" not in text
    assert "PyTorch" not in text.replace("PyTorch 2.13.0", "")


@needs_sessions
def test_the_tables_of_a_real_report_print(report: Report) -> None:
    assert "lstm 2x8" in shown(report)


@needs_sessions
def test_progress_is_a_line_a_row_where_there_is_no_terminal(records: list[Measuring | Measured | Report]) -> None:
    stream = io.StringIO()
    with Waiting(Console(file=stream, width=80)) as progress:
        for record in records:
            progress.show(record)
    lines = stream.getvalue().splitlines()
    assert len(lines) == len([record for record in records if isinstance(record, Measured)])
    assert any(line.startswith("training lstm 2x8: charnn ") for line in lines)


@needs_sessions
def test_the_command_prints_json_alone_on_standard_output(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "MAIN_MEMORY", 1 << 20)
    words = ["--quick", "--only", "startup", "--seconds", "0.01", "--json"]
    assert run(["bench", *words]) == 0
    out, err = capfd.readouterr()
    assert [r["name"] for r in json.loads(out)["rows"] if r["part"] == "startup"]
    assert "charnn --help" in err


def test_senseless_options_are_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--repeats", "0"]) == 2
    assert "repeats is 0" in capfd.readouterr().err


# PyTorch


@pytest.fixture
def text(tmp_path: Path) -> str:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    path = tmp_path / "text.txt"
    path.write_text(measure.generated_text(3000))
    return str(path)


@pytest.mark.parametrize("module", ["LSTM", "GRU", "RNN"])
def test_pytorch_trains_with_either_input(text: str, module: str) -> None:
    from charnn.benchmark import pytorch

    shape = {"layers": 1, "hidden_size": 8, "batch_size": 4, "seq_length": 8}
    for embedding in (False, True):
        answer = pytorch.torch_training(text, 0.01, module, embedding, **shape)
        assert answer["value"] > 0
        assert answer["memory"] is None or answer["memory"] > 0


@pytest.mark.parametrize("module", ["LSTM", "LSTMCell", "GRUCell", "RNN", "RNNCell"])
@pytest.mark.parametrize("streams", [1, 3])
def test_pytorch_samples_with_either_module(text: str, module: str, streams: int) -> None:
    from charnn.benchmark import pytorch

    assert pytorch.torch_sampling(streams, 0.01, module, 1, layers=2, hidden_size=8)["value"] > 0


def test_pytorch_chooses_its_own_number_of_threads(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of charnn's own processes are not handed on to it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shape = {"layers": 1, "hidden_size": 8, "batch_size": 4, "seq_length": 8}
    spec = {"text": text, "seconds": 0.01, "module": "LSTM", "embedding": False, **shape}
    words = [sys.executable, "-c", "import torch; print(torch.get_num_threads())"]
    usual = int(subprocess.run(words, env=environment(None), capture_output=True, check=True).stdout)
    assert ask("torch_training", **spec)["threads"] == usual
