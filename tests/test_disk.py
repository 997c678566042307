"""A file is on disk whole or not at all, nothing in its place keeps anybody waiting, and refusals name the path."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import names

from charnn.errors import StorageError
from charnn.storage import disk
from charnn.storage.disk import (
    open_to_read,
    open_to_write,
    remove_stale_temporaries,
    write_atomically,
    write_blocks_atomically,
    write_output,
)


def test_a_disk_that_does_not_give_back_what_it_took_keeps_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = os.read
    file.write_bytes(b"old")
    for lie in (lambda data: data[:-1] + b"?", lambda data: data[:-1], lambda data: data + b"?", lambda data: b""):
        with monkeypatch.context() as patch:
            patch.setattr(os, "read", lambda descriptor, size, lie=lie: lie(honest(descriptor, size)))
            with pytest.raises(StorageError, match="read back"):
                write_atomically(file, b"new")
        assert file.read_bytes() == b"old"


def test_a_missing_folder_is_a_storage_error_that_names_the_path(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "config.yaml"
    for write in (
        lambda: write_atomically(path, b""),
        lambda: write_blocks_atomically(path, []),
        lambda: write_output(path, ""),
    ):
        with pytest.raises(StorageError, match=f"cannot write {path}: No such file or directory"):
            write()


def test_new_files_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk.secrets, "token_hex", lambda size: "0" * 2 * size)
    link, target = tmp_path / f".a.{os.getpid()}-{'0' * 16}.tmp", tmp_path / "target"
    link.symlink_to(target)
    with pytest.raises(StorageError):
        write_atomically(tmp_path / "a", b"secret")
    assert not target.exists()


def test_only_stale_temporaries_are_removed(tmp_path: Path) -> None:
    stale = [f".a.{number}-{'0' * 16}.tmp" for number in (1, 2)]
    others = [".hidden.tmp", "notes.tmp", ".a.1-xyz.tmp", "step-00000020.safetensors.tmp"]
    for name in (*stale, *others):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / f".folder.1-{'0' * 16}.tmp").mkdir()
    assert remove_stale_temporaries(tmp_path) == 2
    assert set(names(tmp_path)) == {*others, f".folder.1-{'0' * 16}.tmp"}
    assert remove_stale_temporaries(tmp_path / "missing") == 0


def test_what_an_interrupted_write_leaves_is_a_stale_temporary(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fail)
        patch.setattr(os, "replace", fail)
        with pytest.raises(StorageError, match="cannot write"):
            write_atomically(file, b"")
    assert len(names(file.parent)) == 1
    assert remove_stale_temporaries(file.parent) == 1
    assert names(file.parent) == []


def test_blocks_become_one_file_and_what_fails_while_they_are_made_leaves_the_old_one(file: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ZeroDivisionError

    write_blocks_atomically(file, [b"one ", b"", b"two"])
    assert file.read_bytes() == b"one two"
    with pytest.raises(ZeroDivisionError):
        write_blocks_atomically(file, broken())
    assert file.read_bytes() == b"one two"
    assert names(file.parent) == [file.name]


# Files that a user named


def test_output_goes_where_a_link_leads_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    link = tmp_path / "link.svg"
    link.symlink_to("pictures/loss.svg")
    for text in ("first", "second"):
        write_output(link, text)
        assert link.is_symlink()
        assert (tmp_path / "pictures" / "loss.svg").read_text() == text
    assert names(tmp_path / "pictures") == ["loss.svg"]


def test_output_to_a_pipe_is_what_its_reader_gets(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_output(pipe, "picture")
    reader.join()
    assert got == ["picture"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_output_is_utf_8_whatever_the_locale(file: Path) -> None:
    script = "import sys; from pathlib import Path; from charnn.storage.disk import write_output\n"
    script += f"print(sys.getfilesystemencoding()); write_output(Path({str(file)!r}), 'gr\\u00fcn')"
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **locale}, capture_output=True, text=True)
    assert "utf-8" not in done.stdout.lower(), "this locale proves nothing"
    assert file.read_bytes() == "grün".encode(), done.stderr


# Opening


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/zero")
    for name, number in (("pipe", errno.ENXIO), ("folder", errno.EISDIR), ("device", errno.ENXIO)):
        with pytest.raises(OSError) as caught:
            open_to_read(tmp_path / name)
        assert caught.value.errno == number
    for name in ("pipe", "folder", "device"):
        with pytest.raises(OSError):
            open_to_write(tmp_path / name)


def test_a_link_is_read_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("file")
    with open_to_read(tmp_path / "link") as file:
        assert file.read() == b"precious"
    with pytest.raises(OSError) as caught:
        open_to_write(tmp_path / "link")
    assert caught.value.errno == errno.ELOOP
