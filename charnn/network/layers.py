"""Inputs for T time steps of B streams enter, hidden states leave; gradients come back the same way.

The layers own the weights, the buffers, time, and every matrix product; a cell (``cells/``) adds the elementwise
part of one step. All products that do not depend on the previous state are taken out of the time loop: inside it
remain, forward, one product of the previous h with Wh, and backward, one product with its transpose.

Shapes, here and in every module: T time, B batch, N = T * B, V vocabulary, E embedding, D input size, H hidden size,
G gates, S sigmoid gates. ``dX`` is the gradient of the loss with respect to X.

    parameters         (D, G, H)      weights: from input d to gate g of unit h
    pre-activations    (G, T, B, H)   gate-major: every gate of every step is one contiguous block
    their gradients    (T, B, G, H)   row-major: one row per character, so that a product sums over the gates as well

``pack`` copies the weights once per update into the layout that the products like best, with the 1/2 of the sigmoids
(see ``cells/base.py``) folded in. Inside the time loop the matrices are small, and BLAS is fastest on small ones where
it need not copy its operands first: there the weights are cut into blocks of columns, (blocks, D, columns).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array, Cell, Views

Shapes = dict[str, tuple[int, ...]]

SMALL_PRODUCT = 1_000_000
"""OpenBLAS multiplies without copying its operands up to this many multiplications (sgemm on AVX-512)."""

ALIGNMENT = 64
"""Bytes: a cache line, and the width of the widest vector registers."""


def new_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> Array:
    """Zeros that begin on a cache line, which products and elementwise loops are up to a fifth faster on."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def block_width(rows: int, inner: int, columns: int) -> int:
    """How many columns a block of the right-hand side should have in a product (rows, inner) @ (inner, columns).

    The widest that keeps the product small for BLAS, of whole cache lines up to 224 (wider ones were slower), or else
    all ``columns``; 0 where none of these does.
    """
    widths = (*range(224, 0, -32), columns)
    return next((width for width in widths if columns % width == 0 and rows * inner * width <= SMALL_PRODUCT), 0)


