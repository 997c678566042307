"""What the user asked for: defaults, then a YAML file, then flags enter; one frozen, checked ``Config`` leaves.

Every option is a field below, with its help, type and range. Unknown keys, wrong types and values out of range are
errors that name the place and the nearest valid key. A file is plain data: sections of scalars, nothing else.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charnn.errors import ConfigError, StorageError, printable

MAX_FILE_SIZE = 64 * 1024
"""A configuration is a page of text; anything larger is a mistake."""

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def cell_names() -> tuple[str, ...]:
    """The cells there are: every file in ``charnn/network/cells`` but the base."""
    files = (Path(__file__).parent / "network" / "cells").glob("*.py")
    return tuple(sorted({file.stem for file in files} - {"__init__", "base"}))


def option(default: Any, help: str, **limits: Any) -> Any:
    """A field with its help and its limits: choices, low, high (inclusive), above, below (exclusive), auto."""
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True)
class DataConfig:
    """How a text becomes ids, and which part of it is held out."""

    tokens: str = option("chars", "what one step predicts", choices=("chars", "bytes"))
    encoding: str = option("utf-8", "encoding of the text files")
    normalize: str = option("none", "Unicode normal form", choices=("none", "nfc", "nfd"))
    val_fraction: float = option(
        0.1, "share of the text, after the training part, held out for validation", low=0, below=1
    )
    test_fraction: float = option(0.0, "share of the text, at its end, that training never looks at", low=0, below=1)


@dataclass(frozen=True)
class ModelConfig:
    """What the network is."""

    cell: str = option("lstm", "recurrent cell", choices=cell_names)
    activation: str = option("auto", "nonlinearity of a vanilla cell; auto: tanh", choices=("auto", "tanh", "relu"))
    layers: int = option(2, "recurrent layers", low=1, high=64)
    hidden_size: int = option(128, "units a layer", low=1, high=65536)
    embedding_size: int = option(0, "columns of the character embedding; 0: one-hot", low=0, high=65536)
    forget_bias: float = option(1.0, "lstm: where the bias of the forget gate starts", low=-100, high=100)
    chrono: int = option(
        0,
        "gru, lstm: how many characters the units remember at first, each its own part of it; 0: few",
        low=0,
        high=10**9,
    )
    dropout: float = option(0.0, "share of each layer's outputs dropped in training", low=0, high=0.95)
    dropout_samples: int = option(
        1, "masks of the top layer's dropout that the loss is averaged over, in antithetic pairs", low=1, high=256
    )
    input_dropout: float = option(
        0.0, "share of each character's vector (of the embedding, or one-hot) dropped in training", low=0, high=0.95
    )


@dataclass(frozen=True)
class OptimizationConfig:
    """How gradients change the weights."""

    optimizer: str = option("adam", "update rule", choices=("sgd", "rmsprop", "adagrad", "adam"))
    learning_rate: float = option(2e-3, "learning rate at its highest", above=0, high=1000)
    schedule: str = option("cosine", "learning rate over time", choices=("constant", "exponential", "cosine"))
    warmup_steps: int = option(100, "steps of linear warm-up, at most a tenth of all", low=0, high=10**9)
    decay_after: int = option(10, "exponential: epochs before the first decay", low=0, high=10**9)
    decay_every: int = option(1, "exponential: epochs between decays", low=1, high=10**9)
    decay_rate: float = option(0.97, "exponential: factor of each decay", above=0, high=1)
    momentum: float = option(0.0, "sgd: momentum", low=0, below=1)
    smoothing: float = option(0.95, "rmsprop: decay of the mean square", low=0, below=1)
    beta1: float = option(0.9, "adam: decay of the mean", low=0, below=1)
    beta2: float = option(0.999, "adam: decay of the mean square", low=0, below=1)
    epsilon: float = option(1e-8, "adam, rmsprop, adagrad: added to the root mean square", above=0, high=1)
    weight_decay: float = option(0.0, "decoupled weight decay, times the learning rate", low=0, high=100)
    clip_norm: float = option(5.0, "largest norm of the whole gradient; 0: no limit", low=0, high=1e9)
    clip_value: float = option(0.0, "largest absolute value in the gradient; 0: no limit", low=0, high=1e9)


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in what pieces, and what is written when."""

    seq_length: int = option(64, "characters a stream advances per step: the reach of the gradient", low=1, high=10**9)
    batch_size: int = option(32, "streams read in parallel", low=1, high=10**6)
    budget: float | None = option(
        None,
        "wall-clock time to train at most: 90s, 10m, 2h; 5m where nothing says how long",
        above=0,
        high=10**9,
        duration=True,
    )
    epochs: float | None = option(None, "passes over the training text, instead of a time", above=0, high=10**9)
    steps: int | None = option(None, "updates, instead of a time", low=1, high=10**12)
    enough_epochs: float | None = option(
        None, "with a budget: passes after which the text is learned, and training ends", above=0, high=10**9, auto=True
    )
    seed: int = option(1, "seed of weights, offsets and dropout", low=0, high=2**63 - 1)
    workers: int | None = option(None, "processes that share the work", low=1, high=1024, auto=True)
    validate_every: int | None = option(None, "steps between validations", low=1, high=10**12, auto=True)
    checkpoint_every: int | None = option(None, "steps between checkpoints", low=1, high=10**12, auto=True)
    log_every: int | None = option(None, "steps between lines of metrics.jsonl", low=1, high=10**12, auto=True)
    keep: int = option(2, "newest checkpoints kept, beside the best", low=2, high=10**6)  # only a next step proves one
    on_divergence: str = option("stop", "when loss or gradient blow up", choices=("stop", "rollback"))
    max_rollbacks: int = option(3, "rollback: times training may go back, halving its rate", low=1, high=1000)


