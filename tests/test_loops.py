"""Loops: what would repeat a passage, against brute force, and texts that run in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import TINY, complaint, write_text
from hypothesis import given
from hypothesis import strategies as st
from reference import random_model, surprise

import charnn
from charnn import cli
from charnn.errors import ConfigError
from charnn.sampling.loops import Passages, loop_length
from charnn.sampling.sampler import Sampling, draw, generate
from charnn.sampling.session import Session
from charnn.text.vocabulary import Vocabulary

DIGITS = Vocabulary("\n 0123")
WORDS = Vocabulary("\n 'abcé")


def barred(text: str, length: int, vocabulary: Vocabulary) -> str:
    """The characters that may not follow a text."""
    passages = Passages(length, vocabulary, vocabulary.encode(text).tolist())
    return "".join(sorted(vocabulary.characters[i] for i in passages.barred()))


@given(st.text(alphabet="01 ", max_size=60), st.integers(2, 6))
def test_what_would_complete_a_passage_is_what_brute_force_finds(text: str, length: int) -> None:
    end = text[len(text) - length + 1 :] if len(text) >= length else None
    expected = [c for c in DIGITS.characters if end is not None and end + c in text]
    assert barred(text, length, DIGITS) == "".join(expected)


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("abc abc ab", 4, ""),  # a word that has begun goes on
        ("abc abc abc", 4, ""),
        ("abc abc abc ", 4, "a"),
        ("ab'c ab'", 5, ""),
        ("ab'c ab'", 4, "c"),  # but where all would be letters
        ("abcbabcb", 4, "a"),
        ("aéa\naéa\n", 4, "a"),
    ],
)
def test_a_passage_ends_with_a_word(text: str, length: int, expected: str) -> None:
    assert barred(text, length, WORDS) == expected


def test_bytes_of_letters_are_parts_of_words() -> None:
    passages = Passages(3, Vocabulary.bytes_(), "é é".encode())
    assert passages.barred() == []  # a space would end the word
    passages.take(ord(" "))
    assert passages.barred() == [0xC3]


# Drawing


def samples(
    settings: Sampling, prompt: str = "", vocabulary: Vocabulary = DIGITS, count: int = 1, cell: str = "gru"
) -> list[str]:
    model = random_model(cell, V=len(vocabulary), H=6)
    drawn, pieces = generate(model, vocabulary, prompt, settings, 1, count)
    for _ in pieces:
        pass
    return [sample.text for sample in drawn]


@pytest.mark.parametrize("temperature", [0.0, 0.001, 0.3, 1.0])
@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.5}])
def test_no_passage_is_written_twice_nor_one_of_the_prompt(temperature: float, options: dict[str, float]) -> None:
    settings = Sampling(length=300, temperature=temperature, no_repeat=6, **options)  # type: ignore[arg-type]
    for text in samples(settings, "0123 0213", count=3):
        whole = "0123 0213" + text
        passages = [whole[i : i + 6] for i in range(len(whole) - 5)]
        assert len(set(passages)) == len(passages)
    without = samples(Sampling(length=300, temperature=temperature, **options), "0123 0213")[0]  # type: ignore[arg-type]
    assert len({without[i : i + 6] for i in range(295)}) < 295


def test_only_what_would_repeat_is_changed() -> None:
    free, held = (samples(Sampling(length=200, temperature=0, no_repeat=n))[0] for n in (0, 8))
    assert held[:8] == free[:8] and held != free
    assert samples(Sampling(length=200, no_repeat=150)) == samples(Sampling(length=200))


def test_a_stream_is_held_against_its_own_text_alone() -> None:
    settings = Sampling(length=100, temperature=0.2, no_repeat=5)
    assert samples(settings, count=3)[0] == samples(settings)[0]


def test_what_is_barred_is_not_drawn_however_likely_and_the_surprise_is_the_models_own() -> None:
    logits = np.array([[0.0, 900.0, 1.0, -1.0]] * 2)
    for temperature in (0.0, 1e-9, 0.1, 1.0):
        for uniform in (0.0, 0.5, 1 - 2**-53):
            tokens, nats = draw(logits, Sampling(temperature=temperature), np.full(2, uniform), [[1], [0, 1, 2]])
            assert tokens[0] != 1 and tokens[1] == 3
            assert temperature >= 0.1 or tokens[0] == 2
            np.testing.assert_allclose(nats, surprise(logits, tokens))


def test_where_all_is_barred_nothing_is() -> None:
    tokens, _ = draw(np.array([[0.0, 1.0]]), Sampling(temperature=0), np.zeros(1), [[0, 1]])
    assert tokens.tolist() == [1]
    assert len(samples(Sampling(length=100, no_repeat=2))[0]) == 100


@pytest.mark.parametrize("length", [-1, 1])
def test_a_passage_has_at_least_two_characters(length: int) -> None:
    assert "no_repeat" in complaint(lambda: Sampling(no_repeat=length), ConfigError)


def test_a_session_repeats_nothing_of_its_text_but_what_was_undone() -> None:
    model, settings = random_model("gru", V=len(DIGITS), H=6), Sampling(temperature=0, no_repeat=5)
    session = Session(model, DIGITS, settings, 1)
    session.read("012")
    first = "".join(session.write(length=40))
    session.undo()
    again = "".join("".join(session.write(length=n)) for n in (15, 25))
    assert first == again
    drawn, pieces = generate(model, DIGITS, "012", Sampling(length=40, temperature=0, no_repeat=5), 1)
    assert first == "".join(text for _, text in pieces) == drawn[0].text


# Texts in a loop


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("a" * 200, 1),
        ("x" + "a" * 200, 1),
        ("a" * 199, 0),
        ("a" * 199 + "b", 0),
        ("abc " * 50, 4),
        ("the end. " + "".join(map(chr, range(100, 170))) * 3, 70),
        ("".join(map(chr, range(100, 200))) * 2 + "z", 0),
        ("".join(map(chr, range(100, 1100))) * 3, 1000),
        ("".join(map(chr, range(100, 1101))) * 3, 0),
        ("", 0),
    ],
)
def test_a_loop_is_a_passage_three_times_and_two_hundred_characters(text: str, length: int) -> None:
    assert loop_length(text) == length


def test_sample_says_that_a_text_ends_in_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list(charnn.train(write_text(tmp_path), out=tmp_path / "run", **TINY))

    def told(*words: str) -> str:
        assert cli.run(["sample", str(tmp_path / "run"), "--seed", "1", "--length", "600", *words]) == 0
        return capsys.readouterr().err

    assert "Note: the text ends in a loop of" in told("-t", "0")
    assert "Note: 2 of 2 texts end in a loop of" in told("-t", "0", "--count", "2", "--json")
    for calm in (["-t", "0", "--no-repeat", "20"], ["-t", "1"]):
        assert not told(*calm)
