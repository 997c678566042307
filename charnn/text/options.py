"""The options that say how texts are read enter, from wherever they are kept; what this room needs of them leaves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from charnn.errors import ConfigError
from charnn.text.decoding import text_encoding
from charnn.text.unicode import NORMAL_FORMS


@dataclass(frozen=True)
class ReadOptions:
    """How texts are read: the options of the same names in the section ``data`` of a configuration."""

    encoding: str = "utf-8"
    tokens: str = "chars"
    normalize: str = "none"
    line_ends: str = "keep"
    """Of these, "crlf" is no option of the configuration: it is for texts beside one that ends its lines so."""
    include: str = ""
    exclude: str = ""

    @classmethod
    def of(cls, data: Any) -> ReadOptions:
        """From whatever has attributes of these names."""
        return cls(**{field.name: getattr(data, field.name) for field in dataclasses.fields(cls)})

    def checked(self) -> ReadOptions:
        """The same with Python's own name of the encoding. Raises ConfigError for what makes no sense."""
        if self.tokens == "bytes" and self.normalize != "none":
            raise ConfigError(f"normalize is {self.normalize}, but bytes are not normalized", "--tokens chars")
        if self.normalize != "none" and self.normalize not in NORMAL_FORMS:
            raise ConfigError(f"normalize is {self.normalize!r}", f"one of: none, {', '.join(NORMAL_FORMS)}")
        return dataclasses.replace(self, encoding=text_encoding(self.encoding))

    def chooses(self, path: str) -> bool:
        """Whether a file of a folder is to be read, by its path below that folder, with slashes."""
        included = not self.include or _matches(path, self.include)
        return included and not _matches(path, self.exclude)


AS_IT_IS = ReadOptions()
"""Text in UTF-8, with nothing changed."""


def _matches(path: str, globs: str) -> bool:
    """Whether one of the globs, which commas separate, is that of the path, or without a slash of any name in it."""
    names = path.split("/")
    for glob in filter(None, map(str.strip, globs.split(","))):
        if fnmatchcase(path, glob) or ("/" not in glob and any(fnmatchcase(name, glob) for name in names)):
            return True
    return False
