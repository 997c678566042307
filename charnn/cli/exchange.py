"""Lines enter, of text or commands; a session that reads, writes and goes back leaves, and the page that shows it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from charnn.cli import tell
from charnn.cli.keyboard import Lines
from charnn.cli.prompts import known
from charnn.errors import CharnnError, ConfigError, UnknownCharacters, printable
from charnn.sampling.session import Session
from charnn.storage.disk import write_atomically
from charnn.terminal.writing import Page

N = TypeVar("N", int, float)

EXPECTED = 8
"""Characters that ``:next`` shows."""

SURPRISED = 5
"""Lines that ``:surprise`` shows."""

BRIEF = 60
"""Characters by which a passage is told."""


@dataclass(frozen=True)
class Command:
    """What can be asked for beside text: what it is called with, what for, and what it does."""

    argument: str
    help: str
    act: Callable[[Exchange, str], None]


class Exchange:
    """Two who write a text in turns: whoever gives the lines, and the network.

    Without ``names`` a turn is a line. With the names of both, yours first, each turn begins with one of them, and the
    network's ends before yours.
    """

    def __init__(
        self, session: Session, page: Page, lines: Lines, names: tuple[str, str] | None = None, unknown: str = "error"
    ):
        self._session, self._page, self._lines, self._unknown = session, page, lines, unknown
        self._line_end = "\n" if "\n" in session.vocabulary.characters else ""
        self._you, self._it = (self._lead(name) for name in names) if names else ("", "")
        self._stop = (f"{names[0]}:",) if names else ()
        self._saved: set[Path] = set()

    def run(self) -> None:
        """Until there are no more lines. Where nobody attends, raises what is wrong with one."""
        begun = ""
        while (line := self._lines.next(self._prompt(), begun)) is not None:
            begun = ""
            try:
                self.take(line)
            except CharnnError as error:
                if not self._lines.attended:
                    raise
                begun = line if isinstance(error, UnknownCharacters) else ""
                hint = "mend the line" if begun else error.hint
                tell(f"{error.message}; {hint}" if hint else error.message)
        self._page.end_line()

    def take(self, line: str) -> None:
        """One line: a command after a colon, else text of yours, of which two colons make one at the beginning."""
        if line.startswith(":") and not line.startswith("::"):
            name, _, argument = line[1:].strip().partition(" ")
            _command(name).act(self, argument.strip())
            return
        if line:
            self._read(line.removeprefix(":") if line.startswith("::") else line)
        self._write()

    def set_temperature(self, argument: str) -> None:
        if argument:
            temperature = _number(float, argument)
            self._session.settings = dataclasses.replace(self._session.settings, temperature=temperature)
        tell(f"temperature {self._session.settings.temperature:g}")

    def undo(self, argument: str) -> None:
        tell(f"taken back: {_brief(self._session.undo())}")
        if text := self._session.text:
            tell(f"it goes on after: {_brief(text[-BRIEF:])}")

    def retry(self, argument: str) -> None:
        if self._session.state.drawn:
            self._session.undo()
        self._write()

    def more(self, argument: str) -> None:
        self._write()

    def show_expected(self, argument: str) -> None:
        self._page.show_expected(_number(int, argument or EXPECTED, at_least=1))

    def show_surprise(self, argument: str) -> None:
        self._page.show_surprise(_number(int, argument or SURPRISED, at_least=1))

    def save(self, argument: str) -> None:
        if not argument:
            raise ConfigError("save needs the name of a file", ":save FILE")
        path = Path(argument).expanduser()
        if path.exists() and path not in self._saved:
            raise ConfigError(
                f"there is already a {printable(argument)}", "nothing is overwritten; choose another name"
            )
        write_atomically(path, self._session.text.encode())
        self._saved.add(path)
        tell(f"{len(self._session.text):,} characters saved in {argument}")

    def help(self, argument: str) -> None:
        usages = {f":{name} {command.argument}".rstrip(): command.help for name, command in COMMANDS.items()}
        width = max(map(len, usages))
        tell("A line of yours, and the network goes on; an empty line, and it goes on alone.")
        tell("A backslash at the end of your line leaves the rest of it to the network; :: begins a line with a colon.")
        tell("\n".join(f"  {usage:{width}}  {text}" for usage, text in usages.items()))
        tell("Ctrl-C stops the network; Ctrl-D ends.")

    def _prompt(self) -> str:
        if self._you:
            return self._you.replace("\n", " ")
        return "> " if self._session.at_line_start else "+ "

    def _read(self, line: str) -> None:
        """Your turn: a line, unless a backslash leaves its end to the network."""
        if self._you:
            text = ("" if self._session.at_line_start else "\n") + f"{self._you}{line}\n"
        elif line.endswith("\\"):
            text = line[:-1]
        else:
            text = line + self._line_end
        text = known(text, self._session.vocabulary, self._unknown)
        self._session.read(text)
        self._page.read(text)

    def _write(self) -> None:
        """The network's turn, until it ends or Ctrl-C is pressed."""
        lead = ""
        if self._it and self._session.at_line_start:
            blank = self._session.state.before and self._session.expected(1)[0][0] == "\n"
            lead = ("\n" if blank else "") + self._it
        stop = (*self._session.settings.stop, *self._stop)
        self._page.write(lead)
        for piece in self._session.write(lead, line=not self._it, stop=stop):
            self._page.write(piece)
            if self._lines.interrupted():
                break
        self._page.end_turn()

    def _lead(self, name: str) -> str:
        """What stands before what somebody says: the name, and what the network expects after it."""
        session = self._session
        before = session.state
        session.read(known(f"{name}:\n", session.vocabulary, "error")[:-1])
        likely = dict(session.expected(len(session.vocabulary)))
        session.state = before
        return f"{name}:" + max(" ", "\n", key=lambda separator: likely.get(separator, 0))


