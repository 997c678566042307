"""The same numbers as PyTorch: logits, loss, every gradient, ten optimizer steps, and weights that load as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import new_run
from reference import VARIANTS, random_chunk, random_model

from charnn.network.cells import find_cell
from charnn.network.model import CharRNN
from charnn.network.optimizers import clip, new_optimizer, norm_of
from charnn.network.state_dict import load_state_dict, state_dict
from charnn.training.trainer import Trainer

torch = pytest.importorskip("torch", reason="PyTorch is not installed, so nothing is compared with it")

T, B, V, H, E = 6, 3, 7, 5, 4
WITH_PARITY = [(cell, activation) for cell, activation in VARIANTS if find_cell(cell).torch_name]

networks = pytest.mark.parametrize(("cell", "activation"), WITH_PARITY)
depths = pytest.mark.parametrize("layers", [1, 2])
inputs = pytest.mark.parametrize("embedding", [0, E], ids=["one-hot", "embedding"])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Twin(torch.nn.Module):  # type: ignore[name-defined, misc]
    """The modules that a state dict of ours is made for."""

    def __init__(self, model: CharRNN, dtype: Any = torch.float64) -> None:
        super().__init__()
        shape, options = model.shape, {"dtype": dtype}
        if shape.embedding_size:
            self.embedding = torch.nn.Embedding(shape.vocabulary_size, shape.embedding_size, **options)
        if model.cell.activations:
            options["nonlinearity"] = model.cell.activation
        kind = getattr(torch.nn, model.cell.torch_name)
        self.rnn = kind(shape.embedding_size or shape.vocabulary_size, shape.hidden_size, shape.layers, **options)
        self.out = torch.nn.Linear(shape.hidden_size, shape.vocabulary_size, dtype=dtype)

    def forward(self, x: np.ndarray, carry: Any) -> tuple[Any, Any]:
        """Logits (T, B, V) and the new carry for ids (T, B)."""
        ids = torch.from_numpy(np.ascontiguousarray(x).astype(np.int64))
        if hasattr(self, "embedding"):
            below = self.embedding(ids)
        else:
            below = torch.nn.functional.one_hot(ids, self.rnn.input_size).to(self.out.weight.dtype)
        h, carry = self.rnn(below, carry)
        return self.out(h), carry

    def carry(self, carry: Any) -> Any:
        """Our carry in the form of PyTorch: one tensor (L, B, H) for each part of the state."""
        parts = [torch.from_numpy(np.ascontiguousarray(carry[:, k])) for k in range(carry.shape[1])]
        return tuple(parts) if len(parts) > 1 else parts[0]

    def loss(self, x: np.ndarray, y: np.ndarray, carry: Any) -> tuple[Any, Any]:
        logits, carry = self(x, carry)
        targets = torch.from_numpy(y.reshape(-1).astype(np.int64))
        return torch.nn.functional.cross_entropy(logits.reshape(len(targets), -1), targets), carry


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def twins(cell: str, activation: str, layers: int, embedding: int) -> tuple[CharRNN, Twin]:
    """A network of ours and one of PyTorch with the same weights."""
    model = random_model(cell, activation, layers, embedding, V=V, H=H)
    twin = Twin(model)
    twin.load_state_dict(tensors(state_dict(model)), strict=True)
    return model, twin


def by_torch_name(model: CharRNN, vector: np.ndarray) -> dict[str, np.ndarray]:
    """A vector laid out as the parameters are, by PyTorch's names, in its shapes."""
    holder = CharRNN(model.shape, model.dtype)
    holder.vector[:] = vector
    return state_dict(holder)


def own_bias_rows(model: CharRNN) -> slice:
    """The rows of PyTorch's second bias that are parameters of ours, too: those of gates kept apart."""
    gates = model.cell.torch_gates
    apart = model.cell.gates[len(gates) - model.cell.apart :]
    assert gates[len(gates) - model.cell.apart :] == apart
    return slice((len(gates) - len(apart)) * model.shape.hidden_size, None)


def freeze_second_bias(model: CharRNN, twin: Twin) -> None:
    """Let PyTorch train one bias a gate, as we do; the other stays zero."""
    keep = torch.zeros(len(model.cell.gates) * model.shape.hidden_size, dtype=torch.float64)
    keep[own_bias_rows(model)] = 1
    for name, parameter in twin.rnn.named_parameters():
        if name.startswith("bias_hh"):
            parameter.register_hook(lambda gradient: gradient * keep)


