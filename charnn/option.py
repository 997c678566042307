"""A value as somebody gave it, and the option that it is for, enter; the value in its type, within its limits, leaves.

An option is a dataclass field made by ``option``. All errors name the option and where the value came from.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from charnn.errors import ConfigError, printable

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def option(default: Any, help: str, **limits: Any) -> Any:
    """A field with its help and its limits: choices, low, high (inclusive), above, below (exclusive), auto.

    ``least`` is the smallest value but 0, which is always allowed beside it; ``aliases`` are other names of choices;
    ``duration`` says that a number is a time such as 10m, ``several`` that a text holds globs with commas between them.
    """
    return dataclasses.field(default=default, metadata={"help": help, **limits})


def convert(spec: dataclasses.Field[Any], value: Any, origin: str) -> Any:
    """The value of an option, from text or a Python object; "auto" is None where the option allows it.

    Raises ConfigError.
    """
    limits, shown = spec.metadata, f"{printable(origin)}: {spec.name}"
    if limits.get("auto") and str(value) == "auto":
        return None
    if limits.get("duration"):
        value = _seconds(value, shown)
    value = TYPES[str(spec.type).partition(" ")[0]](value, shown)
    if choices := choices_of(spec):
        value = value if value in choices else limits.get("aliases", {}).get(value, value)
        _check_choice(value, choices, shown)
    else:
        _check_range(value, limits, shown)
    return value


def choices_of(spec: dataclasses.Field[Any]) -> tuple[str, ...]:
    """What an option may be, where that is one of a few words."""
    choices = spec.metadata.get("choices", ())
    return tuple(choices() if callable(choices) else choices)


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


def _text(value: Any, shown: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{shown} must be text, not {printable(repr(value))[:80]}")
    if not value.isprintable():
        raise ConfigError(f"{shown} must be text that prints, not {printable(value)[:80]}")
    return value


TYPES: dict[str, Callable[[Any, str], Any]] = {"int": _integer, "float": _number, "str": _text}
"""What makes a value of each type, by the name of the type."""


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
            f"{shown} must be one of {', '.join(choices)}, not {printable(value)[:80]}", nearest(value, choices)
        )


RANGE_TESTS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "low": (operator.ge, "at least"),
    "high": (operator.le, "at most"),
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
    "least": (lambda value, least: value == 0 or value >= least, "0 or at least"),
}


def _check_range(value: Any, limits: Mapping[str, Any], shown: str) -> None:
    for kind, (holds, words) in RANGE_TESTS.items():
        if kind in limits and not holds(value, limits[kind]):
            raise ConfigError(f"{shown} must be {words} {limits[kind]}, not {value}")


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint for a word that is none of the known ones."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"valid are: {', '.join(known)}"
