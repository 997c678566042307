"""The n-gram baseline, pinned to the same recursion written with dictionaries, one character at a time."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from charnn.baseline.ngrams import MAX_ORDER, NGrams, choose_order, measure
from charnn.errors import ConfigError, CorpusError


class SlowNGrams:
    """Interpolated Witten-Bell straight from its equation: a dictionary from each history to what followed it."""

    def __init__(self, ids, order, vocabulary_size):
        self.order, self.vocabulary_size = order, vocabulary_size
        self.followers = defaultdict(Counter)
        for position, character in enumerate(ids):
            for length in range(min(order - 1, position) + 1):
                self.followers[tuple(ids[position - length : position])][character] += 1

    def probability(self, character, history):
        """P(character | history), from order 0 up to order len(history) + 1."""
        lower = self.probability(character, history[1:]) if history else 1 / self.vocabulary_size
        seen = self.followers.get(tuple(history), Counter())
        if not seen:
            return lower
        return (seen[character] + len(seen) * lower) / (seen.total() + len(seen))

    def score(self, ids, context=()):
        text = [*context, *ids]
        starts = range(len(context), len(text))
        return [-math.log(self.probability(text[i], text[max(0, i - self.order + 1) : i])) for i in starts]


def random_text(length, vocabulary_size, seed=0, dtype=np.uint16):
    """Seeded text in which some characters are common and some may never occur."""
    uniform = np.random.default_rng(seed).random(length)
    return (uniform**3 * vocabulary_size).astype(dtype)


def markov_text(length, seed=0):
    """Seeded text of 8 characters in which two characters of context tell much about the next."""
    rng = np.random.default_rng(seed)
    favourite = rng.integers(0, 8, (8, 8))
    ids = [0, 1]
    for surprise, other in zip(rng.random(length), rng.integers(0, 8, length), strict=True):
        ids.append(int(other) if surprise < 0.2 else int(favourite[ids[-2], ids[-1]]))
    return np.array(ids[2:], np.uint8)


# The recursion


@pytest.mark.parametrize("vocabulary_size", [1, 2, 7, 65, 1000])
@pytest.mark.parametrize("order", [1, 2, 3, 6])
@pytest.mark.parametrize("with_context", [False, True])
def test_scores_equal_those_of_the_dictionary(vocabulary_size, order, with_context):
    train, text = random_text(600, vocabulary_size, seed=1), random_text(150, vocabulary_size, seed=2)
    context = train if with_context else None
    fast = NGrams.count(train, order, vocabulary_size).score(text, context)
    slow = SlowNGrams(train.tolist(), order, vocabulary_size).score(
        text.tolist(), train.tolist() if with_context else ()
    )
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


@pytest.mark.parametrize("length", range(8))
def test_texts_shorter_than_the_order_are_counted_as_far_as_they_go(length):
    train, text = random_text(length, 3), random_text(20, 3, seed=5)
    fast = NGrams.count(train, 6, 3).score(text, train)
    np.testing.assert_allclose(fast, SlowNGrams(train.tolist(), 6, 3).score(text.tolist(), train.tolist()), rtol=1e-12)


def test_a_hand_worked_bigram():
    # After "aab": P_1(b) = (1 + 2/2) / (3 + 2); a was followed by a and b: P_2(b | a) = (1 + 2 P_1(b)) / (2 + 2).
    ngrams = NGrams.count(np.array([0, 0, 1], np.uint8), 2, 2)
    b, a = np.array([1], np.uint8), np.array([0], np.uint8)
    assert ngrams.score(b, context=a)[0] == pytest.approx(-math.log((1 + 2 * 2 / 5) / 4))


def test_a_history_never_seen_or_never_followed_leaves_the_order_below():
    train = np.array([0, 1, 0, 1, 2], np.uint8)  # 2 ends the text, 3 never occurs
    ngrams = NGrams.count(train, 3, 4)
    text = np.arange(4, dtype=np.uint8)
    for history in ([2], [3], [2, 3], [3, 2], [2, 2]):
        for character in text[:, None]:
            context = np.array(history, np.uint8)
            assert ngrams.score(character, context) == ngrams.score(character, context, order=1)


@pytest.mark.parametrize("vocabulary_size", [2, 65, 1000])
@pytest.mark.parametrize("history", [[], [1], [0, 1], [1, 0, 1, 0, 0], "end", "unseen"])
def test_probabilities_sum_to_one(vocabulary_size, history):
    train = random_text(500, vocabulary_size, seed=3)
    named = {"end": train[-5:].tolist(), "unseen": [vocabulary_size - 1] * 5}
    context = np.array(named[history] if isinstance(history, str) else history, np.uint16)
    ngrams = NGrams.count(train, 6, vocabulary_size)
    characters = np.arange(vocabulary_size, dtype=np.uint16)[:, None]
    for order in (1, 2, 4, 6):
        probabilities = [math.exp(-ngrams.score(c, context, order)[0]) for c in characters]
        assert math.fsum(probabilities) == pytest.approx(1, abs=1e-12)
        assert min(probabilities) > 0


def test_every_order_can_be_read_from_one_count():
    train, text = random_text(800, 20, seed=1), random_text(100, 20, seed=2)
    ngrams = NGrams.count(train, 5, 20)
    rows = list(ngrams.score_orders(text, train))
    assert len(rows) == ngrams.order == 5
    for order, row in enumerate(rows, start=1):
        np.testing.assert_array_equal(row, ngrams.score(text, train, order))
        np.testing.assert_array_equal(row, NGrams.count(train, order, 20).score(text, train))
    np.testing.assert_array_equal(rows[-1], ngrams.score(text, train))


@pytest.mark.parametrize("order", [0, -1, 4])
def test_an_order_that_was_not_counted_is_an_error(order):
    with pytest.raises(ConfigError, match="was not counted"):
        NGrams.count(random_text(50, 5), 3, 5).score(random_text(5, 5), order=order)


def test_no_model_has_an_order_below_one():
    with pytest.raises(ConfigError, match="no order 0"):
        NGrams.count(random_text(50, 5), 0, 5)


def test_characters_outside_the_vocabulary_are_an_error():
    with pytest.raises(CorpusError, match="vocabulary of 5"):
        NGrams.count(np.array([1, 5], np.uint8), 2, 5)
    with pytest.raises(CorpusError, match="vocabulary of 5"):
        NGrams.count(random_text(50, 5), 2, 5).score(np.array([7], np.uint8))


# Representations that must not matter


@pytest.mark.parametrize("stride", [1, 150, 17_000])
def test_large_vocabularies_are_counted_as_exactly_as_small_ones(stride):
    """Spreading 65 characters over a large vocabulary changes no count, at sizes where V**6 overflows 64 bits."""
    vocabulary_size = 1_114_112
    train, text = random_text(2000, 65, seed=1, dtype=np.uint32), random_text(300, 65, seed=2, dtype=np.uint32)
    slow = SlowNGrams(train.tolist(), 6, vocabulary_size).score(text.tolist(), train.tolist())
    fast = NGrams.count(train * stride, 6, vocabulary_size).score(text * stride, train * stride)
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64, np.int64])
def test_the_type_of_the_ids_does_not_matter(dtype):
    train, text = random_text(500, 65, seed=1), random_text(80, 65, seed=2)
    same = NGrams.count(train.astype(dtype), 4, 65).score(text.astype(dtype), train)
    np.testing.assert_array_equal(same, NGrams.count(train, 4, 65).score(text, train))


def test_memory_maps_are_read_and_left_as_they_are(tmp_path: Path):
    text = markov_text(3000)
    path = tmp_path / "ids.npy"
    np.save(path, text)
    mapped = np.load(path, mmap_mode="r")
    assert measure(mapped[:2700], mapped[2700:], 8, context=mapped[:2700]) == measure(
        text[:2700], text[2700:], 8, context=text[:2700]
    )
    np.testing.assert_array_equal(np.load(path), text)


# The baseline


def test_the_loss_is_the_mean_of_the_scores_of_the_chosen_order():
    text = markov_text(4000)
    train, validation = text[:3600], text[3600:]
    found = measure(train, validation, 8, context=train)
    scores = [nats.mean() for nats in NGrams.count(train, MAX_ORDER, 8).score_orders(validation, train)]
    assert found.losses_by_order == pytest.approx(scores, rel=1e-15)
    assert found.loss == found.losses_by_order[found.order - 1]
    assert found.uniform == math.log(8)
    assert (found.characters, found.trained_on, found.scored_on) == (400, 3600, 400)


def test_the_order_found_is_the_order_of_the_source():
    """Two characters of context are all that the text's source looks at, and its entropy bounds every loss."""
    text = markov_text(22_000)
    found = measure(text[:20_000], text[20_000:], 8, context=text[:20_000])
    favourite, other = 0.8 + 0.2 / 8, 0.2 / 8
    entropy = -favourite * math.log(favourite) - 7 * other * math.log(other)
    assert found.order == 3
    assert entropy - 0.05 < found.loss < entropy + 0.05


