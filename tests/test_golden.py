"""Fifty steps of training, over two epochs and more, and their losses: whatever changes the numbers is noticed here."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import new_run

from charnn.config import cell_names
from charnn.training.events import Step
from charnn.training.trainer import Trainer

GOLDEN = {
    "gru": (3.416680, 3.086604, 2.580384, 2.766748),
    "lstm": (3.439770, 3.268784, 2.823053, 3.053396),
    "vanilla": (3.445738, 3.005607, 2.290272, 2.480510),
}
"""By cell: the losses at steps 1, 10 and 50, and the validation loss at the end, in nats per character.

Measured with the OpenBLAS that the wheels of NumPy bring. Another BLAS adds in another order, which fifty steps may
magnify beyond the tolerance.
"""


@pytest.mark.parametrize("cell", cell_names())
def test_fifty_steps_have_the_losses_they_always_had(tmp_path: Path, cell: str) -> None:
    options = {
        "layers": 2,
        "hidden_size": 16,
        "dropout": 0.1,
        "embedding_size": 6,
        "seq_length": 16,
        "learning_rate": 0.01,
    }
    with new_run(tmp_path, characters=1500, cell=cell, steps=50, **options) as run:
        losses = [event.loss for event in Trainer(run).train() if isinstance(event, Step)]
        found = (losses[0], losses[9], losses[49], run.state.val_loss)
    assert cell in GOLDEN, f"add the losses of the new cell: {found}"
    assert found == pytest.approx(GOLDEN[cell], rel=2e-4)
