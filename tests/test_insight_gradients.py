"""How far gradients reach, pinned to finite differences and to products of Jacobians written out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner

import charnn
from charnn.cli import main
from charnn.config import cell_names
from charnn.errors import ConfigError, CorpusError
from charnn.insight.flow import Fresh, clipped_share, fresh_networks, random_text
from charnn.insight.gradients import in_double_precision, long_run_factor, measure_reach, steps_to, warm_carry
from charnn.insight.jacobians import measure_jacobians, step_jacobians
from charnn.network.loss import cross_entropy_in_place
from charnn.network.model import CharRNN
from charnn.network.shape import Shape

V, H, K = 9, 6, 12
TEXT = np.random.default_rng(3).integers(0, V, 400).astype(np.uint8)


def new_model(cell="lstm", activation="", layers=2, scale=1.5):
    model = CharRNN(Shape(V, cell, activation, layers, H), np.float64)
    model.initialise(1)
    model.vector *= scale
    model.pack()
    return model


def loss_after(model, x, y, carry):
    """The loss at ``y`` after reading ``x`` (K,) from ``carry``."""
    workspace = model.workspace(len(x), 1)
    model.forward(x[:, None], carry, workspace)
    return float(cross_entropy_in_place(workspace.logits, np.full(len(x), y))[-1])


def state_before(model, position):
    """The state before reading the character at ``position``, from a cold start 256 characters earlier."""
    return warm_carry(model, TEXT, np.array([position]))


def numeric_gradient(model, x, y, carry, layer, name):
    gradient, step = np.zeros(H), 1e-6
    for unit in range(H):
        losses = []
        for sign in (1, -1):
            moved = carry.copy()
            moved[layer, model.cell.state.index(name), 0, unit] += sign * step
            losses.append(loss_after(model, x, y, moved))
        gradient[unit] = (losses[0] - losses[1]) / (2 * step)
    return gradient


CELLS = [(cell, "") for cell in cell_names()] + [("vanilla", "relu")]


@pytest.mark.parametrize(("cell", "activation"), CELLS)
def test_the_gradient_of_every_state_is_that_of_finite_differences(cell, activation) -> None:
    model = new_model(cell, activation, scale=1.8 if activation == "relu" else 1.5)
    reach = measure_reach(model, TEXT, steps=K, positions=3, seed=5)
    rng = np.random.Generator(np.random.Philox(5))
    ends = np.sort(K + rng.choice(len(TEXT) - K, 3, replace=False))
    for place, end in enumerate(ends):
        start = state_before(model, end - K)
        for back in (1, 2, 7, K):
            carry = start
            for x in TEXT[end - K : end - back]:
                carry = model.forward(np.array([[x]]), carry, model.workspace(1, 1))
            for layer in range(2):
                for index, name in enumerate(model.cell.state):
                    slow = numeric_gradient(model, TEXT[end - back : end], TEXT[end], carry, layer, name)
                    found = reach.norms[layer, index, back - 1, place]
                    assert found == pytest.approx(np.linalg.norm(slow), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(("cell", "activation"), CELLS)
def test_a_step_jacobian_is_that_of_finite_differences(cell, activation) -> None:
    model = new_model(cell, activation, scale=1.8 if activation == "relu" else 1.5)
    carry = state_before(model, 300)
    state = carry[:, :, 0]
    names = model.cell.state
    for layer, jacobian in enumerate(step_jacobians(model, int(TEXT[300]), state)):
        slow = np.zeros((len(names) * H, len(names) * H))
        for column in range(len(names) * H):
            ends = []
            for sign in (1, -1):
                moved = carry.copy()
                moved[layer, column // H, 0, column % H] += sign * 1e-6
                after = model.forward(TEXT[300][None, None], moved, model.workspace(1, 1))
                ends.append(after[layer, :, 0].reshape(-1))
            slow[:, column] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(jacobian, slow, atol=1e-7)


def test_radius_and_norm_are_those_of_the_jacobians() -> None:
    model = new_model("vanilla", layers=1)
    found = measure_jacobians(model, TEXT, positions=1, seed=2)
    end = 1 + int(np.random.Generator(np.random.Philox(2)).choice(len(TEXT) - 1, 1, replace=False)[0])
    h = model.forward(TEXT[end][None, None], state_before(model, end), model.workspace(1, 1))[0, 0, 0]
    jacobian = (1 - h**2)[:, None] * model.parameters["recurrent0.Wh"][:, 0].T
    assert found.typical_radius == pytest.approx(np.abs(np.linalg.eigvals(jacobian)).max())
    assert found.typical_norm == pytest.approx(np.linalg.norm(jacobian, 2))


def test_the_lstm_path_through_the_cell_state_is_a_product_of_forget_gates() -> None:
    model = new_model("lstm", layers=1)
    reach = measure_reach(model, TEXT, steps=K, positions=1, seed=5)
    end = K + int(np.random.Generator(np.random.Philox(5)).choice(len(TEXT) - K, 1, replace=False)[0])
    workspace = model.workspace(K, 1)
    model.forward(TEXT[end - K : end, None], state_before(model, end - K), workspace)
    steps = workspace.recurrent[0].steps
    logits = workspace.logits[-1]
    p = np.exp(logits - logits.max())
    dh = model.parameters["output.W"] @ (p / p.sum() - np.eye(V)[TEXT[end]])
    dc = dh * steps[-1].o[0] * (1 - np.tanh(steps[-1].c[0]) ** 2)
    for back in range(1, K + 1):
        dc = dc * steps[K - back].f[0]
        assert reach.elementwise[back - 1, 0] == pytest.approx(np.linalg.norm(dc))


def test_a_vanilla_cell_has_no_elementwise_path_and_its_product_path_is_everything() -> None:
    reach = measure_reach(new_model("vanilla"), TEXT, steps=K, positions=4)
    assert not reach.elementwise.any()
    np.testing.assert_allclose(reach.product, reach.total)


def test_the_product_path_of_an_lstm_ignores_the_memory() -> None:
    reach = measure_reach(new_model("lstm"), TEXT, steps=K, positions=4)
    assert reach.product[0].mean() < reach.total[0].mean()
    assert not np.allclose(reach.product, reach.total)


def test_watching_changes_no_gradient() -> None:
    model = new_model("gru")
    x, y = TEXT[:20].reshape(10, 2), TEXT[1:21].reshape(10, 2)
    plain, watched = np.zeros(model.size), np.zeros(model.size)
    workspace = model.workspace(10, 2)
    model.gradient(x, y, model.zero_carry(2), workspace, model.views(plain), 1.0)
    seen = []

    class Onlooker:
        def __init__(self, layer):
            self.layer = layer

        def elementwise(self, t, d_state):
            seen.append((self.layer, t))

        def complete(self, t, d_state):
            assert set(d_state) == {"h"}

    gradient = workspace.logits.copy()
    model.forward(x, model.zero_carry(2), workspace)
    workspace.logits[...] = gradient
    model.backward(workspace, model.views(watched), [Onlooker(0), Onlooker(1)])
    np.testing.assert_array_equal(watched, plain)
    assert seen == [(layer, t) for layer in (1, 0) for t in range(9, -1, -1)]


def test_gradients_beyond_single_precision_are_followed_and_then_flushed() -> None:
    model = new_model("vanilla", layers=1, scale=0.01)
    reach = measure_reach(model, TEXT, steps=200, positions=2)
    assert 0 < reach.mean[60] < 1e-60
    assert reach.mean[-1] == 0
    assert 0 < reach.factor < 0.1


def test_single_precision_models_are_measured_in_double() -> None:
    single = CharRNN(Shape(V, "gru", "", 1, H))
    single.initialise(4)
    double = in_double_precision(single)
    assert double.dtype == np.float64
    np.testing.assert_array_equal(double.vector, single.vector)
    assert in_double_precision(double) is double


# Figures of a curve


def test_an_exponential_has_its_half_life_and_its_factor() -> None:
    curve = 3 * 0.9 ** np.arange(100)
    assert steps_to(curve, 0.5) == pytest.approx(math.log(0.5) / math.log(0.9))
    assert steps_to(curve, 0.01) == pytest.approx(math.log(0.01) / math.log(0.9))
    assert long_run_factor(curve) == pytest.approx(0.9)
    assert long_run_factor(np.append(curve[:40], np.zeros(60))) == pytest.approx(0.9)


def test_what_grows_never_halves() -> None:
    assert steps_to(1.1 ** np.arange(50), 0.5) == math.inf
    assert long_run_factor(1.1 ** np.arange(50)) == pytest.approx(1.1)


def test_the_identity_keeps_a_gradient_and_a_larger_multiple_lets_it_grow() -> None:
    text, size = random_text(2000, seed=1)
    kept, grown, lost = (
        measure_reach(Fresh("vanilla", activation, scale, 16).model(size), text, steps=100, positions=16)
        for activation, scale in (
            ("relu", 2.0),
            ("relu", 2.2),
            ("tanh", 1.0),
        )  # a rectified cell starts from half the identity
    )
    assert kept.factor == pytest.approx(1, abs=0.01)
    assert grown.factor == pytest.approx(1.1, abs=0.01)
    assert grown.half_life == math.inf
    assert lost.factor < 0.8


def test_fresh_networks_are_every_combination_that_there_is() -> None:
    found = fresh_networks(["vanilla", "lstm"], ["tanh", "relu"], [1.0, 2.0])
    assert [one.label for one in found] == [
        "fresh vanilla tanh",
        "fresh vanilla tanh x2",
        "fresh vanilla relu",
        "fresh vanilla relu x2",
        "fresh lstm",
        "fresh lstm x2",
    ]
    with pytest.raises(ConfigError, match="no activation relu"):
        fresh_networks(["gru"], ["relu"], [])
    with pytest.raises(ConfigError, match="an activation selu"):
        fresh_networks(["gru", "vanilla"], ["selu"], [])


def test_a_text_shorter_than_the_way_back_is_refused() -> None:
    with pytest.raises(CorpusError, match="too short to go 500 steps back"):
        measure_reach(new_model(), TEXT, steps=500)


# The Python surface and the command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    (folder / "text.txt").write_text("the cat sat on the mat.\n" * 200)
    options = {"hidden_size": 8, "layers": 2, "steps": 6, "seq_length": 16, "batch_size": 4, "clip_norm": 0.01}
    for _ in charnn.train(folder / "text.txt", out=folder / "run", **options):
        pass
    return folder / "run"


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_python_json_and_tsv_say_the_same_of_a_run(run) -> None:
    flow = charnn.load(run).gradients(steps=20, positions=8, seed=1)
    found = json.loads(invoke("gradients", run, "--steps", 20, "--positions", 8, "--json"))
    assert found[0]["mean"] == pytest.approx(flow.reach.mean.tolist())
    assert found[0]["spectral_radius"] == pytest.approx(flow.jacobians.typical_radius)
    assert found[0]["clipped"] == flow.clipped == 1.0
    rows = [row.split("\t") for row in invoke("gradients", run, "--steps", 20, "--positions", 8, "--tsv").splitlines()]
    assert len(rows) == 21
    assert float(rows[20][2]) == pytest.approx(flow.reach.mean[19], rel=1e-5)


def test_the_share_of_clipped_steps_counts_steps_not_lines(run, tmp_path) -> None:
    class Loaded:
        folder = tmp_path

    assert clipped_share(Loaded) is None  # type: ignore[arg-type]
    names = ("epoch", "train_loss", "learning_rate", "grad_norm", "chars_per_second", "elapsed_seconds")
    rest = dict.fromkeys(names, 1.0)
    lines = [{"step": 10, "clipped": 1.0, **rest}, {"step": 40, "clipped": 0.5, **rest}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert clipped_share(Loaded) == pytest.approx((10 + 15) / 40)  # type: ignore[arg-type]


def test_the_screen_shows_runs_beside_fresh_cells(run) -> None:
    screen = invoke("gradients", run, "--cell", "vanilla", "--hidden", 8, "--steps", 20, "--positions", 4)
    assert "fresh vanilla" in screen
    assert "100.0%" in screen
    assert "spectral radius" in screen
    alone = invoke("gradients", "--cell", "lstm", "--hidden", 8, "--steps", 20, "--positions", 4)
    assert "direct path (no weights)" in alone


def test_nothing_to_look_at_is_an_error() -> None:
    result = CliRunner().invoke(main, ["gradients"])
    assert isinstance(result.exception, ConfigError)
    result = CliRunner().invoke(main, ["gradients", "--scale", "2"])
    assert isinstance(result.exception, ConfigError)
