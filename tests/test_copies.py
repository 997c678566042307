"""What is copied of a text, pinned to looking everywhere; the index it is found with, damaged in every way; screens."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers import TINY, complaint, new_run, some_text, write_text
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import charnn
from charnn.cli import main
from charnn.cli import run as run_command
from charnn.errors import CheckpointError, ConfigError
from charnn.insight import copies as measuring
from charnn.insight.copies import Comparison, Figures, compare, find_copies, kept_comparison
from charnn.insight.index import blocks
from charnn.insight.passages import Search, copied, habitual, line_numbers, passages
from charnn.runs.snapshot import Snapshot, load_snapshot
from charnn.storage import checkpoint
from charnn.storage.cache import Cache
from charnn.storage.folder import lock_folder
from charnn.terminal.copies import CopiesView, own_words
from charnn.text.suffixes import Coding
from charnn.text.unicode import code_points_of

SIZE = 3
"""Distinct characters in the small texts of this module."""


class NoCache(Cache):
    def __init__(self) -> None:
        super().__init__(Path("nowhere"), {}, pytest.fail)
        self._closed = True


def search(text: list[int], corpus: list[int]) -> Search:
    """A text that has been looked up in all blocks of a corpus."""
    search = Search(np.array(text, np.uint8))
    for start, suffixes in blocks(np.array(corpus, np.uint8), SIZE, NoCache()):
        search.look_in(start, suffixes)
    return search


def contains(corpus: list[int], passage: list[int]) -> bool:
    return any(corpus[at : at + len(passage)] == passage for at in range(len(corpus)))


def passages_by_looking_everywhere(text: list[int], corpus: list[int], at_least: int) -> list[tuple[int, int]]:
    """Start and length of every passage of a corpus in a text that cannot be made longer on either side."""
    found, end = [], 0
    for start in range(len(text)):
        stop = start
        while stop < len(text) and contains(corpus, text[start : stop + 1]):
            stop += 1
        if stop > end and stop - start >= at_least:
            found.append((start, stop - start))
        end = max(end, stop)
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text of fifty characters has eight blocks; passages are followed for 42 characters."""
    monkeypatch.setattr("charnn.text.suffixes.REACH", 42)
    monkeypatch.setattr("charnn.insight.index.BLOCK", 7)
    monkeypatch.setattr("charnn.insight.passages.AT_ONCE", 9)
    assert Coding(SIZE).depth == 42


@pytest.mark.usefixtures("small_blocks")
class TestPassages:
    @settings(max_examples=200, deadline=None)
    @given(
        corpus=st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=100),
        text=st.lists(st.integers(0, SIZE), max_size=20),
        cut=st.tuples(st.integers(0, 100), st.integers(0, 20)),
        at_least=st.integers(1, 5),
    )
    def test_they_are_those_of_looking_everywhere(
        self, corpus: list[int], text: list[int], cut: tuple[int, int], at_least: int
    ) -> None:
        text = text + corpus[cut[0] : sum(cut)] + text
        found = passages(search(text, corpus), at_least)
        spans = list(zip(found.starts.tolist(), found.lengths.tolist(), strict=True))
        assert spans == passages_by_looking_everywhere(text, corpus, at_least)
        for (start, length), place in zip(spans, found.places.tolist(), strict=True):
            assert text[start : start + length] == corpus[place : place + length]

    def test_one_that_is_longer_than_passages_are_followed_is_whole(self) -> None:
        rng = np.random.default_rng(1)
        corpus = rng.integers(SIZE, size=1000).tolist()
        found = passages(search([SIZE, *corpus[100:900], SIZE], corpus), 20)
        assert (found.starts.tolist(), found.lengths.tolist(), found.places.tolist()) == ([1], [800], [100])

    @settings(max_examples=100, deadline=None)
    @given(
        corpus=st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=60),
        text=st.lists(st.integers(0, SIZE), max_size=30),
        at_least=st.integers(1, 4),
    )
    def test_copied_is_what_they_cover(self, corpus: list[int], text: list[int], at_least: int) -> None:
        covered = [False] * len(text)
        for start, length in passages_by_looking_everywhere(text, corpus, at_least):
            covered[start : start + length] = [True] * length
        assert copied(search(text, corpus).lengths, at_least).tolist() == covered

    def test_a_part_of_the_corpus_itself_is_copied_where_it_stands_twice(self) -> None:
        corpus = [0, 1, 2, 0, 0, 1, 2, 1, 1, 1] + [2] * 60 + [0, 1, 2, 0, 0]
        part = Search(np.array(corpus[:10], np.uint8), np.arange(10))
        for start, suffixes in blocks(np.array(corpus, np.uint8), SIZE, NoCache()):
            part.look_in(start, suffixes)
        assert part.lengths.tolist() == [5, 4, 3, 2, 3, 2, 1, 2, 2, 1]


