"""A session is one text, however it came about: against single samples, whole forward passes, and its own past."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers import complaint
from reference import VARIANTS, cycle, forward, random_model, surprise

from charnn.errors import ConfigError, UnknownCharacters
from charnn.network.model import CharRNN
from charnn.sampling.sampler import Sampling, generate
from charnn.sampling.session import Session, State
from charnn.text.vocabulary import Vocabulary

LETTERS = Vocabulary("\n abcdef")
GREEDY = Sampling(temperature=0)


def new_session(settings: Sampling | None = None, seed: int = 1, cell: str = "lstm", activation: str = "") -> Session:
    model = random_model(cell, activation, layers=2, V=len(LETTERS), H=6)
    return Session(model, LETTERS, settings, seed)


def write(session: Session, **options: object) -> str:
    return "".join(session.write(**options))  # type: ignore[arg-type]


def sample(model: CharRNN, prompt: str, settings: Sampling, seed: int = 1, vocabulary: Vocabulary = LETTERS) -> str:
    samples, pieces = generate(model, vocabulary, prompt, settings, seed)
    for _ in pieces:
        pass
    return samples[0].text


def assert_same(one: State, other: State) -> None:
    """The same text, and the same state to the bit."""
    np.testing.assert_array_equal(one.carry, other.carry)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.nats, other.nats)
    assert (one.last, one.drawn) == (other.last, other.drawn)


# One text


@pytest.mark.parametrize("prompt", ["", "a", "abc\nfed"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_session_in_many_turns_writes_what_one_sample_writes(prompt: str, temperature: float) -> None:
    session = new_session(Sampling(temperature=temperature))
    session.read(prompt)
    written = "".join(write(session, length=n) for n in (1, 30, 2, 67))
    assert written == sample(session.model, prompt, Sampling(length=100, temperature=temperature))
    assert session.text == prompt + written


@pytest.mark.parametrize(("cell", "activation"), VARIANTS)
def test_the_state_after_reading_is_that_of_a_forward_pass_over_the_whole_text(cell: str, activation: str) -> None:
    session = new_session(cell=cell, activation=activation)
    text = "abc\ndef\n fade\ncab"
    for line in text.splitlines(keepends=True):
        session.read(line)
    ids = LETTERS.encode(text)[:, None].astype(np.intp)
    logits, carry = forward(session.model, ids[:-1], session.model.zero_carry(1))
    np.testing.assert_allclose(session.state.carry, carry, rtol=1e-9, atol=1e-12)
    assert session.state.last == ids[-1]
    np.testing.assert_allclose(session.nats[1:], surprise(logits[:, 0], ids[1:, 0]), rtol=1e-9)
    assert np.isnan(session.nats[0])


def test_what_was_drawn_is_judged_as_what_is_read() -> None:
    session = new_session()
    write(session, length=50)
    again = new_session()
    again.read("\n" + session.text)
    np.testing.assert_allclose(session.nats, again.nats[1:], rtol=1e-9)


def test_the_likeliest_next_characters_are_told_with_their_probabilities() -> None:
    session = new_session()
    for text in ("", "abc"):
        session.read(text)
        ids = LETTERS.encode(text or "\n")[:, None].astype(np.intp)
        logits, _ = forward(session.model, ids, session.model.zero_carry(1))
        p = np.exp(logits[-1, 0]) / np.exp(logits[-1, 0]).sum()
        expected = session.expected(3)
        assert [c for c, _ in expected] == [LETTERS.characters[i] for i in np.argsort(-p)[:3]]
        np.testing.assert_allclose([q for _, q in expected], np.sort(p)[::-1][:3], rtol=1e-9)
    assert sum(q for _, q in session.expected(99)) == pytest.approx(1)


# Going back


def test_undoing_goes_back_to_the_same_bits_turn_by_turn() -> None:
    session, states = new_session(), []
    for turn in range(6):
        states.append(session.state)
        if turn % 2:
            session.read("abc\n")
        else:
            write(session, length=20, lead="d" if turn else "")
    texts = []
    for state in reversed(states):
        texts.append(session.undo())
        assert_same(session.state, state)
    assert texts[::2] == ["abc\n"] * 3
    assert session.text == ""
    assert "nothing to undo" in complaint(session.undo, ConfigError)


def test_what_is_undone_and_written_again_is_another_text_except_of_the_likeliest() -> None:
    for settings, same in ((Sampling(length=40), False), (Sampling(length=40, temperature=0), True)):
        session = new_session(settings)
        first = write(session)
        session.undo()
        assert (write(session) == first) == same


def test_a_state_that_was_kept_can_be_gone_back_to_and_given_to_another_session() -> None:
    session, other = new_session(GREEDY), new_session(GREEDY)
    session.read("abc")
    kept = session.state
    first = write(session, length=30)
    for one in (session, other):
        one.state = kept
        assert one.text == "abc"
        assert write(one, length=30) == first
        assert one.text == "abc" + first


def test_a_seed_repeats_a_session() -> None:
    def played(seed: int) -> str:
        session = new_session(seed=seed)
        write(session, length=9)
        session.undo()
        session.read("fed\n")
        write(session, line=True, temperature=2)
        return session.text

    assert played(1) == played(1) != played(2)


# Where a writing ends


def alphabet(settings: Sampling | None = None, tokens: str = "abcdef\n") -> Session:
    """Writes abcdef and a line end, over and over."""
    return Session(cycle(LETTERS, [LETTERS.characters.index(c) for c in tokens]), LETTERS, settings, 1)


def test_a_line_ends_the_writing_and_belongs_to_the_text() -> None:
    session = alphabet()
    session.read("abc")
    assert write(session, line=True) == "def\n" and session.stopped_by == "line"
    assert write(session, line=True) == "abcdef\n"
    assert write(session, line=True, length=3) == "abc" and session.stopped_by == "length"
    assert session.text == "abcdef\nabcdef\nabc"


def test_a_blank_line_is_none_unless_something_stood_in_it() -> None:
    session = alphabet(tokens="a \n")
    session.read("\n")
    assert write(session, line=True) == "a \n"
    session.read("a")
    assert write(session, line=True) == " \n"
    only_blanks = alphabet(tokens=" \n")
    assert write(only_blanks, line=True, length=7) == " \n \n \n "


@pytest.mark.parametrize(
    ("stop", "text", "reason"),
    [("d", "abc", "stop"), ("f\nab", "abcde", "stop"), ("\nx", "abcdef\n", "line"), ("\na", "abcdef", "stop")],
)
def test_a_stop_is_no_part_of_the_text_and_the_network_has_not_read_it(stop: str, text: str, reason: str) -> None:
    session = alphabet(Sampling(stop=(stop,)))
    assert write(session, line=True) == text
    assert session.stopped_by == reason
    assert session.text == text
    read = alphabet()
    read.read("\n" + text)
    np.testing.assert_allclose(session.state.carry, read.state.carry, rtol=1e-5, atol=1e-7)
    assert session.state.last == read.state.last


def test_a_stop_at_once_adds_no_turn() -> None:
    session = alphabet(Sampling(stop=("d",)))
    session.read("abc")
    before = session.state
    assert write(session) == ""
    assert session.state is before


def test_a_lead_belongs_to_the_turn_of_what_is_written_after_it() -> None:
    session = alphabet()
    session.read("ef\n")
    before = session.state
    assert write(session, lead="abc", length=2) == "de"
    assert session.text == "ef\nabcde" and session.state.drawn == 2
    assert session.undo() == "abcde"
    assert_same(session.state, before)
    assert write(session, lead="abc", stop=("d",)) == ""
    assert session.text == "ef\nabc"


def test_a_writing_that_is_broken_off_keeps_what_was_yielded() -> None:
    session, whole = new_session(GREEDY), new_session(GREEDY)
    pieces = session.write(length=50)
    begun = "".join(itertools.islice(pieces, 7))
    session.read("abc")
    assert list(pieces) == [] and session.stopped_by == ""
    assert session.text == begun + "abc"
    assert write(whole, length=7) == begun
    session.undo()
    assert_same(session.state, whole.state)


def test_an_error_in_the_midst_of_a_writing_changes_nothing() -> None:
    session = new_session()
    session.read("abc")
    before = session.state
    pieces = session.write()
    next(pieces)
    with pytest.raises(KeyboardInterrupt):
        pieces.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert_same(session.state, before)
    assert write(session, length=9, temperature=0) == sample(session.model, "abc", Sampling(9, 0))


def test_unknown_characters_are_named_and_change_nothing() -> None:
    session = new_session()
    session.read("abc")
    before = session.state
    for call in (lambda: session.read("xyz"), lambda: session.write(lead="xyz")):
        with pytest.raises(UnknownCharacters) as caught:
            call()
        assert caught.value.characters == "xyz"
    assert session.state is before


# Vocabularies whose tokens are no whole characters


def test_the_network_has_read_only_whole_characters() -> None:
    vocabulary = Vocabulary.bytes_()
    session = Session(cycle(vocabulary, list("é ab".encode())), vocabulary, seed=1)
    session.read("b")
    assert write(session, stop=("é",)) == ""
    assert write(session, length=2) == "é"
    assert write(session, stop=("é",)) == " ab"
    assert write(session, length=3) == "é "
    assert session.text == "bé abé "
    pieces = session.write()
    assert [next(pieces) for _ in range(2)] == ["a", "b"]
    session.read("é")
    assert session.text == "bé abé abé"


def test_what_was_taken_apart_is_written_composed_and_read_whole() -> None:
    vocabulary = Vocabulary(" e\u0301", normalize="nfd")
    session = Session(cycle(vocabulary, [0, 1, 2]), vocabulary, seed=1)
    session.read(" ")
    assert write(session, length=3) == "é é"
    assert session.ids.tolist() == [0, 1, 2, 0, 1, 2]
    assert write(session, length=1) == " "
    assert session.undo() == " "
    assert session.text == " é é"
