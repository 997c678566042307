"""The network as a whole: time in pieces, parameters in one vector, weights by name, and how they start."""

from __future__ import annotations

import numpy as np
import pytest
from reference import VARIANTS, central_differences, forward, random_chunk, random_masks, random_model, relative_error

from charnn.config import ModelConfig, cell_names
from charnn.errors import CheckpointError, ConfigError
from charnn.network.cells import find_cell
from charnn.network.dropout import NOTHING_DROPPED
from charnn.network.model import CharRNN
from charnn.network.shape import Shape, shape_of
from charnn.network.state_dict import load_state_dict, state_dict

cells = pytest.mark.parametrize("cell", cell_names())
variants = pytest.mark.parametrize(("cell", "activation"), VARIANTS)


# Time


@variants
def test_chunks_with_carried_state_equal_one_long_pass(cell: str, activation: str) -> None:
    T, B = 12, 2
    model = random_model(cell, activation, layers=2)
    x, y, carry = random_chunk(model, T, B)
    whole, end = model.losses(x, y, carry, model.workspace(T, B))
    pieces = []
    for start, stop in ((0, 5), (5, 6), (6, 12)):
        losses, carry = model.losses(x[start:stop], y[start:stop], carry, model.workspace(stop - start, B))
        pieces.append(losses)
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=1e-12)
    np.testing.assert_allclose(carry, end, rtol=0, atol=1e-14)


