"""A share to drop, a seed and a step enter; masks leave: zeros, and where something is kept the factor 1/keep.

The factor keeps the mean as it was, so that nothing changes where nothing is dropped: in validation and in sampling
(Srivastava et al. 2014).

- Outputs: every layer's hidden states lose units, anew at every step of every stream, but only on their way up and out.
  What goes on to the next step stays whole, for a memory that is cut up again and again would not last (Zaremba,
  Sutskever and Vinyals 2014). What leaves the top layer may lose several samples of units, and the loss is then the
  mean over them (Inoue 2019): the recurrent part, which costs most, is computed once, and its gradient is less noisy.
  Samples come in antithetic pairs (Hammersley and Morton 1956): what the random numbers u drop in one, 1 - u drop in
  the other, so that a unit which is missing here is likely to be there.
- Inputs: the vectors that stand for the characters (rows of the embedding, or of Wx with one-hot input) lose elements,
  the same ones for a whole chunk of all streams. The network then meets the text in a slightly different alphabet at
  every update, which makes it hard to learn by heart (DropConnect, Wan et al. 2013, on the weights of the input; one
  mask for all steps: Gal and Ghahramani 2016). It costs next to nothing: one small table is masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charnn.network.cells import Array


@dataclass(frozen=True)
class Masks:
    """What dropout leaves of one chunk. Without any, nothing is dropped."""

    outputs: tuple[Array, ...] = ()
    """(S, T, B, H) a layer, or none at all; S samples at the top, and 1 below."""

    inputs: Array | None = None
    """(V, E), or (V, G, H) for one-hot input."""


NOTHING_DROPPED = Masks()


class Dropout:
    """Draws the masks of a step from (seed, step, layer): no state to be saved, and the same ones on every rank.

    One random byte decides one unit, which rounds a share to a 256th.
    """

    def __init__(self, seed: int, outputs: float, inputs: float, dtype: npt.DTypeLike, samples: int = 1):
        self.seed, self.dtype = seed, np.dtype(dtype)
        self.outputs, self.inputs = round(outputs * 256), round(inputs * 256)
        self.samples = samples if self.outputs else 1

    def masks(self, step: int, layers: int, shape: tuple[int, int, int], vectors: tuple[int, ...], own: slice) -> Masks:
        """Of a chunk of ``shape`` (T, B, H) on so many ``layers``, whose characters have ``vectors`` (V, ...).

        A rank reads the streams in ``own`` alone; the masks are drawn for all of them and then cut.
        """
        outputs: list[Array] = []
        for layer in range(layers) if self.outputs else ():
            samples = self.samples if layer == layers - 1 else 1
            dice = self._dice(step, layer, (-(-samples // 2), *shape))[:, :, own]
            outputs.append(self._mask(_antithetic(dice, samples), self.outputs))
        inputs = self._mask(self._dice(step, layers, vectors), self.inputs) if self.inputs else None
        return Masks(tuple(outputs), inputs)

    def _dice(self, step: int, layer: int, shape: tuple[int, ...]) -> Array:
        """A random byte for every unit."""
        size = int(np.prod(shape))
        words = np.random.SFC64([self.seed, step, layer]).random_raw(-(-size // 8))
        return words.view(np.uint8)[:size].reshape(shape)

    def _mask(self, dice: Array, threshold: int) -> Array:
        mask: Array = (dice >= threshold) * np.asarray(256 / (256 - threshold), self.dtype)
        return mask


def _antithetic(dice: Array, samples: int) -> Array:
    """Each of the throws (pairs, ...) and then its opposite, as many as there are ``samples``: (S, ...)."""
    if samples == 1:
        return dice
    return np.stack([dice, 255 - dice], axis=1).reshape(-1, *dice.shape[1:])[:samples]
