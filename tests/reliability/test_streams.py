"""Standard streams that are closed, full, gone or narrow, and terminals: an exit code, never a traceback."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT, TINY, Golden, Zygote, assert_calm, checkpoints, metrics_of, plain_charnn, wait_until

LINES = "\u00e9\u4e00\U0001f600 \x1b[2J\u202e\x9b2J\n"


@pytest.fixture(scope="module")
def odd(charnn: Zygote, memory: Path) -> Path:
    """A run on a text of which nothing is ASCII."""
    text, run = memory / "odd.txt", memory / "odd"
    text.write_text(LINES * 400)
    small = ["--seq-length", "8", "--batch-size", "4", "--hidden", "4", "--layers", "1", "--steps", "2"]
    assert charnn.run("train", text, "-o", run, *small).code == 0
    return run


def test_a_reader_that_goes_away_is_141_and_silent(golden: Golden) -> None:
    command = [sys.executable, "-m", "charnn", "sample", golden.path, "-n", "2000000"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.read(10)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(20) == 141
    child.stderr.close()


@pytest.mark.parametrize(
    "command", [["sample", "-n", "20000"], ["sample", "-n", "5"], ["inspect"], ["inspect", "--json"]]
)
def test_a_full_standard_output_is_6_with_one_line(command: list[str], golden: Golden) -> None:
    with Path("/dev/full").open("wb") as full:
        done = plain_charnn(command[0], golden.path, *command[1:], stdout=full)
    assert done.returncode == 6
    assert done.stderr.decode() == "Error: No space left on device\n"


@pytest.mark.parametrize("command", [["sample", "-n", "5"], ["inspect", "--json"], ["runs"], ["--help"]])
@pytest.mark.parametrize("closed", [0, 1, 2], ids=["input", "output", "error"])
def test_closed_standard_streams_do_no_harm(command: list[str], closed: int, golden: Golden, tmp_path: Path) -> None:
    words = [command[0], *([str(golden.path)] if command[0] in ("sample", "inspect") else []), *command[1:]]
    done = plain_charnn(*words, preexec_fn=lambda: os.close(closed), cwd=tmp_path)
    assert_calm(done.stderr.decode())
    writes_nothing = command == ["runs"]  # there are none here, which is told on standard error
    assert done.returncode == (6 if closed == 1 and not writes_nothing else 0)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_training_needs_no_standard_stream(closed: tuple[int, ...], text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", text, "-o", run, *TINY, "--steps", "5", "--checkpoint-every", "1"]
    done = plain_charnn(*arguments, preexec_fn=lambda: [os.close(number) for number in closed], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert checkpoints(run)[-1].name == "step-00000005.safetensors"
    assert len(metrics_of(run)) > 0


@pytest.mark.parametrize("where", ["a pipe nobody reads", "a full disk"])
def test_training_goes_on_when_nobody_can_be_told(where: str, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", text, "-o", run, *TINY, "--steps", "200", "--validate-every", "20"]
    if where == "a full disk":
        with Path("/dev/full").open("wb") as full:
            code = plain_charnn(*arguments, stderr=full).returncode
    else:
        command = [sys.executable, "-m", "charnn", *map(str, arguments)]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
        assert child.stderr is not None
        child.stderr.readline()
        child.stderr.close()
        code = child.wait(60)
    assert code == 0
    assert checkpoints(run)[-1].name == "step-00000200.safetensors"


NARROW = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("command", [["sample", "-n", "50"], ["inspect"], ["runs"], ["train", "--resume"]])
@pytest.mark.parametrize("environment", [NARROW, {"PYTHONIOENCODING": "ascii:strict"}], ids=["locale", "encoding"])
def test_an_ascii_locale_gets_escapes_and_never_a_traceback(
    command: list[str], environment: dict[str, str], odd: Path, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "h\u00e9\u4e00").symlink_to(odd)
    words = [command[0], *command[1:2], *([] if command == ["runs"] else ["runs/h\u00e9\u4e00"]), *command[2:]]
    if command[0] == "sample":
        words = ["sample", "runs/h\u00e9\u4e00", "-n", "50", "-p", "\u4e00"]
    done = plain_charnn(*words, environment=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_calm(done.stderr.decode())
    if command[0] != "sample":  # generated text is UTF-8 wherever it is no terminal
        assert done.stdout.isascii() and done.stderr.isascii()
    else:
        assert done.stdout.decode().startswith("\u4e00")


def on_terminal(
    *arguments: str | Path, environment: dict[str, str] | None = None, stop_at: str = ""
) -> tuple[int, str]:
    """What a command shows on a terminal; with ``stop_at``, Ctrl-C is sent once that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ.update({"TERM": "xterm", "COLUMNS": "80", **(environment or {})})
        os.execv(sys.executable, [sys.executable, "-m", "charnn", *map(str, arguments)])
    shown = b""
    try:
        while block := os.read(terminal, 65536):
            shown += block
            if stop_at and stop_at in shown.decode(errors="replace"):
                os.kill(pid, signal.SIGINT)
                stop_at = ""
    except OSError:  # the terminal's other side is closed
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


@pytest.mark.parametrize("environment", [{}, NARROW], ids=["UTF-8", "ASCII"])
def test_a_model_cannot_control_the_terminal_it_writes_to(environment: dict[str, str], odd: Path) -> None:
    code, shown = on_terminal("sample", odd, "-n", "500", "-p", "\x1b[2J", environment=environment)
    assert code == 0
    assert shown.startswith("\\x1b[2J") and "\\u202e" in shown
    assert all(c.isprintable() or c in "\r\n" for c in shown)
    assert ("\u4e00" in shown) == (not environment)
    code, shown = on_terminal("sample", odd, "-n", "500", "--raw")
    assert "\x1b" in shown and "\u202e" in shown


def test_ctrl_c_leaves_the_terminal_with_its_cursor(text: Path, tmp_path: Path) -> None:
    code, shown = on_terminal("train", text, "-o", tmp_path / "run", *TINY, "--steps", "100000", stop_at="epoch")
    assert code == 130
    assert f"charnn train --resume {tmp_path / 'run'}" in shown.replace("\r\n", "")
    assert "\x1b[?25l" not in shown or shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


@pytest.mark.races
def test_a_terminal_that_is_closed_saves_the_run(text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        arguments = ["train", text, "-o", run, *TINY, "--steps", "10000000", "--validate-every", "100000"]
        os.execv(sys.executable, [sys.executable, "-m", "charnn", *map(str, arguments)])
    shown = b""
    while b"step" not in shown:
        shown += os.read(terminal, 65536)
    os.close(terminal)  # the kernel sends SIGHUP
    begun = time.monotonic()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert time.monotonic() - begun < 5
    assert code == 129
    assert len(checkpoints(run)) == 2
    wait_until(lambda: checkpoints(run)[-1].stat().st_size > 0)
