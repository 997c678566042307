"""Memory stays within a constant, however large the text: the encoded copy is on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import TEXT, Zygote, assert_told


@pytest.mark.parametrize("megabytes", [30, pytest.param(500, marks=pytest.mark.full)])
def test_a_large_text_costs_no_more_memory_than_a_small_one(megabytes: int, charnn: Zygote, tmp_path: Path) -> None:
    peaks = []
    for size in (2, megabytes):
        text, run = tmp_path / f"{size}.txt", tmp_path / f"run-{size}"
        with text.open("wb") as file:
            for _ in range(size * 10**6 // len(TEXT)):
                file.write(TEXT)
        arguments = ["--hidden", "8", "--layers", "1", "--seq-length", "16", "--steps", "2", "--val-fraction", "0"]
        result = charnn.run("train", text, "-o", run, *arguments, timeout=300)
        assert_told(result, 0, "Done")
        peaks.append(result.peak)
        text.unlink()
    mapped = megabytes * 10**6  # of the encoded copy, pages that were touched count as resident
    assert peaks[1] < peaks[0] + 40 * 2**20 + mapped * 0.1
