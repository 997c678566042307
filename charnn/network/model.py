"""Character ids and a carry enter; the surprise at every next character, its gradient, and the new carry leave.

    x (T, B) -> CharacterProjection -> Recurrent -> [dropout -> Projection -> Recurrent]... -> dropout -> Output -> loss

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
from charnn.network.layers import (
    BackwardWorkspace,
    CharacterProjection,
    GradientObserver,
    Layer,
    Output,
    Projection,
    Recurrent,
    RecurrentWorkspace,
    new_array,
)
from charnn.network.loss import cross_entropy, cross_entropy_gradient
from charnn.network.shape import Shape

Carry = list[dict[str, Array]]
"""The state of every recurrent layer: one ``{name: (B, H)}`` a layer, the lowest first."""


class Workspace:
    """The buffers for chunks of T steps of B streams; made once, used again for every chunk of that shape.

    With dropout the outputs of the top layer may be sampled S times: what follows them has S * N rows.
    """

    def __init__(self, model: CharRNN, T: int, B: int, samples: int = 1):
        H, V, dtype = model.shape.hidden_size, model.shape.vocabulary_size, model.dtype
        self.T, self.B, self.N, self.samples = T, B, T * B, samples
        self.recurrent = [RecurrentWorkspace(model.cell, H, T, B, dtype) for _ in model.recurrent]
        self.logits = new_array((samples * self.N, V), dtype)
        self._model = model
        self._dropped: dict[int, Array] = {}
        self._backward: BackwardWorkspace | None = None
        self._dh: Array | None = None
        self.inputs: list[Array] = []  # of the projections and of the output layer, as the last forward pass saw them
        self.masks = NOTHING_DROPPED

    @property
    def backward(self) -> BackwardWorkspace:
        """Made when first needed: validation and sampling never ask for it."""
        if self._backward is None:
            model = self._model
            self._backward = BackwardWorkspace(model.cell, model.shape.hidden_size, self.T, self.B, model.dtype)
        return self._backward

    @property
    def dh(self) -> Array:
        """The gradient of a layer's output (S * N, H), on its way down."""
        if self._dh is None:
            self._dh = new_array((self.samples * self.N, self._model.shape.hidden_size), self._model.dtype)
        return self._dh

    def drop(self, layer: int, h: Array) -> Array:
        """The output ``h`` (N, H) of a layer after dropout: (S * N, H)."""
        mask = self.masks.outputs[layer].reshape(-1, *h.shape)  # (S, N, H)
        if layer not in self._dropped:
            self._dropped[layer] = new_array(mask.shape, h.dtype)
        return np.multiply(h, mask, out=self._dropped[layer]).reshape(-1, h.shape[1])

    def undrop(self, layer: int, dh: Array) -> Array:
        """The gradient of a layer's output (N, H) from that after dropout, ``dh`` (S * N, H), which is overwritten."""
        samples = dh.reshape(-1, self.N, dh.shape[1])
        np.multiply(samples, self.masks.outputs[layer].reshape(samples.shape), out=samples)
        total: Array = samples[0]
        for sample in samples[1:]:
            np.add(total, sample, out=total)
        return total


class CharRNN:
    """A stack of recurrent layers between a character input and a softmax over the next character."""

    def __init__(self, shape: Shape, dtype: npt.DTypeLike = np.float32):
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.cell: Cell = find_cell(shape.cell)(shape.activation)
        V, E, H = shape.vocabulary_size, shape.embedding_size, shape.hidden_size
        self.characters = CharacterProjection(self.cell, V, E, H, dtype)
        self.projections = [Projection(self.cell, H, H, dtype) for _ in range(shape.layers - 1)]
        self.recurrent = [Recurrent(self.cell, H, dtype) for _ in range(shape.layers)]
        self.output = Output(H, V, dtype)
        self._layers: dict[str, Layer] = {"input": self.characters}
        for index, recurrent in enumerate(self.recurrent):
            if index:
                self._layers[f"projection{index}"] = self.projections[index - 1]
            self._layers[f"recurrent{index}"] = recurrent
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
        start (the IRNN) begins with the identity as its recurrent weights.

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
                array[...] = np.eye(self.shape.hidden_size)[:, None]
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
        H = self.shape.hidden_size
        return [{name: np.zeros((B, H), self.dtype) for name in self.cell.state} for _ in self.recurrent]

    def workspace(self, T: int, B: int, samples: int = 1) -> Workspace:
        """New buffers for chunks of T steps of B streams, whose dropout has so many ``samples``."""
        return Workspace(self, T, B, samples)

    def forward(self, x: Array, carry: Carry, w: Workspace, masks: Masks = NOTHING_DROPPED) -> Carry:
        """Run over the ids ``x`` (T, B) from ``carry``; ``w.logits`` (S * N, V) and the new carry come out."""
        H = self.shape.hidden_size
        w.masks = masks
        w.inputs = [x.reshape(w.N)]
        for index, (layer, buffers) in enumerate(zip(self.recurrent, w.recurrent, strict=True)):
            a = buffers.a.reshape(len(buffers.a), w.N, H)
            if index == 0:
                self.characters.forward(w.inputs[0], a, masks.inputs)
            else:
                self.projections[index - 1].forward(w.inputs[index], a)
            buffers.set_carry(carry[index])
            layer.forward(buffers)
            h = buffers.h.reshape(w.N, H)
            if masks.outputs:
                h = w.drop(index, h)
            w.inputs.append(h)
        self.output.forward(w.inputs[-1], w.logits)
        return [buffers.carry() for buffers in w.recurrent]

    def losses(self, x: Array, y: Array, carry: Carry, w: Workspace) -> tuple[Array, Carry]:
        """The surprise in nats at each of the characters ``y`` (T, B) that followed ``x`` (T, B), and the new carry."""
        carry = self.forward(x, carry, w)
        return cross_entropy(w.logits, y.reshape(w.N)).reshape(y.shape), carry

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
        losses = cross_entropy_gradient(w.logits, np.tile(y.reshape(w.N), w.samples), scale / w.samples)
        self.backward(w, out)
        return float(losses.sum(dtype=np.float64)) / w.samples, carry

    def backward(self, w: Workspace, out: dict[str, Array], observers: Sequence[GradientObserver] = ()) -> None:
        """From the gradient of the logits in ``w.logits`` (S * N, V) to that of every parameter, top layer first.

        ``observers`` are none, or one for each recurrent layer, the lowest first.
        """
        gradients = {name: Views(**self._of_layer(name, out)) for name in self._layers}
        dh = w.dh  # (S * N, H)
        self.output.backward(w.inputs[-1], w.logits, gradients["output"], dh)
        for index in reversed(range(len(self.recurrent))):
            if w.masks.outputs:
                dh = w.undrop(index, dh)  # (N, H)
            buffers, b = w.recurrent[index], w.backward
            observer, gradient = observers[index] if observers else None, gradients[f"recurrent{index}"]
            self.recurrent[index].backward(buffers, dh.reshape(buffers.h.shape), b, gradient, observer)
            if index:
                projection = self.projections[index - 1]
                projection.backward(w.inputs[index], b.da, gradients[f"projection{index}"], dh)
        self.characters.backward(w.inputs[0], b.da, gradients["input"], w.masks.inputs)
