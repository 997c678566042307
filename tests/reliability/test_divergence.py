"""Training that blows up is caught before the update; the last good state is kept, or gone back to."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import (
    TINY,
    Zygote,
    assert_told,
    checkpoints,
    fingerprints,
    litter,
    metrics_of,
    parse_checkpoint,
)

from charnn.config import flat_settings, resolve
from charnn.errors import DivergenceError
from charnn.runs import opening
from charnn.training.events import Step
from charnn.training.trainer import train

WILD = [*TINY, "--steps", "120", "--set", "optimization.schedule=constant", "--clip", "0", "--optimizer", "sgd"]
WILD += ["--cell", "vanilla", "--activation", "relu", "--validate-every", "1000", "--set", "training.log_every=1"]
WILD += ["--set", "optimization.warmup_steps=0"]
ROLLBACK = ["--on-divergence", "rollback", "--set", "training.max_rollbacks=20"]


def step_of(path: Path) -> int:
    return int(path.stem[5:])


@pytest.mark.parametrize("every", ["1", "7"])
@pytest.mark.parametrize("rate", ["30", "900"])
def test_a_blow_up_is_5_and_keeps_only_good_states(
    rate: str, every: str, charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    result = charnn.run("train", text, "-o", run, *WILD, "--lr", rate, "--checkpoint-every", every)
    assert_told(result, 5, "training diverged at step", "try a lower --lr", "the last good state, step")
    failed = int(result.err.partition("diverged at step ")[2].partition(":")[0])
    newest = step_of(checkpoints(run)[-1])
    assert newest < failed - 1 or newest == 0  # the weights that step failed on are those of the step before
    assert f"the last good state, step {newest}," in result.err
    assert litter(run) == []
    assert_told(charnn.run("sample", run, "-n", "10"), 0)
    again = charnn.run("train", "--resume", run)
    assert_told(again, 5, f"training diverged at step {failed}:")


def test_a_loss_that_is_no_number_in_validation_is_a_blow_up_too(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*TINY, "--steps", "20", "--validate-every", "1", "--optimizer", "sgd", "--lr", "1000", "--clip", "0"]
    arguments += ["--cell", "vanilla", "--activation", "relu", "--set", "optimization.weight_decay=99"]
    result = charnn.run("train", text, "-o", run, *arguments)
    assert_told(result, 5, "training diverged")
    for path in checkpoints(run):
        assert "Infinity" not in json.dumps(parse_checkpoint(path)[1]) and "NaN" not in json.dumps(
            parse_checkpoint(path)[1]
        )


@pytest.mark.parametrize("every", ["1", "7"])
def test_rolling_back_halves_the_rate_until_training_holds(
    every: str, charnn: Zygote, text: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = [*WILD, "--lr", "900", "--checkpoint-every", every, *ROLLBACK]
    result = charnn.run("train", text, "-o", run, *arguments)
    assert result.code == 0, result.err
    lines = metrics_of(run)
    assert [line["step"] for line in lines] == list(range(1, 121))
    times = lines[-1]["rollbacks"]
    assert times >= 1 and result.err.count("learning rate halved") == times
    assert all(line["learning_rate"] == 900 * 0.5 ** line["rollbacks"] for line in lines)
    assert parse_checkpoint(checkpoints(run)[-1])[1]["state"]["rollbacks"] == times


def test_a_run_that_rolls_back_repeats_and_survives_a_kill(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    arguments = [*WILD, "--lr", "900", "--checkpoint-every", "7", *ROLLBACK]
    assert charnn.run("train", text, "-o", tmp_path / "a", *arguments).code == 0
    for fraction in (0.3, 0.6, 0.9):
        run = tmp_path / f"b{fraction}"
        child = charnn.start("train", text, "-o", run, *arguments)

        time.sleep(fraction * 0.3)
        child.kill(signal.SIGKILL)
        child.wait()
        if checkpoints(run):
            assert charnn.run("train", "--resume", run).code == 0
            assert fingerprints(run) == fingerprints(tmp_path / "a")


def test_rolling_back_too_often_is_5(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [*WILD, "--lr", "1000", "--checkpoint-every", "5", "--on-divergence", "rollback"]
    result = charnn.run("train", text, "-o", run, *arguments, "--set", "training.max_rollbacks=1")
    assert_told(result, 5, "training diverged", "halving the learning rate 1 times did not help")


def test_a_run_that_stopped_on_a_blow_up_may_go_on_by_rolling_back(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert charnn.run("train", text, "-o", run, *WILD, "--lr", "900", "--checkpoint-every", "1").code == 5
    result = charnn.run("train", "--resume", run, *ROLLBACK)
    assert result.code == 0, result.err
    assert "learning rate halved" in result.err


def test_options_of_rolling_back_need_rolling_back(charnn: Zygote, text: Path, tmp_path: Path) -> None:
    result = charnn.run("train", text, "-o", tmp_path / "run", "--set", "training.max_rollbacks=2")
    assert_told(result, 2, "max_rollbacks has no effect with on_divergence stop")


def test_the_update_that_a_bad_gradient_would_make_is_never_made(text: Path, tmp_path: Path) -> None:
    settings = {"hidden_size": 8, "layers": 1, "seq_length": 16, "batch_size": 4, "steps": 9, "optimizer": "sgd"}
    with opening.create(resolve(flat_settings(settings), fixed=True), [text], tmp_path / "run") as run:
        honest = run.model.gradient

        def gradient(x: Any, y: Any, carry: Any, workspace: Any, out: Any, scale: float, masks: Any) -> Any:
            result = honest(x, y, carry, workspace, out, scale, masks)
            if run.state.step == 3:
                out["output.b"][0] = np.nan
            return result

        run.model.gradient = gradient  # type: ignore[method-assign]
        events, weights = train(run), b""
        with pytest.raises(DivergenceError, match="a gradient is not finite"):
            for event in events:
                if isinstance(event, Step):
                    weights = run.model.vector.tobytes()
        assert run.state.step == 3
        assert run.model.vector.tobytes() == weights
