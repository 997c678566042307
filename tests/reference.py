"""The slow twin of the fast code: textbook equations, one stream and one step at a time, and gradients by differences.

Everything here is float64, reads the weights as PyTorch names them (``CharRNN.state_dict``), and shares no line with
what it checks. Shapes: T time, B batch, V vocabulary, H hidden size, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from charnn.config import cell_names
from charnn.network.cells import find_cell
from charnn.network.dropout import NOTHING_DROPPED, Masks
from charnn.network.model import Carry, CharRNN
from charnn.network.shape import Shape
from charnn.network.state_dict import load_state_dict, state_dict
from charnn.text.vocabulary import Vocabulary

Array = npt.NDArray[np.float64]
Gates = Mapping[str, Array]

VARIANTS = [(name, activation) for name in cell_names() for activation in find_cell(name).activations or ("",)]
"""Every cell with each of its nonlinearities."""


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


# One step of each cell. ``a`` is W x + b and ``u`` is U h + b', gate by gate; the state before and after.


def vanilla(a: Gates, u: Gates, state: Gates, activation: str) -> dict[str, Array]:
    total = a["n"] + u["n"]
    return {"h": np.where(total > 0, total, 0) if activation == "relu" else np.tanh(total)}


def lstm(a: Gates, u: Gates, state: Gates, activation: str) -> dict[str, Array]:
    i = sigmoid(a["i"] + u["i"])
    f = sigmoid(a["f"] + u["f"])
    g = np.tanh(a["g"] + u["g"])
    o = sigmoid(a["o"] + u["o"])
    c = f * state["c"] + i * g
    return {"h": o * np.tanh(c), "c": c}


def gru(a: Gates, u: Gates, state: Gates, activation: str) -> dict[str, Array]:
    r = sigmoid(a["r"] + u["r"])
    z = sigmoid(a["z"] + u["z"])
    n = np.tanh(a["n"] + r * u["n"])
    return {"h": (1 - z) * n + z * state["h"]}


STEPS: dict[str, Callable[[Gates, Gates, Gates, str], dict[str, Array]]] = {
    "vanilla": vanilla,
    "lstm": lstm,
    "gru": gru,
}


# The network


def forward(model: CharRNN, x: npt.NDArray[Any], carry: Carry, masks: Masks = NOTHING_DROPPED) -> tuple[Array, Carry]:
    """Logits (T, B, V) for the ids ``x`` (T, B), and the state after them; dropout has one sample."""
    weights = {name: array.astype(np.float64) for name, array in state_dict(model).items()}
    if masks.inputs is not None:
        mask = masks.inputs  # (V, E), or (V, G, H) with the gates in the cell's order
        if not model.shape.embedding_size:
            mask = mask[:, [model.cell.gates.index(gate) for gate in gate_names(model)]].reshape(len(mask), -1).T
        weights["embedding.weight" if model.shape.embedding_size else "rnn.weight_ih_l0"] *= mask
    T, B = x.shape
    state = [dict(zip(model.cell.state, layer, strict=True)) for layer in carry.astype(np.float64)]
    logits = np.zeros((T, B, model.shape.vocabulary_size))
    for b in range(B):
        for t in range(T):
            below = embedded(weights, model.shape, int(x[t, b]))
            for index, layer in enumerate(state):
                before = {name: array[b] for name, array in layer.items()}
                after = step(weights, model, index, below, before)
                for name, array in after.items():
                    layer[name][b] = array
                below = after["h"]
                if masks.outputs:
                    below = below * masks.outputs[index][0, t, b]
            logits[t, b] = weights["out.weight"] @ below + weights["out.bias"]
    return logits, np.array([list(layer.values()) for layer in state])


def embedded(weights: Gates, shape: Shape, character: int) -> Array:
    """What stands for a character: its row of the embedding, or a one-hot vector."""
    if shape.embedding_size:
        return weights["embedding.weight"][character]
    one_hot = np.zeros(shape.vocabulary_size)
    one_hot[character] = 1
    return one_hot


def step(weights: Gates, model: CharRNN, index: int, below: Array, before: Gates) -> dict[str, Array]:
    """One step of one layer for one stream: the new state."""
    W, U, bias, bias_h = (
        dict(zip(gate_names(model), np.split(weights[f"rnn.{name}_l{index}"], len(gate_names(model))), strict=True))
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    a = {gate: W[gate] @ below + bias[gate] for gate in W}
    u = {gate: U[gate] @ before["h"] + bias_h[gate] for gate in U}
    return STEPS[model.shape.cell](a, u, before, model.cell.activation)


def gate_names(model: CharRNN) -> tuple[str, ...]:
    """The gates in the order of the state dict."""
    return model.cell.torch_gates or model.cell.gates


def surprise(logits: Array, targets: npt.NDArray[Any]) -> Array:
    """-log softmax at the targets, for logits (..., V) and targets (...)."""
    z = logits - logits.max(axis=-1, keepdims=True)
    nats = np.log(np.exp(z).sum(axis=-1, keepdims=True)) - z
    result: Array = np.take_along_axis(nats, targets[..., None].astype(np.int64), axis=-1)[..., 0]
    return result


# Networks to try things on


def random_model(cell: str, activation: str = "", layers: int = 1, embedding: int = 0, **sizes: int) -> CharRNN:
    """A small float64 network whose every parameter is drawn at random, biases too."""
    V, H = sizes.get("V", 5), sizes.get("H", 3)
    model = CharRNN(Shape(V, cell, activation, layers, H, embedding), np.float64)
    model.vector[:] = np.random.default_rng(7).normal(0, 0.6, model.size)
    model.pack()
    return model


def cycle(vocabulary: Vocabulary, tokens: list[int]) -> CharRNN:
    """A network that is sure of what follows each token: the next one in the list, over and over."""
    V = len(vocabulary)
    model = CharRNN(Shape(V, "vanilla", layers=1, hidden_size=V))
    arrays = {name: np.zeros_like(array) for name, array in state_dict(model).items()}
    arrays["rnn.weight_ih_l0"] = 10 * np.eye(V, dtype=np.float32)
    for token, following in zip(tokens, tokens[1:] + tokens[:1], strict=True):
        arrays["out.weight"][following, token] = 50
    load_state_dict(model, arrays)
    return model


def random_chunk(model: CharRNN, T: int, B: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], Carry]:
    """Ids x and y (T, B), and a carry that is not zero."""
    rng = np.random.default_rng(8)
    x, y = rng.integers(0, model.shape.vocabulary_size, (2, T, B))
    carry = rng.normal(0, 0.5, model.zero_carry(B).shape)
    return x, y, carry


def random_masks(model: CharRNN, T: int, B: int, samples: int = 1) -> Masks:
    """Dropout of a half of the characters' vectors, and after each layer, with so many samples at the top."""
    rng = np.random.default_rng(9)
    counts = [1] * (model.shape.layers - 1) + [samples]
    outputs = tuple(2.0 * (rng.random((S, T, B, model.shape.hidden_size)) < 0.5) for S in counts)
    return Masks(outputs, 2.0 * (rng.random(model.characters.vectors_shape) < 0.5))


