"""A checkpoint's arrays enter and leave by group, or a CheckpointError says what is missing, left over or out of shape.

    model.rnn.weight_ih_l0    the weights, as a PyTorch state dict
    optimizer.v               what the update rule keeps, a vector (P,) each
    carry.0.h                 the state of each layer between two chunks, (B, H)

To be asked before anything is allocated for a configuration that comes from a file.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from charnn.config import Config
from charnn.errors import CheckpointError, printable
from charnn.network.cells import Array, find_cell
from charnn.network.optimizers import RULES
from charnn.network.shape import Shape, parameter_count, shape_of
from charnn.network.state_dict import state_shapes
from charnn.storage.checkpoint import Checkpoint

DTYPE = "float32"
SHOWN = 60


def group(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The arrays whose names begin with ``prefix`` and a dot, without it."""
    return {name.removeprefix(f"{prefix}."): array for name, array in arrays.items() if name.startswith(f"{prefix}.")}


def weights(loaded: Checkpoint, shape: Shape) -> dict[str, Array]:
    """The weights in a checkpoint, if they are those of such a network. Raises CheckpointError."""
    found = group(loaded.arrays, "model")
    _check(found, state_shapes(shape), "model")
    for name, array in found.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"weights in {printable(name)[:SHOWN]} are not finite")
    return found


def check_arrays(loaded: Checkpoint, config: Config, vocabulary_size: int) -> None:
    """Raises CheckpointError unless a checkpoint holds what training by this configuration needs, and nothing else."""
    shape = shape_of(config.model, vocabulary_size)
    weights(loaded, shape)
    vectors = dict.fromkeys(RULES[config.optimization.optimizer].state_names, (parameter_count(shape),))
    _check(group(loaded.arrays, "optimizer"), vectors, "optimizer")
    names, one = find_cell(shape.cell).state, (config.training.batch_size, shape.hidden_size)
    carry = {f"{layer}.{name}": one for layer in range(shape.layers) for name in names}
    _check(group(loaded.arrays, "carry"), carry, "carry")


def _check(arrays: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]], what: str) -> None:
    """Raises CheckpointError for arrays that are missing, left over, or of another shape or type than expected."""
    for name in sorted(expected.keys() | arrays.keys()):
        wanted = f"{DTYPE} {expected[name]}" if name in expected else "absent"
        found = f"{arrays[name].dtype} {arrays[name].shape}" if name in arrays else "absent"
        if wanted != found:
            shown = f"{what}.{printable(name)[:SHOWN]}"
            raise CheckpointError(
                f"its arrays do not fit its configuration: {shown} should be {wanted}, and is {found}"
            )
