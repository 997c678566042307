"""Inputs for T time steps of B streams enter, hidden states leave; gradients come back the same way.

The layers own the weights, time, and every matrix product; a cell (``cells/``) adds the elementwise part of one step.
All products that do not depend on the previous state are taken out of the time loop:

    before the loop   a = x Wx + b                              (G, T, B, H), one product
    in the loop       a_t += h_{t-1} Wh; cell                   T times
    backward, in it   cell; dh_{t-1} += da_t Whᵀ                T times
    after it          dWh = h_prevᵀ da; dWx = xᵀ da; dx = da Wxᵀ; db = sum of da

Shapes, here and in every module: T time, B batch, N = T * B, V vocabulary, E embedding, D input size, H hidden size,
G gates, S sigmoid gates. ``dX`` is the gradient of the loss with respect to X.

    parameters         (D, G, H)      weights: from input d to gate g of unit h
    pre-activations    (G, T, B, H)   gate-major: every gate of every step is one contiguous block
    their gradients    (T, B, G, H)   row-major: one row per character, so that a product sums over the gates as well

``pack`` copies the weights once per update into the layout that the products like best, with the 1/2 of the sigmoids
(see ``cells/base.py``) folded in. The buffers are those of ``workspace.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array, Cell, Views
from charnn.network.memory import new_array
from charnn.network.products import Blocked
from charnn.network.workspace import BackwardWorkspace, RecurrentWorkspace

Shapes = dict[str, tuple[int, ...]]


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


class Input(Layer):
    """What enters a recurrent layer: ids or hidden states (N, ...) -> pre-activations (G, N, H), all steps at once."""

    def forward(self, x: Array, a: Array, mask: Array | None = None) -> None:
        """Fill ``a`` (G, N, H) from ``x``; ``mask`` drops elements of the characters' vectors."""
        raise NotImplementedError

    def backward(self, x: Array, da: Array, g: Views, dx: Array, mask: Array | None = None) -> None:
        """Gradients of the parameters into ``g``, and that of ``x`` into ``dx`` (N, D), from ``da`` (N, G * H)."""
        raise NotImplementedError


class CharacterInput(Input):
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
        # Made when first needed: the table after dropout, and rows (N, G * H) in the order of their ids.
        self._masked: Array | None = None
        self._grouped = new_array((0, 0), dtype)

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

    def backward(self, ids: Array, da: Array, g: Views, dx: Array, mask: Array | None = None) -> None:
        """Gradients of the parameters from ``da`` (N, G * H), and the ``mask`` of the forward pass; ids have none."""
        V, GH = self.table.shape[1], da.shape[1]
        if self._grouped.shape != da.shape:
            self._grouped = new_array(da.shape, da.dtype)
        dtable = sum_rows_by_id(ids, da, V, self._grouped)  # (V, G * H)
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


def sum_rows_by_id(ids: Array, rows: Array, count: int, grouped: Array) -> Array:
    """Scatter-add: (count, M) whose line i is the sum of the ``rows`` (N, M) with ``ids`` (N,) equal to i.

    The rows are brought into the order of their ids, in ``grouped`` (N, M); then those of an id lie side by side, and a
    product with ones adds them up.
    """
    np.take(rows, np.argsort(ids, kind="stable"), axis=0, out=grouped, mode="clip")
    counts = np.bincount(ids, minlength=count)
    sums = np.zeros((count, rows.shape[1]), rows.dtype)
    ones = np.ones(counts.max(), rows.dtype)
    start = 0
    for i in np.flatnonzero(counts):
        np.dot(ones[: counts[i]], grouped[start : start + counts[i]], out=sums[i])
        start += counts[i]
    return sums


