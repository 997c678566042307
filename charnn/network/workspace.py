"""A network's shape and that of a chunk enter; every buffer that training or reading such a chunk needs leaves.

Buffers are made once and used again for every chunk of the same shape, and so are the views of each time step: inside
the time loop nothing is allocated. Training, validation and sampling each have a workspace of their own, so that none
disturbs another. The floats of a workspace, for T steps of B streams (N = T B), L layers of H units with G gates, S of
them sigmoids and A kept apart, Z states a layer (the LSTM has G, S, A, Z = 4, 3, 0, 2), V characters, and K samples of
dropout:

    forward    L H (N (G + A + Z) + B (Z + G + 1 + S)) + K N V
    backward   H (N G [twice where A > 0] + B (G + A + Z + P) + K N), made when first needed; P is 1 or G
    dropout    H N (L - 1 + K), made when first needed

For an LSTM of 2 x 512 units over 64 characters and 32 streams of 64 that is 73.6 MB, of which the activations and
states of every step, which backpropagation through time needs again, are 50.3 MB.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array, Cell, Views
from charnn.network.dropout import NOTHING_DROPPED
from charnn.network.memory import new_array
from charnn.network.products import Product, block_width


class Workspace:
    """The buffers for chunks of T steps of B streams.

    With dropout the outputs of the top layer may be sampled K times: what follows them has K * N rows. The last forward
    pass leaves in ``inputs``, ``masks`` and the buffers of the layers what the backward pass needs of it.
    """

    def __init__(
        self, cell: Cell, layers: int, H: int, V: int, dtype: np.dtype[np.generic], T: int, B: int, samples: int = 1
    ):
        self.T, self.B, self.N, self.samples = T, B, T * B, samples
        self.recurrent = [RecurrentWorkspace(cell, H, T, B, dtype) for _ in range(layers)]
        self.logits = new_array((samples * self.N, V), dtype)
        self.inputs: list[Array] = []
        """What entered each layer's input and the output layer: ids (N,), then hidden states (N, H) after dropout."""
        self.masks = NOTHING_DROPPED
        self._cell, self._hidden_size, self._dtype = cell, H, dtype
        self._dropped: dict[int, Array] = {}
        self._backward: BackwardWorkspace | None = None
        self._dh: Array | None = None

    @property
    def backward(self) -> BackwardWorkspace:
        """Made when first needed: validation and sampling never ask for it."""
        if self._backward is None:
            self._backward = BackwardWorkspace(self._cell, self._hidden_size, self.T, self.B, self._dtype)
        return self._backward

    @property
    def dh(self) -> Array:
        """The gradient of a layer's output (K * N, H), on its way down."""
        if self._dh is None:
            self._dh = new_array((self.samples * self.N, self._hidden_size), self._dtype)
        return self._dh

    def drop(self, layer: int, h: Array) -> Array:
        """The output ``h`` (N, H) of a layer after dropout: (K * N, H)."""
        if not self.masks.outputs:
            return h
        mask = self.masks.outputs[layer].reshape(-1, *h.shape)  # (K, N, H)
        if layer not in self._dropped:
            self._dropped[layer] = new_array(mask.shape, h.dtype)
        return np.multiply(h, mask, out=self._dropped[layer]).reshape(-1, h.shape[1])

    def undrop(self, layer: int, dh: Array) -> Array:
        """The gradient of a layer's output (N, H) from that after dropout, ``dh`` (K * N, H), which is overwritten."""
        if not self.masks.outputs:
            return dh
        samples = dh.reshape(-1, self.N, dh.shape[1])
        np.multiply(samples, self.masks.outputs[layer].reshape(samples.shape), out=samples)
        total: Array = samples[0]
        for sample in samples[1:]:
            np.add(total, sample, out=total)
        return total

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers that have been made."""
        own = [self.logits, *self._dropped.values(), *([] if self._dh is None else [self._dh])]
        for recurrent in self.recurrent:
            own += recurrent.buffers()
        if self._backward is not None:
            own += self._backward.buffers()
        return sum(array.nbytes for array in own)


class RecurrentWorkspace:
    """The buffers of one recurrent layer, and the views of every step."""

    def __init__(self, cell: Cell, H: int, T: int, B: int, dtype: npt.DTypeLike):
        def new(*shape: int) -> Array:
            return new_array(shape, dtype)

        G, S, apart = len(cell.gates), cell.sigmoids, cell.apart
        self.a = new(G, T, B, H)  # pre-activations, then activations
        self.rec = new(apart, T, B, H)  # recurrent part of the gates kept apart
        self.states = {name: new(T + 1, B, H) for name in cell.state}  # [0] is the carry
        self.scratch, self.gate_scratch = new(B, H), new(S, B, H)
        self.product = Product(G, B, H, block_width(B, H, H) or H, dtype)  # h_prev Wh
        self.a_rows = self.a.reshape(G, T * B, H)
        self.h_rows = self.states["h"][1:].reshape(T * B, H)
        self.h_prev_rows = self.states["h"][:-1].reshape(T * B, H)
        self.steps = [
            Views(
                **gate_views(cell, self.a[:, t], self.rec[:, t]),
                **{name: array[t + 1] for name, array in self.states.items()},
                **{f"{name}_prev": array[t] for name, array in self.states.items()},
                scratch=self.scratch,
                gate_scratch=self.gate_scratch,
            )
            for t in range(T)
        ]

    def set_carry(self, carry: Array) -> None:
        """Begin from ``carry`` (Z, B, H)."""
        for array, state in zip(self.states.values(), carry, strict=True):
            array[0] = state

    def carry(self) -> Array:
        """A copy of the states after the last step: (Z, B, H)."""
        return np.stack([array[-1] for array in self.states.values()])

    def buffers(self) -> Iterator[Array]:
        yield from (self.a, self.rec, *self.states.values(), self.scratch, self.gate_scratch, self.product.out)


class BackwardWorkspace:
    """The buffers of one layer's backward pass; layers of a model use the same ones, one after the other."""

    def __init__(self, cell: Cell, H: int, T: int, B: int, dtype: npt.DTypeLike):
        def new(*shape: int) -> Array:
            return new_array(shape, dtype)

        G = len(cell.gates)
        self.d_state = {name: new(B, H) for name in cell.state}
        self.gates, self.rec = new(G, B, H), new(cell.apart, B, H)
        self.d = Views(**gate_views(cell, self.gates, self.rec), **self.d_state)
        self.da = new(T * B, G * H)
        self.du = new(T * B, G * H) if cell.apart else self.da  # of the recurrent products
        self.da_steps = list(self.da.reshape(T, B, G, H).transpose(0, 2, 1, 3))  # T of (G, B, H)
        self.du_steps = list(self.du.reshape(T, B, G, H).transpose(0, 2, 1, 3))
        # dh = du @ WhT, over all gates in one product, or gate by gate where only that is small enough.
        whole = block_width(B, G * H, H)
        parts, width = (1, whole) if whole else (G, block_width(B, H, H) or H)
        self.product = Product(parts, B, H, width, dtype)
        self.du_parts = list(self.du.reshape(T, B, parts, 1, G * H // parts).transpose(0, 2, 3, 1, 4))

    def buffers(self) -> Iterator[Array]:
        yield from (*self.d_state.values(), self.gates, self.rec, self.da, self.product.out)
        if self.du is not self.da:
            yield self.du


def gate_views(cell: Cell, gates: Array, rec: Array) -> dict[str, Array]:
    """Names for the blocks of ``gates`` (G, B, H) and of the recurrent parts kept apart ``rec`` (A, B, H)."""
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
