"""Writing together: by a script, by commands, in a chat, and at a keyboard."""

from __future__ import annotations

import io
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from helpers import TINY, complaint, write_text
from reference import cycle, random_model
from terminals import Terminal

import charnn
from charnn import cli
from charnn.cli.exchange import COMMANDS, Exchange
from charnn.cli.keyboard import Keyboard
from charnn.errors import UnknownCharacters
from charnn.sampling.sampler import Sampling
from charnn.sampling.session import Session
from charnn.terminal.writing import Page
from charnn.text.vocabulary import Vocabulary

LETTERS = Vocabulary("\n :ABabcdef")


def session_of(tokens: str, settings: Sampling | None = None, vocabulary: Vocabulary = LETTERS) -> Session:
    """A session with a network that writes the same characters over and over."""
    return Session(cycle(vocabulary, [vocabulary.characters.index(c) for c in tokens]), vocabulary, settings, 1)


class Somebody:
    """Types lines, and presses Ctrl-C after so many pieces of what the network writes."""

    attended = True

    def __init__(self, lines: Iterable[str], patience: int = 10**6) -> None:
        self._lines, self._patience = iter(lines), patience
        self.asked: list[tuple[str, str]] = []

    def next(self, prompt: str, begun: str = "") -> str | None:
        self.asked.append((prompt, begun))
        return next(self._lines, None)

    def interrupted(self) -> bool:
        self._patience -= 1
        return self._patience == 0


def play(session: Session, *lines: str, patience: int = 10**6, **options: object) -> Somebody:
    """Let somebody type these lines; the terminal shows them already."""
    somebody = Somebody(lines, patience)
    Exchange(session, Page(session, typed=True), somebody, **options).run()  # type: ignore[arg-type]
    return somebody


# A turn


def test_a_line_of_yours_is_followed_by_one_of_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n")
    assert play(session, "fade", "", "::abc").asked == [("> ", "")] * 4
    assert session.text == "fade\nabcdef\nabcdef\n:abc\nabcdef\n"
    assert capsys.readouterr().out == "abcdef\n" * 3


def test_a_backslash_leaves_the_rest_of_the_line_to_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n")
    play(session, "fabc\\")
    assert session.text == "fabcdef\n"


def test_a_turn_ends_with_the_length_and_the_next_goes_on_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n", Sampling(length=4))
    somebody = play(session, "", "", "")
    assert [prompt for prompt, _ in somebody.asked] == ["> ", "+ ", "> ", "+ "]
    assert session.text == "abcdef\nabcd"
    assert capsys.readouterr().out == "abcd\nef\nabcd\n"


def test_a_turn_ends_before_a_stop() -> None:
    session = session_of("abcdef\n", Sampling(stop=("cd",)))
    play(session, "", "cd\\")
    assert session.text == "abcdef\n"


def test_ctrl_c_stops_the_network_and_what_it_wrote_stays() -> None:
    session = session_of("abcdef")
    somebody = play(session, "f\\", "", patience=9)
    assert session.text == "f" + ("abcdef" * 100)[: 9 + 500]
    assert len(somebody.asked) == 3


def test_without_line_ends_in_the_vocabulary_the_text_is_one_line() -> None:
    session = session_of("ab", Sampling(length=3), Vocabulary("ab"))
    somebody = play(session, "b", "ab")
    assert session.text == "b" + "aba" + "ab" + "aba"
    assert [prompt for prompt, _ in somebody.asked] == ["> ", "+ ", "+ "]


def test_unknown_characters_are_named_and_the_line_may_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n")
    somebody = play(session, "fa\x1bxe", "fade")
    assert somebody.asked == [("> ", ""), ("> ", "fa\x1bxe"), ("> ", "")]
    assert session.text == "fade\nabcdef\n"
    assert r"never seen: '\x1b' (U+001B), 'x' (U+0078); mend the line" in capsys.readouterr().err


def test_the_network_cannot_control_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = session_of("a\x1b\u202e\n", vocabulary=Vocabulary("\n\x1b :ABa\u202e"))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    play(session, "", "a\\", ":next", ":surprise", ":undo", ":retry")
    play(session, "a", names=("A", "B\x1b"))
    out, err = capsys.readouterr()
    assert r"a\x1b\u202e" in out and r"\x1b" in err
    colors = re.compile(r"\x1b\[[0-9;]*m")
    assert not re.search("[\x1b\u202e]", colors.sub("", out) + err)


def test_unknown_characters_may_be_left_out() -> None:
    session = session_of("abcdef\n")
    play(session, "xfaxdex", unknown="skip")
    assert session.text == "fade\nabcdef\n"


# Commands


