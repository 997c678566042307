"""A checkpoint's arrays enter, or a complaint about them leaves: missing, left over, of another shape, not finite."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from charnn.errors import CheckpointError, printable
from charnn.network.cells import Array, find_cell
from charnn.network.shape import Shape
from charnn.network.state_dict import Shapes

DTYPE = "float32"
SHOWN = 60


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
