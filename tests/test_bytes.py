"""Bytes come out as bytes: from a file through training and sampling to a pipe, with all 256 values."""

from __future__ import annotations

import base64
import json
import random
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helpers import TINY

import charnn
from charnn.cli import main
from charnn.config import flat_settings, resolve
from charnn.errors import CorpusError
from charnn.runs.opening import create
from charnn.text.unicode import bytes_of

EVERY_BYTE = bytes(range(256))
DRAWN = 4000
"""So many bytes of a network that has learned nothing hold each value."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of bytes that knows nothing yet, so that it draws all of them."""
    folder = tmp_path_factory.mktemp("bytes")
    data = list(EVERY_BYTE * 10)
    random.Random(1).shuffle(data)
    (folder / "data.bin").write_bytes(bytes(data))
    settings = resolve(flat_settings({**TINY, "tokens": "bytes"}), fixed=True)
    create(settings, [folder / "data.bin"], folder / "run").close()
    return folder / "run"


def sample(*words: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(main, ["sample", *map(str, words)], input=stdin)


def test_what_is_drawn_is_written_byte_for_byte_and_the_length_counts_bytes(run: Path) -> None:
    written = sample(run, "--length", str(DRAWN), "--seed", "1").stdout_bytes
    assert len(written) == DRAWN
    assert set(written) == set(EVERY_BYTE)
    assert written == bytes_of("".join(charnn.load(run).sample(length=DRAWN, seed=1)))


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x82", b"a\r\n\xff\x00", "é\n".encode(), EVERY_BYTE])
def test_a_prompt_is_taken_as_it_is(run: Path, tmp_path: Path, cut: bytes) -> None:
    (tmp_path / "prompt").write_bytes(cut)
    words = ("--length", "50", "--seed", "2")
    written = sample(run, "--prompt", f"@{tmp_path}/prompt", *words).stdout_bytes
    assert written.startswith(cut) and len(written) == len(cut) + 50
    assert sample(run, "--prompt", "-", *words, stdin=cut).stdout_bytes == written


def test_json_has_the_bytes_beside_a_text_that_any_reader_takes(run: Path) -> None:
    words = ("--length", str(DRAWN), "--seed", "1")
    (line,) = sample(run, *words, "--json", "--prompt", "-", stdin=b"\xff").stdout.splitlines()
    found = json.loads(line)
    drawn = base64.b64decode(found["bytes"])
    assert b"\xff" + drawn == sample(run, *words, "--prompt", "-", stdin=b"\xff").stdout_bytes
    assert found["text"] == drawn.decode("utf-8", "replace")
    assert found["prompt"] == "\ufffd"


def test_a_terminal_sees_what_cannot_control_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda stream: True)
    shown = sample(run, "--length", str(DRAWN), "--seed", "1").stdout
    assert shown.endswith("\n") and r"\x80" in shown and r"\x1b" in shown
    assert all(unicodedata.category(character)[0] != "C" or character in "\t\n" for character in shown)
    exact = sample(run, "--length", str(DRAWN), "--seed", "1", "--raw").stdout_bytes
    assert set(exact[:-1]) == set(EVERY_BYTE)


def test_python_takes_and_gives_the_same_bytes(run: Path) -> None:
    loaded = charnn.load(run)
    whole = loaded.vocabulary.decode(EVERY_BYTE)
    assert loaded.score(whole).nats.shape == (256,)
    text = "".join(loaded.sample(prompt=whole, length=DRAWN, seed=3))
    assert loaded.vocabulary.encode(text).tobytes() == bytes_of(text)


def test_a_network_of_characters_refuses_a_prompt_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a text of characters\n" * 200)
    create(resolve(flat_settings(TINY), fixed=True), [tmp_path / "text.txt"], tmp_path / "run").close()
    result = sample(tmp_path / "run", "--prompt", "-", stdin=b"text\xff")
    assert isinstance(result.exception, CorpusError)
    assert result.exception.message == "the text is not UTF-8 at byte 4"
