"""The gated recurrent unit (Cho et al. 2014), with the reset gate after the recurrent product, as in cuDNN and PyTorch.

    r, z = sigmoid(a_r), sigmoid(a_z)                          a = x Wx + h_prev Wh + b, for r and z
    n = tanh(a_n + r u_n)                                      a_n = x Wx_n + b_n,  u_n = h_prev Wh_n + bh_n
    h = (1 - z) n + z h_prev = n + z (h_prev - n)

Because r multiplies u_n alone, the input part and the recurrent part of n stay apart. Backward, with dh the gradient of
the loss with respect to h:

    dz = dh (h_prev - n)          da_z = dz z (1 - z)
    dn = dh (1 - z)               da_n = dn (1 - n²)
    dr = da_n u_n                 da_r = dr r (1 - r)
    du_n = da_n r
    dh_prev = dh z                                             plus the layer's products

The same in four lines, one stream and one step at a time: ``gru`` in tests/reference.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from charnn.network.cells.base import Cell, Views, sigmoid_from_tanh, sigmoid_slope, tanh_slope


class GRU(Cell):
    """One state h, a reset gate r and an update gate z."""

    gates = ("r", "z", "n")
    sigmoids = 2
    apart = 1
    timing_gates: ClassVar[Mapping[str, int]] = {"z": 1}
    torch_name = "GRU"
    torch_gates = ("r", "z", "n")

    def forward(self, s: Views) -> None:
        np.tanh(s.sigmoid_gates, out=s.sigmoid_gates)
        sigmoid_from_tanh(s.sigmoid_gates)
        np.multiply(s.r, s.rec_n, out=s.scratch)
        np.add(s.n, s.scratch, out=s.n)
        np.tanh(s.n, out=s.n)  # n = tanh(a_n + r u_n)
        np.subtract(s.h_prev, s.n, out=s.scratch)
        np.multiply(s.scratch, s.z, out=s.scratch)
        np.add(s.n, s.scratch, out=s.h)  # h = n + z (h_prev - n)

    def backward(self, s: Views, d: Views) -> None:
        np.subtract(s.h_prev, s.n, out=s.scratch)
        np.multiply(d.h, s.scratch, out=d.z)  # dz = dh (h_prev - n)
        np.multiply(d.h, s.z, out=s.scratch)  # dh_prev = dh z
        np.subtract(d.h, s.scratch, out=d.n)  # dn = dh (1 - z)
        np.copyto(d.h, s.scratch)
        np.multiply(d.n, tanh_slope(s.n, out=s.scratch), out=d.n)  # da_n = dn (1 - n²)
        np.multiply(d.n, s.rec_n, out=d.r)  # dr = da_n u_n
        np.multiply(d.n, s.r, out=d.rec_n)  # du_n = da_n r
        slope = sigmoid_slope(s.sigmoid_gates, out=s.gate_scratch)
        np.multiply(d.sigmoid_gates, slope, out=d.sigmoid_gates)  # da = d y (1 - y) for y = r, z
