"""Which files of a folder are read: those that are chosen and are text; of all others one line says how many."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import complaint, some_text

from charnn.cli import main
from charnn.errors import ConfigError, StorageError, printable
from charnn.text.corpus import survey
from charnn.text.files import Remarks, find_files
from charnn.text.options import ReadOptions
from charnn.text.sources import code_points, open_sources
from charnn.text.unicode import text_of

TINY = ["--hidden", "8", "--layers", "1", "--batch-size", "2", "--seq-length", "8", "--steps", "2", "--workers", "1"]
needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of two programs and a page, with what compilers and editors leave beside them."""
    folder = tmp_path / "src"
    for name, content in (
        ("main.py", b"import sub\n"),
        ("sub/deep.py", b"one = 1\n"),
        ("sub/page.md", b"# A page\n"),
        ("sub/cache/deep.pyc", b"\xa7\r\r\n\0\0\0\0code"),
        ("logo.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("paper.pdf", b"%PDF-1.4 all in ASCII\n"),
        ("old.txt", b"caf\xe9\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def found(folder: Path, **options: str) -> list[str]:
    """Paths of the files that are read, below the folder."""
    sources, _ = find_files(folder, ReadOptions(**options))
    return [source.path.relative_to(folder).as_posix() for source in sources if source.path]


def whole(*paths: Path, **options: str) -> str:
    with open_sources(paths, paths[0].parent, ReadOptions(**options)) as sources:
        return "".join(map(text_of, code_points(sources)))


def notices(*paths: Path, **options: str) -> list[str]:
    with open_sources(paths, paths[0].parent, ReadOptions(**options)) as sources:
        return list(survey(sources).notices)


# What is text


def test_what_is_no_text_is_left_out_of_a_folder_with_one_line_that_counts_it(folder: Path) -> None:
    assert found(folder) == ["main.py", "sub/deep.py", "sub/page.md"]
    assert notices(folder) == [f"left out, as it is no utf-8 text: {folder}/logo.png and 3 more"]


def test_a_file_that_was_named_is_an_error_where_it_is_no_text(folder: Path) -> None:
    assert "logo.png is not utf-8" in complaint(lambda: whole(folder / "logo.png"))
    assert "old.txt is not utf-8" in complaint(lambda: whole(folder, folder / "old.txt"))


def test_what_is_text_depends_on_the_encoding_and_every_file_is_bytes(folder: Path) -> None:
    assert found(folder, encoding="latin-1") == ["main.py", "old.txt", "sub/deep.py", "sub/page.md"]
    (folder / "wide.txt").write_bytes("wide, with 16 bits".encode("utf-16-le"))
    assert "wide.txt" in found(folder, encoding="utf-16") and "logo.png" not in found(folder, encoding="utf-16")
    assert len(found(folder, tokens="bytes")) == 8


def test_the_last_byte_of_a_file_decides_too(folder: Path) -> None:
    (folder / "long.txt").write_bytes(b"line\n" * 500_000 + b"\xff")
    (folder / "cut.txt").write_bytes("é".encode()[:1])
    assert found(folder) == ["main.py", "sub/deep.py", "sub/page.md"]


def test_a_folder_without_text_says_what_it_holds_instead(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\0")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8b\x08\0")
    what = complaint(lambda: whole(tmp_path))
    assert "holds no text to read; left out, as it is no utf-8 text" in what and "a.gz and 1 more" in what


# Which files are chosen


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({"include": "*.py"}, ["main.py", "sub/deep.py"]),
        ({"exclude": "*.py"}, ["sub/page.md"]),
        ({"include": "*.py,*.md", "exclude": "main.*"}, ["sub/deep.py", "sub/page.md"]),
        ({"include": "sub/*"}, ["sub/deep.py", "sub/page.md"]),
        ({"include": "deep.py"}, ["sub/deep.py"]),
        ({"exclude": "sub"}, ["main.py"]),
        ({"exclude": "sub/page.md, main.py"}, ["sub/deep.py"]),
        ({"include": "m[a-c]in.??"}, ["main.py"]),
    ],
)
def test_globs_choose_by_the_path_below_the_folder(folder: Path, options: dict[str, str], read: list[str]) -> None:
    assert found(folder, **options) == read


def test_globs_do_not_look_above_the_folder_nor_at_files_that_are_named(folder: Path) -> None:
    assert found(folder, exclude="src") == ["main.py", "sub/deep.py", "sub/page.md"]
    assert "# A page" in whole(folder / "sub" / "page.md", include="*.py")


def test_globs_that_choose_nothing_are_named(folder: Path) -> None:
    what = complaint(lambda: found(folder, include="*.rs\x1b"))
    assert "of the 7 files below" in what and r"--include '*.rs\x1b'" in what


def test_what_is_not_chosen_is_not_called_unreadable(folder: Path) -> None:
    assert notices(folder, include="*.py") == []


# Odd folders


@needs_posix
def test_circles_of_links_end_and_are_counted(folder: Path) -> None:
    for name in ("sub/up", "sub/cache/up", "around"):
        (folder / name).symlink_to(folder)
    (folder / "itself").symlink_to("itself")
    assert found(folder, include="*.py") == ["main.py", "sub/deep.py"]
    assert notices(folder, include="*.py") == [f"left out, as it is no file of its own: {folder}/around and 3 more"]


def test_what_may_not_be_read_is_left_out_of_a_folder_and_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_scan, real_open = os.scandir, os.open

    def refuse(path: Path, *rest: int) -> int:
        if path.name == "main.py":
            raise PermissionError(13, "Permission denied")
        return real_open(path, *rest)

    def refuse_scan(path: Path) -> object:
        if path.name == "sub":
            raise PermissionError(13, "Permission denied")
        return real_scan(path)

    (folder / "also.txt").write_bytes(b"read\n")
    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "scandir", refuse_scan)
    assert found(folder) == ["also.txt"]
    _, lines = find_files(folder, ReadOptions(include="*.py,*.txt"))
    assert f"left out, as it may not be read: {folder}/sub and 1 more" in lines
    monkeypatch.setattr(os, "scandir", lambda path: refuse_scan(Path("sub")))
    complaint(lambda: find_files(folder, ReadOptions()), StorageError)


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_utf_8_are_read_and_shown_harmlessly(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.py")).write_bytes(b"two = 2")
    (folder / os.fsdecode(b"\xfe\x1b[2J.pyc")).write_bytes(b"\0\0\0\0")
    assert "two = 2" in whole(folder, include="*.py")
    for line in notices(folder):
        assert line == printable(line)


def test_many_files_give_few_lines_and_are_asked_whether_to_stop(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}.txt").write_bytes(b"\xef\xbb\xbfno line end" if number % 2 else b"\0\0\0")
    lines = notices(tmp_path)
    assert len(lines) == 3 and all("and 149 more" in line for line in lines)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_files(tmp_path, ReadOptions(), stop)


def test_a_remark_about_one_file_counts_nothing() -> None:
    remarks = Remarks()
    remarks.add("odd", "a.txt")
    remarks.add("even", "b.txt", 1200)
    assert remarks.lines() == ["odd: a.txt", "even: b.txt and 1,199 more"]


# Where one file ends and the next begins


def test_a_file_without_a_line_end_at_its_end_gets_one_before_the_next_begins(tmp_path: Path) -> None:
    for name, content in (("1", b"A3 AB"), ("2", b""), ("3", b"cT:Jig\r\nX"), ("4", b"mac\r"), ("5", b"end\n")):
        (tmp_path / name).write_bytes(content)
    assert whole(tmp_path) == "A3 AB\ncT:Jig\r\nX\r\nmac\rend\n"
    assert f"a line end is added after the last line, which has none: {tmp_path}/1 and 1 more" in notices(tmp_path)
    assert whole(tmp_path, tokens="bytes") == "A3 AB\ncT:Jig\r\nX\r\nmac\rend\n"


def test_a_single_file_stays_as_it_is(file: Path) -> None:
    file.write_bytes(b"no line end")
    assert whole(file) == "no line end"
    assert notices(file) == []


# CR LF


@pytest.mark.parametrize("block_size", [1, 2, 3, 1 << 20])
def test_line_ends_become_lf_where_that_is_asked_for(file: Path, block_size: int) -> None:
    from dataclasses import replace

    file.write_bytes(b"one\r\ntwo\rthree\n\r\n\rfour\r")
    for tokens in ("chars", "bytes"):
        with open_sources([file], file.parent, ReadOptions(line_ends="lf", tokens=tokens)) as opened:
            text = "".join(map(text_of, code_points(replace(opened, block_size=block_size))))
        assert text == "one\ntwo\nthree\n\n\nfour\n"


def test_a_text_with_cr_lf_says_so_and_how_to_read_it_otherwise(file: Path) -> None:
    file.write_bytes(b"one\r\ntwo\r\n")
    assert notices(file) == [
        "2 lines end in CR LF, and the network learns to write that: --line-ends lf reads LF instead"
    ]
    assert notices(file, line_ends="lf") == []


def test_binary_data_with_a_few_cr_lf_by_chance_says_nothing(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 200 + b"\r\n")
    assert notices(file, tokens="bytes") == []


# All together, from the command line


def run(*words: str | Path) -> str:
    """What a command says, on both streams."""
    result = CliRunner().invoke(main, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_project_is_trained_on_as_it_is_and_resumes_with_the_same_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "main.py").write_text(some_text(3000).replace("\n", "\r\n"))
    words = ["train", "src", *TINY, "--out", "run", "--include", "*.py", "--include", "*.md", "--exclude", "sub/deep*"]
    said = run(*words, "--line-ends", "lf")
    assert "Note: left out" not in said and "CR LF" not in said
    kept = (Path("run") / "config.yaml").read_text()
    assert 'include: "*.py,*.md"' in kept and 'exclude: "sub/deep*"' in kept and "line_ends: lf" in kept
    run("train", "src", "--resume", "run", "--steps", "3")
    (folder / "new.rs").write_text("not chosen\n")
    run("train", "src", "--resume", "run", "--steps", "4", "--include", "*.py", "--include", "*.md")
    (folder / "new.md").write_text("chosen\n")
    result = CliRunner().invoke(main, ["train", "src", "--resume", "run", "--steps", "5"])
    assert isinstance(result.exception, ConfigError) and "is not the text" in result.exception.message


def test_what_is_left_out_is_told_before_training(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "main.py").write_text(some_text(3000))
    assert "Note: left out, as it is no utf-8 text: src/logo.png and 3 more" in run("train", "src", *TINY, "--out", "a")
    assert "left out, as it is no utf-8 text: src/logo.png" in run("train", "src", *TINY, "--dry-run")


def test_a_run_on_lf_reads_every_text_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import charnn

    monkeypatch.chdir(tmp_path)
    Path("dos.txt").write_bytes(some_text(3000).replace("\n", "\r\n").encode())
    run("train", "dos.txt", *TINY, "--out", "run", "--line-ends", "lf")
    Path("letter.txt").write_bytes(b"The sea.\r\nA ship.\r\n" * 8)
    Path("same.txt").write_bytes(b"The sea.\nA ship.\n" * 8)
    one, other = (run("score", "run", name, "--json") for name in ("letter.txt", "same.txt"))
    assert one == other
    drawn = [run("sample", "run", "--prompt", f"@{name}", "--seed", "1") for name in ("letter.txt", "same.txt")]
    assert drawn[0] == drawn[1]
    loaded = charnn.load("run")
    assert loaded.score("a\r\nb").text == "a\nb"
