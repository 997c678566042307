"""The vanilla recurrent cell (Elman 1990): input and previous state in, one squashed state out.

    a = x Wx + h_prev Wh + b
    h = tanh(a)                     or  h = max(a, 0)

Backward, with dh the gradient of the loss with respect to h:

    da = dh (1 - h²)                or  da = dh [h > 0]

and dh_prev = da Whᵀ, which is the layer's product. Through k steps the gradient is multiplied by k such factors: that
is why it vanishes or explodes (Bengio, Simard and Frasconi 1994). With the rectifier the recurrent weights start as a
multiple of the identity (Le, Jaitly and Hinton 2015): with the identity itself the factor is 1 at first, but the state
adds up all that was ever read, and several layers of that diverge. With half of it the state forgets as it reads.

The same in two lines, one stream and one step at a time: ``vanilla`` in tests/reference.py.
"""

from __future__ import annotations

import numpy as np

from charnn.network.cells.base import Cell, Views, tanh_slope


class Vanilla(Cell):
    """h = tanh(a) or max(a, 0)."""

    gates = ("n",)
    activations = ("tanh", "relu")
    torch_name = "RNN"
    torch_gates = ("n",)

    @property
    def identity_start(self) -> float:
        return 0.5 if self.activation == "relu" else 0.0

    def forward(self, s: Views) -> None:
        if self.activation == "relu":
            np.maximum(s.n, 0, out=s.h)
        else:
            np.tanh(s.n, out=s.h)

    def backward(self, s: Views, d: Views) -> None:
        slope = np.sign if self.activation == "relu" else tanh_slope  # h >= 0, so its sign is [h > 0]
        np.multiply(d.h, slope(s.h, out=s.scratch), out=d.n)  # da = dh [h > 0]  or  dh (1 - h²)
        d.h.fill(0)  # nothing reaches h_prev but through the layer's product
