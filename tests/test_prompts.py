"""Prompts, stops and texts as people type them: escapes, files, and characters that a network has never seen."""

from __future__ import annotations

import io
import json
import shlex
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import TINY, complaint, new_run

import charnn
from charnn import cli
from charnn.cli.prompts import escaped, known_stops, unescaped
from charnn.config import flat_settings, resolve
from charnn.errors import ConfigError, UnknownCharacters
from charnn.runs.opening import create
from charnn.runs.snapshot import load_snapshot
from charnn.sampling.sampler import Sampling

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on lines of words, on the same with CR LF, with accents taken apart, and on bytes; none of them trained."""
    folder = tmp_path_factory.mktemp("prompts")
    new_run(folder).close()
    texts = {
        "crlf": "the sea and wind\r\n" * 200,
        "apart": unicodedata.normalize("NFD", "caf\u00e9 na\u00efve \u00fcber\n" * 200),
        "bytes": "the sea\\\n" * 200,
    }
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
        settings = {**TINY, "tokens": "bytes" if name == "bytes" else "chars"}
        create(resolve(flat_settings(settings), fixed=True), [folder / f"{name}.txt"], folder / name).close()
    return folder


@pytest.fixture
def call(folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Call:
    """A command in the folder: its exit code, standard output and standard error."""
    monkeypatch.chdir(folder)

    def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = cli.run(words)
        out, err = capsysbinary.readouterr()
        return code, out.decode(errors="surrogateescape"), err.decode()

    return run


def prompt_of(call: Call, run: str, *words: str, stdin: bytes = b"") -> str:
    """What a network was given to go on from."""
    code, out, err = call("sample", run, *words, "-n", "1", "--json", stdin=stdin)
    assert code == 0, err
    prompt: str = json.loads(out)["prompt"]
    return prompt


# Escapes


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (r"a\nb", "a\nb"),
        (r"a\tb\r", "a\tb\r"),
        (r"a\\n", r"a\n"),
        (r"\x41\x1b\xe9", "A\x1b\u00e9"),
        (r"\u00e9\u2019", "\u00e9\u2019"),
        (r"\U0001f600", "\U0001f600"),
        ("plain \u00e9", "plain \u00e9"),
    ],
)
def test_escapes_mean_what_they_mean_elsewhere(word: str, text: str) -> None:
    assert unescaped(word) == text
    assert unescaped(escaped(text)) == text


def test_a_byte_is_a_byte_for_a_network_of_bytes() -> None:
    assert unescaped(r"\xff\x41\xe9", bytewise=True) == "\udcffA\udce9"
    assert unescaped(r"\u00e9", bytewise=True) == "\u00e9"


@pytest.mark.parametrize("word", [r"\q", "a\\", r"\x4", r"\u12", r"\ud800", r"\U00110000", "\\\n"])
def test_no_other_escape_is_guessed_at(word: str) -> None:
    told = complaint(lambda: unescaped(word), ConfigError)
    assert "is no escape" in told and r"\\" in told and "--literal" in told


def test_prompts_have_escapes_and_literal_ones_have_none(call: Call) -> None:
    assert prompt_of(call, "run", "-p", r"the\nsea\x2e") == "the\nsea."
    assert prompt_of(call, "bytes", "-p", r"sea\\", "--literal") == r"sea\\"
    assert prompt_of(call, "bytes", "-p", r"sea\\") == "sea\\"
    code, _, err = call("sample", "run", "-p", r"the\sea")
    assert code == 2 and r"\s is no escape" in err


def test_at_and_dash_name_files_but_for_a_second_at_and_literal_prompts(call: Call, folder: Path) -> None:
    (folder / "opening.txt").write_bytes(b"\xef\xbb\xbfthe sea\\n")
    assert prompt_of(call, "bytes", "-p", "@@sea") == "@sea"
    assert prompt_of(call, "bytes", "-p", "@sea", "--literal") == "@sea"
    assert prompt_of(call, "bytes", "-p", "-", "--literal") == "-"
    assert prompt_of(call, "run", "-p", "-", stdin=b"the sea") == "the sea"
    assert prompt_of(call, "run", "-p", "-", stdin=b"\xef\xbb\xbfthe sea") == "the sea"
    assert prompt_of(call, "bytes", "-p", "@opening.txt") == "\ufeffthe sea\\n"  # bytes are taken as they are
    code, _, err = call("sample", "run", "-p", "@sea")
    assert code == 3 and "no such prompt file" in err and "@@" in err


# Stops


def test_a_stop_is_typed_like_a_prompt_and_ends_the_text(call: Call) -> None:
    for words in (["--stop", r"\n"], ["--stop", "\n", "--literal"], ["--stop", r"\x0a"]):
        code, out, _ = call("sample", "run", "-n", "500", "--seed", "1", "--json", *words)
        sample = json.loads(out)
        assert code == 0 and sample["stopped_by"] == "stop" and "\n" not in sample["text"]


def test_a_stop_that_can_never_be_written_is_an_error(call: Call) -> None:
    code, _, err = call("sample", "run", "--stop", "\u0436")
    assert code == 3 and "can never write the stop" in err and "'\u0436'" in err
    code, _, err = call("sample", "run", "-p", "the", "--stop", "s\u00e9a")
    assert code == 3 and "charnn sample run -p the --stop sea" in err
    assert call("sample", "run", "-p", "the", "--stop", "s\u00e9a", "--unknown", "nearest", "-n", "9")[0] == 0
    assert call("sample", "run", "--stop", "\u0436", "--unknown", "skip")[0] == 3
    assert call("sample", "bytes", "--stop", "\u0436", "-n", "9")[0] == 0
    run = charnn.load("run")
    assert "\u0436" in complaint(lambda: run.sample(stop=("\u0436",)), UnknownCharacters)
    assert "\u0436" in complaint(lambda: run.session(stop=("\u0436",)), UnknownCharacters)


@pytest.mark.parametrize(
    ("run", "word", "stop"),
    [
        ("crlf", r"\n", "\r\n"),
        ("run", r"sea\r\n", "sea\n"),
        ("apart", "caf\u00e9", "cafe\u0301"),
        ("bytes", r"\xff\\", "\udcff\\"),
    ],
)
def test_stops_are_in_the_form_that_the_network_writes(run: str, word: str, stop: str, folder: Path) -> None:
    loaded = load_snapshot(folder / run)
    assert known_stops(Sampling(stop=(word, "e")), loaded, "error", literal=False).stop == (stop, "e")


# The same text in another form


def test_a_prompt_takes_the_form_that_the_network_has_learned(call: Call) -> None:
    assert prompt_of(call, "apart", "-p", "caf\u00e9") == "cafe\u0301"
    assert prompt_of(call, "crlf", "-p", r"the\nsea") == "the\r\nsea"
    assert prompt_of(call, "crlf", "-p", r"the\r\nsea\r\n") == "the\r\nsea\r\n"
    assert prompt_of(call, "run", "-p", r"the\r\nsea") == "the\nsea"


@pytest.mark.parametrize(
    ("run", "text", "as_read"),
    [
        ("apart", "caf\u00e9 \u00fcber\n", unicodedata.normalize("NFD", "caf\u00e9 \u00fcber\n")),
        ("crlf", "the sea\nand wind\n", "the sea\r\nand wind\r\n"),
        ("run", "the sea\r\nand wind\r\n", "the sea\nand wind\n"),
    ],
)
def test_a_scored_text_takes_the_form_that_the_network_has_learned(
    run: str, text: str, as_read: str, call: Call, folder: Path
) -> None:
    (folder / "scored.txt").write_bytes(text.encode())
    code, out, err = call("score", run, "scored.txt", "--json")
    assert (code, err) == (0, "")
    own = charnn.load(folder / run).score(as_read)
    assert json.loads(out)["characters"] == len(own.nats)
    assert json.loads(out)["nats_per_character"] == pytest.approx(own.nats_per_character)
    assert charnn.load(folder / run).score(text).text == as_read


# Characters never seen


def test_the_error_offers_the_nearest_prompt_as_a_command(call: Call) -> None:
    words = ["sample", "run", "--top-k", "3", "--prompt", "The s\u00e9a\u2026\n", "-n", "5"]
    code, out, err = call(*words)
    assert (code, out) == (3, "") and "'\u00e9' (U+00E9, near 'e')" in err
    command = shlex.split(err.splitlines()[-1])
    assert command == ["charnn", "sample", "run", "--top-k", "3", "--prompt", r"The sea...\n", "-n", "5"]
    assert call(*command[1:])[:2][0] == 0


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--prompt=s\u00e9a"], "--prompt=sea"),
        (["-ps\u00e9a"], "-psea"),
        (["-p", "s\u00e9a", "--literal"], "-p sea --literal"),
        (["-p", "-"], "-p - --unknown nearest"),
    ],
)
def test_the_command_is_the_one_that_was_given_but_for_the_prompt(words: list[str], offered: str, call: Call) -> None:
    _, _, err = call("sample", "run", *words, stdin="s\u00e9a".encode())
    assert err.splitlines()[-1].strip() == f"charnn sample run {offered}"


def test_without_anything_near_the_error_offers_to_leave_out(call: Call) -> None:
    code, _, err = call("sample", "run", "-p", "the \u0436")
    assert code == 3 and "--unknown skip" in err and "near" not in err


def test_nearest_replaces_and_says_so(call: Call) -> None:
    code, out, err = call("sample", "run", "-p", "the s\u00e9a", "--unknown", "nearest", "-n", "5", "--seed", "1")
    assert code == 0 and out.startswith("the sea") and "read '\u00e9' as 'e'" in err
    assert "".join(charnn.load("run").sample("the s\u00e9a", unknown="nearest", length=5, seed=1)) == out[7:-1]
    assert call("sample", "run", "-p", "the \u0436", "--unknown", "nearest")[0] == 3


def test_skip_says_what_it_left_out_and_something_must_be_left(call: Call) -> None:
    code, out, err = call("sample", "run", "-p", "the \u0436sea", "--unknown", "skip", "-n", "5")
    assert code == 0 and out.startswith("the sea") and "left out" in err and "'\u0436'" in err
    code, out, err = call("sample", "run", "-p", "\u0436\u0436", "--unknown", "skip")
    assert (code, out) == (3, "") and "any character" in err


def test_a_scored_text_may_have_unknown_characters_replaced_or_left_out(call: Call, folder: Path) -> None:
    known, text = charnn.load(folder / "run"), "the s\u00e9a wind\n"
    (folder / "odd.txt").write_text(text)
    code, out, err = call("score", "run", "odd.txt", "--json")
    assert (code, out) == (3, "") and "'\u00e9' (U+00E9, near 'e')" in err
    assert err.splitlines()[-1].strip() == "charnn score run odd.txt --json --unknown nearest"
    code, out, err = call("score", "run", "odd.txt", "--json", "--unknown", "nearest")
    assert code == 0 and "read '\u00e9' as 'e'" in err
    assert json.loads(out)["nats_per_character"] == pytest.approx(known.score("the sea wind\n").nats_per_character)
    assert known.score(text, unknown="nearest").text == "the sea wind\n"
    code, out, err = call("score", "run", "odd.txt", "--json", "--unknown", "skip")
    assert (json.loads(out)["characters"], json.loads(out)["unknown"]) == (12, 1)
    assert "left out 1 character " in err
    assert len(known.score(text, unknown="skip").nats) == 12


def test_a_scored_text_that_is_left_out_altogether_is_an_error(call: Call, folder: Path) -> None:
    (folder / "odd.txt").write_text("\u0436\u0436")
    code, out, err = call("score", "run", "odd.txt", "--json", "--unknown", "skip")
    assert (code, out) == (3, "") and "any character" in err


def test_two_runs_score_what_both_of_them_know(call: Call, folder: Path) -> None:
    (folder / "odd.txt").write_text("the\nSea\n")
    assert call("score", "run", "odd.txt", "--against", "crlf", "--json")[0] == 3  # "S" is in one of the texts only
    code, out, err = call("score", "run", "odd.txt", "--against", "crlf", "--json", "--unknown", "nearest")
    assert code == 0 and json.loads(out)["characters"] == 8 and "read 'S' as 's'" in err
    code, out, _ = call("score", "run", "odd.txt", "--against", "crlf", "--json", "--unknown", "skip")
    assert code == 0 and json.loads(out)["characters"] == 7


def test_units_are_looked_at_on_a_text_with_near_characters(call: Call, folder: Path) -> None:
    (folder / "long.txt").write_text("the s\u00e9a and wind\n" * 20)
    assert call("neurons", "run", "long.txt", "--json")[0] == 3
    code, _, err = call("neurons", "run", "long.txt", "--json", "--unknown", "nearest")
    assert code == 0 and "read '\u00e9' as 'e'" in err
