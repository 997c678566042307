"""A network enters; its weights leave under PyTorch's names, in its shapes and gate order, and come back the same way.

    embedding.weight                  (V, E)         where there is an embedding
    rnn.weight_ih_l<k>                (G * H, D)     of layer k, D its inputs: V or E for the lowest, H for the others
    rnn.weight_hh_l<k>                (G * H, H)
    rnn.bias_ih_l<k>, bias_hh_l<k>    (G * H,)
    out.weight, out.bias              (V, H), (V,)

They fit an nn.Embedding ``embedding``, an nn.RNN, nn.LSTM or nn.GRU ``rnn`` and an nn.Linear ``out``. PyTorch has two
biases a gate, whose sum counts; the second is zero here but for gates whose recurrent part is kept apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from charnn.errors import CheckpointError
from charnn.network.cells import Array, Cell, find_cell
from charnn.network.model import CharRNN
from charnn.network.shape import Shape

Shapes = dict[str, tuple[int, ...]]


def state_shapes(shape: Shape) -> Shapes:
    """The name and shape of every array that ``state_dict`` gives, without making any.

    So that a file which claims a network larger than itself is refused before that costs memory.
    """
    V, E, H = shape.vocabulary_size, shape.embedding_size, shape.hidden_size
    rows = len(find_cell(shape.cell).gates) * H
    arrays: Shapes = {"embedding.weight": (V, E)} if E else {}
    for layer in range(shape.layers):
        arrays[f"rnn.weight_ih_l{layer}"] = (rows, H if layer else E or V)
        arrays[f"rnn.weight_hh_l{layer}"] = (rows, H)
        arrays[f"rnn.bias_ih_l{layer}"] = arrays[f"rnn.bias_hh_l{layer}"] = (rows,)
    return arrays | {"out.weight": (V, H), "out.bias": (V,)}


def state_dict(model: CharRNN) -> dict[str, Array]:
    """All weights of a network: copies."""
    order, arrays = _torch_order(model.cell), {}
    if model.shape.embedding_size:
        arrays["embedding.weight"] = model.parameters["input.embedding"].copy()
    for index, (Wx, Wh, b, bh) in enumerate(_recurrent_parameters(model)):
        bias_hh = np.zeros_like(b)
        if bh is not None:
            bias_hh[-len(bh) :] = bh
        for name, array in {"weight_ih": Wx, "weight_hh": Wh}.items():
            gates = array.transpose(1, 2, 0)[order]  # (G, H, D)
            arrays[f"rnn.{name}_l{index}"] = np.ascontiguousarray(gates).reshape(-1, len(array))
        for name, array in {"bias_ih": b, "bias_hh": bias_hh}.items():
            arrays[f"rnn.{name}_l{index}"] = array[order].reshape(-1)
    arrays["out.weight"] = model.parameters["output.W"].T.copy()
    arrays["out.bias"] = model.parameters["output.b"].copy()
    return arrays


def load_state_dict(model: CharRNN, arrays: Mapping[str, Array]) -> None:
    """Give a network the weights in ``arrays``, as ``state_dict`` gives them or as PyTorch saves them.

    Raises CheckpointError for arrays that are missing, left over, or of another shape.
    """
    expected = state_shapes(model.shape)
    found = {name: array.shape for name, array in arrays.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise CheckpointError(f"weights {name}: expected {expected.get(name)}, found {found.get(name)}")
    order = np.argsort(_torch_order(model.cell))
    G, H = len(order), model.shape.hidden_size
    if model.shape.embedding_size:
        model.parameters["input.embedding"][...] = arrays["embedding.weight"]
    for index, (Wx, Wh, b, bh) in enumerate(_recurrent_parameters(model)):
        for name, array in {"weight_ih": Wx, "weight_hh": Wh}.items():
            gates = arrays[f"rnn.{name}_l{index}"].reshape(G, H, -1)[order]  # (G, H, D)
            array[...] = gates.transpose(2, 0, 1)
        b[...] = arrays[f"rnn.bias_ih_l{index}"].reshape(G, H)[order]
        bias_hh = arrays[f"rnn.bias_hh_l{index}"].reshape(G, H)[order]
        together = G - model.cell.apart
        if bias_hh[:together].any():
            b[:together] += bias_hh[:together]
        if bh is not None:
            bh[...] = bias_hh[together:]
    model.parameters["output.W"][...] = arrays["out.weight"].T
    model.parameters["output.b"][...] = arrays["out.bias"]
    model.pack()


def _torch_order(cell: Cell) -> list[int]:
    """For each gate in PyTorch's order, its index in ours."""
    return [cell.gates.index(gate) for gate in cell.torch_gates or cell.gates]


def _recurrent_parameters(model: CharRNN) -> Iterator[tuple[Array, Array, Array, Array | None]]:
    """Wx (D, G, H), Wh (H, G, H), b (G, H) and bh (apart, H) or None of every layer."""
    p = model.parameters
    for index in range(model.shape.layers):
        below = f"projection{index}" if index else "input"
        yield p[f"{below}.Wx"], p[f"recurrent{index}.Wh"], p[f"{below}.b"], p.get(f"recurrent{index}.bh")
