"""Drawing characters: temperature and truncation against brute force, stops, lengths, seeds, and odd vocabularies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers import complaint
from hypothesis import given
from hypothesis import strategies as st
from reference import cycle, forward, random_model, surprise

from charnn.errors import ConfigError, UnknownCharacters
from charnn.network.model import CharRNN
from charnn.sampling.sampler import PRIME_LENGTH, Sample, Sampling, draw, generate, truncate
from charnn.text.unicode import bytes_of
from charnn.text.vocabulary import Vocabulary

LETTERS = Vocabulary("\nabcdef")


def write(model: CharRNN, vocabulary: Vocabulary, prompt: str = "", **options: Any) -> Sample:
    """One sample; what was yielded piece by piece is its text."""
    seed = options.pop("seed", 1)
    samples, pieces = generate(model, vocabulary, prompt, Sampling(**options), seed)
    assert "".join(piece for _, piece in pieces) == samples[0].text
    return samples[0]


ALPHABET = cycle(LETTERS, [1, 2, 3, 4, 5, 6])
"""Writes abcdefabcdef..."""


# Drawing. The numbers are sums of powers of two, so that rounding decides nothing.


weights = st.lists(st.sampled_from([0.0, 1.0, 2.0, 8.0, 8.0, 64.0]), min_size=1, max_size=8).filter(any)
sampling = st.builds(
    Sampling,
    top_k=st.integers(0, 9),
    top_p=st.sampled_from([1e-9, 0.125, 0.5, 0.875, 1.0]),
    min_p=st.sampled_from([0.0, 0.125, 0.5, 1.0]),
)


@pytest.mark.parametrize("ranked_at_first", [8, 2, 1])
@given(p=weights, settings=sampling)
def test_truncation_keeps_what_brute_force_keeps(ranked_at_first: int, p: list[float], settings: Sampling) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charnn.sampling.sampler.SORTED", 0)
        patch.setattr("charnn.sampling.sampler.RANKED", ranked_at_first)
        patch.setattr("charnn.network.loss.FEW", 1)
        found = truncate(np.array([p, p[::-1]]), settings)[0]  # two streams, each for itself
    ranked = sorted(range(len(p)), key=lambda i: (-p[i], i))
    kept = set(ranked[: settings.top_k] if settings.top_k else ranked)
    kept &= {i for i in ranked if p[i] >= settings.min_p * max(p)}
    nucleus, reached = set(), 0.0
    for i in ranked:
        if settings.top_p == 1 or reached < settings.top_p * sum(p):
            nucleus.add(i)
        reached += p[i]
    expected = [p[i] if i in kept & nucleus else 0.0 for i in range(len(p))]
    np.testing.assert_array_equal(found, expected)
    assert found.sum() > 0


def frequencies(logits: list[float], settings: Sampling, draws: int = 4000) -> np.ndarray:
    streams = np.tile(np.array(logits, np.float32), (draws, 1))  # (B, V)
    drawn, _ = draw(streams, settings, np.random.default_rng(1).random(draws))
    return np.bincount(drawn, minlength=len(logits)) / draws


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_characters_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    logits = [0.0, 1.0, -1.0, 2.0]
    p = np.exp(np.array(logits) / temperature)
    found = frequencies(logits, Sampling(temperature=temperature))
    np.testing.assert_allclose(found, p / p.sum(), atol=4 * math.sqrt(0.25 / 4000))


def test_a_high_temperature_draws_all_alike_and_a_low_one_only_the_likeliest() -> None:
    logits = [0.0, 5.0, -30.0, 4.9]
    np.testing.assert_allclose(frequencies(logits, Sampling(temperature=1e9)), 0.25, atol=0.03)
    assert frequencies(logits, Sampling(temperature=1e-9)).tolist() == [0, 1, 0, 0]
    assert frequencies(logits, Sampling(temperature=0)).tolist() == [0, 1, 0, 0]
    assert frequencies([1.0, 2.0, 2.0], Sampling(temperature=0)).tolist() == [0, 1, 0]  # the first of equals


def test_what_is_truncated_is_never_drawn() -> None:
    logits = [0.0, 1.0, 0.5, -1.0]
    assert frequencies(logits, Sampling(top_k=2))[[0, 3]].tolist() == [0, 0]
    assert frequencies(logits, Sampling(top_p=1e-9)).tolist() == [0, 1, 0, 0]
    assert frequencies(logits, Sampling(min_p=0.5, temperature=1.0))[[0, 3]].tolist() == [0, 0]
    assert frequencies(logits, Sampling(top_k=99)).min() > 0


@pytest.mark.parametrize("extreme", [1e4, -1e4, 3e38])
def test_extreme_logits_are_drawn_from_without_complaint(extreme: float) -> None:
    for temperature in (0.0, 1e-9, 1.0, 1e9):
        logits = np.array([[0, extreme, 1], [extreme, -extreme, 0], [extreme, extreme, extreme]], np.float32)
        for uniform in (0.0, 0.5, 1 - 2**-53):
            tokens, nats = draw(logits, Sampling(temperature=temperature), np.full(3, uniform))
            assert ((tokens >= 0) & (tokens < 3)).all() and (nats >= 0).all() and np.isfinite(nats).all()


def test_the_surprise_told_is_the_models_own_whatever_the_temperature() -> None:
    logits = np.random.default_rng(1).normal(size=(4, 9))
    for settings in (Sampling(), Sampling(temperature=0), Sampling(temperature=3, top_k=2)):
        tokens, nats = draw(logits, settings, np.random.default_rng(2).random(4))
        np.testing.assert_allclose(nats, surprise(logits, tokens))


@pytest.mark.parametrize(
    "options",
    [
        *({"temperature": value} for value in (-1, math.nan, math.inf)),
        *({"length": value} for value in (0, -1)),
        *({"top_p": value} for value in (0, 1.1, math.nan)),
        *({"min_p": value} for value in (-0.1, 1.1, math.nan)),
        {"top_k": -1},
        {"stop": ("",)},
    ],
)
def test_senseless_settings_are_refused_by_name(options: dict[str, Any]) -> None:
    assert next(iter(options)) in complaint(lambda: Sampling(**options), ConfigError)


@pytest.mark.parametrize("options", [{"count": 0}, {"seed": -1}])
def test_senseless_calls_are_refused_by_name(options: dict[str, Any]) -> None:
    what = complaint(lambda: generate(ALPHABET, LETTERS, "a", Sampling(), **options), ConfigError)
    assert next(iter(options)) in what


# Prompts


@pytest.mark.parametrize("length", [1, 2, PRIME_LENGTH, PRIME_LENGTH + 1, 2 * PRIME_LENGTH + 7])
def test_the_text_goes_on_from_the_whole_prompt(length: int) -> None:
    model = random_model("gru", layers=2, V=len(LETTERS), H=6)
    ids = np.random.default_rng(3).integers(0, len(LETTERS), length)
    logits, _ = forward(model, ids[:, None], model.zero_carry(1))
    sample = write(model, LETTERS, LETTERS.decode(ids), length=1, temperature=0)
    assert sample.text == LETTERS.characters[int(logits[-1, 0].argmax())]
    assert sample.nats_per_character == pytest.approx(float(surprise(logits[-1, 0], logits[-1, 0].argmax())))


def test_without_a_prompt_the_text_begins_as_after_a_line_end() -> None:
    model = random_model("lstm", V=len(LETTERS), H=6)
    assert write(model, LETTERS, "", length=20).text == write(model, LETTERS, "\n", length=20).text


def test_unknown_characters_of_a_prompt_are_named() -> None:
    with pytest.raises(UnknownCharacters) as caught:
        write(ALPHABET, LETTERS, "a\x1b[zz")
    assert caught.value.characters == "\x1b[z"
    assert "--unknown skip" in caught.value.hint and "\x1b" not in caught.value.message


# Lengths and stops


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_the_length_counts_the_characters_that_are_generated(length: int) -> None:
    sample = write(ALPHABET, LETTERS, "f", length=length)
    assert sample.text == ("abcdef" * 20)[:length]
    assert sample.stopped_by == "length"


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (("d",), "abc"),
        (("cd",), "ab"),
        (("fab",), "abcde"),
        (("defabc",), "abc"),
        (("zz", "ef"), "abcd"),
        (("def", "cd"), "ab"),
        (("cdef", "de"), "abc"),
        (("a",), ""),
        (("efabcdx", "fabcde"), "abcde"),
    ],
)
def test_a_text_ends_before_a_stop_and_nothing_of_it_is_shown(stop: tuple[str, ...], text: str) -> None:
    sample = write(ALPHABET, LETTERS, "f", stop=stop, length=50)
    assert (sample.text, sample.stopped_by) == (text, "stop")


@pytest.mark.parametrize(("stop", "length"), [("cdx", 4), ("bcdefabz", 7), ("ab", 1), ("abcdefg", 6)])
def test_what_only_began_a_stop_is_shown_at_the_end(stop: str, length: int) -> None:
    sample = write(ALPHABET, LETTERS, "f", stop=(stop,), length=length)
    assert (sample.text, sample.stopped_by) == ("abcdefabc"[:length], "length")


def test_a_stop_in_the_last_character_is_a_stop() -> None:
    sample = write(ALPHABET, LETTERS, "f", stop=("cd",), length=4)
    assert (sample.text, sample.stopped_by) == ("ab", "stop")


def test_text_is_yielded_as_soon_as_no_stop_can_swallow_it() -> None:
    _, pieces = generate(ALPHABET, LETTERS, "f", Sampling(length=8, stop=("bcx",)), 1)
    assert [piece for _, piece in pieces] == ["a", "bcd", "e", "f", "a", "b"]


# Seeds and several samples


def test_the_same_seed_writes_the_same_text_and_another_one_another() -> None:
    model = random_model("lstm", V=len(LETTERS), H=6)
    texts = [write(model, LETTERS, "a", length=60, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_without_a_seed_one_is_drawn_and_told() -> None:
    model = random_model("lstm", V=len(LETTERS), H=6)
    first, second = (write(model, LETTERS, "a", length=60, seed=None) for _ in range(2))
    assert first.seed != second.seed
    assert write(model, LETTERS, "a", length=60, seed=first.seed).text == first.text


@pytest.mark.parametrize("count", [2, 5])
def test_a_sample_does_not_depend_on_how_many_are_drawn_beside_it(count: int) -> None:
    model = random_model("gru", layers=2, V=len(LETTERS), H=6)
    options = Sampling(length=40, stop=("ab",))
    samples, pieces = generate(model, LETTERS, "abc", options, 7, count)
    yielded = [""] * count
    for index, piece in pieces:
        yielded[index] += piece
    assert yielded == [sample.text for sample in samples]
    assert len(set(yielded)) > 1
    alone, rest = generate(model, LETTERS, "abc", options, 7)
    list(rest)
    assert alone[0] == samples[0]


# Vocabularies whose tokens are no whole characters


def test_bytes_leave_as_they_were_drawn_and_the_length_counts_them() -> None:
    vocabulary = Vocabulary.bytes_()
    model = cycle(vocabulary, [0xC3, 0xA9, 0x20])
    for length in range(1, 13):
        assert bytes_of(write(model, vocabulary, " ", length=length).text) == ("é ".encode() * 4)[:length]
    assert write(model, vocabulary, " ", length=6).text == "é é "
    assert write(model, vocabulary, "é", length=9, stop=("é",)).text == " "
    assert bytes_of(write(cycle(vocabulary, [0xC3, 0x20]), vocabulary, " ", length=3).text) == b"\xc3 \xc3"


def test_every_byte_can_leave_a_network_and_be_its_prompt() -> None:
    vocabulary = Vocabulary.bytes_()
    rising = cycle(vocabulary, list(range(256)))
    prompt = vocabulary.decode(range(256))
    assert bytes_of(write(rising, vocabulary, prompt, length=256).text) == bytes(range(256))
    falling = cycle(vocabulary, list(range(255, -1, -1)))
    assert bytes_of(write(falling, vocabulary, prompt[:1], length=256).text) == bytes(range(255, -1, -1))


def test_decomposed_characters_are_written_composed_and_the_length_counts_those() -> None:
    vocabulary = Vocabulary(" e\u0301", normalize="nfd")
    model = cycle(vocabulary, [0, 1, 2])
    for length in range(1, 7):
        assert write(model, vocabulary, "é", length=length).text == (" é" * 4)[:length]
    assert write(model, vocabulary, "é", length=9, stop=(" é é",)).text == ""
    korean = Vocabulary.from_code_points(np.array([ord(c) for c in "\u1112\u1161\u11ab "]), "nfd")
    model = cycle(korean, [korean.characters.index(c) for c in "\u1112\u1161\u11ab "])
    assert write(model, korean, " ", length=4).text == "한 한 "