class Projection(Input):
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

    def forward(self, x: Array, a: Array, mask: Array | None = None) -> None:
        """Fill ``a`` (G, N, H) from ``x`` (N, D); a mask of the characters' vectors does not concern it."""
        np.matmul(x, self.Wx, out=a)
        np.add(a, self.b, out=a)

    def backward(self, x: Array, da: Array, g: Views, dx: Array, mask: Array | None = None) -> None:
        """Gradients of the parameters and of ``x``, into ``dx`` (N, D), from ``da`` (N, G * H)."""
        np.matmul(x.T, da, out=g.Wx.reshape(-1, da.shape[1]))
        np.sum(da, axis=0, out=g.b.reshape(-1))
        np.matmul(da, self.WxT, out=dx)


class Recurrent(Layer):
    """Pre-activations of all steps -> states of all steps: the time loop, forward and backward."""

    def __init__(self, cell: Cell, hidden_size: int, dtype: npt.DTypeLike):
        G, H = len(cell.gates), hidden_size
        self.cell, self.hidden_size = cell, hidden_size
        self.shapes = {"Wh": (H, G, H)}
        if cell.apart:
            self.shapes["bh"] = (cell.apart, H)
        self.scale = gate_scale(cell, dtype)
        self.bh = new_array((cell.apart, 1, H), dtype)

    def bind(self, parameters: Mapping[str, Array]) -> None:
        super().bind(parameters)
        G, H, one = len(self.scale), self.hidden_size, np.ones((1, 1, 1), self.scale.dtype)
        self.Wh = Blocked(self.p.Wh.transpose(1, 0, 2), self.scale[:, None, None])  # (G, H, H)
        self.WhT = {  # (parts, G * H / parts, H): all gates in one product, or one product a gate
            parts: Blocked(self.p.Wh.reshape(H, parts, -1).transpose(1, 2, 0), one) for parts in {1, G}
        }

    def pack(self) -> None:
        for weights in (self.Wh, *self.WhT.values()):
            weights.changed()
        if self.cell.apart:
            np.multiply(self.p.bh[:, None], self.scale[-self.cell.apart :, None, None], out=self.bh)

    def forward(self, w: RecurrentWorkspace) -> None:
        """Run the cell over T steps, from the input's part of the pre-activations in ``w.a`` and the carry."""
        cell, Wh, product = self.cell, self.Wh.for_product(w.product), w.product.blocks
        together, rec = np.split(w.product.out, [len(cell.gates) - cell.apart])
        for s in w.steps:
            np.matmul(s.h_prev, Wh, out=product)  # (G, blocks, B, width)
            np.add(s.together, together, out=s.together)
            if cell.apart:
                np.add(rec, self.bh, out=s.rec)
            cell.forward(s)

    def backward(
        self, w: RecurrentWorkspace, dh: Array, b: BackwardWorkspace, g: Views, observer: GradientObserver | None = None
    ) -> None:
        """Fill ``b.da`` (N, G * H) and the gradients of the parameters from ``dh`` (N, H).

        The gradient of the state after the last step is zero: no gradient enters a chunk from its future. That is the
        truncation of truncated backpropagation through time (Williams and Peng 1990).
        """
        cell, d, WhT = self.cell, b.d, self.WhT[b.product.parts].for_product(b.product)
        dh_steps = dh.reshape(len(w.steps), -1, self.hidden_size)  # (T, B, H)
        for array in b.d_state.values():
            array.fill(0)
        for t in reversed(range(len(w.steps))):
            np.add(d.h, dh_steps[t], out=d.h)
            cell.backward(w.steps[t], d)
            np.copyto(b.da_steps[t], d.gates)
            if cell.apart:
                np.copyto(b.du_steps[t][: -cell.apart], d.together)
                np.copyto(b.du_steps[t][-cell.apart :], d.rec)
            if observer is not None:
                observer.elementwise(t, b.d_state)
            np.matmul(b.du_parts[t], WhT, out=b.product.blocks)  # (parts, blocks, B, width)
            for part in b.product.out:
                np.add(d.h, part, out=d.h)
            if observer is not None:
                observer.complete(t, b.d_state)
        np.matmul(w.h_prev_rows.T, b.du, out=g.Wh.reshape(self.hidden_size, -1))
        if cell.apart:
            np.sum(b.du[:, -cell.apart * self.hidden_size :], axis=0, out=g.bh.reshape(-1))


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
