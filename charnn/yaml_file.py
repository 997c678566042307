"""A YAML file enters, settings by ``section.key`` leave; a configuration enters, a file that reads back to it leaves.

A file is plain data: one mapping of sections, each a mapping of keys to scalars, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from charnn.config import OPTIONS, SECTIONS, Config, Setting, coerce, nearest_option
from charnn.errors import ConfigError, StorageError, printable
from charnn.option import nearest
from charnn.shipped import preset_names

MAX_FILE_SIZE = 64 * 1024
"""A configuration is a page of text; anything larger is a mistake."""


def read_file(path: Path, name: str = "") -> dict[str, Setting]:
    """The settings in a YAML file of the form ``section:`` newline ``  key: value``; ``name`` is how it is told.

    Scalars are read as text and get their type from the option, so that 1e-3 is a number and ``no`` a word. Raises
    ConfigError naming file, line and key for anything else: aliases, tags, lists, duplicates, other depths.
    """
    shown = printable(name or str(path))
    text = _read_text(path, shown)
    try:
        return _settings(_Walk(yaml.parse(text, yaml.SafeLoader), shown))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{shown}:{line}: not valid YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{shown}:{line}: not valid YAML: {printable(str(error.problem))}") from error


def _read_text(path: Path, shown: str) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{shown}: no such configuration file or preset", nearest(path.stem, preset_names()))
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ConfigError(f"{shown}: larger than {MAX_FILE_SIZE // 1024} KB: not a configuration")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise StorageError(f"cannot read {shown}: {error.strerror}") from error


def _settings(walk: _Walk) -> dict[str, Setting]:
    settings: dict[str, Setting] = {}
    sections: set[str] = set()
    for section in walk.document():
        _check_section(section, sections, walk.place)
        sections.add(section)
        for key in walk.mapping():
            name = f"{section}.{key}"
            if name in settings:
                raise ConfigError(f"{walk.place}: {printable(name)} appears twice")
            if name not in OPTIONS:
                raise ConfigError(f"{walk.place}: unknown key {printable(name)[:80]}", nearest_option(name))
            value = walk.scalar()
            settings[name] = Setting(value, walk.place)
            coerce(name, settings[name])
    return settings


def _check_section(section: str, before: set[str], place: str) -> None:
    if section not in SECTIONS:
        raise ConfigError(f"{place}: unknown section {printable(section)[:80]}", nearest(section, SECTIONS))
    if section in before:
        raise ConfigError(f"{place}: section {section} appears twice")


class _Walk:
    """The parser's events, taken one by one in the order in which a configuration has them.

    The first that is out of place ends the walk, and with it the parser's work, which grows fast with nesting.
    ``place`` is where the last event stood: the file and its line.
    """

    def __init__(self, events: Iterator[yaml.Event], shown: str):
        self._events, self._shown = events, shown
        self.place = shown

    def document(self) -> Iterator[str]:
        """The keys of the only document; none where the file is empty."""
        self._next()  # the stream begins
        if isinstance(self._next(), yaml.StreamEndEvent):
            return
        yield from self.mapping()
        self._next()  # the document ends
        if not isinstance(self._next(), yaml.StreamEndEvent):
            raise ConfigError(f"{self.place}: a second document: only one is allowed")

    def mapping(self) -> Iterator[str]:
        """The keys of the mapping that comes next, if one does; what each of them holds is to be taken in between."""
        start = self._next()
        if isinstance(start, yaml.ScalarEvent) and start.value == "":
            return
        if not isinstance(start, yaml.MappingStartEvent):
            raise self._out_of_place()
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            yield self._text(event)

    def scalar(self) -> str:
        """The scalar that comes next."""
        return self._text(self._next())

    def _text(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._out_of_place()
        return str(event.value)

    def _next(self) -> yaml.Event:
        event = next(self._events)
        self.place = f"{self._shown}:{event.start_mark.line + 1 if event.start_mark else 1}"
        if getattr(event, "anchor", None) or getattr(event, "tag", None) is not None:
            raise ConfigError(f"{self.place}: aliases, anchors and tags are not allowed in a configuration")
        return event

    def _out_of_place(self) -> ConfigError:
        return ConfigError(f"{self.place}: expected sections of simple values", "for example  model: {layers: 2}")


def to_yaml(config: Config) -> str:
    """The configuration as a file that ``read_file`` reads back to the same values."""
    lines = ["# The resolved configuration of this run."]
    for section, values in config.to_json().items():
        lines.append(f"{section}:")
        for key, value in values.items():
            if value is not None or OPTIONS[f"{section}.{key}"].metadata.get("auto"):
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
