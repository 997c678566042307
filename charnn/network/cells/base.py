"""One time step enters a cell: pre-activations and the previous state. Its new state leaves, and gradients come back.

A cell is the elementwise arithmetic between two matrix products, forward and backward. It sees no time, no weights and
no sizes: the layer (``charnn/network/layers.py``) multiplies before it and after it. Read ``lstm.py`` beside this page.

Shapes: B batch, H hidden size, G gates. Every array below is a view into buffers that the layer allocated once.

    forward(s)                          on entry                          on return
    s.<gate>         (B, H)             pre-activation                    activation (kept for backward)
    s.gates          (G, B, H)          all gates as one block            "
    s.sigmoid_gates  (S, B, H)          the leading sigmoids, halved      "
    s.<state>_prev   (B, H)             the state one step back           unchanged in training
    s.<state>        (B, H)             room                              the new state
    s.rec_<gate>     (B, H)             recurrent part of a gate that     unchanged
                                        stays apart
    s.scratch        (B, H)             room                              anything
    s.gate_scratch   (S, B, H)          room, as large as sigmoid_gates   anything

    backward(s, d)                      on entry                          on return
    d.<state>        (B, H)             dL/d state                        dL/d previous state, without the product
    d.<gate>         (B, H)             room                              dL/d pre-activation
    d.sigmoid_gates  (S, B, H)          room                              " as one block
    d.rec_<gate>     (B, H)             room                              dL/d recurrent part of a gate kept apart

In sampling nothing is kept for backward, and ``s.<state>_prev`` and ``s.<state>`` are the same array: forward reads
the old state for the last time before it writes, or while it writes, the new one.

Sigmoid gates arrive *halved*, because sigmoid(a) = tanh(a / 2) / 2 + 1/2: one tanh then serves all gates at once, and
the factor 1/2 costs nothing where the layer folds it into the weights. Gradients are with respect to a itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Views:
    """Named arrays, read as attributes: ``s.i``, ``s.c_prev``, ``d.h``."""

    def __init__(self, **arrays: Array) -> None:
        self.__dict__.update(arrays)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Array: ...


RESERVED = {"gates", "sigmoid_gates", "together", "rec", "scratch", "gate_scratch"}
"""What the layer calls its own blocks."""


class Cell:
    """One kind of recurrent unit: its declarations, and one step forward and backward.

    A subclass in a file of its own in this folder is all there is to adding a cell: the file's name is the name that
    configurations and the command line know it by.
    """

    gates: ClassVar[tuple[str, ...]]
    """The gates in memory order: sigmoids first, gates that stay apart last."""

    sigmoids: ClassVar[int] = 0
    """How many leading gates are sigmoids (they arrive halved, see above)."""

    apart: ClassVar[int] = 0
    """How many trailing gates get input and recurrent part separately, each with a bias: ``s.n`` and ``s.rec_n``."""

    state: ClassVar[tuple[str, ...]] = ("h",)
    """What is carried from step to step; the first is ``h``, which leaves the layer and enters the product."""

    forget_gates: ClassVar[tuple[str, ...]] = ()
    """Gates that keep memory when open; their bias starts at ``forget_bias``, all others at 0."""

    timing_gates: ClassVar[Mapping[str, int]] = {}
    """Gates that decide how long a unit remembers: 1 for those that keep when open, -1 for those that replace."""

    activations: ClassVar[tuple[str, ...]] = ()
    """The nonlinearities to choose from, the default first; empty where there is no choice."""

    torch_name: ClassVar[str] = ""
    """The module of torch.nn with the same equations; empty where there is none."""

    torch_gates: ClassVar[tuple[str, ...]] = ()
    """The gates in that module's order."""

    def __init_subclass__(cls) -> None:
        taken = sorted(RESERVED.intersection(cls.gates))
        if taken:
            raise TypeError(f"{cls.__name__}: a gate cannot be called {taken[0]}, the layer's name for something else")

    def __init__(self, activation: str = "") -> None:
        self.activation = activation or next(iter(self.activations), "")

    @property
    def identity_start(self) -> float:
        """The recurrent weights start as so many times the identity; 0: at random."""
        return 0.0

    def forward(self, s: Views) -> None:
        """Turn pre-activations and the previous state into the new state."""
        raise NotImplementedError

    def backward(self, s: Views, d: Views) -> None:
        """Turn the gradient of the new state into those of the pre-activations and the previous state."""
        raise NotImplementedError


def sigmoid_from_tanh(x: Array) -> None:
    """Finish sigmoid(a) = tanh(a / 2) / 2 + 1/2 in place, given ``x`` = tanh(a / 2)."""
    np.multiply(x, 0.5, out=x)
    np.add(x, 0.5, out=x)


def tanh_slope(y: Array, out: Array) -> Array:
    """The derivative of tanh where its value is ``y``: 1 - y². ``out`` may be ``y`` itself."""
    np.multiply(y, y, out=out)
    return np.subtract(1, out, out=out)


def sigmoid_slope(y: Array, out: Array) -> Array:
    """The derivative of the sigmoid where its value is ``y``: (1 - y) y."""
    np.subtract(1, y, out=out)
    return np.multiply(out, y, out=out)
