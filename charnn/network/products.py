"""Weights enter; copies of them leave that are cut for the small products of the time loop.

Inside the loop the matrices are small: (B, H) times (H, H), T times. BLAS copies the operands of a product before it
multiplies, at every call, except where the product is small; so there the weights are cut into blocks of columns,
(parts, blocks, D, width), each small enough, and copied once per update instead of once per step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array
from charnn.network.memory import new_array

SMALL_PRODUCT = 1_000_000
"""OpenBLAS multiplies without copying its operands up to this many multiplications (sgemm on AVX-512)."""


def block_width(rows: int, inner: int, columns: int) -> int:
    """How many columns a block of the right-hand side should have in a product (rows, inner) @ (inner, columns).

    The widest that keeps the product small for BLAS, of whole cache lines up to 224 (wider ones were slower), or else
    all ``columns``; 0 where none of these does.
    """
    widths = (*range(224, 0, -32), columns)
    return next((width for width in widths if columns % width == 0 and rows * inner * width <= SMALL_PRODUCT), 0)


class Product:
    """Room for a product with ``Blocked`` weights: ``out`` (parts, B, H), and ``blocks``, the same as BLAS fills it."""

    def __init__(self, parts: int, B: int, H: int, width: int, dtype: npt.DTypeLike):
        self.parts, self.width = parts, width
        self.out = new_array((parts, B, H), dtype)
        self.blocks = np.moveaxis(self.out.reshape(parts, B, H // width, width), -2, -3)  # (parts, blocks, B, width)


class Blocked:
    """Weights (parts, D, H), times a ``scale`` (parts, 1, 1), as products of several sizes like them best.

    ``weights`` is a view of the parameters. A copy is made when it is first asked for after a change.
    """

    def __init__(self, weights: Array, scale: Array):
        self._weights, self._scale = weights, scale[:, None]
        self._copies: dict[int, Array] = {}
        self._current: set[int] = set()

    def changed(self) -> None:
        """To be called after every change of the parameters."""
        self._current.clear()

    def for_product(self, product: Product) -> Array:
        """The copy (parts, blocks, D, width) to multiply with into ``product.blocks``."""
        width = product.width
        if width not in self._current:
            parts, D, H = self._weights.shape
            blocks = self._weights.reshape(parts, D, H // width, width).transpose(0, 2, 1, 3)
            if width not in self._copies:
                self._copies[width] = new_array(blocks.shape, self._weights.dtype)
            np.multiply(blocks, self._scale, out=self._copies[width])
            self._current.add(width)
        return self._copies[width]
