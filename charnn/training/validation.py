"""A part of a text that is not trained on enters; its loss under the network leaves, in nats per character.

It is the loss of one long reading with the state carried all the way, read in parallel streams that the ranks share: a
forward pass, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np

from charnn.network.model import CharRNN
from charnn.network.workspace import Workspace
from charnn.text.batches import Ids
from charnn.text.corpus import release
from charnn.text.streams import spans, stream_count
from charnn.training.events import Validating
from charnn.training.team import Team, share

STEPS = 64
"""Characters of each stream at a time: no loss depends on it, and few need little memory."""

RELEASE_EVERY = 8
"""Spans after which the text that was read is let go of."""


def loss_over(
    model: CharRNN, text: Ids, before: int, team: Team, should_stop: Callable[[], bool] = lambda: False
) -> Generator[Validating, None, float | None]:
    """The mean loss at ``text`` (N,) from its character ``before`` on; those before are read to warm the state up.

    None if rank 0 is told to stop meanwhile. Yields how far it has come.
    """
    characters = len(text) - before
    streams = stream_count(characters)
    own = share(team, streams)
    sums = np.zeros(2)  # of losses, of characters
    carry = model.zero_carry(own.stop - own.start)
    workspaces: dict[int, Workspace] = {}
    for count, span in enumerate(spans(before, characters, streams, STEPS)):
        at, counts = span.at[:, own], span.counts[:, own]
        if len(at) not in workspaces:
            workspaces[len(at)] = model.workspace(*at.shape)
        carry[:, :, span.cold[own]] = 0
        with np.errstate(over="ignore", invalid="ignore"):  # a loss that is not finite is for the caller to see
            losses, carry = model.losses(text[at - 1], text[at], carry, workspaces[len(at)])
        sums += losses[counts].sum(dtype=np.float64), counts.sum()
        if team.told_by_first(should_stop):
            return None
        if count % RELEASE_EVERY == 0:
            release(text)
            yield Validating(min(1.0, count * STEPS * streams / characters))
    team.sum(sums)
    return float(sums[0] / sums[1])
