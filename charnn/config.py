"""What the user asked for enters, layer by layer (a file, then flags); one frozen, checked ``Config`` leaves.

Every option is a field below, with its help, type and range. Unknown keys, wrong types, values out of range and options
without effect are errors that name the place and, where there is one, the nearest valid key.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charnn.errors import ConfigError, printable
from charnn.option import convert, nearest, option

OPTIMIZERS = {
    "sgd": ("momentum",),
    "rmsprop": ("smoothing", "epsilon"),
    "adagrad": ("epsilon",),
    "adam": ("beta1", "beta2", "epsilon"),
}
"""Every update rule with the options that it takes; ``charnn/network/optimizers.py`` has a class of its name."""

SMALLEST_DROPOUT = 0.004
"""Shares are rounded to a 256th, see ``charnn/network/dropout.py``: much less than this would be none."""


CELL_ALIASES = {"rnn": "vanilla"}
"""What cells are also called."""


def cell_names() -> tuple[str, ...]:
    """The cells there are: every file in ``charnn/network/cells`` but the base."""
    files = (Path(__file__).parent / "network" / "cells").glob("*.py")
    return tuple(sorted({file.stem for file in files} - {"__init__", "base"}))


@dataclass(frozen=True)
class DataConfig:
    """How a text becomes ids, and which part of it is held out."""

    tokens: str = option("chars", "unit of text that the network predicts", choices=("chars", "bytes"))
    encoding: str = option("utf-8", "encoding of the text files")
    normalize: str = option("none", "Unicode normal form", choices=("none", "nfc", "nfd"))
    line_ends: str = option("keep", "line ends as they are, or LF for CR LF and CR", choices=("keep", "lf"))
    include: str = option("", "files of a folder to read, by globs of their paths below it", several=True)
    exclude: str = option("", "files of a folder to leave out, by globs of their paths below it", several=True)
    val_fraction: float = option(
        0.1, "share of the text, after the training part, held out for validation", low=0, below=1
    )
    test_fraction: float = option(0.0, "share of the text, at its end, held out for testing", low=0, below=1)


@dataclass(frozen=True)
class ModelConfig:
    """What the network is."""

    cell: str = option("lstm", "recurrent cell; rnn: vanilla", choices=cell_names, aliases=CELL_ALIASES)
    activation: str = option("auto", "nonlinearity of a vanilla cell; auto: tanh", choices=("auto", "tanh", "relu"))
    layers: int = option(2, "recurrent layers", low=1, high=64)
    hidden_size: int = option(128, "hidden units per layer", low=1, high=65536)
    embedding_size: int = option(0, "size of the character embedding; 0: one-hot", low=0, high=65536)
    forget_bias: float = option(1.0, "lstm: initial bias of the forget gate", low=-100, high=100)
    chrono: int = option(
        0,
        "gru, lstm: chrono initialisation, memories of up to so many characters at the start; 0: off",
        low=0,
        high=10**9,
    )
    dropout: float = option(
        0.0, "dropout probability of each layer's outputs", low=0, high=0.95, least=SMALLEST_DROPOUT
    )
    dropout_samples: int = option(
        1, "dropout masks of the top layer that the loss is averaged over, in antithetic pairs", low=1, high=256
    )
    input_dropout: float = option(
        0.0,
        "dropout probability of each character's vector, embedded or one-hot",
        low=0,
        high=0.95,
        least=SMALLEST_DROPOUT,
    )


@dataclass(frozen=True)
class OptimizationConfig:
    """How gradients change the weights."""

    optimizer: str = option("adam", "update rule", choices=tuple(OPTIMIZERS))
    learning_rate: float = option(2e-3, "peak learning rate", above=0, high=1000)
    schedule: str = option("cosine", "learning-rate schedule", choices=("constant", "exponential", "cosine"))
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
    clip_norm: float = option(5.0, "clip the norm of the gradient to this; 0: no clipping", low=0, high=1e9)
    clip_value: float = option(0.0, "clip each element of the gradient to this; 0: no clipping", low=0, high=1e9)


@dataclass(frozen=True)
class TrainingConfig:
    """How long, in what pieces, and what is written when."""

    seq_length: int = option(64, "characters per stream and step: truncated BPTT", low=1, high=10**9)
    batch_size: int = option(32, "parallel streams, the mini-batch", low=1, high=10**6)
    budget: float | None = option(
        None,
        "time to train for at most: 90s, 10m, 2h; 5m unless epochs or steps are given",
        above=0,
        high=10**9,
        duration=True,
    )
    epochs: float | None = option(None, "passes over the training text, instead of a time", above=0, high=10**9)
    steps: int | None = option(None, "updates, instead of a time", low=1, high=10**12)
    enough_epochs: float | None = option(
        None, "with a budget: passes after which the text is learned, and training ends", above=0, high=10**9, auto=True
    )
    seed: int = option(1, "seed of initial weights, stream offsets and dropout", low=0, high=2**63 - 1)
    workers: int | None = option(None, "processes that share the work", low=1, high=1024, auto=True)
    validate_every: int | None = option(None, "steps between validations", low=1, high=10**12, auto=True)
    checkpoint_every: int | None = option(None, "steps between checkpoints", low=1, high=10**12, auto=True)
    log_every: int | None = option(None, "steps between lines of metrics.jsonl", low=1, high=10**12, auto=True)
    keep: int = option(2, "newest checkpoints kept, beside the best", low=2, high=10**6)  # only a next step proves one
    on_divergence: str = option("stop", "what to do when training diverges", choices=("stop", "rollback"))
    max_rollbacks: int = option(3, "rollback: times training may go back, halving its rate", low=1, high=1000)

    def updates(self, per_epoch: int) -> int | None:
        """How many updates steps or epochs ask for; None under a budget, where speed decides."""
        return self.steps if self.epochs is None else max(1, round(self.epochs * per_epoch))


LENGTHS = ("epochs", "steps", "budget")
"""The three ways to say how long; one at a time."""

CHANGEABLE = (
    *(*LENGTHS, "enough_epochs", "workers", "checkpoint_every", "keep", "on_divergence", "max_rollbacks"),
    *("learning_rate", "schedule", "warmup_steps", "decay_after", "decay_every", "decay_rate", "weight_decay"),
    *("momentum", "smoothing", "beta1", "beta2", "epsilon", "clip_norm", "clip_value"),
    *("dropout", "dropout_samples", "input_dropout"),
)
"""What may be given anew as a run resumes: it says how, how long and how safely to train, not what is trained."""

DEFAULT_BUDGET = 300.0
"""Seconds that a training takes at most where nothing says how long."""

DEFAULT_EPOCHS = 20.0
"""How long a configuration from a file trains that does not say it."""


@dataclass(frozen=True)
class Config:
    """All options of a run. Their names are unique across the sections."""

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
    chosen: dict[str, Setting] = {}
    for layer in layers:
        if _lengths_in(layer):
            chosen = {name: setting for name, setting in chosen.items() if not _is_length(name)}
        chosen |= {name: Setting(coerce(name, setting), setting.origin) for name, setting in layer.items()}
    if not _lengths_in(chosen):
        key, length = ("epochs", DEFAULT_EPOCHS) if fixed else ("budget", DEFAULT_BUDGET)
        chosen[KEYS[key]] = Setting(length, "default")
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, setting in chosen.items():
        section, _, key = name.partition(".")
        values[section][key] = setting.value
    config = Config(**{section: kind(**values[section]) for section, kind in SECTIONS.items()})
    origins = {name: chosen[name].origin if name in chosen else "default" for name in OPTIONS}
    check_combinations(config, origins)
    return Resolved(config, origins, fixed)


def _lengths_in(layer: Mapping[str, Setting]) -> list[str]:
    """What a layer says of how long to train. Raises ConfigError where it says so in two ways."""
    lengths = [name for name in layer if _is_length(name)]
    if len(lengths) > 1:
        names = " and ".join(name.partition(".")[2] for name in lengths)
        raise ConfigError(f"{layer[lengths[0]].origin}: {names} cannot be combined", "give one of them")
    return lengths


def _is_length(name: str) -> bool:
    return name.partition(".")[2] in LENGTHS


def coerce(name: str, setting: Setting) -> Any:
    """The value of option ``section.key`` in its type, checked against its limits. Raises ConfigError."""
    if name not in OPTIONS:
        where = printable(setting.origin)
        raise ConfigError(f"{where}: unknown key {printable(name)[:80]}", nearest_option(name))
    return convert(OPTIONS[name], setting.value, setting.origin)


EFFECTIVE_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        key: ("optimizer", tuple(rule for rule, taken in OPTIMIZERS.items() if key in taken))
        for keys in OPTIMIZERS.values()
        for key in keys
    },
    "decay_after": ("schedule", ("exponential",)),
    "decay_every": ("schedule", ("exponential",)),
    "decay_rate": ("schedule", ("exponential",)),
    "max_rollbacks": ("on_divergence", ("rollback",)),
}
"""Options that only have an effect with certain choices of another one."""


def check_combinations(config: Config, origins: Mapping[str, str]) -> None:
    """Options that another choice leaves without effect are errors, so that none is accepted and ignored."""
    flat = {key: value for section in config.to_json().values() for key, value in section.items()}
    for key, (chooser, users) in EFFECTIVE_WITH.items():
        if flat[key] != OPTIONS[KEYS[key]].default and flat[chooser] not in users:
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


def check_fitted(config: Config) -> None:
    """The same for options that depend on what may yet be fitted to the text: to be asked when that is done."""
    workers, streams = config.training.workers or 1, config.training.batch_size
    if workers > streams:
        raise ConfigError(
            f"{workers} workers cannot share {streams} parallel streams",
            f"use at most {streams} workers, or a larger --batch-size",
        )
    if config.model.dropout_samples > 1 and not config.model.dropout:
        raise ConfigError("dropout_samples has no effect with dropout 0", "leave it out, or choose a dropout above 0")


def nearest_option(name: str) -> str:
    """For an unknown ``section.key``: the option of the same or nearly the same key, in whichever section it is."""
    section, _, key = name.rpartition(".")
    close = difflib.get_close_matches(key, list(KEYS), n=1, cutoff=0.5)
    of_section = [option for option in OPTIONS if option.startswith(f"{section}.")]
    return f"did you mean {KEYS[close[0]]}?" if close else f"valid are: {', '.join(of_section or OPTIONS)}"


def flat_settings(values: Mapping[str, Any], origin: str = "keyword") -> dict[str, Setting]:
    """Settings from options by key alone, as the Python surface takes them. Raises ConfigError for an unknown key."""
    for key in values:
        if key not in KEYS:
            raise ConfigError(f"unknown option {printable(key)}", nearest(key, KEYS))
    return {KEYS[key]: Setting(value, f"{origin} {key}") for key, value in values.items()}


def parse_assignment(text: str) -> dict[str, Setting]:
    """The setting in ``section.key=value``. Raises ConfigError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {printable(text)}: expected section.key=value", "for example --set model.layers=3")
    return {name.strip(): Setting(value.strip(), f"--set {name.strip()}")}
