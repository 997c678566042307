"""A dry run measures, warns of what will not work, and names the better value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from charnn.cli import main
from charnn.config import flat_settings, resolve
from charnn.planning.advice import warnings
from charnn.planning.dry_run import DryRun, dry_run
from charnn.planning.repeats import WINDOW, Repeats, find_repeats, window_hashes

SETTINGS = {"hidden_size": 16, "layers": 1, "batch_size": 4, "seq_length": 16}


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.02)


def words(count: int, seed: int = 1) -> str:
    letters = np.random.default_rng(seed).integers(97, 123, count)
    return "".join(map(chr, letters))


def planned(folder: Path, text: str = words(20_000), **settings: object) -> DryRun:
    (folder / "text.txt").write_bytes(text.encode())
    return dry_run(resolve(flat_settings({**SETTINGS, **settings}), fixed=True), [str(folder / "text.txt")])


def said(found: DryRun) -> str:
    return "\n".join(f"{advice.message} | {advice.hint}" for advice in warnings(found))


def test_speed_and_memory_are_measured_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = planned(tmp_path)
    assert found.speed is not None and found.speed > 0
    assert 10e6 < found.memory < 1e9  # bytes: kilobytes would be below, bits above
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize("settings", [{"tokens": "bytes"}, {"encoding": "latin-1"}, {"normalize": "nfd"}])
def test_any_kind_of_text_can_be_tried(tmp_path: Path, settings: dict[str, str]) -> None:
    assert planned(tmp_path, "déjà vu, " * 500, **settings).speed


def test_a_network_beyond_the_machine_is_not_tried(tmp_path: Path) -> None:
    found = planned(tmp_path, hidden_size=60_000)
    assert found.speed is None
    assert "this machine has" in said(found) and "--hidden" in said(found)


def test_a_good_plan_gets_no_warning(tmp_path: Path) -> None:
    found = replace(planned(tmp_path, words(120_000), hidden_size=64), total_steps=5000)
    assert warnings(found) == []


@pytest.mark.parametrize(
    ("text", "settings", "warning", "better"),
    [
        (words(20_000), {}, "18,000 characters are little", "more text helps most"),
        (words(20_000), {"steps": 50}, "50 updates are too few", "--epochs"),
        (words(20_000), {"hidden_size": 256}, "by heart", "--hidden 48"),
        (words(20_000), {"val_fraction": 0.05}, "a validation part of 1,000 characters", "--val-fraction 0.2"),
        (words(20_000) + "".join(map(chr, range(300, 400))), {}, "100 of 126 characters", "--tokens bytes"),
        ("".join(map(chr, range(300, 900))) * 30, {}, "600 distinct characters", "--embedding 64"),
        ("one\r\ntwo\nthree\n" * 1000, {}, "CRLF and LF", "alike"),
        ("one\x07two " * 1000, {}, "1,000 control characters", "remove them"),
        (words(10_000) * 2, {}, "stands word for word", "remove repeated passages"),
    ],
)
def test_what_will_not_work_is_told_with_the_better_value(
    tmp_path: Path, text: str, settings: dict[str, object], warning: str, better: str
) -> None:
    told = said(planned(tmp_path, text, **settings))
    assert warning in told and better in told


def test_a_dry_run_shows_facts_warnings_and_where_each_value_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(words(5000))
    Path("my.yaml").write_text("model:\n  layers: 1\n")
    result = CliRunner().invoke(main, ["train", "text.txt", "--dry-run", "--hidden", "16", "-c", "my.yaml"])
    assert result.exit_code == 0
    for part in ("utf-8, 1 lines ending in LF", "measured", "Warning: ", "an epoch", "repeated"):
        assert part in result.stdout
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if "." in line.split(" ")[0]}
    assert rows["model.hidden_size"][1:] == ["16", "--hidden"]
    assert rows["model.layers"][1:] == ["1", "my.yaml:2"]
    assert rows["model.cell"][1:] == ["lstm", "default"]
    assert rows["training.batch_size"][2:] == ["fitted", "to", "the", "text"]
    assert not Path("runs").exists()


# Repetitions


def blocks(codes: np.ndarray, size: int) -> list[np.ndarray]:
    return [codes[start : start + size] for start in range(0, len(codes), size)]


def parts(codes: np.ndarray, train: int) -> list[tuple[int, np.ndarray]]:
    """A text as two pieces: the train part and the validation part."""
    return [(0, codes[:train]), (1, codes[train:])]


def random_codes(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(32, 127, count).astype(np.uint32)


def test_the_hash_of_a_window_depends_on_its_characters_alone() -> None:
    codes = random_codes(500).astype(np.uint64)
    twice = window_hashes(np.concatenate([codes, codes]))
    assert np.array_equal(twice[: len(codes)][: 500 - WINDOW + 1], twice[500:])
    assert len(set(twice.tolist())) == 500


@given(st.integers(1, 3000))
def test_blocks_make_no_difference(size: int) -> None:
    codes = np.tile(random_codes(1500), 2)
    whole = find_repeats(parts(codes, 2700), len(codes))
    train, validation = parts(codes, 2700)
    small = [(part, block) for part, piece in (train, validation) for block in blocks(piece, size)]
    assert find_repeats(small, len(codes)) == whole


def test_shares_of_repetition() -> None:
    once, other = random_codes(50_000), random_codes(50_000, seed=2)
    assert find_repeats(parts(once, 45_000), 50_000) == Repeats(0.0, 0.0)
    twice = np.concatenate([once, once])
    assert find_repeats(parts(twice, 50_000), 100_000).anywhere == pytest.approx(0.5, abs=0.02)
    assert find_repeats(parts(twice, 50_000), 100_000).leaked > 0.99
    half = np.concatenate([once, other, once[:25_000], other[::-1][:25_000]])
    assert find_repeats(parts(half, 100_000), 150_000).leaked == pytest.approx(0.5, abs=0.05)


def test_a_text_shorter_than_a_window_repeats_nothing() -> None:
    assert find_repeats(parts(random_codes(10), 9), 10) == Repeats(0.0, 0.0)