def test_the_order_is_chosen_without_a_look_at_the_validation_text():
    train = markov_text(3000)
    orders = {measure(train, markov_text(300, seed), 8).order for seed in range(5)}
    orders |= {measure(train, random_text(300, 8, seed), 8).order for seed in range(5)}
    assert orders == {choose_order(train, 8)}


def test_the_order_minimises_the_dictionary_loss_on_the_last_tenth():
    train = markov_text(500).tolist()
    losses = [np.mean(SlowNGrams(train[:450], n, 8).score(train[450:], train[:450])) for n in range(1, MAX_ORDER + 1)]
    assert choose_order(np.array(train), 8) == 1 + int(np.argmin(losses))


def test_of_equal_orders_the_lowest_is_chosen():
    assert choose_order(np.zeros(100, np.uint8), 1) == 1


def test_measuring_twice_gives_the_same_bits():
    train, validation = random_text(5000, 65, seed=1), random_text(500, 65, seed=2)
    assert measure(train, validation, 65) == measure(train, validation, 65)


def test_context_continues_from_the_text_before():
    text = markov_text(2000)
    train, validation = text[:1900], text[1900:]
    alone, continued = measure(train, validation, 8), measure(train, validation, 8, context=train)
    assert alone.losses_by_order[0] == continued.losses_by_order[0]  # a unigram has no history
    assert alone.losses_by_order[2] != continued.losses_by_order[2]
    assert continued == measure(train, validation, 8, context=train[-MAX_ORDER + 1 :])