LENGTHS = ("epochs", "steps", "budget")
"""The three ways to say how long; one at a time."""

CHANGEABLE = (*LENGTHS, "enough_epochs", "workers", "checkpoint_every", "keep", "on_divergence", "max_rollbacks")
"""What may be given anew as a run resumes: it says how long and how safely to train, not what is trained."""

DEFAULT_BUDGET = 300.0
"""Seconds that a training takes at most where nothing says how long."""

DEFAULT_EPOCHS = 20.0
"""How long a configuration from a file trains that does not say it."""


@dataclass(frozen=True)
class Config:
    """The resolved configuration of a run. Option names are unique across the sections."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    training: TrainingConfig = TrainingConfig()

    def to_json(self) -> dict[str, dict[str, Any]]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Config:
        """Rebuild from ``to_json``; raises ConfigError on unknown keys and wrong values."""
        settings = {}
        if not isinstance(data, Mapping):
            raise ConfigError("the stored configuration is not a mapping")
        for section, values in data.items():
            if not isinstance(values, Mapping):
                raise ConfigError(f"section {printable(section)[:80]} is not a mapping")
            for key, value in values.items():
                if value is not None or f"{section}.{key}" not in OPTIONS:
                    settings[f"{section}.{key}"] = Setting(value, "checkpoint")
        return resolve(settings, fixed=True).config


@dataclass(frozen=True)
class Setting:
    """A value, as text or as a Python object, and where it came from: ``default``, ``my.yaml:3``, ``--hidden``."""

    value: Any
    origin: str


@dataclass(frozen=True)
class Resolved:
    """A configuration with the origin of every option, by ``section.key``.

    A ``fixed`` one means what it says: what nobody chose keeps its default, and is not fitted to text and time.
    """

    config: Config
    origins: dict[str, str]
    fixed: bool = False

    def is_free(self, name: str) -> bool:
        """Whether nobody chose the option ``section.key``."""
        return self.origins[name] == "default"

    def filled(self, values: Mapping[str, Any], origin: str) -> Resolved:
        """With ``values`` by ``section.key`` in the place of those that nobody chose."""
        config, origins = self.config, dict(self.origins)
        for name in filter(self.is_free, values):
            section, _, key = name.partition(".")
            part = dataclasses.replace(getattr(config, section), **{key: values[name]})
            config = dataclasses.replace(config, **{section: part})
            origins[name] = origin
        return Resolved(config, origins, self.fixed)


SECTIONS = {f.name: type(getattr(Config(), f.name)) for f in dataclasses.fields(Config)}
OPTIONS = {f"{s}.{f.name}": f for s, kind in SECTIONS.items() for f in dataclasses.fields(kind)}
"""Every option by ``section.key``."""

KEYS = {name.partition(".")[2]: name for name in OPTIONS}
"""``section.key`` by key alone."""


def resolve(*layers: Mapping[str, Setting], fixed: bool = False) -> Resolved:
    """Defaults, overridden by each of ``layers`` in turn: ``{section.key: Setting}``; see ``Resolved`` for ``fixed``.

    A layer that says how long to train (epochs, steps or budget) replaces what an earlier one said of it. Raises
    ConfigError for an unknown key, a wrong type, a value out of range, or a combination that makes no sense.
    """
    chosen: dict[str, tuple[Any, str]] = {}
    for layer in layers:
        lengths = [name for name in layer if name.partition(".")[2] in LENGTHS]
        if len(lengths) > 1:
            names = " and ".join(name.partition(".")[2] for name in lengths)
            raise ConfigError(f"{layer[lengths[0]].origin}: {names} exclude each other", "give one of them")
        if lengths:
            chosen = {name: value for name, value in chosen.items() if name.partition(".")[2] not in LENGTHS}
        for name, setting in layer.items():
            chosen[name] = (coerce(name, setting), setting.origin)
    if not any(f"training.{name}" in chosen for name in LENGTHS):
        length = ("epochs", DEFAULT_EPOCHS) if fixed else ("budget", DEFAULT_BUDGET)
        chosen[f"training.{length[0]}"] = (length[1], "default")
    sections = {}
    for section, kind in SECTIONS.items():
        values = {name.partition(".")[2]: v for name, (v, _) in chosen.items() if name.startswith(f"{section}.")}
        sections[section] = kind(**values)
    config = Config(**sections)
    origins = {name: chosen[name][1] if name in chosen else "default" for name in OPTIONS}
    _check_combinations(config, origins)
    return Resolved(config, origins, fixed)


def coerce(name: str, setting: Setting) -> Any:
    """The value of option ``section.key`` in its type, checked against its limits. Raises ConfigError."""
    where = printable(setting.origin)
    if name not in OPTIONS:
        raise ConfigError(f"{where}: unknown key {printable(name)[:80]}", _nearest_option(name))
    spec = OPTIONS[name]
    limits, value = spec.metadata, setting.value
    shown = f"{where}: {name.partition('.')[2]}"
    if limits.get("auto") and str(value) == "auto":
        return None
    if limits.get("duration"):
        value = _seconds(value, shown)
    if "int" in str(spec.type):
        value = _integer(value, shown)
    elif "float" in str(spec.type):
        value = _number(value, shown)
    elif not isinstance(value, str):
        raise ConfigError(f"{shown} must be text, not {printable(repr(value))[:80]}")
    if choices := limits.get("choices"):
        _check_choice(value, choices() if callable(choices) else choices, shown)
    else:
        _check_range(value, limits, shown)
    return value


def _integer(value: Any, shown: str) -> int:
    number = _number(value, shown, "a whole number")
    if number != int(number):
        raise ConfigError(f"{shown} must be a whole number, not {value}")
    return int(number) if isinstance(value, float) or re.search("[.eE]", str(value)) else int(value)


def _number(value: Any, shown: str, what: str = "a number") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ConfigError(f"{shown} must be {what}, not {printable(repr(value))[:80]}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or "_" in str(value):
        raise ConfigError(f"{shown} must be {what}, not {printable(str(value))[:80]}")
    return number


def _seconds(value: Any, shown: str) -> float:
    text = str(value).strip()
    unit = SECONDS.get(text[-1:])
    number = text[:-1] if unit else text
    if not re.fullmatch(r"(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", number):
        raise ConfigError(f"{shown} must be a time such as 90s, 10m or 2h, not {printable(text)[:80]}")
    return float(number) * (unit or 1.0)


def _check_choice(value: str, choices: tuple[str, ...], shown: str) -> None:
    if value not in choices:
        raise ConfigError(
            f"{shown} must be one of {', '.join(choices)}, not {printable(value)[:80]}", _nearest(value, choices)
        )


RANGE_TESTS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "low": (operator.ge, "at least"),
    "high": (operator.le, "at most"),
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
}


def _check_range(value: Any, limits: Mapping[str, Any], shown: str) -> None:
    for kind, (holds, words) in RANGE_TESTS.items():
        if kind in limits and not holds(value, limits[kind]):
            raise ConfigError(f"{shown} must be {words} {limits[kind]}, not {value}")


def _check_combinations(config: Config, origins: Mapping[str, str]) -> None:
    """Options that another choice leaves without effect are errors, so that none is accepted and ignored."""
    only_for = {
        "momentum": ("optimizer", ("sgd",)),
        "smoothing": ("optimizer", ("rmsprop",)),
        "beta1": ("optimizer", ("adam",)),
        "beta2": ("optimizer", ("adam",)),
        "epsilon": ("optimizer", ("adam", "rmsprop", "adagrad")),
        "decay_after": ("schedule", ("exponential",)),
        "decay_every": ("schedule", ("exponential",)),
        "decay_rate": ("schedule", ("exponential",)),
        "max_rollbacks": ("on_divergence", ("rollback",)),
    }
    flat = {key: value for section in config.to_json().values() for key, value in section.items()}
    for key, (chooser, users) in only_for.items():
        default = OPTIONS[KEYS[key]].default
        if flat[key] != default and flat[chooser] not in users:
            raise ConfigError(
                f"{printable(origins[KEYS[key]])}: {key} has no effect with {chooser} {flat[chooser]}",
                f"leave {key} out, or choose {chooser} {' or '.join(users)}",
            )
    if config.training.enough_epochs is not None and config.training.budget is None:
        raise ConfigError(
            f"{printable(origins['training.enough_epochs'])}: enough_epochs has no effect without a budget",
            "leave it out, or give a budget instead of epochs or steps",
        )
    if config.data.val_fraction + config.data.test_fraction >= 1:
        raise ConfigError("val_fraction and test_fraction leave nothing to train on", "their sum must stay below 1")


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"valid are: {', '.join(known)}"


def _nearest_option(name: str) -> str:
    """For an unknown ``section.key``: the option of the same or nearly the same key, in whichever section it is."""
    section, _, key = name.rpartition(".")
    close = difflib.get_close_matches(key, list(KEYS), n=1, cutoff=0.5)
    of_section = [option for option in OPTIONS if option.startswith(f"{section}.")]
    return f"did you mean {KEYS[close[0]]}?" if close else f"valid are: {', '.join(of_section or OPTIONS)}"


def flat_settings(values: Mapping[str, Any], origin: str = "keyword") -> dict[str, Setting]:
    """Settings from options by key alone, as the Python surface takes them. Raises ConfigError for an unknown key."""
    for key in values:
        if key not in KEYS:
            raise ConfigError(f"unknown option {printable(key)}", _nearest(key, KEYS))
    return {KEYS[key]: Setting(value, f"{origin} {key}") for key, value in values.items()}


def parse_assignment(text: str) -> dict[str, Setting]:
    """The setting in ``section.key=value``. Raises ConfigError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {printable(text)}: expected section.key=value", "for example --set model.layers=3")
    return {name.strip(): Setting(value.strip(), f"--set {name.strip()}")}


