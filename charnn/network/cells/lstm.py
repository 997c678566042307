"""The long short-term memory (Hochreiter and Schmidhuber 1997), with forget gate (Gers, Schmidhuber and Cummins 2000).

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)         a = x Wx + h_prev Wh + b, for each gate
    g = tanh(a_g)
    c = f c_prev + i g                                          the cell state: kept, and added to
    h = o tanh(c)                                               the hidden state: what the rest sees of it

Backward, with dh and dc the gradients of the loss with respect to h and c:

    do = dh tanh(c)               da_o = do o (1 - o)
    dc = dc + dh o (1 - tanh²(c))
    di = dc g                     da_i = di i (1 - i)
    df = dc c_prev                da_f = df f (1 - f)
    dg = dc i                     da_g = dg (1 - g²)
    dc_prev = dc f                                              the path without a squashing function: where f stays
                                                                near 1, the gradient survives many steps

The forget gate's bias may start at 1 (``forget_bias``), so that the cell state is kept until the network learns to let
go (Jozefowicz, Zaremba and Sutskever 2015).

The same in eight lines, one stream and one step at a time: ``lstm`` in tests/reference.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from charnn.network.cells.base import Cell, Views, sigmoid_from_tanh, sigmoid_slope, tanh_slope


class LSTM(Cell):
    """A cell state c behind three gates: input i, forget f, output o."""

    gates = ("i", "f", "o", "g")
    sigmoids = 3
    state = ("h", "c")
    forget_gates = ("f",)
    timing_gates: ClassVar[Mapping[str, int]] = {"f": 1, "i": -1}
    torch_name = "LSTM"
    torch_gates = ("i", "f", "g", "o")

    def forward(self, s: Views) -> None:
        np.tanh(s.gates, out=s.gates)
        sigmoid_from_tanh(s.sigmoid_gates)
        np.multiply(s.f, s.c_prev, out=s.c)
        np.multiply(s.i, s.g, out=s.scratch)
        np.add(s.c, s.scratch, out=s.c)  # c = f c_prev + i g
        np.tanh(s.c, out=s.scratch)
        np.multiply(s.o, s.scratch, out=s.h)  # h = o tanh(c)

    def backward(self, s: Views, d: Views) -> None:
        np.tanh(s.c, out=s.scratch)  # computed again: as fast as keeping it of every step, in less memory
        np.multiply(d.h, s.scratch, out=d.o)  # do = dh tanh(c)
        tanh_slope(s.scratch, out=s.scratch)  # from here on scratch holds 1 - tanh²(c), times o, times dh
        np.multiply(s.scratch, s.o, out=s.scratch)
        np.multiply(s.scratch, d.h, out=s.scratch)
        np.add(d.c, s.scratch, out=d.c)  # dc = dc + dh o (1 - tanh²(c))
        np.multiply(d.c, s.g, out=d.i)  # di = dc g
        np.multiply(d.c, s.c_prev, out=d.f)  # df = dc c_prev
        np.multiply(d.c, s.i, out=d.g)  # dg = dc i
        np.multiply(d.c, s.f, out=d.c)  # dc_prev = dc f
        slope = sigmoid_slope(s.sigmoid_gates, out=s.gate_scratch)
        np.multiply(d.sigmoid_gates, slope, out=d.sigmoid_gates)  # da = d y (1 - y) for y = i, f, o
        np.multiply(d.g, tanh_slope(s.g, out=s.scratch), out=d.g)  # da_g = dg (1 - g²)
        d.h.fill(0)  # nothing reaches h_prev but through the layer's product
