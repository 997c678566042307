"""What to measure enters, PyTorch's answer leaves: the same training and sampling, written as PyTorch does it best.

Each function is a task of ``child``; the answers are those of the same tasks in ``measure``. This is the only module
that imports torch, and it only ever runs in a process of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from charnn.benchmark.timing import median_seconds, peak_memory
from charnn.benchmark.work import SAMPLED, TEMPERATURE, VOCABULARY

CLIP_NORM, LEARNING_RATE = 5.0, 2e-3
"""What charnn's configuration has by default."""

Tensor = Any
State = Any


class TorchNetwork:
    """One-hot vectors, or an embedding of as many columns as there are units, under nn.LSTM, nn.GRU or nn.RNN."""

    def __init__(self, module: str, layers: int, hidden_size: int, embedding: bool):
        V, H = VOCABULARY, hidden_size
        self.embedding = nn.Embedding(V, H) if embedding else nn.Embedding.from_pretrained(torch.eye(V))
        self.rnn = getattr(nn, module)(H if embedding else V, H, num_layers=layers)
        self.out = nn.Linear(H, V)

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Ids (T, B) and a state, or None -> logits (T, B, V) and the new state."""
        h, state = self.rnn(self.embedding(x), state)
        return self.out(h), state

    def parameters(self) -> list[Tensor]:
        """All that is trained: of a one-hot input nothing."""
        parts = (self.embedding, self.rnn, self.out)
        return [p for part in parts for p in part.parameters() if p.requires_grad]


def torch_training(
    text: str,
    seconds: float,
    module: str,
    embedding: bool,
    layers: int,
    hidden_size: int,
    batch_size: int,
    seq_length: int,
) -> dict[str, Any]:
    """Characters per second of whole steps, with PyTorch's own number of threads, and the memory it takes."""
    streams = _streams(Path(text), batch_size)
    model = TorchNetwork(module, layers, hidden_size, embedding)
    parameters = model.parameters()
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE)
    positions = itertools.cycle(range(0, len(streams) - seq_length, seq_length))
    state: State = None

    def step() -> float:
        nonlocal state
        start = next(positions)
        x, y = streams[start : start + seq_length], streams[start + 1 : start + seq_length + 1]
        logits, state = model(x, state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = nn.functional.cross_entropy(logits.view(-1, VOCABULARY), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()
        return float(loss.item())

    duration = median_seconds(step, seconds)
    memory = peak_memory(step, seconds / 4)
    return {"value": batch_size * seq_length / duration, "memory": memory, "threads": torch.get_num_threads()}


def _streams(path: Path, batch_size: int) -> Tensor:
    """The text as ids (steps, B): B parallel streams side by side."""
    codes = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8).long()
    ids = torch.unique(codes, return_inverse=True)[1]
    steps = len(ids) // batch_size
    return ids[: steps * batch_size].view(batch_size, steps).T.contiguous()


def torch_sampling(
    streams: int, seconds: float, module: str, threads: int, layers: int, hidden_size: int
) -> dict[str, Any]:
    """Characters per second, of all streams together. ``module`` is nn.LSTM or, one call a layer, nn.LSTMCell."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        next_logits = (_cells if module.endswith("Cell") else _module)(module, streams, layers, hidden_size)
        ids = torch.zeros(streams, dtype=torch.long)
        drawn: list[list[int]] = []

        def draw() -> None:
            nonlocal ids
            drawn.clear()
            for _ in range(SAMPLED):
                weights = torch.softmax(next_logits(ids) / TEMPERATURE, dim=-1)
                ids = torch.multinomial(weights, 1)[:, 0]  # (B,)
                drawn.append(ids.tolist())

        return {"value": SAMPLED * streams / median_seconds(draw, seconds)}


def _module(module: str, streams: int, layers: int, hidden_size: int) -> Callable[[Tensor], Tensor]:
    """One step of nn.LSTM and its like: ids (B,) -> logits (B, V)."""
    model = TorchNetwork(module, layers, hidden_size, embedding=False)
    state: State = None

    def step(ids: Tensor) -> Tensor:
        nonlocal state
        logits, state = model(ids[None], state)
        return logits[0]

    return step


def _cells(module: str, streams: int, layers: int, hidden_size: int) -> Callable[[Tensor], Tensor]:
    """One step of nn.LSTMCell and its like, layer by layer: ids (B,) -> logits (B, V)."""
    V, H = VOCABULARY, hidden_size
    one_hot, out = torch.eye(V), nn.Linear(H, V)
    cells = [getattr(nn, module)(H if index else V, H) for index in range(layers)]
    states: list[State] = [None] * layers

    def step(ids: Tensor) -> Tensor:
        x = one_hot[ids]  # (B, V)
        for index, cell in enumerate(cells):
            states[index] = cell(x, states[index])
            x = states[index][0] if isinstance(states[index], tuple) else states[index]  # (B, H)
        return out(x)

    return step