def test_undo_goes_back_turn_by_turn(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n")
    play(session, "fade", ":undo")
    assert session.text == "fade\n"
    err = capsys.readouterr().err
    assert "taken back: abcdef" in err and "goes on after: fade" in err
    play(session, ":undo", ":undo")
    assert session.text == ""
    assert "there is nothing to undo" in capsys.readouterr().err


def test_retry_writes_the_networks_last_turn_anew() -> None:
    session = Session(random_model("gru", V=len(LETTERS), H=6), LETTERS, Sampling(length=30, temperature=2), 1)
    play(session, "fade", ":more")
    before, first = session.state.before, session.text
    play(session, ":retry")
    assert session.state.before is before and session.text != first
    play(session, ":undo", ":undo", ":retry")
    assert session.text.startswith("fade\n") and session.state.before.before.before is None  # type: ignore[union-attr]


def test_the_temperature_is_shown_and_set(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("ab\n", Sampling(top_k=3))
    play(session, ":temperature", ":temperature 0.6", ":t -1", ":t warm", ":t nan")
    assert session.settings == Sampling(top_k=3, temperature=0.6)
    err = capsys.readouterr().err
    assert err.startswith("temperature 1\ntemperature 0.6\n")
    for wrong in ("-1 is no", "warm is no", "temperature is nan"):
        assert wrong in err


def test_the_likeliest_next_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    play(session_of("abc\n"), "c\\", ":next", ":next 2", ":next none")
    out, err = capsys.readouterr()
    assert out.startswith("\n'a' 100%")
    assert [len(row.split("  ")) for row in out.splitlines()[1:]] == [8, 2]
    assert "none is no number" in err


def test_the_last_lines_are_shown_with_what_surprised(capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("abcdef\n", Sampling(length=7))
    play(session, "fade", "", ":surprise 2", ":surprise")
    legend, *rows = capsys.readouterr().out.removeprefix("abcdef\n" * 2).splitlines()
    assert "surprise in nats" in legend and "6: over 6" in legend
    last = rows.index(legend)
    assert rows[:last] == ["abcdef↵", "abcdef↵"]
    assert rows[last + 1 :] == ["fade↵", " 66 6", "abcdef↵", "abcdef↵"]


def test_the_text_is_saved_and_nothing_else_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session, file, other = session_of("abcdef\n"), tmp_path / "a b.txt", tmp_path / "other"
    other.write_text("dear to somebody")
    play(session, "fade", f":save {file}", "", f":save {file}", f":save {other}", ":save", f":save {tmp_path}/no/file")
    assert file.read_text() == session.text == "fade\nabcdef\nabcdef\n"
    assert other.read_text() == "dear to somebody"
    err = capsys.readouterr().err
    for words in ("12 characters saved", "19 characters saved", "there is already", "needs the name", "cannot write"):
        assert words in err


def test_help_tells_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    play(session_of("ab\n"), ":help")
    out, err = capsys.readouterr()
    assert not out
    for name, command in COMMANDS.items():
        assert f":{name} {command.argument}".rstrip() in err and command.help in err


@pytest.mark.parametrize(
    ("line", "words"), [(":s", ":surprise or :save"), (":undp", "did you mean :undo"), (":", ":help"), (":!", ":help")]
)
def test_commands_that_are_none_change_nothing(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = session_of("ab\n")
    play(session, line)
    assert words in capsys.readouterr().err and not session.text


# A chat


def test_in_a_chat_names_stand_before_the_lines_and_the_network_stops_at_yours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = session_of("A: ab\n")
    somebody = play(session, "fade", "", "f", ":undo", ":undo", names=("A", "B"))
    assert session.text == "A: fade\nB: ab\nB: ab\n"
    assert somebody.asked[0] == ("A: ", "")
    assert capsys.readouterr().out == "B: ab\n" * 3


def test_in_a_chat_what_was_cut_off_goes_on_and_your_line_begins_another() -> None:
    session = session_of("A: abcd\n", Sampling(length=2))
    play(session, "f", "", "e", names=("A", "B"))
    assert session.text == "A: f\nB: abcd\nA: e\nB: ab"


def test_names_stand_alone_and_turns_apart_where_the_network_expects_it() -> None:
    session = session_of("A:\nab")
    play(session, "f", "e", names=("A", "B"))
    assert session.text == "A:\nf\nB:\nab\nA:\ne\nB:\nab"
    session = session_of("\n", Sampling(length=1, temperature=0))
    play(session, "f", names=("A", "B"))
    assert session.text == "A: f\n\nB: \n"
    session = session_of("\n", Sampling(length=1, temperature=0))
    play(session, "", names=("A", "B"))
    assert session.text == "B: \n"


def test_a_name_that_the_network_cannot_read_is_refused() -> None:
    assert "'é'" in complaint(lambda: play(session_of("ab\n"), names=("A", "é")), UnknownCharacters)


# A script


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    folder = tmp_path_factory.mktemp("write")
    list(charnn.train(write_text(folder), out=folder / "run", **TINY))
    return folder


@pytest.fixture
def write(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., tuple[int, str, str]]:
    """``charnn write`` with lines from a pipe: its exit code, standard output and standard error."""

    def call(lines: bytes, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
        code = cli.run(["write", str(folder / "run"), *words])
        out, err = capsysbinary.readouterr()
        return code, out.decode(), err.decode()

    return call


SCRIPT = b"The sea\n\n:undo\n:retry\n:temperature 2\nrain and\\\n:more\n"


def test_a_script_is_replayed_with_its_seed(write: Callable[..., tuple[int, str, str]], folder: Path) -> None:
    first, again, other = (write(SCRIPT, "--seed", seed) for seed in ("1", "1", "2"))
    assert first[0] == 0 and first == again != other
    session = charnn.load(folder / "run").session(seed=1)
    session.read("The sea\n")
    shown = session.text + "".join(session.write(line=True)) + "".join(session.write(line=True))
    session.undo()
    session.undo()
    shown += "".join(session.write(line=True))
    session.settings = Sampling(temperature=2)
    session.read("rain and")
    shown += "rain and" + "".join(session.write(line=True)) + "".join(session.write(line=True))
    assert first[1] == shown + "\n" * (not shown.endswith("\n"))


def test_the_text_alone_is_on_standard_output(write: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    script = f"The sea\r\n:help\n:temperature 0.5\n\n:save {file}".encode()
    code, out, err = write(script, "--prompt", "Wind.", "--length", "30")
    assert code == 0
    assert out.removesuffix("\n") == file.read_text().removesuffix("\n")
    assert out.startswith("Wind.The sea\n")
    assert ":surprise" in err and "saved" in err


@pytest.mark.parametrize(
    ("lines", "words", "code", "message"),
    [
        (b"The \xc3\xa9\n", [], 3, "never seen: 'é'"),
        (b"\xff\n", [], 3, "line 1 of standard input is not UTF-8 at byte 0"),
        (b"\n" + b"a" * 2**20 + b"a", ["-n", "1"], 3, "line 2 of standard input is longer than 1,048,576 bytes"),
        (b":bogus\n", [], 2, "there is no command :bogus"),
        (b":undo\n", [], 2, "nothing to undo"),
        (b"", ["-t", "-1"], 2, "temperature is -1"),
        (b"", ["--seed", "-1"], 2, "seed is -1"),
        (b"", ["--you", "sea"], 2, "a chat needs two names"),
        (b"", ["--you", "sea", "--it", "sea"], 2, "a chat needs two names"),
        (b"", ["--you", "sea", "--it", "ship"], 3, "never seen: ':'"),
        (b"", ["--prompt", "é"], 3, "never seen: 'é'"),
    ],
)
def test_what_is_wrong_ends_a_script_with_its_exit_code(
    lines: bytes, words: list[str], code: int, message: str, write: Callable[..., tuple[int, str, str]]
) -> None:
    found, _, err = write(lines, *words)
    assert found == code and message in err


# A keyboard


def test_at_a_keyboard_lines_are_written_mended_and_replayed(folder: Path) -> None:
    pytest.importorskip("readline")
    terminal = Terminal(folder, "write", "run", "--seed", "1", "--length", "30")
    terminal.read_until(b"Ctrl-D ends.")
    terminal.read_until(b"> ")
    terminal.type("the h\u00e9n\n")
    terminal.read_until(b"mend the line")
    terminal.read_until("h\u00e9n".encode())
    terminal.type("\b\ben\n:save typed.txt\n")
    terminal.read_until(b"saved in typed.txt")
    terminal.read_until(b"> ")
    terminal.type("\x04")
    assert terminal.end() == 0
    session = charnn.load(folder / "run").session(seed=1, length=30)
    session.read("the hen\n")
    written = "".join(session.write(line=True))
    assert (folder / "typed.txt").read_text() == "the hen\n" + written


def test_ctrl_c_stops_the_network_and_not_you(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("she sells sea shells by the sea shore " * 60)
    list(charnn.train(tmp_path / "text.txt", out=tmp_path / "run", **TINY))
    terminal = Terminal(tmp_path, "write", "run", "--length", "1000000000")
    terminal.read_until(b"> ")
    terminal.type("she\n")
    for _ in range(50):  # more than were typed
        terminal.read_until(b"e")
    for _ in range(2):  # while the network writes, and while you do
        terminal.type("\x03")
        terminal.read_until(b"+ ")
    terminal.type(":save text\n")
    terminal.read_until(b"saved in text")
    terminal.read_until(b"+ ")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert (tmp_path / "text").read_text().startswith("she")


def test_without_readline_lines_are_typed_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "readline", None)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: f"{prompt}abc")
    assert Keyboard().next("> ", "begun") == "> abc"


def test_a_prompt_cannot_control_the_terminal_nor_get_into_a_text_that_is_redirected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: f"{prompt}abc")
    assert Keyboard().next("\x1b> ") == "abc"
    assert capsys.readouterr() == ("", r"\x1b> ")


def test_ctrl_c_gives_up_a_line_and_is_noted_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["", "abc"])

    def typed(prompt: str) -> str:
        if not (line := next(lines)):
            signal.raise_signal(signal.SIGINT)
        return line

    monkeypatch.setattr("builtins.input", typed)
    before = signal.getsignal(signal.SIGINT)
    with Keyboard() as keyboard:
        assert keyboard.next("> ") == "abc"
        assert not keyboard.interrupted()
        signal.raise_signal(signal.SIGINT)
        assert keyboard.interrupted()
    assert signal.getsignal(signal.SIGINT) is before
