"""What one step, one report and one validation are made of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import new_run
from reference import forward, surprise

from charnn.config import flat_settings, resolve
from charnn.network.dropout import NOTHING_DROPPED, Masks
from charnn.runs.opening import create
from charnn.text.batches import Position
from charnn.text.streams import BURN_IN
from charnn.training.events import Metrics, Step, Validated
from charnn.training.team import Team
from charnn.training.trainer import Trainer

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.usefixtures("no_fsync")


def test_the_state_is_carried_within_an_epoch_and_cold_at_the_start_of_one(tmp_path: Path) -> None:
    with new_run(tmp_path, characters=400, steps=23) as run:
        assert run.batches.chunks_per_epoch == 11
        trainer = Trainer(run)
        for event in trainer.train():
            if isinstance(event, Step):
                warm = bool(trainer.carry.any())
                assert warm == (event.step % 11 > 0)
                assert run.state.position == Position(event.step // 11, event.step % 11)


def test_a_step_starts_from_the_state_that_the_one_before_left(tmp_path: Path) -> None:
    with new_run(tmp_path, layers=2) as run:
        trainer = Trainer(run)
        events = trainer.train()
        while run.state.step < 3:
            next(events)
        x, y = run.batches.batch(run.state.position)
        logits, carry = forward(run.model, x, trainer.carry)
        event = next(event for event in events if isinstance(event, Step))
        assert event.loss == pytest.approx(float(surprise(logits, y).mean()), rel=1e-5)
        np.testing.assert_allclose(trainer.carry, carry, rtol=0, atol=1e-5)


def test_a_line_of_metrics_sums_up_the_steps_since_the_one_before(tmp_path: Path) -> None:
    with new_run(tmp_path, log_every=3, validate_every=7, clip_norm=0.3) as run:
        events = list(Trainer(run).train())
    steps: list[Step] = []
    lines = 0
    for event in events:
        if isinstance(event, Step):
            steps.append(event)
        elif isinstance(event, Metrics):
            last = steps[-1]
            assert event.train_loss == pytest.approx(sum(step.loss for step in steps) / len(steps))
            assert event.clipped == sum(step.clipped for step in steps) / len(steps)
            assert event.epoch == pytest.approx(last.epoch, abs=1e-6)
            assert (event.step, event.learning_rate, event.grad_norm) == (
                last.step,
                last.learning_rate,
                last.grad_norm,
            )
            steps, lines = [], lines + 1
    assert not steps and lines == 9  # every third of 20 steps, 7, 14 and 20


def test_the_validation_loss_is_that_of_the_whole_validation_part_in_order(tmp_path: Path) -> None:
    with new_run(tmp_path, characters=3000, steps=4, validate_every=4, dropout=0.5) as run:
        loss = next(event.loss for event in Trainer(run).train() if isinstance(event, Validated))
        context, ids = np.asarray(run.train_ids[-BURN_IN - 1 :]), np.asarray(run.validation_ids)
        text = np.concatenate([context, ids])
        logits, _ = forward(run.model, text[:-1, None], run.model.zero_carry(1))
        nats = surprise(logits[:, 0], text[1:])[-len(ids) :]
    assert len(ids) == 300
    assert loss == pytest.approx(float(nats.mean()), rel=1e-5)


def test_the_best_validation_is_the_lowest_so_far(tmp_path: Path) -> None:
    with new_run(tmp_path, validate_every=2, learning_rate=0.05) as run:
        validated = [event for event in Trainer(run).train() if isinstance(event, Validated)]
    lowest = math.inf
    for event in validated:
        assert event.best == (event.loss < lowest)
        lowest = min(lowest, event.loss)
    assert (run.state.best_val_loss, run.state.val_loss) == (lowest, validated[-1].loss)


# Dropout


def masks_of(run: Any, rank: int = 0, size: int = 1) -> Masks:
    team = Team()
    team.rank, team.size = rank, size
    return Trainer(run, team)._masks()


def test_dropout_drops_its_share_and_keeps_the_mean(tmp_path: Path) -> None:
    with new_run(tmp_path, layers=2, hidden_size=64, seq_length=32, dropout=0.25) as run:
        first, second = masks_of(run).outputs
        assert first.shape == (1, 32, 4, 64) and first.dtype == np.float32
        assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
        assert np.mean(first == 0) == pytest.approx(0.25, abs=0.02)
        assert (first != second).any()
        run.state.step = 1
        assert (masks_of(run).outputs[0] != first).any()


def test_samples_of_dropout_are_of_the_top_layer_and_come_in_antithetic_pairs(tmp_path: Path) -> None:
    sizes = {"layers": 2, "hidden_size": 64, "seq_length": 32, "dropout": 0.25}
    found = []
    for samples in (1, 3):
        folder = tmp_path / str(samples)
        folder.mkdir()
        with new_run(folder, dropout_samples=samples, **sizes) as run:
            found.append(masks_of(run).outputs)
    (below, one), (same, three) = found
    np.testing.assert_array_equal(same, below)
    np.testing.assert_array_equal(three[:1], one)
    assert three.shape == (3, 32, 4, 64)
    dropped = three == 0
    assert dropped.mean(axis=(1, 2, 3)) == pytest.approx([0.25] * 3, abs=0.02)
    assert not (dropped[0] & dropped[1]).any()  # up to a half, what one lacks the other has
    assert np.mean(dropped[0] & dropped[2]) == pytest.approx(0.25**2, abs=0.02)


@pytest.mark.parametrize(("embedding_size", "shape"), [(40, (40,)), (0, (4, 64))])
def test_dropout_of_the_input_masks_the_characters_vectors(
    tmp_path: Path, embedding_size: int, shape: tuple[int, ...]
) -> None:
    with new_run(tmp_path, hidden_size=64, embedding_size=embedding_size, input_dropout=0.25) as run:
        masks = masks_of(run)
        assert masks.outputs == () and masks.inputs is not None
        assert masks.inputs.shape == (len(run.vocabulary), *shape) and masks.inputs.dtype == np.float32
        assert set(np.unique(masks.inputs)) == {0, np.float32(1 / 0.75)}
        assert np.mean(masks.inputs == 0) == pytest.approx(0.25, abs=0.05)
        run.state.step = 1
        later = masks_of(run).inputs
        assert later is not None and (later != masks.inputs).any()


def test_without_dropout_there_are_no_masks(tmp_path: Path) -> None:
    with new_run(tmp_path) as run:
        assert masks_of(run) == NOTHING_DROPPED


@pytest.mark.parametrize("size", [2, 3])
def test_dropout_does_not_depend_on_the_number_of_ranks(tmp_path: Path, size: int) -> None:
    with new_run(tmp_path, dropout=0.5, dropout_samples=2, input_dropout=0.5) as run:
        whole = masks_of(run)
        parts = [masks_of(run, rank, size) for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate([part.outputs[0] for part in parts], axis=2), whole.outputs[0])
    for part in parts:
        np.testing.assert_array_equal(part.inputs, whole.inputs)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_rectified_network_trains_with_what_is_set_by_default(layers: int, tmp_path: Path) -> None:
    settings = flat_settings(
        {"cell": "vanilla", "activation": "relu", "layers": layers, "steps": 60, "val_fraction": 0}
    )
    with create(resolve(settings), [ROOT / "corpora" / "dialogues.txt"], tmp_path / "run") as run:
        losses = [event.loss for event in Trainer(run).train() if isinstance(event, Step)]
        blind = math.log(len(run.vocabulary))
    assert max(losses) < 1.5 * blind and losses[-1] < 0.75 * blind
