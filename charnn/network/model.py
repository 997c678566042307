"""Character ids and a carry enter; the surprise at every next character, its gradient, and the new carry leave.

    x (T, B) -> CharacterInput -> Recurrent -> [dropout -> Projection -> Recurrent]... -> dropout -> Output -> loss

``CharRNN`` holds all parameters in one flat vector with a named view per weight. What depends on a chunk's shape is in
a ``Workspace``; what is carried from chunk to chunk (the state of every layer, ``Carry``) is a value that comes and
goes. So training, validation and sampling share the weights and disturb each other in nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array, Cell, Views, find_cell
from charnn.network.dropout import NOTHING_DROPPED, Masks
from charnn.network.layers import CharacterInput, GradientObserver, Input, Layer, Output, Projection, Recurrent
from charnn.network.loss import cross_entropy_gradient_in_place, cross_entropy_in_place
from charnn.network.memory import new_array
from charnn.network.shape import Shape
from charnn.network.workspace import Workspace

Carry = Array
"""The states carried from chunk to chunk: (L, Z, B, H), the lowest layer first, a cell's Z states in its order."""


class CharRNN:
    """A stack of recurrent layers between a character input and a softmax over the next character."""

    def __init__(self, shape: Shape, dtype: npt.DTypeLike = np.float32):
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.cell: Cell = find_cell(shape.cell)(shape.activation)
        V, E, H = shape.vocabulary_size, shape.embedding_size, shape.hidden_size
        self.characters = CharacterInput(self.cell, V, E, H, dtype)
        self.inputs: list[Input] = [
            self.characters,
            *(Projection(self.cell, H, H, dtype) for _ in range(1, shape.layers)),
        ]
        self.recurrent = [Recurrent(self.cell, H, dtype) for _ in range(shape.layers)]
        self.output = Output(H, V, dtype)
        self._layers: dict[str, Layer] = {}
        for index, (below, recurrent) in enumerate(zip(self.inputs, self.recurrent, strict=True)):
            self._layers |= {f"projection{index}" if index else "input": below, f"recurrent{index}": recurrent}
        self._layers["output"] = self.output
        self.shapes = {f"{name}.{key}": s for name, layer in self._layers.items() for key, s in layer.shapes.items()}
        self.size = sum(int(np.prod(shape)) for shape in self.shapes.values())
        self.vector = new_array((self.size,), dtype)
        """All parameters (P,); ``parameters`` are named views of it."""
        self.parameters = self.views(self.vector)
        for name, layer in self._layers.items():
            layer.bind(self._of_layer(name, self.parameters))

    def views(self, vector: Array) -> dict[str, Array]:
        """Named views of a flat vector (P,) laid out as the parameters are: gradients, optimizer state."""
        views, start = {}, 0
        for name, shape in self.shapes.items():
            stop = start + int(np.prod(shape))
            views[name] = vector[start:stop].reshape(shape)
            start = stop
        return views

    def _of_layer(self, layer: str, views: dict[str, Array]) -> dict[str, Array]:
        return {key: views[f"{layer}.{key}"] for key in self._layers[layer].shapes}

    def initialise(self, seed: int, forget_bias: float = 1.0, chrono: int = 0) -> None:
        """Draw all weights anew: uniform in ±1/sqrt(inputs that are not zero); biases 0, or ``forget_bias``.

        Of a one-hot input exactly one is not zero, so its weights are larger than the rest. A cell with an identity
        start begins with that multiple of the identity as its recurrent weights.

        With ``chrono`` each unit's gates start so that it remembers for as many steps as was drawn for it, from 2 to
        ``chrono``: where a share s of the state is kept, the time constant of forgetting is 1 / (1 - s) (chrono
        initialisation, Tallec and Ollivier 2018).
        """
        rng = np.random.Generator(np.random.Philox(seed))
        for name, array in self.parameters.items():
            kind = name.rpartition(".")[2]
            if kind in ("b", "bh"):
                array[...] = 0
            elif kind == "embedding":
                array[...] = rng.standard_normal(array.shape)
            elif kind == "Wh" and self.cell.identity_start:
                array[...] = self.cell.identity_start * np.eye(self.shape.hidden_size)[:, None]
            else:
                one_hot = name == "input.Wx" and not self.shape.embedding_size
                bound = 1.0 if one_hot else 1 / np.sqrt(len(array))
                array[...] = rng.uniform(-bound, bound, array.shape)
            if kind == "b" and not name.startswith("output"):
                timed = np.log(rng.uniform(1, max(1, chrono - 1), array.shape[1])) if chrono else forget_bias
                signs = self.cell.timing_gates if chrono else dict.fromkeys(self.cell.forget_gates, 1)
                for gate, sign in signs.items():
                    array[self.cell.gates.index(gate)] = sign * timed
        self.pack()

    def pack(self) -> None:
        """Bring the layers up to date with ``vector``; to be called after every change of it."""
        for layer in self._layers.values():
            layer.pack()

    def zero_carry(self, B: int) -> Carry:
        """The state before the first character: all zeros."""
        return np.zeros((self.shape.layers, len(self.cell.state), B, self.shape.hidden_size), self.dtype)

    def workspace(self, T: int, B: int, samples: int = 1) -> Workspace:
        """New buffers for chunks of T steps of B streams, whose dropout has so many ``samples``."""
        shape = self.shape
        return Workspace(self.cell, shape.layers, shape.hidden_size, shape.vocabulary_size, self.dtype, T, B, samples)

    def forward(self, x: Array, carry: Carry, w: Workspace, masks: Masks = NOTHING_DROPPED) -> Carry:
        """Run over the ids ``x`` (T, B) from ``carry``; ``w.logits`` (K * N, V) and the new carry come out."""
        w.masks, w.inputs = masks, [x.reshape(w.N)]
        for below, layer, buffers, state in zip(self.inputs, self.recurrent, w.recurrent, carry, strict=True):
            below.forward(w.inputs[-1], buffers.a_rows, masks.inputs)  # (G, N, H)
            buffers.set_carry(state)
            layer.forward(buffers)
            w.inputs.append(w.drop(len(w.inputs) - 1, buffers.h_rows))  # (K * N, H)
        self.output.forward(w.inputs[-1], w.logits)
        return np.stack([buffers.carry() for buffers in w.recurrent])

    def losses(self, x: Array, y: Array, carry: Carry, w: Workspace) -> tuple[Array, Carry]:
        """The surprise in nats at each of the characters ``y`` (T, B) that followed ``x`` (T, B), and the new carry."""
        carry = self.forward(x, carry, w)
        return cross_entropy_in_place(w.logits, y.reshape(w.N)).reshape(y.shape), carry

    def gradient(
        self,
        x: Array,
        y: Array,
        carry: Carry,
        w: Workspace,
        out: dict[str, Array],
        scale: float,
        masks: Masks = NOTHING_DROPPED,
    ) -> tuple[float, Carry]:
        """Forward and backward over one chunk: the sum of the losses in nats, and the new carry.

        ``out`` (named views, see ``views``) is filled with ``scale`` times the gradient of that sum; with ``scale`` =
        1 / (number of characters) it is the gradient of the mean loss. Where dropout has several samples, the loss is
        the mean over them.
        """
        carry = self.forward(x, carry, w, masks)
        losses = cross_entropy_gradient_in_place(w.logits, np.tile(y.reshape(w.N), w.samples), scale / w.samples)
        self.backward(w, out)
        return float(losses.sum(dtype=np.float64)) / w.samples, carry

    def backward(self, w: Workspace, out: dict[str, Array], observers: Sequence[GradientObserver] = ()) -> None:
        """From the gradient of the logits in ``w.logits`` (K * N, V) to that of every parameter, top layer first.

        ``observers`` are none, or one for each recurrent layer, the lowest first.
        """
        gradients = [Views(**self._of_layer(name, out)) for name in self._layers]
        dh, b = w.dh, w.backward  # (K * N, H)
        self.output.backward(w.inputs[-1], w.logits, gradients.pop(), dh)
        for index in reversed(range(len(self.recurrent))):
            dh = w.undrop(index, dh)  # (N, H)
            observer = observers[index] if observers else None
            self.recurrent[index].backward(w.recurrent[index], dh, b, gradients.pop(), observer)
            self.inputs[index].backward(w.inputs[index], b.da, gradients.pop(), dh, w.masks.inputs)
