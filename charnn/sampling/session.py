"""Passages to read and wishes to write enter, turn by turn; text leaves, and the network's state is kept in between.

So a long session costs no rereading. Every turn leaves a ``State`` that points to the one before it: to undo a turn is
to go back there, to the very bits.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from charnn.errors import ConfigError
from charnn.network.cells import Array
from charnn.network.loss import likeliest, probabilities, surprise
from charnn.network.model import Carry, CharRNN
from charnn.sampling.ending import Ending
from charnn.sampling.loops import Passages
from charnn.sampling.sampler import Sampling, checked_seed, draw, generator, read
from charnn.sampling.stepper import Stepper
from charnn.text.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class State:
    """Where a session stands: what the network remembers, and the turn that brought it there. Nothing changes it."""

    carry: Carry
    """The network's state before it reads the last token."""
    last: int
    """The last token; that of a line end where there is no text yet."""
    ids: Array
    """The tokens of the turn (n,)."""
    nats: Array
    """The model's surprise at each of them (n,); nan for the first of a text, before which it has read nothing."""
    drawn: int = 0
    """How many of them, at the end, the network has drawn."""
    before: State | None = None
    """The state before the turn, or None where there is no text yet."""


class Session:
    """A text that the network and somebody else write together: ``read`` adds theirs, ``write`` adds the network's.

    ``settings`` say how characters are drawn, and may be replaced at any time. ``state`` may be kept, and given back to
    the same ``Session`` or to another of the same model. ``seed`` is that of the random numbers, which go on through
    everything: what is undone and written again is another text.
    """

    def __init__(
        self, model: CharRNN, vocabulary: Vocabulary, settings: Sampling | None = None, seed: int | None = None
    ):
        self.model, self.vocabulary = model, vocabulary
        self.settings = settings or Sampling()
        self.seed = checked_seed(seed)
        self.stopped_by = ""
        """What ended the last writing: "length", "stop", "line", or nothing where it was broken off."""
        nothing = np.zeros(0, vocabulary.id_type)
        self._state = State(model.zero_carry(1), vocabulary.start, nothing, nothing.astype(np.float64))
        self._rng = generator(self.seed)
        self._stepper = Stepper(model, self._state.carry)
        self._writer: Generator[str, None, None] | None = None

    @property
    def state(self) -> State:
        """A writing that goes on is broken off, as by everything but its iterator."""
        self._break_off()
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._break_off()
        self._state = state

    @property
    def ids(self) -> Array:
        """The tokens of the text (N,)."""
        return np.concatenate([state.ids for state in _turns(self.state)])

    @property
    def nats(self) -> Array:
        """The model's surprise at each of them (N,); nan for the first."""
        return np.concatenate([state.nats for state in _turns(self.state)])

    @property
    def text(self) -> str:
        return self.vocabulary.decode(self.ids)

    @property
    def at_line_start(self) -> bool:
        """Whether the next character begins a line, as the first of a text does."""
        return self.state.before is None or self._ends_a_line(self.state)

    def read(self, text: str) -> None:
        """Add ``text``. Raises UnknownCharacters, and then nothing has changed."""
        state = self._after(self.state, self.vocabulary.encode(text))
        if len(state.ids):
            self.state = state

    def write(self, lead: str = "", line: bool = False, **changes: Any) -> Iterator[str]:
        """The network goes on; its text is yielded in pieces as it is drawn, and is kept as far as it was yielded.

        ``lead`` is read before, as a part of the same turn. With ``line`` the text also ends with the first line that
        is not blank; ``changes`` are settings for this time. Raises UnknownCharacters, ConfigError.
        """
        settings = dataclasses.replace(self.settings, **changes)
        led = self._after(self.state, self.vocabulary.encode(lead))
        begun = not self._ends_a_line(led)
        ending = Ending(self.vocabulary.decoder(), settings.length, settings.stop, line, begun)
        self._writer = self._draw(led, settings, ending)
        return self._writer

    def undo(self) -> str:
        """Take back the last turn, what was read or written; returns its text. Raises ConfigError without one."""
        state = self.state
        if state.before is None:
            raise ConfigError("there is nothing to undo")
        self.state = state.before
        return self.vocabulary.decode(state.ids)

    def expected(self, k: int = 5) -> list[tuple[str, float]]:
        """The ``k`` likeliest next characters, the likeliest first, with the model's probabilities."""
        state = self.state
        ((logits, _),) = read(self.model, np.array([state.last]), state.carry)
        best = likeliest(logits, k)
        characters = [self.vocabulary.characters[i] for i in best[0]]
        return list(zip(characters, probabilities(logits, best)[0].tolist(), strict=True))

    def _break_off(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _ends_a_line(self, state: State) -> bool:
        return self.vocabulary.characters[state.last] == "\n"

    def _after(self, state: State, ids: Array) -> State:
        """The state once ``ids`` (n,) are read, too. A text begins cold, as a prompt does: nothing is before it."""
        cold = state.before is None
        x = np.append(state.last, ids)[int(cold) : -1]
        nats = np.full(len(ids), np.nan)
        carry, at = state.carry, len(ids) - len(x)
        for logits, reached in read(self.model, x, carry):
            part = slice(at, at + len(logits))
            nats[part] = surprise(logits, ids[part])
            carry, at = reached, part.stop
        return State(carry, int(np.append(state.last, ids)[-1]), ids, nats, before=state)

    def _draw(self, led: State, settings: Sampling, ending: Ending) -> Generator[str, None, None]:
        """Draw after ``led``, the turn as far as it was read; what was drawn is kept once the writing ends."""
        self.stopped_by = ""
        self._stepper.set_carry(led.carry)
        passages = self._passages(led, settings.no_repeat) if settings.no_repeat else None
        drawn: list[int] = []
        nats: list[float] = []
        last, shown = led.last, 0
        with contextlib.suppress(GeneratorExit):
            while not ending.reason:
                barred = [passages.barred()] if passages else []
                tokens, surprises = draw(self._stepper(np.array([last])), settings, self._rng.random(1), barred)
                last = int(tokens[0])
                if passages:
                    passages.take(last)
                drawn.append(last)
                nats.append(float(surprises[0]))
                if text := ending.take(last):
                    shown += len(text)
                    yield text
        self.stopped_by = ending.reason
        self._keep(led, drawn, nats, shown)

    def _passages(self, led: State, length: int) -> Passages:
        """Those of the text as far as it was read."""
        ids = np.concatenate([state.ids for state in _turns(led)])
        return Passages(length, self.vocabulary, ids.tolist())

    def _keep(self, led: State, drawn: list[int], nats: list[float], shown: int) -> None:
        """End the turn with those tokens whose text, of ``shown`` characters, was yielded.

        A stop is no part of the text, nor is a character whose last byte did not come: the network forgets them.
        """
        kept = len(drawn)
        while len(self.vocabulary.decode(drawn[:kept])) > shown:
            kept -= 1
        if kept < len(drawn):
            self._stepper.set_carry(led.carry)
            for token in [led.last, *drawn][:kept]:
                self._stepper(np.array([token]))
        ids = np.append(led.ids, np.array(drawn[:kept], led.ids.dtype))
        if len(ids):
            last = [led.last, *drawn][kept]
            self._state = State(self._stepper.carry(), last, ids, np.append(led.nats, nats[:kept]), kept, led.before)


def _turns(state: State) -> Iterator[State]:
    """The states from that without a text to this one."""
    turns = [state]
    while (before := turns[-1].before) is not None:
        turns.append(before)
    return reversed(turns)