def read_file(path: Path) -> dict[str, Setting]:
    """The settings in a YAML file of the form ``section:`` newline ``  key: value``.

    Scalars are read as text and get their type from the option, so that 1e-3 is a number and ``no`` a word. Raises
    ConfigError naming file, line and key for anything else: aliases, tags, lists, duplicates, other depths.
    """
    import yaml

    text = _read_text(path)
    shown = printable(str(path))
    try:
        return _settings_from_events(yaml.parse(text, yaml.SafeLoader), shown)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{shown}:{line}: not valid YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{shown}:{line}: not valid YAML: {printable(str(error.problem))}") from error


def _read_text(path: Path) -> str:
    shown = printable(str(path))
    try:
        if not path.is_file():
            raise ConfigError(f"{shown}: no such configuration file", "the presets are in configs/ of charnn's source")
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ConfigError(f"{shown}: larger than {MAX_FILE_SIZE // 1024} KB: not a configuration")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise StorageError(f"cannot read {shown}: {error.strerror}") from error


def _settings_from_events(events: Iterable[Any], shown: str) -> dict[str, Setting]:
    """Walk the parser's events: one document, a mapping of sections, each a mapping of scalars.

    The first event out of place ends the walk, and with it the parser's work, which grows fast with nesting.
    """
    settings: dict[str, Setting] = {}
    depth, documents = 0, 0
    section = key = ""
    sections: set[str] = set()
    for event in events:
        kind = type(event).__name__
        line = event.start_mark.line + 1
        place = f"{shown}:{line}"
        if getattr(event, "anchor", None) or (getattr(event, "tag", None) is not None):
            raise ConfigError(f"{place}: aliases, anchors and tags have no place in a configuration")
        if kind == "DocumentStartEvent":
            documents += 1
            if documents > 1:
                raise ConfigError(f"{place}: a second document; a configuration is one")
        elif kind == "MappingStartEvent" and (depth == 0 or (depth == 1 and section)):
            depth += 1
        elif kind == "MappingEndEvent":
            depth -= 1
            section = ""
        elif kind == "ScalarEvent" and depth == 1 and not section:
            section = event.value
            if section not in SECTIONS:
                raise ConfigError(f"{place}: unknown section {printable(section)[:80]}", _nearest(section, SECTIONS))
            if section in sections:
                raise ConfigError(f"{place}: section {section} appears twice")
            sections.add(section)
        elif kind == "ScalarEvent" and depth == 1 and event.value == "":
            section = ""  # a section without entries
        elif kind == "ScalarEvent" and depth == 2 and not key:
            key = f"{section}.{event.value}"
            if key in settings:
                raise ConfigError(f"{place}: {printable(key)} appears twice")
            if key not in OPTIONS:
                raise ConfigError(f"{place}: unknown key {printable(key)[:80]}", _nearest_option(key))
        elif kind == "ScalarEvent" and depth == 2:
            settings[key] = Setting(event.value, place)
            coerce(key, settings[key])
            key = ""
        elif kind not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent") and not (
            kind == "ScalarEvent" and depth == 0 and event.value == ""
        ):
            raise ConfigError(f"{place}: expected sections of simple values", "see configs/ for examples")
    return settings


def to_yaml(config: Config) -> str:
    """The configuration as a file that ``read_file`` reads back to the same values."""
    lines = ["# The resolved configuration of this run."]
    for section, values in config.to_json().items():
        lines.append(f"{section}:")
        for key, value in values.items():
            if value is None and not OPTIONS[f"{section}.{key}"].metadata.get("auto"):
                continue
            lines.append(f"  {key}: {_scalar(key, value)}")
    return "\n".join(lines) + "\n"


def _scalar(key: str, value: Any) -> str:
    if value is None:
        return "auto"
    if key == "budget":
        return f"{value}s"
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][\w.-]*", value):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
