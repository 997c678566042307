"""Each defect that these tests are there to find turns them red: a suite that cannot fail proves nothing.

The package and its tests are copied, one defect is put into the copy, and the tests that should see it are run there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT

DEFECTS = {
    "files are not synced": (
        "storage/disk.py",
        "        os.fsync(descriptor)\n        _compare",
        "        _compare",
        "synced",
    ),
    "folders are not synced": ("storage/disk.py", "            sync_folder(path.parent)\n", "", "synced"),
    "what was written is not read back": (
        "storage/disk.py",
        "        _compare(descriptor, data)\n",
        "",
        "give_back",
    ),
    "the hash is not checked": (
        "storage/checkpoint.py",
        'if document.pop("sha256", None) != _digest(arrays, document):',
        'if not document.pop("sha256", None):',
        "mutants or damage",
    ),
    "a checkpoint is written in place": (
        "storage/disk.py",
        "            descriptor = os.open(temporary, NEW, 0o666)\n",
        "            path.unlink(missing_ok=True)\n            descriptor = os.open(path, NEW, 0o666)\n",
        "killed_at_a_system_call",
        "            os.replace(temporary, path)  # noqa: PTH105 (the call that fault injection replaces)\n",
        "",
    ),
    "the last good checkpoint is pruned": (
        "storage/checkpoint.py",
        "remove(path for path in surplus if path != good)",
        "remove(surplus)",
        "pruning",
    ),
    "the carry is not restored": (
        "runs/run.py",
        '        _copy_all(self._carried(), group(loaded.arrays, "carry"))\n',
        "",
        "random",
    ),
    "the position is not restored": (
        "runs/run.py",
        "        self.state, self.checkpoint",
        "        state.position = type(state.position)()\n        self.state, self.checkpoint",
        "random",
    ),
    "the optimizer is not restored": (
        "runs/run.py",
        '        _copy_all(self.optimizer.state, group(loaded.arrays, "optimizer"))\n',
        "",
        "random",
    ),
    "metrics are not cut back": (
        "runs/opening.py",
        "if not run.metrics.cut(run.state.metrics_length)",
        "if False",
        "metrics_beyond",
    ),
    "the update comes before the check": (
        "training/trainer.py",
        "        check(run, loss, norm)\n",
        "",
        "update_that_a_bad_gradient",
        "        model.pack()\n",
        "        model.pack()\n        check(run, loss, norm)\n",
    ),
    "diverged weights stay": (
        "training/divergence.py",
        "                (run.checkpoints / here).unlink(missing_ok=True)\n",
        "                pass\n",
        "blow_up_is_5",
    ),
    "a failed save ends training": (
        "training/trainer.py",
        "            if last:\n                raise StorageError",
        "            if True:\n                raise StorageError",
        "fails_costs_no_checkpoint or full_disk",
    ),
    "a lost line of metrics stays lost": (
        "storage/metrics.py",
        "            if sync:\n                self._written = 0\n",
        '            self._tail = b""\n            self._written = 0\n',
        "line_of_metrics",
    ),
    "the lock is not taken": (
        "storage/folder.py",
        "if not try_lock(file.fileno()) or not _is_at(file, path):",
        "if not _is_at(file, path):",
        "second_trainer or many_that_make",
    ),
    "links are followed": (
        "storage/disk.py",
        '"O_RDWR", "O_CREAT", "O_NOFOLLOW", "O_NONBLOCK"',
        '"O_RDWR", "O_CREAT", "O_NONBLOCK"',
        "link_in_a_run",
    ),
    "arrays are not compared with the configuration": (
        "runs/arrays.py",
        "        if wanted != found:",
        "        if False:",
        "forged or structural",
    ),
    "a signal is not polled while validating": (
        "training/validation.py",
        "        if team.told_by_first(should_stop):\n",
        "        if team.told_by_first(lambda: False):\n",
        "while_validating",
    ),
    "messages are not escaped": (
        "cli/__init__.py",
        '[printable(line) for line in message.split("\\n")]',
        'message.split("\\n")',
        "words_of_the_command_line",
    ),
}


def with_defect(name: str) -> tuple[str, str, str]:
    """The file of a defect, its text with the defect in it, and the tests that should see it."""
    file, old, new, tests, *more = DEFECTS[name]
    text = (ROOT / "charnn" / file).read_text()
    for before, after in [(old, new), *zip(more[::2], more[1::2], strict=True)]:
        assert text.count(before) == 1, f"the source no longer holds {before!r} once"
        text = text.replace(before, after)
    return file, text, tests


@pytest.mark.parametrize("name", DEFECTS)
def test_a_seeded_defect_still_finds_its_line(name: str) -> None:
    file, text, _ = with_defect(name)
    assert text != (ROOT / "charnn" / file).read_text()


@pytest.mark.full
@pytest.mark.parametrize("name", DEFECTS)
def test_a_seeded_defect_turns_the_suite_red(name: str, tmp_path: Path) -> None:
    file, text, tests = with_defect(name)
    for part in ("charnn", "tests", "corpora"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "charnn" / file).write_text(text)
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", tests]
    command += ["tests/reliability", "tests/test_checkpoint.py", "tests/test_disk.py"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-500:]
    assert "1 failed" in done.stdout
