"""A shape enters; an array of zeros leaves that begins where processors read fastest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array

ALIGNMENT = 64
"""Bytes: a cache line, and the width of the widest vector registers."""


def new_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros that begin on a cache line, which products and elementwise loops are up to a fifth faster on."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)