@inputs
@depths
@networks
def test_logits_state_loss_and_gradients_are_those_of_pytorch(
    cell: str, activation: str, layers: int, embedding: int
) -> None:
    model, twin = twins(cell, activation, layers, embedding)
    x, y, carry = random_chunk(model, T, B)
    workspace, gradient = model.workspace(T, B), np.zeros(model.size)
    after = model.forward(x, carry, workspace)
    logits, theirs_after = twin(x, twin.carry(carry))
    np.testing.assert_allclose(workspace.logits.reshape(T, B, V), logits.detach().numpy(), rtol=0, atol=1e-12)
    for ours, theirs in zip(_parts(twin.carry(after)), _parts(theirs_after), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=0, atol=1e-12)

    total, _ = model.gradient(x, y, carry, workspace, model.views(gradient), 1 / (T * B))
    loss, _ = twin.loss(x, y, twin.carry(carry))
    loss.backward()
    assert total / (T * B) == pytest.approx(float(loss.detach()), rel=1e-13)
    ours_by_name = by_torch_name(model, gradient)
    assert set(ours_by_name) == {name for name, _ in twin.named_parameters()}
    for name, parameter in twin.named_parameters():
        rows = own_bias_rows(model) if "bias_hh" in name else slice(None)
        np.testing.assert_allclose(ours_by_name[name][rows], parameter.grad.numpy()[rows], rtol=1e-9, atol=1e-12)


def _parts(carry: Any) -> tuple[Any, ...]:
    return carry if isinstance(carry, tuple) else (carry,)


RATE = 0.03
SETTINGS = {"momentum": 0.9, "smoothing": 0.95, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-6, "weight_decay": 0.0}
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, RATE, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, RATE, alpha=0.95, eps=1e-6),
    "adagrad": lambda p: torch.optim.Adagrad(p, RATE, eps=1e-6),
    "adam": lambda p: torch.optim.Adam(p, RATE, betas=(0.9, 0.99), eps=1e-6),
    "adamw": lambda p: torch.optim.AdamW(p, RATE, betas=(0.9, 0.99), eps=1e-6, weight_decay=0.1),
}


@pytest.mark.parametrize("norm", [0.0, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@inputs
@depths
@networks
def test_ten_steps_of_training_lead_to_the_weights_of_pytorch(
    cell: str, activation: str, layers: int, embedding: int, name: str, norm: float
) -> None:
    model, twin = twins(cell, activation, layers, embedding)
    freeze_second_bias(model, twin)
    decay = {"optimizer": "adam", "weight_decay": 0.1} if name == "adamw" else {"optimizer": name}
    optimizer, theirs = new_optimizer({**SETTINGS, **decay}, model.vector), OPTIMIZERS[name](twin.parameters())
    x, y, carry = random_chunk(model, 10 * T, B)
    their_carry, workspace, gradient = twin.carry(carry), model.workspace(T, B), np.zeros(model.size)
    was_clipped = False
    for step in range(10):
        chunk = slice(step * T, (step + 1) * T)
        _, carry = model.gradient(x[chunk], y[chunk], carry, workspace, model.views(gradient), 1 / (T * B))
        was_clipped |= clip(gradient, norm_of(gradient), norm, 0.0)
        optimizer.update(model.vector, gradient, RATE, step)
        model.pack()

        theirs.zero_grad()
        loss, their_carry = twin.loss(x[chunk], y[chunk], their_carry)
        their_carry = tuple(part.detach() for part in _parts(their_carry))
        their_carry = their_carry if len(their_carry) > 1 else their_carry[0]
        loss.backward()
        if norm:
            torch.nn.utils.clip_grad_norm_(twin.parameters(), norm)  # it divides by the norm + 1e-6
        theirs.step()
    assert was_clipped == bool(norm)
    tolerance = 1e-5 if norm else 1e-9
    ours = by_torch_name(model, model.vector)
    for key, parameter in twin.named_parameters():
        np.testing.assert_allclose(ours[key], parameter.detach().numpy(), rtol=0, atol=tolerance)


@networks
def test_weights_of_pytorch_with_both_biases_load_here(cell: str, activation: str) -> None:
    model = random_model(cell, activation, 2, E, V=V, H=H)
    torch.manual_seed(1)
    twin = Twin(model)
    load_state_dict(model, {name: tensor.numpy() for name, tensor in twin.state_dict().items()})
    x, _, carry = random_chunk(model, T, B)
    workspace = model.workspace(T, B)
    model.forward(x, carry, workspace)
    logits, _ = twin(x, twin.carry(carry))
    np.testing.assert_allclose(workspace.logits.reshape(T, B, V), logits.detach().numpy(), rtol=0, atol=1e-12)


@inputs
@networks
def test_pytorch_loads_the_weights_of_a_checkpoint_as_they_are(
    tmp_path: Path, cell: str, activation: str, embedding: int
) -> None:
    from safetensors.torch import load_file

    options = {"activation": activation} if activation else {}
    with new_run(tmp_path, cell=cell, layers=2, embedding_size=embedding, steps=2, val_fraction=0, **options) as run:
        for _ in Trainer(run).train():
            pass
    held = load_file(run.checkpoints / "step-00000002.safetensors")
    twin = Twin(run.model, torch.float32)
    prefix = "model."
    twin.load_state_dict({n.removeprefix(prefix): t for n, t in held.items() if n.startswith(prefix)}, strict=True)
    x, _ = run.batches.batch(run.state.position)
    workspace = run.model.workspace(*x.shape)
    carry = run.model.zero_carry(x.shape[1])
    run.model.forward(x, carry, workspace)
    logits, _ = twin(x, twin.carry(carry))
    np.testing.assert_allclose(workspace.logits.reshape(*x.shape, -1), logits.detach().numpy(), rtol=0, atol=1e-5)
