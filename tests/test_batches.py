"""Which characters a step sees: parallel streams in training, and every character once in scoring."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from helpers import complaint
from hypothesis import assume, given
from hypothesis import strategies as st

from charnn.text.batches import Batches, Position
from charnn.text.streams import BURN_IN, MIN_STREAM, spans, stream_count

numbers = st.integers(1, 12)


def positions(batches: Batches, epoch: int = 0) -> list[Position]:
    return [Position(epoch, chunk) for chunk in range(batches.chunks_per_epoch)]


# Training: the text is 0, 1, 2, ... so that a character tells where it stands


@given(st.integers(2, 400), numbers, numbers, st.integers(0, 5))
def test_streams_are_contiguous_and_no_character_is_predicted_twice(N: int, B: int, T: int, epoch: int) -> None:
    assume(N - 1 >= B * T)
    batches = Batches(np.arange(N, dtype=np.uint16), B, T, seed=3)
    seen = []
    before = None
    for position in positions(batches, epoch):
        x, y = batches.batch(position)
        assert x.shape == y.shape == (T, B)
        np.testing.assert_array_equal(y, x + 1)
        np.testing.assert_array_equal(np.diff(x.astype(int), axis=0), 1)
        if before is not None:
            np.testing.assert_array_equal(x[0], before)  # where the chunk before ended
        before = y[-1]
        seen += y.reshape(-1).tolist()
    assert len(seen) == len(set(seen)) == batches.chunks_per_epoch * B * T
    assert min(seen) >= 1 and max(seen) < N
    left_out = N - 1 - len(seen)
    assert left_out < T - 1 + B + B * T  # the offsets, the remainder of the streams, and of the chunks


@given(st.integers(20, 400), numbers, numbers)
def test_every_epoch_starts_at_an_offset_below_the_length_of_a_chunk(N: int, B: int, T: int) -> None:
    assume(N - 1 >= B * T)
    batches = Batches(np.arange(N, dtype=np.uint16), B, T)
    offsets = [batches.offset(epoch) for epoch in range(20)]
    assert offsets == [batches.offset(epoch) for epoch in range(20)]
    assert all(0 <= offset < T for offset in offsets)
    assert [int(batches.batch(Position(epoch, 0))[0][0, 0]) for epoch in range(20)] == offsets


def test_offsets_differ_between_epochs_and_seeds() -> None:
    ids = np.zeros(10_000, np.uint8)
    one, two = (Batches(ids, 4, 50, seed) for seed in (1, 2))
    assert len({one.offset(epoch) for epoch in range(30)}) > 15
    assert [one.offset(epoch) for epoch in range(30)] != [two.offset(epoch) for epoch in range(30)]


def test_the_position_goes_chunk_by_chunk_and_epoch_by_epoch() -> None:
    batches = Batches(np.zeros(31, np.uint8), 2, 4)
    position, seen = Position(), []
    for _ in range(2 * batches.chunks_per_epoch + 1):
        seen.append(position)
        position = batches.after(position)
    assert seen == [*positions(batches, 0), *positions(batches, 1), Position(2, 0)]


@given(st.integers(1, 8), st.integers(1, 8))
def test_shares_of_the_streams_put_together_are_the_batch(B: int, ranks: int) -> None:
    batches = Batches(np.arange(200, dtype=np.uint8), B, 5)
    whole, _ = batches.batch(Position(1, 2))
    borders = [B * rank // ranks for rank in range(ranks + 1)]
    columns = [slice(a, b) for a, b in itertools.pairwise(borders) if b > a]
    shares = [batches.batch(Position(1, 2), part)[0] for part in columns]
    np.testing.assert_array_equal(np.concatenate(shares, axis=1), whole)


@given(st.integers(2, 200), st.integers(1, 40), st.integers(1, 40))
def test_a_text_that_is_too_short_is_refused_with_sizes_that_fit(N: int, B: int, T: int) -> None:
    ids = np.zeros(N, np.uint8)
    if N - 1 >= B * T:
        assert Batches(ids, B, T).chunks_per_epoch >= 1
        return
    what = complaint(lambda: Batches(ids, B, T))
    assert f"{N:,} characters" in what and f"{B} streams of {T}" in what
    batch_size, seq_length = map(int, re.findall(r"--batch-size (\d+) --seq-length (\d+)", what)[0])
    assert batch_size <= B and seq_length <= T
    assert Batches(ids, batch_size, seq_length).chunks_per_epoch >= 1


# Spans of parallel streams


@given(st.integers(0, 900), st.integers(1, 1500), st.integers(1, 9), st.integers(1, 80))
def test_every_character_counts_exactly_once(before: int, N: int, streams: int, T: int) -> None:
    counted = []
    for span in spans(before, N, streams, T):
        assert span.at.shape == span.counts.shape == (len(span.at), streams) and span.cold.shape == (streams,)
        assert len(span.at) <= T
        counted += span.at[span.counts].tolist()
    assert sorted(counted) == list(range(before or 1, before + N))  # nothing predicts a very first character


@given(st.integers(0, 900), st.integers(1, 1500), st.integers(1, 9), st.integers(1, 80))
def test_what_a_stream_read_before_a_character_that_counts_is_the_text_before_it(
    before: int, N: int, streams: int, T: int
) -> None:
    history: list[list[int]] = [[] for _ in range(streams)]
    first: list[int | None] = [None] * streams
    for span in spans(before, N, streams, T):
        for stream in range(streams):
            if span.cold[stream]:
                history[stream] = []
            for at, counts in zip(span.at[:, stream].tolist(), span.counts[:, stream], strict=True):
                history[stream].append(at - 1)
                if not counts:
                    continue
                assert history[stream] == list(range(history[stream][0], at))
                if first[stream] is None:
                    first[stream] = at
                    if at > BURN_IN and (streams > 1 or before):
                        assert len(history[stream]) == BURN_IN + 1
    assert first[0] is None or first[0] == max(before, 1)


def test_the_number_of_streams_follows_the_length() -> None:
    assert [stream_count(n) for n in (0, 1, MIN_STREAM, 2 * MIN_STREAM, 10**9)] == [1, 1, 1, 2, 64]


@pytest.mark.parametrize("streams", [1, 2, 7])
def test_nothing_counts_in_a_text_of_a_single_character(streams: int) -> None:
    assert not any(span.counts.any() for span in spans(0, 1, streams, 8))