def test_habitual_is_the_length_at_which_repetitions_become_rare() -> None:
    lengths = np.zeros(1000, np.int32)
    lengths[100:140] = np.arange(40, 0, -1)  # four in a hundred, once
    lengths[200:209] = np.arange(9, 0, -1)  # one in a hundred, nearly
    assert habitual(lengths) == 41
    lengths[100:140] = 0
    assert habitual(lengths) == 1
    lengths[300:320] = np.arange(20, 0, -1)
    assert habitual(lengths) == 21


def test_what_a_text_quotes_from_itself_at_length_is_no_habit() -> None:
    lengths = np.zeros(1000, np.int32)
    lengths[:400] = np.arange(400, 0, -1)
    assert habitual(lengths) == 1
    lengths[500:520] = np.arange(20, 0, -1)
    assert habitual(lengths) == 21


def test_lines_count_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charnn.insight.passages.COUNTED", 3)
    text = np.frombuffer(b"ab\nc\n\nd", np.uint8)
    lines = line_numbers(text, ord("\n"), np.array([6, 0, 2, 3, 5, 4]))
    assert lines.tolist() == [4, 1, 1, 2, 3, 2]
    assert line_numbers(text, -1, np.array([6])).tolist() == [1]


# Runs


@pytest.fixture
def loaded(tmp_path: Path) -> Snapshot:
    with new_run(tmp_path, validate_every=10, characters=8000) as run:
        return load_snapshot(run.path)


def ids_of(loaded: Snapshot, text: str) -> np.ndarray:
    return loaded.vocabulary.encode(text, len(loaded.vocabulary))


def test_what_is_copied_is_found_with_its_place_and_line(loaded: Snapshot) -> None:
    text = some_text(8000)
    part = text[3000:3200]
    (copies,) = find_copies(loaded, [ids_of(loaded, f"#{part}# §")], at_least=60)
    (passage,) = copies.passages
    assert (passage.start, passage.length, passage.corpus_start) == (1, 200, 3000)
    assert passage.line == text[:3000].count("\n") + 1
    assert (copies.characters, copies.longest, copies.at_least) == (204, 200, 60)
    assert copies.share == 200 / 204


def test_validation_text_and_samples_stand_beside(loaded: Snapshot) -> None:
    (copies,) = find_copies(loaded, [ids_of(loaded, "wind and rain")], at_least=8)
    own = ids_of(loaded, some_text(8000)[7200:])
    (validation,) = find_copies(loaded, [own], at_least=8)
    assert copies.validation == Figures(800, validation.longest, validation.share)
    assert 0 < validation.share <= 1
    assert copies.samples.characters == measuring.SAMPLES * measuring.SAMPLE_LENGTH
    assert compare(loaded).validation == Figures(800, validation.longest, compare(loaded).validation.share)


def test_a_run_without_validation_text_has_none_to_compare(tmp_path: Path) -> None:
    with new_run(tmp_path, val_fraction=0.0) as run:
        (copies,) = find_copies(load_snapshot(run.path), [np.zeros(5, np.uint8)])
    assert copies.validation is None


def test_passages_count_from_the_length_that_is_rare_in_the_training_text(loaded: Snapshot) -> None:
    train = ids_of(loaded, some_text(8000)[:7200])
    assert compare(loaded).at_least == habitual(np.array(twice(train.tolist())))


def twice(corpus: list[int]) -> list[int]:
    """For each place of a text, the longest passage that stands in it twice, from all places in order."""
    text = bytes(corpus)
    order = sorted(range(len(text)), key=lambda at: text[at : at + 400])
    lengths = [0] * len(text)
    for a, b in itertools.pairwise(order):
        shared = next((k for k in range(400) if text[a + k : a + k + 1] != text[b + k : b + k + 1]), 400)
        lengths[a], lengths[b] = max(lengths[a], shared), max(lengths[b], shared)
    return lengths