def test_limits_take_the_end_of_training_and_the_start_of_validation_and_say_so():
    text = markov_text(4000)
    train, validation = text[:3000], text[3000:]
    limited = measure(train, validation, 8, train_limit=1000, validation_limit=100)
    assert (limited.characters, limited.trained_on, limited.scored_on) == (1000, 1000, 100)
    whole = measure(train[-1000:], validation[:100], 8)
    assert (limited.order, limited.losses_by_order) == (whole.order, whole.losses_by_order)


@pytest.mark.parametrize("length", range(2, 11))
def test_tiny_texts_are_measured(length):
    text = random_text(length + 1, 4, seed=length)
    found = measure(text[:length], text[length:], 4, context=text[:length])
    slow = SlowNGrams(text[:length].tolist(), found.order, 4).score(text[length:].tolist(), text[:length].tolist())
    assert found.loss == pytest.approx(np.mean(slow))


@pytest.mark.parametrize(
    "train_length, validation_length, words", [(0, 5, "0 char"), (1, 5, "1 char"), (9, 0, "empty")]
)
def test_texts_too_short_to_choose_or_score_on_are_corpus_errors(train_length, validation_length, words):
    with pytest.raises(CorpusError, match=words):
        measure(random_text(train_length, 4), random_text(validation_length, 4), 4)


@pytest.mark.parametrize("calls_allowed", [0, 3, 8, 14, 20])
def test_a_stop_that_raises_ends_the_measurement(calls_allowed):
    calls = 0

    def stop():
        nonlocal calls
        calls += 1
        if calls > calls_allowed:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        measure(random_text(200, 5), random_text(20, 5), 5, stop=stop)
    assert calls == calls_allowed + 1


@pytest.mark.parametrize("context", [None, [1, 2, 3]])
def test_nothing_to_score_gives_no_scores(context):
    ngrams = NGrams.count(random_text(100, 5), 3, 5)
    before = None if context is None else np.array(context)
    assert [nats.shape for nats in ngrams.score_orders(np.array([], np.uint8), before)] == [(0,)] * 3