@cells
def test_full_backpropagation_is_the_case_where_the_chunk_is_the_text(cell: str) -> None:
    T, B = 8, 1
    model = random_model(cell)
    x, y, carry = random_chunk(model, T, B)

    def gradient(pieces: int) -> np.ndarray:
        total, state, length = np.zeros(model.size), carry, T // pieces
        for start in range(0, T, length):
            part, chunk = np.zeros(model.size), slice(start, start + length)
            _, state = model.gradient(x[chunk], y[chunk], state, model.workspace(length, B), model.views(part), 1.0)
            total += part
        return total

    def loss_in_two_chunks() -> float:
        model.pack()
        state, total = carry, 0.0
        for chunk in (slice(0, T // 2), slice(T // 2, T)):
            losses, state = model.losses(x[chunk], y[chunk], state, model.workspace(T // 2, B))
            total += float(losses.sum())
        return total

    true = central_differences(loss_in_two_chunks, model.vector)
    model.pack()
    assert relative_error(gradient(1), true) < 1e-6
    assert relative_error(gradient(2), true) > 1e-3  # truncated: nothing comes back across the border


@cells
def test_streams_do_not_see_each_other(cell: str) -> None:
    model = random_model(cell, layers=2)
    x, _, carry = random_chunk(model, 6, 3)
    together = model.workspace(6, 3)
    model.forward(x, carry, together)
    alone = model.workspace(6, 1)
    model.forward(x[:, 1:2], carry[:, :, 1:2], alone)
    np.testing.assert_allclose(together.logits.reshape(6, 3, -1)[:, 1], alone.logits, rtol=0, atol=1e-12)


@cells
def test_a_pass_in_one_workspace_disturbs_nothing_in_another(cell: str) -> None:
    model = random_model(cell, layers=2)
    x, y, carry = random_chunk(model, 4, 2)
    training, other = model.workspace(4, 2), model.workspace(3, 2)
    kept = model.forward(x, carry, training)
    before = kept.copy()
    logits = training.logits.copy()
    model.losses(x[:3] * 0, y[:3], carry, other)
    np.testing.assert_array_equal(training.logits, logits)
    model.forward(x * 0, carry, training)
    np.testing.assert_array_equal(kept, before)  # a carry is a copy


# Parameters


@cells
@pytest.mark.parametrize("embedding", [0, 4])
def test_named_views_cover_the_vector_once_and_share_its_memory(cell: str, embedding: int) -> None:
    model = random_model(cell, layers=2, embedding=embedding)
    assert model.vector.shape == (model.size,) == (sum(array.size for array in model.parameters.values()),)
    model.vector[:] = 0
    for array in model.parameters.values():
        array += 1
    np.testing.assert_array_equal(model.vector, 1)
    other = np.arange(model.size, dtype=float)
    assert all(np.shares_memory(view, other) for view in model.views(other).values())
    assert {n: v.shape for n, v in model.views(other).items()} == {n: v.shape for n, v in model.parameters.items()}


@variants
@pytest.mark.parametrize("embedding", [0, 4])
def test_weights_go_out_by_name_and_come_back_to_the_same_bits(cell: str, activation: str, embedding: int) -> None:
    shape = Shape(7, cell, activation, layers=3, hidden_size=5, embedding_size=embedding)
    model, other = CharRNN(shape), CharRNN(shape)
    model.initialise(3)
    model.vector += np.float32(0.1) * np.random.default_rng(1).random(model.size, np.float32)
    model.pack()
    arrays = state_dict(model)
    load_state_dict(other, arrays)
    np.testing.assert_array_equal(other.vector, model.vector)
    assert not any(np.shares_memory(array, model.vector) for array in arrays.values())
    x, _, carry = random_chunk(model, 3, 2)
    here, there = model.workspace(3, 2), other.workspace(3, 2)
    model.forward(x, carry, here)
    other.forward(x, carry, there)
    np.testing.assert_array_equal(here.logits, there.logits)


@cells
def test_the_names_and_shapes_are_those_of_pytorch(cell: str) -> None:
    V, E, H = 7, 4, 5
    model = CharRNN(Shape(V, cell, layers=2, hidden_size=H, embedding_size=E))
    GH = len(model.cell.gates) * H
    layers = {f"rnn.weight_ih_l{i}": (GH, size) for i, size in enumerate((E, H))}
    layers |= {f"rnn.weight_hh_l{i}": (GH, H) for i in range(2)}
    layers |= {f"rnn.bias_{kind}_l{i}": (GH,) for i in range(2) for kind in ("ih", "hh")}
    expected = {"embedding.weight": (V, E), **layers, "out.weight": (V, H), "out.bias": (V,)}
    assert {name: array.shape for name, array in state_dict(model).items()} == expected


@cells
def test_two_biases_a_gate_are_taken_and_their_sum_counts(cell: str) -> None:
    model = random_model(cell, layers=2)
    arrays = state_dict(model)
    rng = np.random.default_rng(4)
    for name in arrays:
        if "bias" in name:
            arrays[name] = rng.normal(size=arrays[name].shape)
    x, _, carry = random_chunk(model, 4, 2)
    load_state_dict(model, arrays)
    workspace = model.workspace(4, 2)
    model.forward(x, carry, workspace)
    model.state_dict = lambda: arrays  # type: ignore[method-assign]
    np.testing.assert_allclose(workspace.logits.reshape(4, 2, -1), forward(model, x, carry)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("change", ["missing", "unknown", "transposed", "longer"])
def test_weights_that_do_not_fit_are_refused_by_name_and_change_nothing(change: str) -> None:
    model = random_model("lstm", layers=2, V=6, H=4)
    arrays, before, name = state_dict(model), model.vector.copy(), "rnn.weight_ih_l0"
    if change == "missing":
        del arrays[name]
    elif change == "unknown":
        name = "rnn.weight_ih_l2"
        arrays[name] = arrays["rnn.weight_ih_l1"]
    elif change == "transposed":
        arrays[name] = arrays[name].T
    else:
        arrays[name] = np.concatenate([arrays[name], arrays[name]])
    with pytest.raises(CheckpointError, match=name):
        load_state_dict(model, arrays)
    np.testing.assert_array_equal(model.vector, before)


# How weights start


def initialised(cell: str, activation: str = "", embedding: int = 0, seed: int = 1) -> CharRNN:
    model = CharRNN(Shape(50, cell, activation, layers=2, hidden_size=40, embedding_size=embedding))
    model.initialise(seed)
    return model


@cells
def test_the_same_seed_draws_the_same_weights_and_another_one_others(cell: str) -> None:
    assert (initialised(cell).vector == initialised(cell).vector).all()
    assert (initialised(cell).vector != initialised(cell, seed=2).vector).any()


@variants
def test_biases_start_at_zero_but_those_of_forget_gates(cell: str, activation: str) -> None:
    model = initialised(cell, activation)
    order = model.cell.torch_gates or model.cell.gates
    arrays = state_dict(model)
    for layer in range(2):
        for gate, bias in zip(order, arrays[f"rnn.bias_ih_l{layer}"].reshape(len(order), -1), strict=True):
            assert (bias == (1 if gate in find_cell(cell).forget_gates else 0)).all()
        assert not arrays[f"rnn.bias_hh_l{layer}"].any()
    assert not arrays["out.bias"].any()


def test_the_forget_gate_of_the_lstm_starts_open() -> None:
    arrays = state_dict(initialised("lstm"))
    i, f, g, o = arrays["rnn.bias_ih_l1"].reshape(4, 40)
    assert (f == 1).all() and not i.any() and not g.any() and not o.any()


def test_the_bias_of_the_forget_gate_is_an_option() -> None:
    model = CharRNN(Shape(5, "lstm", hidden_size=4))
    model.initialise(1, forget_bias=-2.0)
    f = state_dict(model)["rnn.bias_ih_l0"].reshape(4, 4)[1]
    assert (f == -2).all()


@pytest.mark.parametrize(("cell", "keep", "replace"), [("lstm", "f", "i"), ("gru", "z", "")])
def test_with_memory_the_units_start_with_time_constants_up_to_it(cell: str, keep: str, replace: str) -> None:
    model = CharRNN(Shape(5, cell, layers=2, hidden_size=400))
    model.initialise(1, chrono=100)
    gates = model.cell.gates
    for name in ("input.b", "projection1.b"):
        bias = model.parameters[name]
        share = 1 / (1 + np.exp(-bias[gates.index(keep)].astype(float)))
        constants = 1 / (1 - share)
        assert 2 <= constants.min() < 5 and 95 < constants.max() <= 100
        assert np.mean(constants) == pytest.approx(51, rel=0.1)
        if replace:
            assert (bias[gates.index(replace)] == -bias[gates.index(keep)]).all()
        assert not np.delete(bias, [gates.index(gate) for gate in (keep, replace) if gate], axis=0).any()


def test_memory_needs_gates_and_leaves_no_room_for_a_forget_bias() -> None:
    with pytest.raises(ConfigError, match="needs a gated cell"):
        shape_of(ModelConfig(cell="vanilla", chrono=9), 5)
    with pytest.raises(ConfigError, match="forget_bias has no effect"):
        shape_of(ModelConfig(chrono=9, forget_bias=0), 5)


def test_only_a_rectified_cell_starts_from_half_the_identity() -> None:
    for cell, activation in VARIANTS:
        arrays = state_dict(initialised(cell, activation))
        for layer in range(2):
            is_identity = np.array_equal(arrays[f"rnn.weight_hh_l{layer}"], 0.5 * np.eye(40))
            assert is_identity == (activation == "relu")


@cells
def test_weights_start_uniform_within_the_root_of_the_inputs(cell: str) -> None:
    arrays = state_dict(initialised(cell))
    bounds = {"rnn.weight_ih_l0": 1.0, "rnn.weight_ih_l1": 40**-0.5, "out.weight": 40**-0.5}
    for name, bound in bounds.items():
        assert 0.98 * bound < np.abs(arrays[name]).max() <= bound
        assert abs(arrays[name].mean()) < 0.1 * bound
    embedded = state_dict(initialised(cell, embedding=25))
    assert 0.98 / 5 < np.abs(embedded["rnn.weight_ih_l0"]).max() <= 1 / 5
    assert 0.9 < embedded["embedding.weight"].std() < 1.1


@pytest.mark.parametrize("samples", [0, 1, 3])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", cell_names())
def test_a_workspace_takes_the_memory_that_its_formula_says(cell: str, layers: int, samples: int) -> None:
    T, B, V, H, K = 5, 4, 7, 6, max(1, samples)
    model = random_model(cell, layers=layers, V=V, H=H)
    x, y, carry = random_chunk(model, T, B)
    masks = random_masks(model, T, B, samples=K) if samples else NOTHING_DROPPED
    w = model.workspace(T, B, K)
    G, S, A, Z, N = len(model.cell.gates), model.cell.sigmoids, model.cell.apart, len(model.cell.state), T * B
    forward = layers * H * (N * (G + A + Z) + B * (Z + G + 1 + S)) + K * N * V
    assert w.nbytes == 8 * forward
    model.gradient(x, y, carry, w, model.views(np.zeros(model.size)), 1.0, masks)
    backward = H * (N * G * (2 if A else 1) + B * (G + A + Z + w.backward.product.parts) + K * N)
    dropped = H * N * (layers - 1 + K) if samples else 0
    assert w.nbytes == 8 * (forward + backward + dropped)
