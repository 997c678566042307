"""The ids of a training text and of a validation text enter. What leaves is the n-gram baseline: the
loss, in nats per character, of the best interpolated n-gram model of the first on the second.

A network that does no better has learned nothing that a table of counts does not hold.

An order-n model predicts character c from the history h, the n-1 characters before c. Long histories say much but are
rare, short ones say little but are common, so each order leans on the next lower one (Witten-Bell smoothing):

    P_n(c | h) = (count(h c) + T(h) P_{n-1}(c | h')) / (count(h) + T(h))     P_0(c) = 1 / V

    count(h c)   how often c followed h in the training text
    count(h)     how often any character followed h: the sum of count(h c) over c
    T(h)         how many distinct characters followed h
    h'           h without its oldest character
    V            the size of the vocabulary

Read T(h) as a count of surprises: T(h) of the count(h) times that h came by, the next character was new after it. So
T(h) / (count(h) + T(h)) estimates the chance that it is new again, and then the shorter history decides. A history
never followed by anything has count(h) = T(h) = 0 and leaves P_n = P_{n-1}. Every P_n sums to one over c, and no
character, not even one the training text lacks, has probability zero.

How to count without a dictionary: number the distinct (n-1)-grams; an n-gram is then one integer,

    key(h c) = number(h) V + c

and sorting the keys of a whole text counts its n-grams and numbers them for the next order. Numbers stay below the
length of the text, so keys fit 64 bits whatever the order (N V < 2^63), and sorted keys are looked up by bisection.

    I. H. Witten, T. C. Bell (1991). The zero-frequency problem: estimating the probabilities of novel events in
        adaptive text compression. IEEE Transactions on Information Theory 37(4), 1085-1094.
    S. F. Chen, J. Goodman (1999). An empirical study of smoothing techniques for language modeling. Computer Speech
        and Language 13(4), 359-394.

Shapes: N characters counted, M characters scored, G distinct n-grams of one order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.errors import ConfigError, CorpusError

Ids = npt.NDArray[np.integer[Any]]
Integers = npt.NDArray[np.int64]
Nats = npt.NDArray[np.float64]

MAX_ORDER = 6
HELD_OUT = 0.1
NO_KEY = np.iinfo(np.int64).max

TRAIN_LIMIT = 1_050_000
VALIDATION_LIMIT = 200_000
"""Characters counted, the last of the training text, and scored at most: a few seconds, and 100 to 250 MB."""


def _never() -> None:
    """The stop hook of a caller who never stops."""


@dataclass(frozen=True, eq=False)
class Level:
    """The counts of one order n. The last row of each array stands for everything the text does not hold.

    An n-gram that was never seen has the number G; its count is zero. The histories are the (n-1)-grams, numbered by
    the level below, so the two arrays over histories end in zeros too, for the history that was never seen.
    """

    keys: Integers  # (G + 1,) number(h) V + c, ascending; the row of an n-gram is its number
    counts: Integers  # (G + 1,) count(h c)
    totals: Integers  # (histories + 1,) count(h)
    types: Integers  # (histories + 1,) T(h)

    @classmethod
    def count(cls, histories: Integers, keys: Integers, distinct: int, vocabulary_size: int) -> tuple[Level, Integers]:
        """Count the n-grams of a text and number them: the level, and the number of the n-gram at each position.

        ``histories`` holds numbers below ``distinct``, and ``keys`` the n-gram that continues each of them.
        """
        unique, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
        level = cls(
            keys=np.append(unique, NO_KEY),  # (G + 1,)
            counts=np.append(counts, 0),  # (G + 1,)
            totals=np.bincount(histories, minlength=distinct + 1),  # (distinct + 1,)
            types=np.bincount(unique // vocabulary_size, minlength=distinct + 1),  # (distinct + 1,)
        )
        return level, numbers

    def find(self, keys: Integers) -> Integers:
        """The number of the n-gram with each key, G where the text does not hold it."""
        rows = np.searchsorted(self.keys[:-1], keys)  # (M,)
        return np.where(self.keys[rows] == keys, rows, len(self.keys) - 1)  # (M,)

    def interpolate(self, histories: Integers, numbers: Integers, lower: Nats) -> Nats:
        """P_n from P_{n-1}: the equation at the head of this module, for M characters at once."""
        types = self.types[histories]  # (M,)
        weights = self.totals[histories] + types  # (M,)
        higher: Nats = lower.copy()  # (M,)
        np.divide(self.counts[numbers] + types * lower, weights, out=higher, where=weights > 0)
        return higher


@dataclass(frozen=True, eq=False)
class NGrams:
    """Interpolated Witten-Bell models of one text, of every order from 1 to ``order``."""

    vocabulary_size: int
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        return len(self.levels)

    @classmethod
    def count(cls, ids: Ids, order: int, vocabulary_size: int, *, stop: Callable[[], None] = _never) -> NGrams:
        """Count every n-gram of ``ids`` (N,) for n up to ``order``; ``stop`` is called before each order and may raise.

        Orders beyond the length of the text hold no n-grams and predict as the longest that does.
        """
        if order < 1:
            raise ConfigError(f"an n-gram model has no order {order}", "the lowest order is 1, which counts characters")
        characters = _checked(ids, vocabulary_size)  # (N,)
        numbers, distinct = np.zeros(len(characters) + 1, np.int64), 1  # order 0: the empty history, everywhere
        levels: list[Level] = []
        for n in range(1, order + 1):
            stop()
            histories = numbers[:-1]  # (N - n + 1,) the (n-1)-grams that some character follows
            keys = histories * vocabulary_size + characters[n - 1 :]  # (N - n + 1,)
            level, numbers = Level.count(histories, keys, distinct, vocabulary_size)
            distinct = len(level.keys) - 1
            levels.append(level)
        return cls(vocabulary_size, tuple(levels))

    def score(self, ids: Ids, context: Ids | None = None, order: int | None = None) -> Nats:
        """-log P(c | h) of each of ``ids`` in nats (M,), by the given order or the highest one counted.

        ``context`` holds the characters just before ``ids``; they are read, not scored. Where the text and its context
        have fewer than n-1 characters before a position, the longest history there is decides.
        """
        wanted = self.order if order is None else order
        if not 1 <= wanted <= self.order:
            raise ConfigError(f"order {wanted} was not counted", f"choose one from 1 to {self.order}")
        *_, nats = self._score_up_to(wanted, ids, context, _never)
        return nats

    def score_orders(
        self, ids: Ids, context: Ids | None = None, *, stop: Callable[[], None] = _never
    ) -> Iterator[Nats]:
        """What ``score`` gives for order 1, 2, ... up to the highest: each (M,), each one step from the one before."""
        return self._score_up_to(self.order, ids, context, stop)

    def _score_up_to(self, order: int, ids: Ids, context: Ids | None, stop: Callable[[], None]) -> Iterator[Nats]:
        before = ids[:0] if context is None else context[max(0, len(context) - self.order + 1) :]
        characters = _checked(np.concatenate([before, ids], dtype=np.int64), self.vocabulary_size)  # (C + M,)
        probabilities = np.full(len(characters), 1 / self.vocabulary_size)  # (C + M,) P_0
        histories = np.zeros(len(characters), np.int64)  # (C + M,) order 0: the empty history
        for level in self.levels[:order]:
            stop()
            numbers = level.find(histories * self.vocabulary_size + characters)  # (C + M,)
            probabilities = level.interpolate(histories, numbers, probabilities)  # (C + M,)
            yield -np.log(probabilities[len(before) :])  # (M,)
            unseen = len(level.keys) - 1
            histories = np.append(unseen, numbers[:-1])  # (C + M,) the n-gram that ends one character earlier


def _checked(ids: Ids, vocabulary_size: int) -> Integers:
    """A copy of the ids wide enough for keys; a character outside the vocabulary would pass for another one."""
    characters = np.array(ids, np.int64)
    if len(characters) and not 0 <= characters.min() <= characters.max() < vocabulary_size:
        raise CorpusError(f"the text holds characters outside its vocabulary of {vocabulary_size}")
    return characters


@dataclass(frozen=True)
class Baseline:
    """The loss of the best n-gram model on a validation text, in nats per character."""

    order: int  # chosen on the training text alone
    loss: float  # of that order, on the validation text
    losses_by_order: tuple[float, ...]  # of order 1, 2, ..., on the validation text; none of them chose anything
    uniform: float  # log V: what knowing only the vocabulary reaches
    characters: int  # the length of the validation text
    trained_on: int  # how many training characters were counted: all, or the last ones up to the limit
    scored_on: int  # how many validation characters the losses are averaged over: all, or the first ones


def measure(
    train_ids: Ids,
    validation_ids: Ids,
    vocabulary_size: int,
    *,
    context: Ids | None = None,
    max_order: int = MAX_ORDER,
    train_limit: int = TRAIN_LIMIT,
    validation_limit: int = VALIDATION_LIMIT,
    stop: Callable[[], None] = _never,
) -> Baseline:
    """Choose the order on the training text, count all of it, and score the validation text.

    Where the validation text directly follows another, pass that one or its end as ``context``: its last characters are
    then the history of the first ones scored. Without it these are predicted from the shorter histories they have.

    Of very long texts, only the last ``train_limit`` training characters and the first ``validation_limit`` validation
    characters are used, which bounds memory: ``trained_on`` and ``scored_on`` say how many these were. More
    training text would lower the loss further. ``stop`` is called before each order and may raise to give up.

    Raises CorpusError for an empty validation text, or a training text of fewer than two characters.
    """
    train, validation = train_ids[max(0, len(train_ids) - train_limit) :], validation_ids[:validation_limit]
    if not len(validation):
        raise CorpusError("the validation text is empty, so no n-gram model can be scored on it")
    order = choose_order(train, vocabulary_size, max_order, stop=stop)
    ngrams = NGrams.count(train, max_order, vocabulary_size, stop=stop)
    losses = _losses(ngrams, validation, context, stop)
    return Baseline(
        order=order,
        loss=losses[order - 1],
        losses_by_order=losses,
        uniform=math.log(vocabulary_size),
        characters=len(validation_ids),
        trained_on=len(train),
        scored_on=len(validation),
    )


def choose_order(
    train_ids: Ids, vocabulary_size: int, max_order: int = MAX_ORDER, *, stop: Callable[[], None] = _never
) -> int:
    """The order that predicts the last tenth of a text best after counting the rest; the lower one of equals."""
    if len(train_ids) < 2:
        raise CorpusError(f"a training text of {len(train_ids)} characters is too short to choose an n-gram order on")
    cut = len(train_ids) - max(1, round(HELD_OUT * len(train_ids)))
    counted, held_out = train_ids[:cut], train_ids[cut:]
    ngrams = NGrams.count(counted, max_order, vocabulary_size, stop=stop)
    return 1 + int(np.argmin(_losses(ngrams, held_out, counted, stop)))


def _losses(ngrams: NGrams, ids: Ids, context: Ids | None, stop: Callable[[], None]) -> tuple[float, ...]:
    return tuple(float(nats.mean()) for nats in ngrams.score_orders(ids, context, stop=stop))
