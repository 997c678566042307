"""A character a stream enters, the logits of the next leave: the forward pass of sampling, its state kept in place.

Training multiplies all inputs of a chunk at once, before the loop over time. Here every step waits for the character
that it has just drawn, so a layer's weights for the input and for the previous state lie side by side, and so do the
two vectors that they meet, in one product a step (gates that stay apart have two of their own):

    a = [Wx Wh] [x; h_prev] + b

For one stream that is a matrix times a vector: as fast as memory can bring the weights, each of them once. (``np.dot``
is half a microsecond faster there than ``np.matmul``.) Streams are columns here, (H, B) instead of (B, H): the gates of
B streams then are one contiguous block, as in training. The new state replaces the old one where it stands.
"""

from __future__ import annotations

import numpy as np

from charnn.network.cells import Array, Views
from charnn.network.layers import gate_scale
from charnn.network.memory import new_array
from charnn.network.model import Carry, CharRNN
from charnn.network.workspace import gate_views


class Stepper:
    """The network of ``model`` one character at a time for B streams, from the state ``carry`` on.

    The weights are copied: the stepper does not see later changes of them.
    """

    def __init__(self, model: CharRNN, carry: Carry):
        H, L, B = model.shape.hidden_size, model.shape.layers, carry.shape[2]
        G, V, dtype = len(model.cell.gates), model.shape.vocabulary_size, model.dtype
        self._cell_forward = model.cell.forward
        self._table = new_array((G * H, V), dtype)
        np.copyto(self._table, model.characters.table.transpose(0, 2, 1).reshape(G * H, V))
        self._rows = new_array((G * H, B), dtype)
        """The table's columns of the characters that enter."""
        self._h = new_array((L * H, B), dtype)
        """The hidden states of all layers, one below the other: a layer's input and its own state are neighbours."""
        self._layers = [_Step(model, index, self._h) for index in range(L)]
        self._W = np.ascontiguousarray(model.output.p.W.T)  # (V, H)
        self._b = model.output.p.b[:, None]
        self._logits = new_array((V, B), dtype)
        self.set_carry(carry)

    def set_carry(self, carry: Carry) -> None:
        """Go on from the state ``carry``, of as many streams as before."""
        for layer, states in zip(self._layers, carry, strict=True):
            for array, entering in zip(layer.states, states, strict=True):
                array[...] = entering.T

    def carry(self) -> Carry:
        """A copy of the state after the last character that was read."""
        return np.stack([np.stack([array.T for array in layer.states]) for layer in self._layers])

    def __call__(self, ids: Array) -> Array:
        """Read one character a stream, ``ids`` (B,); returns the logits (B, V) of the next, in a buffer used again."""
        np.take(self._table, ids, axis=1, out=self._rows, mode="clip")
        for layer in self._layers:
            layer.products(self._rows)
            self._cell_forward(layer.views)
        np.dot(self._W, self._layers[-1].own, out=self._logits)
        np.add(self._logits, self._b, out=self._logits)
        logits: Array = self._logits.T
        return logits


class _Step:
    """One layer: its weights, each output's in a row, and the buffers of a step."""

    def __init__(self, model: CharRNN, index: int, h: Array):
        cell, H, dtype = model.cell, model.shape.hidden_size, model.dtype
        G, S, apart, B = len(cell.gates), cell.sigmoids, cell.apart, h.shape[1]
        together = G - apart
        scale = gate_scale(cell, dtype)[:, None, None]
        Wh = model.recurrent[index].p.Wh.transpose(1, 2, 0) * scale  # (G, H, H)
        self.first = index == 0
        self.inputs = h[:H] if self.first else h[(index - 1) * H : (index + 1) * H]  # [x; h_prev]
        self.below, self.own = self.inputs[:-H], self.inputs[-H:]
        W = Wh
        if not self.first:
            projection = model.inputs[index].p
            Wx = projection.Wx.transpose(1, 2, 0) * scale
            W = np.concatenate([Wx, Wh], axis=2)  # (G, H, 2H)
            self.b = (projection.b[:, :, None] * scale).reshape(G * H, 1)
            self.Wx_apart = np.ascontiguousarray(Wx[together:]).reshape(apart * H, H)
        self.W = np.ascontiguousarray(W[:together]).reshape(together * H, -1)
        self.apart = apart
        if apart:
            self.Wh_apart = np.ascontiguousarray(Wh[together:]).reshape(apart * H, H)
            self.bh = (model.recurrent[index].p.bh[:, :, None] * scale[together:]).reshape(apart * H, 1)
        a, rec = new_array((G, H, B), dtype), new_array((apart, H, B), dtype)
        self.a = a.reshape(G * H, B)
        self.a_together, self.a_apart = self.a[: together * H], self.a[together * H :]
        self.rec = rec.reshape(apart * H, B)
        state = {name: self.own if name == "h" else new_array((H, B), dtype) for name in cell.state}
        self.states = list(state.values())
        self.views = Views(
            **gate_views(cell, a, rec),
            **state,
            **{f"{name}_prev": array for name, array in state.items()},
            scratch=new_array((H, B), dtype),
            gate_scratch=new_array((S, H, B), dtype),
        )

    def products(self, rows: Array) -> None:
        """Fill the pre-activations, from the layer's own state and what lies below: ``rows`` (G * H, B) if nothing."""
        np.dot(self.W, self.inputs, out=self.a_together)
        if self.first:
            np.add(self.a_together, rows[: len(self.a_together)], out=self.a_together)
        if self.apart:
            if self.first:
                np.copyto(self.a_apart, rows[len(self.a_together) :])
            else:
                np.dot(self.Wx_apart, self.below, out=self.a_apart)
            np.dot(self.Wh_apart, self.own, out=self.rec)
            np.add(self.rec, self.bh, out=self.rec)
        if not self.first:
            np.add(self.a, self.b, out=self.a)
