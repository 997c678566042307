"""A suffix array, pinned to Python's own sorting, and what is looked up in it, to looking everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charnn.text.suffixes import Coding, Ids, Suffixes, sort_suffixes

SIZES = (1, 2, 3, 256, 70_000)
"""Of vocabularies: 31, 31, 21, 7 and 3 characters fit in a key."""


def ids_of(values: list[int]) -> Ids:
    """In as few bytes as they need."""
    return np.array(values, np.min_scalar_type(max(values, default=0)))


def look_everywhere(text: list[int], places: list[int], least: int) -> list[int]:
    """For each place of a text, the length of the longest passage that stands so often among ``places``."""

    def stands(passage: list[int]) -> bool:
        return sum(places[at : at + len(passage)] == passage for at in range(len(places))) >= least

    return [
        max(length for length in range(len(text) - at + 1) if not length or stands(text[at : at + length]))
        for at in range(len(text))
    ]


@st.composite
def two_texts(draw: st.DrawFn) -> tuple[int, list[int], list[int]]:
    """A vocabulary's size, a text in few of its characters, which may repeat itself, and one much like it."""
    size = draw(st.sampled_from(SIZES))
    few = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=3))
    text = draw(st.lists(st.sampled_from(few), min_size=1, max_size=25)) * draw(st.integers(1, 3))
    other = draw(st.lists(st.sampled_from([*few, size]), max_size=15))  # size stands for a character that is not there
    start, stop = draw(st.integers(0, 20)), draw(st.integers(0, 40))
    return size, text, other + text[start:stop] + other


@pytest.fixture(params=[8, 1 << 16], ids=["shallow", "deep"])
def reach(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("charnn.text.suffixes.REACH", request.param)
    return int(request.param)


@pytest.mark.usefixtures("reach")
class TestAnyText:
    """With a short reach every doubling is the last one, and passages end where it does."""

    @settings(max_examples=150, deadline=None)
    @given(case=two_texts())
    def test_places_are_sorted_by_what_follows(self, case: tuple[int, list[int], list[int]]) -> None:
        size, text, _ = case
        depth = Coding(size).depth
        order = sort_suffixes(ids_of(text), size).tolist()
        assert sorted(order) == list(range(len(text)))
        follows = [text[at : at + depth] for at in order]
        assert follows == sorted(follows)

    @settings(max_examples=150, deadline=None)
    @given(case=two_texts(), least=st.sampled_from([1, 2]))
    def test_the_longest_passages_are_those_of_looking_everywhere(
        self, case: tuple[int, list[int], list[int]], least: int
    ) -> None:
        size, text, other = case
        suffixes = Suffixes(ids_of(text), size, sort_suffixes(ids_of(text), size))
        lengths, places = suffixes.longest(ids_of(other), least)
        depth = Coding(size).depth
        assert lengths.tolist() == [min(length, depth) for length in look_everywhere(other, text, least)]
        for at, (length, place) in enumerate(zip(lengths.tolist(), places.tolist(), strict=True)):
            assert other[at : at + length] == text[place : place + length]


def test_how_often_a_passage_must_stand_may_differ_from_place_to_place() -> None:
    text = ids_of([0, 1, 2, 3, 0, 1])
    suffixes = Suffixes(text, 4, sort_suffixes(text, 4))
    lengths, _ = suffixes.longest(text, np.array([2, 2, 1, 1, 1, 2], np.int32))
    assert lengths.tolist() == [2, 1, 4, 3, 2, 1]


def test_a_text_without_an_end_to_its_repetitions_is_sorted_and_searched() -> None:
    """Comparing characters would take hours."""
    text = np.zeros(300_000, np.uint8)
    suffixes = Suffixes(text, 1, sort_suffixes(text, 1))
    lengths, _ = suffixes.longest(text)
    depth = Coding(1).depth
    assert lengths[[0, 299_990]].tolist() == [depth, 10]


@pytest.mark.parametrize(
    "order",
    [[0, 1, 2], [1, 2, 0, 4], [1, 2, 0, -1], [1, 1, 0, 3], [0, 1, 2, 3]],
    ids=["short", "beyond", "negative", "twice", "unsorted"],
)
def test_an_order_of_another_text_is_refused(order: list[int]) -> None:
    with pytest.raises(ValueError, match="the order is not"):
        Suffixes(ids_of([2, 0, 1, 3]), 4, np.array(order, np.int32))
    Suffixes(ids_of([2, 0, 1, 3]), 4, np.array([1, 2, 0, 3], np.int32))