# Gradients


def central_differences(function: Callable[[], float], vector: Array, width: float = 1e-5) -> Array:
    """The gradient (P,) of ``function`` with respect to the ``vector`` (P,) that it reads, by moving each element."""
    gradient = np.zeros_like(vector)
    for index, value in enumerate(vector.copy()):
        vector[index] = value + width
        above = function()
        vector[index] = value - width
        gradient[index] = (above - function()) / (2 * width)
        vector[index] = value
    return gradient


def relative_error(a: Array, b: Array) -> float:
    """The distance of two vectors over their length."""
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(a) + np.linalg.norm(b), 1e-12))


def gradient_errors(model: CharRNN, T: int, B: int, masks: Masks = NOTHING_DROPPED) -> dict[str, float]:
    """How far the gradient of each parameter is from central differences of the mean loss, as a relative error."""
    x, y, carry = random_chunk(model, T, B)
    samples = len(masks.outputs[-1]) if masks.outputs else 1
    workspace, scale = model.workspace(T, B, samples), 1 / (T * B)

    def mean_loss(out: Array) -> float:
        model.pack()
        return model.gradient(x, y, carry, workspace, model.views(out), scale, masks)[0] * scale

    exact, scratch = np.zeros(model.size), np.zeros(model.size)
    mean_loss(exact)
    numeric = central_differences(lambda: mean_loss(scratch), model.vector)
    pairs = zip(model.views(exact).items(), model.views(numeric).values(), strict=True)
    return {name: relative_error(array, other) for (name, array), other in pairs}