COMMANDS = {
    "temperature": Command(
        "X", "below 1 the likely becomes likelier; 0 always takes the likeliest", Exchange.set_temperature
    ),
    "more": Command("", "let the network go on, as an empty line does", Exchange.more),
    "undo": Command("", "take back what was written last, the network's or yours", Exchange.undo),
    "retry": Command("", "let the network write its last turn anew", Exchange.retry),
    "next": Command("[K]", "the likeliest next characters, with their probabilities", Exchange.show_expected),
    "surprise": Command(
        "[LINES]", "the last lines, coloured by how much each character surprised", Exchange.show_surprise
    ),
    "save": Command("FILE", "write the whole text into a file", Exchange.save),
    "help": Command("", "this", Exchange.help),
}
"""What a line that begins with a colon may ask for, in whole or by its first letters."""


def _command(name: str) -> Command:
    """Raises ConfigError where no command begins so, or several do."""
    found = [known for known in COMMANDS if name and known.startswith(name)]
    if len(found) == 1:
        return COMMANDS[found[0]]
    close = found or difflib.get_close_matches(name, COMMANDS, n=1)
    hint = (
        f"did you mean :{' or :'.join(close)}?" if close else ":help lists the commands; :: begins a line with a colon"
    )
    raise ConfigError(f"there is no command :{printable(name)[:80]}", hint)


def _number(kind: type[N], argument: str | N, at_least: float = 0) -> N:
    try:
        number = kind(argument)
    except ValueError:
        number = kind(-1)
    if number < at_least:
        raise ConfigError(f"{printable(str(argument))[:80]} is no number from {at_least} up")
    return number


def _brief(text: str) -> str:
    """The text on one line, and not too much of it."""
    line = " ".join(text.split())
    return line if len(line) <= BRIEF else f"{line[: BRIEF // 2 - 2]} ... {line[-BRIEF // 2 + 3 :]}"