def in_blocks(array: Array, width: int) -> Array:
    """A view of (..., B, H) as (..., H / width, B, width): the layout of a product with blocks of columns."""
    *outer, B, H = array.shape
    return np.moveaxis(array.reshape(*outer, B, H // width, width), -2, -3)


def gate_scale(cell: Cell, dtype: npt.DTypeLike) -> Array:
    """The factor of each gate's pre-activations: 1/2 for the leading sigmoids, 1 for the rest. Shape (G,)."""
    scale = np.ones(len(cell.gates), dtype)
    scale[: cell.sigmoids] = 0.5
    return scale


class GradientObserver(Protocol):
    """Looks on as the gradient of the state goes back step by step; ``d_state`` is {name: (B, H)}.

    Both methods may change it in place, and so follow or inject a part of the gradient alone.
    """

    def elementwise(self, t: int, d_state: Mapping[str, Array]) -> None:
        """At step t the cell is done: the gradient of the state before it, without the product with Wh."""

    def complete(self, t: int, d_state: Mapping[str, Array]) -> None:
        """The product is added: the gradient of the state before step t."""


class Layer:
    """Parameters by name. ``bind`` hands a layer views into the model's flat vector; ``pack`` follows every change."""

    shapes: Shapes

    def bind(self, parameters: Mapping[str, Array]) -> None:
        self.p = Views(**parameters)

    def pack(self) -> None:
        """Copy the parameters into the layout of the products; to be called after every change of them."""
        raise NotImplementedError


class CharacterProjection(Layer):
    """Character ids (N,) -> pre-activations (G, N, H) of the first recurrent layer.

    A one-hot vector times Wx is a row of Wx, so nothing is multiplied: the pre-activations of all V characters are a
    table, made once per update, and the input is looked up in it. With an embedding the table is embedding @ Wx.
    Dropout of the input masks the vectors of the characters, and so makes another table.
    """

    def __init__(self, cell: Cell, vocabulary_size: int, embedding_size: int, hidden_size: int, dtype: npt.DTypeLike):
        V, E, G, H = vocabulary_size, embedding_size, len(cell.gates), hidden_size
        self.shapes = {"Wx": (E or V, G, H), "b": (G, H)}
        if E:
            self.shapes = {"embedding": (V, E), **self.shapes}
        self.embedding_size = E
        self.vectors_shape = (V, E) if E else (V, G, H)
        """Of what stands for the characters: the embedding, or Wx where there is none."""
        self.scale = gate_scale(cell, dtype)[:, None, None]  # (G, 1, 1)
        self.table = new_array((G, V, H), dtype)
        self._masked: Array | None = None  # room for the table after dropout, made when first needed

    def pack(self) -> None:
        self._fill(self.table, self._vectors(None))

    def _vectors(self, mask: Array | None) -> Array:
        vectors: Array = self.p.embedding if self.embedding_size else self.p.Wx
        return vectors if mask is None else vectors * mask

    def _fill(self, table: Array, vectors: Array) -> Array:
        if self.embedding_size:
            np.matmul(vectors, self.p.Wx.transpose(1, 0, 2) * self.scale, out=table)
        else:
            np.multiply(vectors.transpose(1, 0, 2), self.scale, out=table)
        table += self.p.b[:, None] * self.scale
        return table

    def forward(self, ids: Array, a: Array, mask: Array | None = None) -> None:
        """Fill ``a`` (G, N, H) with the rows of ``ids`` (N,); ``mask`` drops elements of the characters' vectors."""
        table = self.table
        if mask is not None:
            if self._masked is None:
                self._masked = new_array(table.shape, table.dtype)
            table = self._fill(self._masked, self._vectors(mask))
        np.take(table, ids, axis=1, out=a, mode="clip")

    def backward(self, ids: Array, da: Array, g: Views, mask: Array | None = None) -> None:
        """Gradients of the parameters from ``da`` (N, G * H), and the ``mask`` of the forward pass."""
        V, GH = self.table.shape[1], da.shape[1]
        dtable = sum_rows_by_id(ids, da, V)  # (V, G * H)
        np.sum(dtable, axis=0, out=g.b.reshape(GH))
        dvectors = g.embedding if self.embedding_size else g.Wx
        if self.embedding_size:
            Wx = self.p.Wx.reshape(-1, GH)
            np.matmul(self._vectors(mask).T, dtable, out=g.Wx.reshape(-1, GH))
            np.matmul(dtable, Wx.T, out=dvectors)
        else:
            np.copyto(dvectors.reshape(V, GH), dtable)
        if mask is not None:
            np.multiply(dvectors, mask, out=dvectors)


FEW = 160
"""Up to this many ids, adding rows up by a product with one-hot vectors is faster than sorting them."""


def sum_rows_by_id(ids: Array, rows: Array, count: int) -> Array:
    """Scatter-add: (count, M) whose line i is the sum of the ``rows`` (N, M) with ``ids`` (N,) equal to i.

    For few ids a product with the one-hot vectors; for thousands the rows are sorted by id and each run is summed.
    """
    if count <= FEW:
        one_hot = np.zeros((len(ids), count), rows.dtype)
        one_hot[np.arange(len(ids)), ids] = 1
        product: Array = np.matmul(one_hot.T, rows)
        return product
    order = np.argsort(ids, kind="stable")
    present, starts = np.unique(ids[order], return_index=True)
    sums = np.zeros((count, rows.shape[1]), rows.dtype)
    sums[present] = np.add.reduceat(rows[order], starts, axis=0)
    return sums


class Projection(Layer):
    """Outputs of the layer below (N, D) -> pre-activations (G, N, H), for all time steps at once."""

    def __init__(self, cell: Cell, input_size: int, hidden_size: int, dtype: npt.DTypeLike):
        D, G, H = input_size, len(cell.gates), hidden_size
        self.shapes = {"Wx": (D, G, H), "b": (G, H)}
        self.scale = gate_scale(cell, dtype)[:, None, None]  # (G, 1, 1)
        self.Wx = new_array((G, D, H), dtype)
        self.WxT = new_array((G * H, D), dtype)
        self.b = new_array((G, 1, H), dtype)

    def pack(self) -> None:
        np.multiply(self.p.Wx.transpose(1, 0, 2), self.scale, out=self.Wx)
        np.multiply(self.p.b[:, None], self.scale, out=self.b)
        np.copyto(self.WxT, self.p.Wx.reshape(self.WxT.shape[::-1]).T)

    def forward(self, x: Array, a: Array) -> None:
        """Fill ``a`` (G, N, H) from ``x`` (N, D)."""
        np.matmul(x, self.Wx, out=a)
        np.add(a, self.b, out=a)

    def backward(self, x: Array, da: Array, g: Views, dx: Array) -> None:
        """Gradients of the parameters and of ``x``, into ``dx`` (N, D), from ``da`` (N, G * H)."""
        np.matmul(x.T, da, out=g.Wx.reshape(-1, da.shape[1]))
        np.sum(da, axis=0, out=g.b.reshape(-1))
        np.matmul(da, self.WxT, out=dx)


class RecurrentWorkspace:
    """The buffers of one recurrent layer for T steps of B streams, and the views of every step, made once."""

    def __init__(self, cell: Cell, hidden_size: int, T: int, B: int, dtype: npt.DTypeLike):
        def new(*shape: int) -> Array:
            return new_array(shape, dtype)

        G, S, H, apart = len(cell.gates), cell.sigmoids, hidden_size, cell.apart
        self.a = new(G, T, B, H)  # pre-activations, then activations
        self.rec = new(apart, T, B, H)  # recurrent part of the gates kept apart
        self.states = {name: new(T + 1, B, H) for name in cell.state}  # [0] is the carry
        kept = {name: new(T, B, H) for name in cell.keeps}
        scratch = {"t": new(B, H), "ts": new(S, B, H)}
        self.width = block_width(B, H, H) or H
        self.product = new(G, B, H)
        self.product_blocks = in_blocks(self.product, self.width)
        self.steps = [
            Views(
                **gate_views(cell, self.a[:, t], self.rec[:, t]),
                **{name: array[t + 1] for name, array in self.states.items()},
                **{f"{name}_prev": array[t] for name, array in self.states.items()},
                **{name: array[t] for name, array in kept.items()},
                **scratch,
            )
            for t in range(T)
        ]

    @property
    def h(self) -> Array:
        """The hidden states of all steps (T, B, H)."""
        return self.states["h"][1:]

    def set_carry(self, carry: Mapping[str, Array]) -> None:
        for name, array in self.states.items():
            array[0] = carry[name]

    def carry(self) -> dict[str, Array]:
        """A copy of the state after the last step: {name: (B, H)}."""
        return {name: array[-1].copy() for name, array in self.states.items()}


class BackwardWorkspace:
    """The buffers of one layer's backward pass; layers of a model use the same ones, one after the other."""

    def __init__(self, cell: Cell, hidden_size: int, T: int, B: int, dtype: npt.DTypeLike):
        def new(*shape: int) -> Array:
            return new_array(shape, dtype)

        G, H = len(cell.gates), hidden_size
        self.d_state = {name: new(B, H) for name in cell.state}
        self.d = Views(**gate_views(cell, new(G, B, H), new(cell.apart, B, H)), **self.d_state)
        self.da = new(T * B, G * H)
        self.du = new(T * B, G * H) if cell.apart else self.da  # of the recurrent products
        self.da_steps = list(self.da.reshape(T, B, G, H).transpose(0, 2, 1, 3))  # T of (G, B, H)
        self.du_steps = list(self.du.reshape(T, B, G, H).transpose(0, 2, 1, 3))
        # dh = du @ WhT, over all gates in one product, or gate by gate where only that is small enough.
        whole = block_width(B, G * H, H)
        self.parts, self.width = (1, whole) if whole else (G, block_width(B, H, H) or H)
        inner = G * H // self.parts
        self.product = new(self.parts, B, H)
        self.product_blocks = in_blocks(self.product, self.width)
        self.du_parts = list(self.du.reshape(T, B, self.parts, 1, inner).transpose(0, 2, 3, 1, 4))


def gate_views(cell: Cell, gates: Array, rec: Array) -> dict[str, Array]:
    """Names for the blocks of ``gates`` (G, B, H) and of the recurrent parts kept apart ``rec`` (apart, B, H)."""
    names = dict(zip(cell.gates, gates, strict=True))
    together = len(cell.gates) - cell.apart
    apart = {f"rec_{name}": block for name, block in zip(cell.gates[together:], rec, strict=True)}
    return {
        **names,
        **apart,
        "gates": gates,
        "together": gates[:together],
        "rec": rec,
        "sigmoid_gates": gates[: cell.sigmoids],
    }


class Recurrent(Layer):
    """Pre-activations of all steps -> states of all steps: the time loop, forward and backward."""

    def __init__(self, cell: Cell, hidden_size: int, dtype: npt.DTypeLike):
        G, H = len(cell.gates), hidden_size
        self.cell, self.hidden_size, self.dtype = cell, hidden_size, dtype
        self.shapes = {"Wh": (H, G, H)}
        if cell.apart:
            self.shapes["bh"] = (cell.apart, H)
        self.scale = gate_scale(cell, dtype)
        self.bh = new_array((cell.apart, 1, H), dtype)
        self._packed: dict[tuple[int, int], Array] = {}
        self._current: set[tuple[int, int]] = set()

    def pack(self) -> None:
        self._current.clear()
        if self.cell.apart:
            np.multiply(self.p.bh[:, None], self.scale[-self.cell.apart :, None, None], out=self.bh)

    def forward_weights(self, width: int) -> Array:
        """Wh for h @ Wh, halved for sigmoid gates: (G, blocks, H, width)."""
        if (0, width) not in self._current:
            G, H = len(self.scale), self.hidden_size
            blocks = self.p.Wh.reshape(H, G, H // width, width).transpose(1, 2, 0, 3)
            self._pack((0, width), blocks, self.scale[:, None, None, None])
        return self._packed[0, width]

    def backward_weights(self, parts: int, width: int) -> Array:
        """Wh transposed for du @ WhT: (parts, blocks, G * H / parts, width)."""
        if (parts, width) not in self._current:
            blocks = self.p.Wh.reshape(self.hidden_size // width, width, parts, -1).transpose(2, 0, 3, 1)
            self._pack((parts, width), blocks, np.ones(1, self.dtype))
        return self._packed[parts, width]

    def _pack(self, key: tuple[int, int], blocks: Array, scale: Array) -> None:
        """Copy ``blocks`` times ``scale``; once for every change of the parameters, and only layouts that are used."""
        if key not in self._packed:
            self._packed[key] = new_array(blocks.shape, self.dtype)
        np.multiply(blocks, scale, out=self._packed[key])
        self._current.add(key)

    def forward(self, w: RecurrentWorkspace) -> None:
        """Run the cell over T steps, from the input's part of the pre-activations in ``w.a`` and the carry."""
        cell_forward, product, Wh = self.cell.forward, w.product_blocks, self.forward_weights(w.width)
        apart = self.cell.apart
        together, rec = np.split(w.product, [len(w.product) - apart])
        for s in w.steps:
            np.matmul(s.h_prev, Wh, out=product)  # (G, blocks, B, width)
            np.add(s.together, together, out=s.together)
            if apart:
                np.add(rec, self.bh, out=s.rec)
            cell_forward(s)

    def backward(
        self, w: RecurrentWorkspace, dh: Array, b: BackwardWorkspace, g: Views, observer: GradientObserver | None = None
    ) -> None:
        """Fill ``b.da`` (N, G * H) and the gradients of the parameters from ``dh`` (T, B, H).

        The gradient of the state after the last step is zero: no gradient enters a chunk from its future. That is the
        truncation of truncated backpropagation through time (Williams and Peng 1990).
        """
        cell_backward, d, WhT = self.cell.backward, b.d, self.backward_weights(b.parts, b.width)
        for array in b.d_state.values():
            array.fill(0)
        for t in reversed(range(len(w.steps))):
            np.add(d.h, dh[t], out=d.h)
            cell_backward(w.steps[t], d)
            np.copyto(b.da_steps[t], d.gates)
            if self.cell.apart:
                np.copyto(b.du_steps[t][: -self.cell.apart], d.together)
                np.copyto(b.du_steps[t][-self.cell.apart :], d.rec)
            if observer is not None:
                observer.elementwise(t, b.d_state)
            np.matmul(b.du_parts[t], WhT, out=b.product_blocks)  # (parts, blocks, B, width)
            for part in b.product:
                np.add(d.h, part, out=d.h)
            if observer is not None:
                observer.complete(t, b.d_state)
        h_prev = w.states["h"][:-1].reshape(-1, self.hidden_size)  # (N, H)
        np.matmul(h_prev.T, b.du, out=g.Wh.reshape(self.hidden_size, -1))
        if self.cell.apart:
            du_apart = b.du[:, -self.cell.apart * self.hidden_size :]
            np.sum(du_apart, axis=0, out=g.bh.reshape(-1))


class Output(Layer):
    """Hidden states of the top layer (N, H) -> logits (N, V)."""

    def __init__(self, hidden_size: int, vocabulary_size: int, dtype: npt.DTypeLike):
        self.shapes = {"W": (hidden_size, vocabulary_size), "b": (vocabulary_size,)}
        self.WT = new_array((vocabulary_size, hidden_size), dtype)

    def pack(self) -> None:
        np.copyto(self.WT, self.p.W.T)

    def forward(self, h: Array, logits: Array) -> None:
        np.matmul(h, self.p.W, out=logits)
        np.add(logits, self.p.b, out=logits)

    def backward(self, h: Array, dlogits: Array, g: Views, dh: Array) -> None:
        np.matmul(h.T, dlogits, out=g.W)
        np.sum(dlogits, axis=0, out=g.b)
        np.matmul(dlogits, self.WT, out=dh)
