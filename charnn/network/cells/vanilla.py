"""The vanilla recurrent cell (Elman 1990): input and previous state in, one squashed state out.

    a = x Wx + h_prev Wh + b
    h = tanh(a)                     or  h = max(a, 0)

Backward, with dh the gradient of the loss with respect to h:

    da = dh (1 - h²)                or  da = dh [h > 0]

and dh_prev = da Whᵀ, which is the layer's product. Through k steps the gradient is multiplied by k such factors: that
is why it vanishes or explodes (Bengio, Simard and Frasconi 1994). With the rectifier the recurrent weights start as
the identity, so that at first the factor is 1: the IRNN of Le, Jaitly and Hinton (2015).
"""

from __future__ import annotations

import numpy as np

from charnn.network.cells.base import Cell, Views


class Vanilla(Cell):
    """h = tanh(a) or max(a, 0)."""

    gates = ("n",)
    activations = ("tanh", "relu")
    torch_name = "RNN"
    torch_gates = ("n",)

    @property
    def identity_start(self) -> bool:
        return self.activation == "relu"

    def forward(self, s: Views) -> None:
        if self.activation == "relu":
            np.maximum(s.n, 0, out=s.h)
        else:
            np.tanh(s.n, out=s.h)

    def backward(self, s: Views, d: Views) -> None:
        if self.activation == "relu":
            np.sign(s.h, out=s.t)  # h >= 0, so this is [h > 0]
        else:
            np.multiply(s.h, s.h, out=s.t)
            np.subtract(1, s.t, out=s.t)  # 1 - h²
        np.multiply(d.h, s.t, out=d.n)
        d.h.fill(0)  # nothing reaches h_prev but through the product
