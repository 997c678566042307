"""Requests enter by a socket, processes that are charnn leave: forked from one that has imported everything.

Each is a real process, from ``charnn.__main__.main`` to the interpreter's own exit; only the second that imports take
is saved. Run by harness.py, which speaks one JSON object a line.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import pkgutil
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import charnn
import charnn.__main__
from charnn.baseline import ngrams
from charnn.runs import run


class BaselineHere:
    """The baseline at once, in this process: a process of its own would cost each of a thousand runs half a second."""

    def __init__(self, ids: Path, train_stop: int, validation_stop: int, vocabulary_size: int) -> None:
        text = np.load(ids, mmap_mode="r")
        parts = text[:train_stop], text[train_stop:validation_stop]
        self.baseline = ngrams.measure(*parts, vocabulary_size, context=parts[0], max_order=2)

    def poll(self) -> ngrams.Baseline:
        return self.baseline

    def wait(self, stop: object = None) -> ngrams.Baseline:
        return self.baseline

    def close(self) -> None:
        pass


def serve(connection: socket.socket) -> None:
    """Answer until the other end closes; then kill what nobody waits for. In a forked child this ends in SystemExit."""
    lines = connection.makefile("r")
    children: dict[int, tuple[int, float]] = {}
    for line in lines:
        request = json.loads(line)
        if request["what"] == "spawn":
            reply = spawn(request, connection, children)
        else:
            reply = wait(request["pid"], request["timeout"], children)
        connection.sendall(json.dumps(reply).encode() + b"\n")
    for pid in children:  # of a test that failed before it waited
        os.kill(pid, signal.SIGKILL)


def spawn(request: dict[str, Any], connection: socket.socket, children: dict[int, tuple[int, float]]) -> Any:
    fired, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        connection.close()
        os.close(fired)
        become_charnn(request, report)
    os.close(report)
    children[pid] = (fired, time.monotonic())
    return pid


def wait(pid: int, timeout: float, children: dict[int, tuple[int, float]]) -> dict[str, Any]:
    """How a child ended; one that takes longer than ``timeout`` seconds is killed."""
    fired, started = children.pop(pid)
    late = False
    while True:
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        if not late and time.monotonic() - started > timeout:
            late = True
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    faults = len(os.read(fired, 65536))
    os.close(fired)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": time.monotonic() - started,
        "late": late,
        "faults": faults,
        "peak": usage.ru_maxrss * 1024,
    }


def become_charnn(request: dict[str, Any], report: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number in request["ignored"] else signal.SIG_DFL)
    if signal.SIGINT not in request["ignored"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    stdin = os.open(request["stdin"], os.O_RDONLY)
    os.dup2(stdin, 0)
    for number, path in ((1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    if request["memory"]:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + request["memory"],) * 2)
    if request["cpu"]:
        resource.setrlimit(resource.RLIMIT_CPU, (request["cpu"],) * 2)
    if request["fault"]:
        root, how, at, error = request["fault"]
        ctypes.CDLL(None).fault_arm(root.encode(), how, ctypes.c_long(at), error, report)
    sys.argv = ["charnn", *request["arguments"]]
    charnn.__main__.main()


if __name__ == "__main__":
    for module in pkgutil.walk_packages(charnn.__path__, "charnn."):
        if module.name == "charnn.benchmark.pytorch":  # needs PyTorch, which is never needed
            continue
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.import_module("rich.live")
    run.BackgroundBaseline = BaselineHere  # type: ignore[misc,assignment]
    gc.freeze()  # so that a child's collector leaves the memory that it shares with its parent alone
    serve(socket.socket(fileno=int(sys.argv[1])))
