"""The first bytes of a file and the name of an encoding enter; the codec that decodes the file leaves.
Where a byte cannot be decoded, the error that says where it stands and what the file looks like instead.
"""

from __future__ import annotations

import codecs
import difflib
import io
import re
from encodings.aliases import aliases
from typing import IO

from charnn.errors import ConfigError, CorpusError, printable

HEAD = 4096
"""Bytes that tell what a file looks like."""

_REFUSED_ENCODINGS = re.compile(r"idna|punycode|undefined|(raw_)?unicode_escape|utf_7|mbcs|oem|hz|iso2022_.*")
_BOMS = {  # encoding -> the byte order marks it may begin with, and what each settles
    "utf-8": {codecs.BOM_UTF8: "utf-8"},
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be", b"": "utf-16-le"},
    "utf-16-le": {codecs.BOM_UTF16_LE: "utf-16-le"},
    "utf-16-be": {codecs.BOM_UTF16_BE: "utf-16-be"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be", b"": "utf-32-le"},
    "utf-32-le": {codecs.BOM_UTF32_LE: "utf-32-le"},
    "utf-32-be": {codecs.BOM_UTF32_BE: "utf-32-be"},
}
_MAGIC = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a zip archive or an office document",
    b"\x1f\x8b": "gzip-compressed data",
    b"\xfd7zXZ": "xz-compressed data",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data",
    b"\x7fELF": "a program",
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def text_encoding(name: str) -> str:
    """Python's own name of an encoding of text. Raises ConfigError for any other codec."""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        near = difflib.get_close_matches(name.lower().replace("-", "_"), {*aliases, *aliases.values()})
        hint = f"did you mean {' or '.join(near)}?" if near else "for example utf-8, latin-1, cp1252, utf-16"
        raise ConfigError(f"there is no encoding {printable(name)[:60]!r}", hint) from None
    codec = info.name.replace("-", "_")
    if not info._is_text_encoding or not info.incrementaldecoder or _REFUSED_ENCODINGS.fullmatch(codec):
        raise ConfigError(f"{info.name} is no encoding for a corpus", "convert the text to UTF-8, or --tokens bytes")
    return "utf-8" if codec == "utf_8_sig" else info.name


def settle_encoding(head: bytes, name: str, encoding: str) -> tuple[str, int]:
    """The encoding that a byte order mark settles, and the offset where the text begins, after the mark."""
    kind = _looks_like(head)
    if kind.startswith("UTF-16") and not encoding.startswith(("utf-16", "utf-32")):
        raise CorpusError(f"{name} looks like {kind}, not like {encoding}", _try_encoding(kind))
    marks = _BOMS.get(encoding, {})
    mark = next((mark for mark in marks if head.startswith(mark)), b"")
    return marks.get(mark, encoding), len(mark)


def looks_binary(head: bytes, encoding: str) -> bool:
    """Whether the first bytes of a file are not those of a text in this encoding, even where they can be decoded."""
    kind = _looks_like(head)
    return bool(kind) and not (encoding.startswith(("utf-16", "utf-32")) and ("UTF" in kind or kind == "binary data"))


def _looks_like(head: bytes) -> str:
    """What the first bytes of a file give away, or nothing."""
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) >= 16 and max(even, odd) > 0.3 * len(head) and min(even, odd) < 0.05 * len(head):
        return f"UTF-16-{'LE' if odd > even else 'BE'} without a byte order mark"
    return "binary data" if even + odd else ""


def _try_encoding(kind: str) -> str:
    name = kind.split()[0].lower() if kind.startswith("UTF") else "NAME (for example latin-1)"
    return f"--encoding {name} or --tokens bytes"


def undecodable(file: IO[bytes], name: str, codec: str, start: int, offset: int, byte: int) -> CorpusError:
    """The error for a byte at `offset` of a file whose text begins at `start`."""
    lines = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(codec)("replace"), translate=True)
    file.seek(0)
    kind = _looks_like(file.read(HEAD))
    file.seek(start)
    sizes = [1 << 20] * ((offset - start) >> 20) + [(offset - start) % (1 << 20)]
    line = 1 + sum(lines.decode(file.read(size)).count("\n") for size in sizes)
    line += lines.decode(b"", final=True).count("\n")
    likeness = f"; the file looks like {kind}" if kind else ""
    what = f"{name} is not {codec}: byte 0x{byte:02x} at offset {offset:,}, line {line:,}{likeness}"
    return CorpusError(what, _try_encoding(kind))
