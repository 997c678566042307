"""A trained model and a prompt enter; characters leave, one by one, as they are drawn.

    prompt -> state -> logits -> temperature -> truncation -> draw -> the drawn character is the next input

Several samples are drawn at once: their streams share the matrix products, each has a random generator of its own.
"""

from __future__ import annotations

import functools
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from charnn.defaults import SAMPLE_LENGTH, TEMPERATURE
from charnn.errors import CheckpointError, ConfigError
from charnn.network.cells import Array
from charnn.network.loss import likeliest
from charnn.network.model import Carry, CharRNN
from charnn.sampling.ending import Ending
from charnn.sampling.loops import Passages
from charnn.sampling.stepper import Stepper
from charnn.text.vocabulary import Vocabulary

PRIME_LENGTH = 256
"""Characters of the prompt read at a time."""

DRAWN_AHEAD = 256
"""Random numbers that a stream draws at a time."""

SORTED, RANKED = 512, 64
"""Up to so many characters are all ranked to truncate; of more, at first so many, and more where these all stay."""

COLDEST = 1e-30
"""Temperatures below are as good as this one, and would overflow."""


@dataclass(frozen=True)
class Sampling:
    """How characters are drawn. Raises ConfigError for values that make no sense.

    ``temperature`` divides the logits: below 1 the likely becomes likelier, 0 always takes the likeliest. ``top_k``
    keeps the k likeliest characters (0: all), ``top_p`` the likeliest that together have probability p (nucleus
    sampling, Holtzman et al. 2020), ``min_p`` those at least p times as likely as the likeliest (Nguyen et al. 2024).
    ``no_repeat`` n writes no passage of n characters a second time, except that a word that has begun may end (0: off).
    """

    length: int = SAMPLE_LENGTH
    temperature: float = TEMPERATURE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    no_repeat: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, valid, words in (
            ("length", self.length >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature < math.inf, "0 or more, and finite"),
            ("top_k", self.top_k >= 0, "0 (all) or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "from 0 to 1"),
            ("no_repeat", self.no_repeat == 0 or self.no_repeat >= 2, "0 (off) or at least 2"),
            ("stop", all(self.stop), "a text that is not empty"),
        ):
            if not valid:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"it must be {words}")


@dataclass
class Sample:
    """One generated text: without the prompt, and with what ended it, "length" or "stop".

    ``nats_per_character`` is the model's own mean surprise at what was drawn, at temperature 1 and untruncated.
    """

    prompt: str
    seed: int
    temperature: float
    text: str = ""
    stopped_by: str = ""
    nats: float = 0.0
    tokens: int = 0

    @property
    def nats_per_character(self) -> float:
        return self.nats / max(1, self.tokens)


@dataclass
class _Stream:
    """A sample on its way: its generator, and what becomes of the characters drawn."""

    sample: Sample
    rng: np.random.Generator
    ending: Ending
    passages: Passages | None
    pieces: list[str] = field(default_factory=list)

    def take(self, token: int, nats: float) -> str:
        """Take a drawn token and the surprise at it; return the text that is now certain."""
        certain = self.ending.take(token)
        if self.passages is not None:
            self.passages.take(token)
        self.sample.nats += nats
        self.sample.tokens += 1
        self.pieces.append(certain)
        if self.ending.reason:
            self.sample.stopped_by, self.sample.text = self.ending.reason, "".join(self.pieces)
        return certain


def generator(seed: int, index: int = 0) -> np.random.Generator:
    """Where sample ``index`` draws its random numbers from."""
    return np.random.Generator(np.random.Philox([seed, index]))


def checked_seed(seed: int | None) -> int:
    """The seed, or one drawn where none is given. Raises ConfigError."""
    seed = secrets.randbits(32) if seed is None else seed
    if seed < 0:
        raise ConfigError(f"seed is {seed}", "it must be 0 or more")
    return seed


def generate(
    model: CharRNN,
    vocabulary: Vocabulary,
    prompt: str,
    settings: Sampling,
    seed: int | None = None,
    count: int = 1,
) -> tuple[list[Sample], Iterator[tuple[int, str]]]:
    """``count`` samples that go on from ``prompt``, and an iterator that draws them.

    The iterator yields (index of the sample, new text) as it is drawn, and ends when every sample has ended; only then
    are the samples complete. Sample i draws from the generator (seed, i). Without a prompt the model starts as after
    a line end. Raises UnknownCharacters for a prompt outside the vocabulary, ConfigError for a senseless call.
    """
    if count < 1:
        raise ConfigError(f"count is {count}", "draw at least one sample")
    seed = checked_seed(seed)
    ids = vocabulary.encode(prompt) if prompt else np.array([vocabulary.start], vocabulary.id_type)
    streams = [
        _Stream(
            Sample(prompt, seed, settings.temperature),
            generator(seed, index),
            Ending(vocabulary.decoder(), settings.length, settings.stop),
            Passages(settings.no_repeat, vocabulary, ids.tolist() if prompt else ()) if settings.no_repeat else None,
        )
        for index in range(count)
    ]
    return [stream.sample for stream in streams], _draw(model, ids, settings, streams)


