"""What a user may ask for: types, ranges, combinations, layers, and the way to YAML and JSON and back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import complaint
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from charnn.config import (
    DEFAULT_BUDGET,
    DEFAULT_EPOCHS,
    KEYS,
    OPTIONS,
    Config,
    Setting,
    cell_names,
    coerce,
    flat_settings,
    parse_assignment,
    resolve,
)
from charnn.errors import ConfigError
from charnn.network.dropout import Dropout
from charnn.option import choices_of
from charnn.yaml_file import read_file, to_yaml


def error(call: Any) -> str:
    return complaint(call, ConfigError)


def flag(name: str, value: Any) -> dict[str, Setting]:
    return {KEYS[name]: Setting(value, f"--{name}")}


def value_of(name: str, value: Any) -> Any:
    """What an option makes of a value."""
    return coerce(KEYS[name], Setting(value, "here"))


# Options


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_help_and_a_default_within_its_limits(name: str) -> None:
    spec = OPTIONS[name]
    assert spec.metadata["help"]
    if spec.default is not None:
        assert coerce(name, Setting(spec.default, "default")) == spec.default
        assert coerce(name, Setting(str(spec.default), "default")) == spec.default


LIMITS = [
    (name, kind)
    for name, spec in OPTIONS.items()
    for kind in ("low", "high", "above", "below")
    if kind in spec.metadata
]


@pytest.mark.parametrize(("name", "kind"), LIMITS)
def test_a_value_beyond_a_limit_is_refused_with_the_limit(name: str, kind: str) -> None:
    limit = OPTIONS[name].metadata[kind]
    beyond = {"low": limit - 1, "high": limit * 2, "above": limit, "below": limit}[kind]
    if kind in ("low", "high"):
        assert coerce(name, Setting(str(limit), "here")) == limit
    what = error(lambda: coerce(name, Setting(str(beyond), "here")))
    key = name.partition(".")[2]
    if beyond >= 0 or "duration" not in OPTIONS[name].metadata:
        assert f"here: {key} must be" in what and str(limit) in what


@pytest.mark.parametrize("name", ["model.dropout", "model.input_dropout"])
def test_a_dropout_so_small_that_it_would_be_none_is_refused_with_the_smallest(name: str) -> None:
    for share in (0, 0.004, 0.01):
        assert coerce(name, Setting(share, "here")) == share
        dropout = Dropout(1, share, share, np.float32)
        assert (dropout.outputs > 0) == (dropout.inputs > 0) == (share > 0)
    for share in (1e-9, 0.001, 0.0039):
        what = error(lambda share=share: coerce(name, Setting(share, "--dropout")))
        assert f"--dropout: {name[6:]} must be 0 or at least 0.004, not {share}" in what


@pytest.mark.parametrize("name", [name for name, spec in OPTIONS.items() if "choices" in spec.metadata])
def test_a_choice_that_is_none_is_refused_with_all_there_are(name: str) -> None:
    for choice in choices_of(OPTIONS[name]):
        assert coerce(name, Setting(choice, "here")) == choice
        assert choice in error(lambda: coerce(name, Setting("nothing", "here")))
        assert f"did you mean {choice}?" in error(lambda c=choice: coerce(name, Setting(c + "q", "here")))


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", 0.25, 0.25),
        ("learning_rate", "2", 2.0),
        ("layers", "3", 3),
        ("layers", 3.0, 3),
        ("steps", "1e3", 1000),
        ("seed", str(2**63 - 1), 2**63 - 1),
        ("budget", "90s", 90.0),
        ("budget", "10m", 600.0),
        ("budget", "1.5h", 5400.0),
        ("budget", 45, 45.0),
        ("budget", 1e-05, 1e-05),
        ("workers", "auto", None),
        ("cell", "gru", "gru"),
        ("cell", "rnn", "vanilla"),
    ],
)
def test_a_value_gets_the_type_of_its_option(name: str, given: Any, value: Any) -> None:
    found = value_of(name, given)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("layers", "two"),
        ("layers", "2.5"),
        ("layers", True),
        ("layers", None),
        ("layers", [2]),
        ("layers", "1_0"),
        ("layers", ""),
        ("layers", "0x10"),
        ("steps", "1e400"),
        ("learning_rate", "nan"),
        ("learning_rate", math.inf),
        ("learning_rate", "12:30:00"),
        ("learning_rate", "no"),
        ("learning_rate", "-0.0"),
        ("budget", "10 parsecs"),
        ("budget", "-5s"),
        ("budget", "0"),
        ("budget", "\x1b[2Js"),
        ("cell", 3),
        ("cell", "\x1b[2J"),
        ("tokens", "Chars"),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_by_name(name: str, given: Any) -> None:
    assert f"here: {name} must be" in error(lambda: value_of(name, given))


# Combinations


def test_nothing_asked_for_is_the_default() -> None:
    resolved = resolve()
    assert resolved.config.training.budget == DEFAULT_BUDGET and resolved.config.training.epochs is None
    of_a_file = resolve(fixed=True).config.training
    assert of_a_file.epochs == DEFAULT_EPOCHS and of_a_file.budget is None
    assert set(resolved.origins) == set(OPTIONS)
    assert set(resolved.origins.values()) == {"default"}


def test_flags_win_over_a_file_and_a_file_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("model:\n  hidden_size: 64\n  layers: 3\n")
    file = read_file(tmp_path / "my.yaml")
    resolved = resolve(file, flag("hidden_size", "32"))
    model = resolved.config.model
    assert (model.hidden_size, model.layers, model.cell) == (32, 3, "lstm")
    assert resolved.origins["model.hidden_size"] == "--hidden_size"
    assert resolved.origins["model.layers"] == f"{tmp_path / 'my.yaml'}:3"
    assert resolved.origins["model.cell"] == "default"


@pytest.mark.parametrize("one", ["epochs", "steps", "budget"])
@pytest.mark.parametrize("other", ["epochs", "steps", "budget"])
def test_the_length_of_training_is_said_in_one_way(one: str, other: str) -> None:
    later = resolve(flag(one, 5), flag(other, 7)).config.training
    assert [getattr(later, name) for name in ("epochs", "steps", "budget") if getattr(later, name) is not None] == [7]
    if one != other:
        what = error(lambda: resolve({**flag(one, 5), **flag(other, 7)}))
        assert "cannot be combined" in what and one in what and other in what


@pytest.mark.parametrize(
    ("option", "value", "fitting"),
    [
        ("momentum", 0.5, ("optimizer", "sgd")),
        ("smoothing", 0.5, ("optimizer", "rmsprop")),
        ("beta1", 0.5, ("optimizer", "adam")),
        ("beta2", 0.5, ("optimizer", "adam")),
        ("epsilon", 0.5, ("optimizer", "adagrad")),
        ("decay_after", 5, ("schedule", "exponential")),
        ("decay_every", 5, ("schedule", "exponential")),
        ("decay_rate", 0.5, ("schedule", "exponential")),
    ],
)
def test_an_option_without_effect_is_refused(option: str, value: float, fitting: tuple[str, str]) -> None:
    chooser, choice = fitting
    for other in OPTIONS[KEYS[chooser]].metadata["choices"]:
        asked = {**flag(option, value), **flag(chooser, other)}
        if other == choice or (option == "epsilon" and other != "sgd"):
            assert getattr(resolve(asked).config.optimization, option) == value
        else:
            what = error(lambda asked=asked: resolve(asked))
            assert f"--{option}: {option} has no effect with {chooser} {other}" in what and choice in what


def test_held_out_parts_must_leave_something_to_train_on() -> None:
    assert "nothing to train on" in error(lambda: resolve(flag("val_fraction", 0.5), flag("test_fraction", 0.5)))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("model.hiden_size", "model.hidden_size"),
        ("hidden_size", "model.hidden_size"),
        ("model.learning_rate", "optimization.learning_rate"),
        ("training.learningrate", "optimization.learning_rate"),
        ("model.zzzzzz", "valid are: model.cell"),
        ("\x1b[2J", "valid are: data.tokens"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest(name: str, meant: str) -> None:
    assert meant in error(lambda: resolve(parse_assignment(f"{name}=3")))


def test_an_assignment_has_a_name_and_a_value() -> None:
    assert resolve(parse_assignment(" model.layers = 3 ")).config.model.layers == 3
    assert resolve(parse_assignment("data.encoding=a=b")).config.data.encoding == "a=b"
    assert "expected section.key=value" in error(lambda: parse_assignment("model.layers"))


def test_an_unknown_keyword_is_answered_with_the_nearest() -> None:
    assert "did you mean hidden_size?" in error(lambda: flat_settings({"hidden": 3}))


# There and back


def values(name: str) -> st.SearchStrategy[Any]:
    """Values of an option."""
    spec = OPTIONS[name]
    limits, kind = spec.metadata, str(spec.type)
    if choices := choices_of(spec):
        return st.sampled_from(choices)
    if "int" in kind:
        return st.integers(limits["low"], limits["high"])
    if "float" in kind:
        low, high = limits.get("low", limits.get("above")), limits.get("high", limits.get("below"))
        ends = {"exclude_min": "above" in limits, "exclude_max": "below" in limits}
        return st.floats(low, high, **ends)
    return st.sampled_from(["utf-8", "latin-1", "cp1252"])


some_settings = st.lists(st.sampled_from(sorted(OPTIONS)), max_size=6, unique=True).flatmap(
    lambda chosen: st.fixed_dictionaries({name: values(name) for name in chosen})
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some_settings)
def test_a_configuration_comes_back_from_yaml_and_from_json(tmp_path: Path, chosen: dict[str, Any]) -> None:
    try:
        config = resolve({name: Setting(value, "here") for name, value in chosen.items()}).config
    except ConfigError:
        assume(False)
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert resolve(read_file(path)).config == config
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_stored_json_with_unknown_keys_or_wrong_values_is_refused() -> None:
    stored = Config().to_json()
    for change in ({"model": {"layers": 0}}, {"model": {"new": 1}}, {"new": {"a": 1}}, {"model": 3}):
        error(lambda change=change: Config.from_json({**stored, **change}))


def test_a_run_keeps_the_name_of_its_cell_and_no_other() -> None:
    config = resolve(flag("cell", "rnn")).config
    assert config.model.cell == "vanilla"
    assert "  cell: vanilla\n" in to_yaml(config)


def test_a_cell_of_ones_own_wins_over_another_name_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = OPTIONS["model.cell"]
    monkeypatch.setattr(spec, "metadata", {**spec.metadata, "choices": ("lstm", "rnn")})
    assert value_of("cell", "rnn") == "rnn"


def test_the_cells_are_the_files_of_their_folder() -> None:
    assert set(cell_names()) >= {"gru", "lstm", "vanilla"}
    assert not {"base", "__init__"} & set(cell_names())
