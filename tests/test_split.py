"""What is held out stands for the whole text: of one file its end, of several files a share of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import TINY, complaint, some_text
from hypothesis import given
from hypothesis import strategies as st

from charnn.config import flat_settings, resolve
from charnn.errors import ConfigError, CorpusError, StorageError
from charnn.insight.texts import own_text
from charnn.planning.dry_run import dry_run
from charnn.runs.opening import create, resume
from charnn.runs.snapshot import load_snapshot
from charnn.text import corpus
from charnn.text.sources import open_sources
from charnn.text.split import Split, cut, share_out

lengths = st.lists(st.integers(0, 5000), min_size=2, max_size=60)
shares = st.tuples(st.integers(0, 49), st.integers(0, 49)).map(lambda pair: (pair[0] / 100, pair[1] / 100))


# One text


def test_the_cut_is_exact() -> None:
    assert cut(1_115_394, 0.1, 0) == (1_003_854, 111_540, 0)
    assert cut(10, 0.1, 0.2) == (7, 1, 2)
    assert cut(100, 0.07, 0.07)[0] == 86  # 100 * (1 - 0.07 - 0.07) is 85.99999999999999 in floating point
    assert cut(100, 0, 0) == (100, 0, 0)


@given(st.integers(0, 10**12), st.integers(0, 99), st.integers(0, 99))
def test_the_parts_follow_each_other_without_gaps(length: int, val: int, test: int) -> None:
    if val + test >= 100:
        complaint(lambda: cut(length, val / 100, test / 100), ConfigError)
        return
    sizes = cut(length, val / 100, test / 100)
    assert share_out([length], val / 100, test / 100).tolist() == [list(sizes)]
    split = Split.of(sizes)
    assert 0 == split.train.start <= split.train.stop == split.validation.start
    assert split.validation.stop == split.test.start <= split.test.stop == length
    assert split.train.stop == length * (100 - val - test) // 100
    assert val or split.validation.start == split.validation.stop
    assert test or split.test.start == split.test.stop


@pytest.mark.parametrize(("val", "test"), [(1.0, 0), (-0.1, 0), (float("nan"), 0), (0, float("inf")), (0.5, 0.5)])
def test_fractions_that_make_no_sense_are_refused(val: float, test: float) -> None:
    complaint(lambda: cut(100, val, test), ConfigError)
    complaint(lambda: share_out([100, 50], val, test), ConfigError)


# Several files


def test_long_files_give_their_ends() -> None:
    assert share_out([1000, 3000, 500], 0.1, 0.1).tolist() == [[800, 100, 100], [2400, 300, 300], [400, 50, 50]]


def test_of_short_files_whole_ones_are_held_out() -> None:
    parts = share_out([100] * 50, 0.1, 0.2)
    assert sorted(map(tuple, parts.tolist())) == [(0, 0, 100)] * 10 + [(0, 100, 0)] * 5 + [(100, 0, 0)] * 35
    assert len({i // 10 for i in np.flatnonzero(parts[:, 0] == 0)}) > 2, "drawn from all over the text"


def test_short_files_beside_a_long_one_are_held_out_in_proportion() -> None:
    parts = share_out([20_000, *[100] * 40], 0.1, 0)
    assert parts[0].tolist() == [18_000, 2000, 0]
    assert parts[1:].sum(axis=0).tolist() == [3600, 400, 0]


@given(lengths, shares)
def test_every_character_of_every_file_belongs_to_one_part(lengths: list[int], shares: tuple[float, float]) -> None:
    parts = share_out(lengths, *shares)
    assert (parts >= 0).all()
    assert parts.sum(axis=1).tolist() == lengths
    assert parts[:, [share == 0 for share in (1, *shares)]].sum() <= 2 * len(lengths)  # what rounding leaves


@given(lengths, shares)
def test_the_parts_have_about_their_shares(lengths: list[int], shares: tuple[float, float]) -> None:
    total, sizes = sum(lengths), share_out(lengths, *shares).sum(axis=0)
    held_out = min((share for share in shares if share), default=0) * total
    for size, share in zip(sizes[1:], shares, strict=True):
        assert abs(size - share * total) <= held_out / 2 + 2 * len(lengths)


# On disk and in a run


def naive(texts: list[str], parts: list[list[int]]) -> tuple[str, str, str]:
    """Each part of all the files, one after the other."""
    return tuple(  # type: ignore[return-value]
        "".join(text[sum(sizes[:p]) : sum(sizes[: p + 1])] for text, sizes in zip(texts, parts, strict=True))
        for p in range(3)
    )


def written(folder: Path, texts: list[str]) -> list[Path]:
    paths = [folder / f"{number:03}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


@pytest.mark.parametrize("in_memory", [1, 1 << 22])
@pytest.mark.parametrize("block_size", [7, 1 << 20])
def test_the_ids_lie_part_by_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int, block_size: int
) -> None:
    from dataclasses import replace

    monkeypatch.setattr(corpus, "IN_MEMORY", in_memory)
    texts = [some_text(length, seed=length) + "\n" for length in (900, 50, 20, 1300, 40, 30)]
    with open_sources(written(tmp_path, texts), tmp_path) as opened:
        sources = replace(opened, block_size=block_size)
        parts = share_out(corpus.survey(sources).lengths, 0.1, 0.15)
        encoding = (lambda codes: codes, "u1", parts)
        fingerprint = corpus.encode(sources, tmp_path / "ids.npy", *encoding)
        (tmp_path / "work").mkdir()
        assert corpus.fingerprint_of(sources, tmp_path / "work", *encoding) == fingerprint
    ids = corpus.open_ids(tmp_path / "ids.npy", fingerprint)
    assert bytes(ids).decode() == "".join(naive(texts, parts.tolist()))
    assert list((tmp_path / "work").iterdir()) == []


def test_a_file_that_grows_at_the_cost_of_another_is_noticed(tmp_path: Path) -> None:
    paths = written(tmp_path, ["one\n", "three\n"])
    with open_sources(paths, tmp_path) as sources:
        parts = share_out(corpus.survey(sources).lengths, 0, 0)
        written(tmp_path, ["three\n", "one\n"])
        what = complaint(lambda: corpus.encode(sources, tmp_path / "ids.npy", lambda codes: codes, "u1", parts))
    assert "changed while it was read" in what


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_while_held_out_parts_wait_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        return Path("/dev/full").open("wb", buffering=0)

    monkeypatch.setattr(corpus, "SpooledTemporaryFile", full)
    with open_sources(written(tmp_path, ["a\n" * 50] * 2), tmp_path) as sources:
        parts = share_out([100, 100], 0.1, 0)
        what = complaint(
            lambda: corpus.encode(sources, tmp_path / "ids.npy", lambda codes: codes, "u1", parts), StorageError
        )
    assert "No space left" in what


SETTINGS = {**TINY, "val_fraction": 0.1, "test_fraction": 0.1}


@pytest.mark.parametrize("count", [3, 60])
def test_a_run_on_several_files_holds_out_a_share_of_each_and_resumes_with_them(tmp_path: Path, count: int) -> None:
    texts = [some_text(6000 // count, seed=seed).rstrip("\n") + "\n" for seed in range(count)]
    (tmp_path / "texts").mkdir()
    written(tmp_path / "texts", texts)
    with create(resolve(flat_settings(SETTINGS), fixed=True), [tmp_path / "texts"], tmp_path / "run") as run:
        expected = naive(texts, share_out(list(map(len, texts)), 0.1, 0.1).tolist())
        decode = run.vocabulary.decode
        assert (decode(run.train_ids), decode(run.validation_ids)) == expected[:2]
        assert run.facts.parts == tuple(map(len, expected))
    own = own_text(load_snapshot(tmp_path / "run"))
    assert decode(next(iter(own.held_out("test").blocks))) == expected[2]
    resume(tmp_path / "run", corpora=[str(tmp_path / "texts")]).close()
    written(tmp_path / "texts", [*texts[1:], texts[0]])
    what = complaint(lambda: resume(tmp_path / "run", corpora=[str(tmp_path / "texts")]), ConfigError)
    assert "is not the text" in what


def test_the_draw_does_not_depend_on_the_seed(tmp_path: Path) -> None:
    paths = written(tmp_path, [some_text(300, seed=seed) for seed in range(40)])
    fingerprints = set()
    for seed in (1, 2):
        settings = resolve(flat_settings({**SETTINGS, "seed": seed}), fixed=True)
        with create(settings, paths, tmp_path / f"run{seed}") as run:
            fingerprints.add(run.facts.fingerprint)
    assert len(fingerprints) == 1


def test_a_dry_run_counts_the_same_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    paths = written(tmp_path, [some_text(300, seed=seed) for seed in range(40)])
    settings = resolve(flat_settings(SETTINGS), fixed=True)
    plan = dry_run(settings, list(map(str, paths)))
    with create(settings, paths, tmp_path / "run") as run:
        assert (plan.train_characters, plan.validation_characters) == run.facts.parts[:2]


def test_files_that_are_too_few_for_a_validation_part_are_refused(tmp_path: Path) -> None:
    paths = written(tmp_path, ["ab\n"] * 3)
    what = complaint(lambda: create(resolve(flat_settings(SETTINGS), fixed=True), paths, tmp_path / "run"), CorpusError)
    assert "the validation part of a text of 9 characters has only" in what