def test_of_a_long_training_text_pieces_are_looked_at(loaded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(loaded).at_least
    forget(loaded)
    monkeypatch.setattr(measuring, "COMPARED", 6000)
    assert abs(compare(loaded).at_least - whole) <= 4


def test_a_passage_has_a_length(loaded: Snapshot) -> None:
    assert "at_least is 0" in complaint(lambda: find_copies(loaded, [], at_least=0), ConfigError)


def test_without_its_text_a_run_cannot_say(loaded: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "run" / "corpus.npy").unlink()
    assert "no copy of the run's own text" in complaint(lambda: find_copies(loaded, []), CheckpointError)


def test_in_python(loaded: Snapshot) -> None:
    run = charnn.load(loaded.folder)
    text = some_text(8000)
    copies = run.copies(text[500:600] + "§")
    assert isinstance(copies, charnn.Copies)
    assert (copies.longest, copies.passages[0].corpus_start) == (100, 500)
    assert run.copies("the sea", at_least=7).at_least == 7
    assert copies.to_json()["passages"][0]["length"] == 100


def test_bytes_are_told_from_characters(tmp_path: Path) -> None:
    with new_run(tmp_path, tokens="bytes") as run:
        copies = charnn.load(run.path).copies("é" + some_text(4000)[100:200])
    assert (copies.characters, copies.passages[0].start, copies.longest) == (102, 2, 100)


# What is kept


def forget(loaded: Snapshot) -> None:
    for path in (loaded.folder / "copies").iterdir():
        path.unlink()


def index(loaded: Snapshot) -> Path:
    return loaded.folder / "copies" / "suffixes-00000000.safetensors"


def overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def make_a_folder_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_the_index_is_made_once_and_read_afterwards(loaded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_copies(loaded, [ids_of(loaded, some_text(8000))], warn=pytest.fail)
    times = {path: path.stat().st_mtime_ns for path in index(loaded).parent.glob("*.safetensors")}
    assert len(times) == 4
    monkeypatch.setattr("charnn.insight.index.sort_suffixes", pytest.fail)
    monkeypatch.setattr("charnn.insight.copies.generate", pytest.fail)
    assert find_copies(loaded, [ids_of(loaded, some_text(8000))], warn=pytest.fail) == first
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_the_index_takes_four_bytes_a_character(loaded: Snapshot) -> None:
    compare(loaded)
    assert index(loaded).stat().st_size < 4 * 7200 + 1000


@pytest.mark.parametrize("damage", [overwrite, truncate, Path.unlink])
def test_a_damaged_index_is_made_anew(loaded: Snapshot, damage: Callable[[Path], None]) -> None:
    before, whole = compare(loaded), index(loaded).read_bytes()
    for path in index(loaded).parent.glob("*.safetensors"):
        damage(path)
    assert compare(loaded) == before
    assert index(loaded).read_bytes() == whole


def test_the_index_of_another_text_is_made_anew(loaded: Snapshot, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with new_run(other, characters=8100) as run:
        compare(load_snapshot(run.path))
        foreign = run.path / "copies" / index(loaded).name
        before = compare(loaded)
        index(loaded).write_bytes(foreign.read_bytes())
    assert compare(loaded) == before
    assert index(loaded).read_bytes() != foreign.read_bytes()


def test_an_index_that_claims_to_be_this_texts_and_is_not_is_made_anew(loaded: Snapshot) -> None:
    before, true = compare(loaded), checkpoint.read(index(loaded))
    for order in (true.arrays["order"][::-1].copy(), true.arrays["order"][:-1], true.arrays["order"].astype("f4")):
        checkpoint.write(index(loaded), {"order": order}, true.document)
        assert find_copies(loaded, [ids_of(loaded, some_text(8000)[:100])])[0].longest == 100
        assert compare(loaded) == before


def test_another_checkpoint_is_asked_for_samples_of_its_own(tmp_path: Path) -> None:
    path, found = tmp_path / "run", []
    list(charnn.train(write_text(tmp_path), out=path, **{**TINY, "steps": 10}))
    found.append(compare(load_snapshot(path)))
    list(charnn.train(resume=path, steps=200))
    found.append(compare(load_snapshot(path)))
    assert [comparison.step for comparison in found] == [10, 200]
    assert found[0].samples != found[1].samples
    assert found[0].validation == found[1].validation
    fingerprint = load_snapshot(path).document.corpus.fingerprint
    assert kept_comparison(path, fingerprint) == found[1]


def test_where_nothing_can_be_kept_the_answer_is_the_same(loaded: Snapshot) -> None:
    before = compare(loaded)
    forget(loaded)
    index(loaded).parent.rmdir()
    index(loaded).parent.write_text("in the way")
    said: list[str] = []
    assert compare(loaded, said.append) == before
    assert len(said) == 1
    assert "cannot make the folder" in said[0]
    index(loaded).parent.unlink()


def test_a_link_is_not_followed_out_of_the_run(loaded: Snapshot, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    index(loaded).parent.symlink_to(outside)
    said: list[str] = []
    compare(loaded, said.append)
    assert not list(outside.iterdir())
    assert "is a link" in said[0]


def test_while_another_process_keeps_the_index_nothing_is_written(loaded: Snapshot) -> None:
    index(loaded).parent.mkdir()
    with lock_folder(index(loaded).parent):
        compare(loaded, pytest.fail)
        assert not index(loaded).exists()
    compare(loaded, pytest.fail)
    assert index(loaded).exists()


def test_what_a_killed_process_left_is_removed(loaded: Snapshot) -> None:
    left = index(loaded).parent / f".{index(loaded).name}.123-0123456789abcdef.tmp"
    left.parent.mkdir()
    left.write_text("half")
    compare(loaded)
    assert not left.exists()


def test_nothing_is_kept_that_is_not_known(loaded: Snapshot) -> None:
    fingerprint = loaded.document.corpus.fingerprint
    folder = loaded.folder
    assert kept_comparison(folder, fingerprint) is None
    comparison = compare(loaded)
    assert kept_comparison(folder, fingerprint) == comparison
    assert kept_comparison(folder, "sha256:another") is None
    (folder / "copies" / "samples.safetensors").unlink()
    assert kept_comparison(folder, fingerprint) is None


@pytest.mark.parametrize(
    ("arrays", "step"),
    [
        ({}, 0),
        ({"lengths": np.zeros(0, np.int32)}, 0),
        ({"lengths": np.zeros(9, np.float32)}, 0),
        ({"lengths": np.zeros((3, 3), np.int32)}, 0),
        ({"lengths": np.zeros(9, np.int32)}, "0"),
    ],
    ids=["nothing", "none", "fractions", "a table", "no step"],
)
@pytest.mark.parametrize("name", ["training", "samples"])
def test_what_is_kept_makes_sense_or_is_measured_anew(
    loaded: Snapshot, name: str, arrays: dict[str, np.ndarray], step: object
) -> None:
    before = compare(loaded)
    path = index(loaded).parent / f"{name}.safetensors"
    facts = checkpoint.read(path).document
    checkpoint.write(path, arrays, {**facts, "step": step})
    assert kept_comparison(loaded.folder, facts["corpus"]) is None
    assert compare(loaded) == before


# Screens

PASSAGE = max(some_text(7000).splitlines(), key=len)


@pytest.fixture
def letter(loaded: Snapshot, tmp_path: Path) -> Path:
    """A text with a copied passage in its second line."""
    path = tmp_path / "letter.txt"
    path.write_text(f"Dear §\n§{PASSAGE}#\nYours\n")
    return path


def printed(*words: str | Path) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_text_is_shown_with_copied_passages_marked(loaded: Snapshot, letter: Path) -> None:
    lines = printed("copies", loaded.folder, letter, "--at-least", "20").splitlines()
    text = letter.read_text().splitlines()
    at = lines.index(f"     2 {text[1]}↵")
    assert lines[at - 1] == f"     1 {text[0]}↵"
    assert lines[at + 1] == " " * 8 + "^" * len(PASSAGE)
    assert lines[at + 2] == "     3 Yours↵"
    (headline,) = [line for line in lines if "word for word" in line]
    assert headline.startswith(f"{len(PASSAGE) / len(letter.read_text()):.1%} of ")
    assert headline.endswith("stands word for word in the training text, in passages of 20 characters or more")
    assert any(line.startswith("validation text") and "800" in line for line in lines)
    assert any(line.startswith("what the run writes") and "8,000" in line for line in lines)
    line = some_text(7000).splitlines().index(PASSAGE) + 1
    assert lines[-1].strip() == f"{len(PASSAGE)} characters, line 2, in the training text {line}: '{PASSAGE}'"


def test_of_a_long_text_lines_with_copies_are_shown(
    loaded: Snapshot, letter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charnn.terminal.copies.SHOWN_WHOLE", 10)
    words = ["copies", loaded.folder, letter, "--at-least", "20"]
    assert "Yours" not in printed(*words)
    assert "     2 " in printed(*words)
    assert "Yours" in printed(*words, "--text")
    monkeypatch.setattr("charnn.terminal.copies.LINES", 0)
    assert "     2 " not in printed(*words)


def test_with_colours_nothing_stands_below_the_line(loaded: Snapshot, letter: Path) -> None:
    (copies,) = find_copies(loaded, [ids_of(loaded, letter.read_text())], at_least=20)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100)
    CopiesView(copies, code_points_of(letter.read_text()), loaded.vocabulary, console).print_text()
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "^" not in shown
    assert "48;2;253;184;99" in shown


def test_bytes_show_as_the_characters_that_they_make(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("é" + some_text(4000)[100:140] + "é\n")
    with new_run(tmp_path, tokens="bytes") as run:
        shown = printed("copies", run.path, tmp_path / "letter.txt", "--at-least", "20")
    assert "é" in shown
    assert "characters, line 1, in" in shown


def test_a_passage_cannot_control_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "hostile.txt").write_text(("\x1b]0;owned\x07" + some_text(50)) * 40)
    list(charnn.train(tmp_path / "hostile.txt", out=tmp_path / "run", **{**TINY, "steps": 1}))
    shown = printed("copies", tmp_path / "run", tmp_path / "hostile.txt")
    assert "\\x1b]0;owned\\x07" in shown
    assert "\x1b" not in shown


def test_json_has_what_the_screen_shows(loaded: Snapshot, letter: Path) -> None:
    run = loaded.folder
    result = json.loads(printed("copies", run, letter, "--json", "--at-least", "20"))
    assert result == find_copies(loaded, [ids_of(loaded, letter.read_text())], 20)[0].to_json()
    assert list(result) == [
        "characters", "longest", "share", "at_least", "passages", "validation", "samples"
    ]  # fmt: skip
    assert list(result["passages"][0]) == ["start", "length", "corpus_start", "line"]


def test_a_text_may_come_from_standard_input(loaded: Snapshot, letter: Path) -> None:
    words = ["copies", str(loaded.folder), "-", "--json"]
    piped = CliRunner().invoke(main, words, input=letter.read_bytes())
    assert json.loads(piped.stdout)["characters"] == len(letter.read_text())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "missing.txt"], 3, "there is no missing.txt"),
        (["run", "empty.txt"], 3, "empty.txt is empty"),
        (["run", "empty.txt", "--at-least", "0"], 2, "--at-least"),
        (["nowhere", "empty.txt"], 4, "nowhere"),
        (["alone.safetensors", "text.txt"], 4, "no copy of the run's own text"),
    ],
)
def test_what_cannot_be_answered_is_said(
    loaded: Snapshot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").touch()
    Path("alone.safetensors").write_bytes(loaded.path.read_bytes())
    assert run_command(["copies", *words]) == code
    assert said in capfd.readouterr().err


def test_a_sample_says_on_standard_error_what_it_copied(loaded: Snapshot) -> None:
    words = ["sample", str(loaded.folder), "--seed", "1", "--length", "100"]
    plain = CliRunner().invoke(main, words)
    told = CliRunner().invoke(main, [*words, "--copies"])
    assert told.stdout == plain.stdout
    assert "% of this sample stands word for word in the training text" in told.stderr
    two = CliRunner().invoke(main, [*words, "--copies", "--count", "2"])
    assert "of sample 1 stands" in two.stderr
    assert "of sample 2 stands" in two.stderr


def test_a_samples_json_has_what_it_copied(loaded: Snapshot) -> None:
    words = ["sample", str(loaded.folder), "--seed", "1", "--length", "100", "--count", "2", "--json"]
    for line in CliRunner().invoke(main, [*words, "--copies"]).stdout.splitlines():
        sample = json.loads(line)
        (copies,) = find_copies(loaded, [loaded.vocabulary.encode(sample["text"])])
        assert sample["copies"] == copies.to_json()
    assert "copies" not in CliRunner().invoke(main, words).stdout


@pytest.mark.parametrize(
    ("samples", "validation", "verdict"),
    [
        (0.0, 0.0, "its own"),
        (0.02, 0.0, "its own"),
        (0.03, 0.02, "its own"),
        (0.03, None, "partly"),
        (0.6, 0, "mostly"),
    ],
)
def test_one_sentence_says_whether_a_run_copies(samples: float, validation: float | None, verdict: str) -> None:
    beside = None if validation is None else Figures(100, 40, validation)
    sentence = own_words(Comparison(31, beside, Figures(100, 50, samples), 10))
    assert sentence.startswith(verdict)
    assert f"{samples:.1%} of what it writes stands in the training text in passages of 31 characters" in sentence
    assert ("validation" in sentence) == (validation is not None)


def test_inspect_repeats_it_where_it_is_known(loaded: Snapshot) -> None:
    run = loaded.folder
    assert "copies" not in printed("inspect", run)
    compare(loaded)
    assert "copies      its own: 0.0% of what it writes" in printed("inspect", run)
