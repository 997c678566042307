"""A network's shape enters; the arrays that a checkpoint of it must hold leave, by name and shape.

Computed without making any of them: a file that claims a network larger than itself is refused before that costs
memory. Names and shapes are PyTorch's, see ``CharRNN.state_dict``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from charnn.errors import CheckpointError, printable
from charnn.network.cells import Array, find_cell
from charnn.network.model import Shape

Shapes = dict[str, tuple[int, ...]]

DTYPE = "float32"
SHOWN = 60


def model_arrays(shape: Shape) -> Shapes:
    """The weights of a network, as ``CharRNN.state_dict`` has them."""
    V, E, H = shape.vocabulary_size, shape.embedding_size, shape.hidden_size
    rows = len(find_cell(shape.cell).gates) * H
    arrays: Shapes = {"embedding.weight": (V, E)} if E else {}
    for layer in range(shape.layers):
        arrays[f"rnn.weight_ih_l{layer}"] = (rows, H if layer else E or V)
        arrays[f"rnn.weight_hh_l{layer}"] = (rows, H)
        arrays[f"rnn.bias_ih_l{layer}"] = arrays[f"rnn.bias_hh_l{layer}"] = (rows,)
    return arrays | {"out.weight": (V, H), "out.bias": (V,)}


def parameter_count(shape: Shape) -> int:
    """The length P of ``CharRNN.vector``: of PyTorch's second bias, only the gates kept apart have one."""
    cell = find_cell(shape.cell)
    unused = shape.layers * (len(cell.gates) - cell.apart) * shape.hidden_size
    return sum(map(math.prod, model_arrays(shape).values())) - unused


def carry_arrays(shape: Shape, streams: int) -> Shapes:
    """The state of every layer."""
    names = find_cell(shape.cell).state
    return {f"{layer}.{name}": (streams, shape.hidden_size) for layer in range(shape.layers) for name in names}


def group(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin with ``prefix`` and a dot, without it."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def check(arrays: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raises CheckpointError for arrays that are missing, left over, or of another shape or type than expected."""
    for name in sorted(expected.keys() | arrays.keys()):
        wanted = f"{DTYPE} {expected[name]}" if name in expected else "absent"
        found = f"{arrays[name].dtype} {arrays[name].shape}" if name in arrays else "absent"
        if wanted != found:
            shown = f"{what}.{printable(name)[:SHOWN]}"
            raise CheckpointError(
                f"its arrays do not fit its configuration: {shown} should be {wanted}, and is {found}"
            )


def check_finite(arrays: Mapping[str, Array]) -> None:
    """Raises CheckpointError for weights that are infinite or not a number."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"weights in {printable(name)[:SHOWN]} are not finite")