def _draw(model: CharRNN, ids: Array, settings: Sampling, streams: list[_Stream]) -> Iterator[tuple[int, str]]:
    step = Stepper(model, prime(model, ids[:-1], len(streams)))
    tokens = np.full(len(streams), ids[-1], np.intp)  # (B,)
    active = list(enumerate(streams))
    for uniforms in _uniforms(streams):
        ended = False
        barred = [stream.passages.barred() for stream in streams if stream.passages]
        tokens, nats = draw(step(tokens), settings, uniforms, barred)
        drawn, surprises = tokens.tolist(), nats.tolist()
        for index, stream in active:
            if text := stream.take(drawn[index], surprises[index]):
                yield index, text
            ended = ended or bool(stream.sample.stopped_by)
        if ended:
            active = [(index, stream) for index, stream in active if not stream.sample.stopped_by]
            if not active:
                return


def _uniforms(streams: list[_Stream]) -> Iterator[Array]:
    """Numbers in [0, 1) for all streams (B,), step after step, each stream's from its own generator."""
    while True:
        yield from np.stack([stream.rng.random(DRAWN_AHEAD) for stream in streams], axis=1)


def prime(model: CharRNN, ids: Array, count: int) -> Carry:
    """The state after reading ``ids`` (N,), for ``count`` streams alike."""
    carry = model.zero_carry(1)
    for _, reached in read(model, ids, carry):
        carry = reached
    return np.repeat(carry, count, axis=2)


def read(model: CharRNN, ids: Array, carry: Carry) -> Iterator[tuple[Array, Carry]]:
    """Read ``ids`` (N,) from ``carry`` on: the logits (T, V) after each of them and the state, chunk by chunk."""
    for start in range(0, len(ids), PRIME_LENGTH):
        chunk = ids[start : start + PRIME_LENGTH, None]  # (T, 1)
        w = model.workspace(len(chunk), 1)
        carry = model.forward(chunk, carry, w)
        yield w.logits, carry


def draw(
    logits: Array, settings: Sampling, uniforms: Array, barred: Sequence[Sequence[int]] = ()
) -> tuple[Array, Array]:
    """One character a stream from ``logits`` (B, V) and ``uniforms`` (B,) in [0, 1), none that is ``barred`` (B, any).

    Returns their ids (B,) and the model's surprise at them in nats (B,), at temperature 1 and untruncated. Raises
    CheckpointError where the logits are not finite.
    """
    top = np.maximum.reduce(logits, axis=1, keepdims=True)  # (B, 1)
    if not math.isfinite(np.add.reduce(top, axis=None, dtype=np.float64)):
        raise CheckpointError(
            "the network's output is not finite", "its weights are too large; take another checkpoint"
        )
    z = np.subtract(logits, top, dtype=np.float64, order="C")  # (B, V)
    weights = np.exp(z)
    allowed = without(z, barred) if any(barred) else z
    if settings.temperature == 0:
        tokens = allowed.argmax(axis=1)
    else:
        as_they_are = settings.temperature == 1 and allowed is z
        tempered = weights if as_they_are else np.exp(allowed / max(settings.temperature, COLDEST))
        cumulated = np.add.accumulate(truncate(tempered, settings), axis=1)
        tokens = (cumulated > uniforms[:, None] * cumulated[:, -1:]).argmax(axis=1)
    return tokens, np.log(np.add.reduce(weights, axis=1)) - z.take(tokens + _row_starts(*z.shape))


@functools.lru_cache
def _row_starts(B: int, V: int) -> Array:
    return np.arange(0, B * V, V)


def without(z: Array, barred: Sequence[Sequence[int]]) -> Array:
    """The logits ``z`` (B, V) with those of the ``barred`` at minus infinity and the largest of the others at 0.

    Where nothing would be left, nothing is barred.
    """
    z = z.copy()
    for row, ids in zip(z, barred, strict=True):
        if 0 < len(ids) < len(row):
            row[list(ids)] = -np.inf
            row -= row.max()
    return z


def truncate(weights: Array, settings: Sampling) -> Array:
    """Set the unlikely of ``weights`` (B, V) to zero; of equally likely characters the one with the lower id stays."""
    if settings.top_k == 0 and settings.top_p == 1 and settings.min_p == 0:
        return weights
    V = weights.shape[1]
    count = V if V <= SORTED else min(V, max(RANKED, settings.top_k + 1))
    while True:
        order = likeliest(weights, count)
        ranked = np.take_along_axis(weights, order, axis=1)
        keep = _kept(ranked, weights.sum(axis=1, keepdims=True), settings)
        if count == V or not keep[:, -1].any():
            kept = np.zeros_like(weights)
            np.put_along_axis(kept, order, ranked * keep, axis=1)
            return kept
        count = min(V, 8 * count)


def _kept(ranked: Array, total: Array, settings: Sampling) -> Array:
    """Which of the largest weights (B, K) stay, of all with this ``total`` (B, 1)."""
    keep = ranked >= settings.min_p * ranked[:, :1]
    if settings.top_k:
        keep[:, settings.top_k :] = False
    if settings.top_p < 1:
        before = ranked.cumsum(axis=1) - ranked
        keep &= before < settings.top_p * total
    return keep
