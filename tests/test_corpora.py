"""The shipped corpora and what their README says of them enter; agreement leaves.
The floor of the harbour log is checked by a reader of its own, which takes from harbour.py the tables and nothing else.
"""

import hashlib
import importlib.util
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

CORPORA = Path(__file__).parent.parent / "corpora"
README = (CORPORA / "README.md").read_text(encoding="utf-8")
CAST = {"AMBROSE", "HESTER", "LUCASTA", "MADDOCK", "NETTIE", "ORLA", "PIM", "SALLOW", "TOBIAS"}
FIGURE = r": (\d\.\d{6}) nats per character over (\d+) characters in (\d+) entries"


@pytest.fixture(scope="module")
def harbour():
    spec = importlib.util.spec_from_file_location("harbour", CORPORA / "harbour.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def log():
    return (CORPORA / "harbour.txt").read_bytes().decode("ascii")


def promised(what):
    """The name of a printed line enters; its floor, characters and entries leave, as the README has them."""
    floor, characters, entries = re.search(re.escape(what) + FIGURE, README).groups()
    return float(floor), int(characters), int(entries)


class Reader:
    """Tables and a text enter; every way in which the grammar could have written the text leaves.
    A reading is (where it ends, nats so far, what was read so far); a step turns one reading into all that follow."""

    def __init__(self, tables, text):
        self.tables, self.text = tables, text

    def entry(self, at, hours):
        """All readings of one entry of the log that starts at a position, some hours after the opening of the log."""
        t = self.tables
        readings = [(at, 0.0, {"before": hours})]
        for step in [
            *[self.hour, ":", (t.MINUTE, "minute"), " ", (t.KIND, "kind"), ' "', (t.ADJECTIVE, ""), " ", (t.NOUN, "")],
            *['" ', (t.WAY, "way"), " ", (t.PORT, "port"), " (", (t.INITIAL, ""), ". "],
            *[(lambda read: t.MASTER[t.COAST[read["port"]]], ""), "), ", self.cargo, "; berth "],
            *[(lambda read: t.QUAY[t.RIG[read["kind"]]], ""), (t.NUMBER, ""), ", ", self.wind, ", ", (t.SKY, "")],
            *["; flags ", self.hoist, "; ", (lambda read: t.REMARK[t.RIG[read["kind"]]], ""), ", "],
            *[lambda read: read["first"], " ", lambda read: t.DEED[read["way"]], ".\n"],
        ]:
            readings = [after for reading in readings for after in self.follow(step, reading)]
        return [(end, nats, read["hours"]) for end, nats, read in readings]

    def follow(self, step, reading):
        if isinstance(step, str):
            return self.literal(step, reading)
        if isinstance(step, tuple):
            return self.choice(*step, reading)
        if getattr(step, "__self__", None) is self:
            return step(reading)
        return self.literal(step(reading[2]), reading)

    def literal(self, string, reading):
        at, nats, read = reading
        return [(at + len(string), nats, read)] if self.text.startswith(string, at) else []

    def choice(self, table, name, reading):
        at, nats, read = reading
        table = table(read) if callable(table) else table
        return [
            (at + len(option), nats + cost(table, option), {**read, name: option})
            for option in table
            if self.text.startswith(option, at)
        ]

    def hour(self, reading):
        at, nats, read = reading
        found = []
        for gap in self.tables.GAP:
            hours = read["before"] + gap
            heading = f"== {self.tables.WEEKDAYS[hours // 24 % 7]} ==\n"
            spelled = heading * (hours // 24 - read["before"] // 24) + f"{hours % 24:02}"
            found += self.literal(spelled, (at, nats + cost(self.tables.GAP, gap), {**read, "hours": hours}))
        return found

    def cargo(self, reading):
        at, nats, read = reading
        empty, laden = (nats + cost(self.tables.LADEN, whether) for whether in (False, True))
        return self.literal("in ballast", (at, empty, {**read, "first": "nothing"})) + self.lots((at, laden, read))

    def lots(self, reading):
        found = []
        for at, nats, read in self.quantities(reading):
            for goods, unit in self.tables.UNIT.items():
                measure = f"{read['amount']} {unit if read['amount'] == '1' else self.tables.PLURAL[unit]}"
                spent = nats + cost(self.tables.GOODS, goods)
                lot = (at, spent, {**read, "first": read.get("first", measure)})
                for end, nats_here, read_here in self.literal(f"{measure} of {goods}", lot):
                    stop, more = (nats_here + cost(self.tables.MORE_GOODS, whether) for whether in (False, True))
                    found.append((end, stop, read_here))
                    for another in self.literal(", ", (end, more, read_here)):
                        found += self.lots(another)
        return found

    def quantities(self, reading):
        """Every number that could start here; it is left in place, to be read again together with its unit."""
        at, nats, read = reading
        found, table, end = [], self.tables.FIRST_DIGIT, at
        while self.text[end] in table:
            nats += cost(table, self.text[end])
            end += 1
            found.append((at, nats + cost(self.tables.MORE_DIGITS, False), {**read, "amount": self.text[at:end]}))
            nats += cost(self.tables.MORE_DIGITS, True)
            table = self.tables.NEXT_DIGIT
        return found

    def wind(self, reading):
        at, nats, read = reading
        wind, calm = (nats + cost(self.tables.CALM, whether) for whether in (False, True))
        found = self.literal("calm", (at, calm, read))
        for step in self.choice(self.tables.POINT, "", (at, wind, read)):
            for spaced in self.literal(" ", step):
                found += self.choice(self.tables.FORCE, "", spaced)
        return found

    def hoist(self, reading):
        at, nats, read = reading
        items = self.choice(self.tables.LETTER, "", (at, nats + cost(self.tables.ITEM, "letter"), read))
        for brackets in ("()", "[]"):
            for opened in self.literal(brackets[0], (at, nats + cost(self.tables.ITEM, brackets), read)):
                for inner in self.hoist(opened):
                    items += self.literal(brackets[1], inner)
        found = []
        for end, spent, read_here in items:
            stop, more = (spent + cost(self.tables.MORE_ITEMS, whether) for whether in (False, True))
            found += [(end, stop, read_here), *self.hoist((end, more, read_here))]
        return found


def cost(table, option):
    return -math.log(table[option] / sum(table.values()))


@pytest.fixture(scope="module")
def entries(harbour, log):
    """(start, end, nats) of every entry, each of which has one reading only."""
    reader, found, at, hours = Reader(harbour, log), [], 0, -1
    while at < len(log):
        readings = reader.entry(at, hours)
        assert len(readings) == 1, f"{len(readings)} readings of the entry at {at}: {log[at : at + 200]!r}"
        start, (at, nats, hours) = at, readings[0]
        found.append((start, at, nats))
    return found


@pytest.mark.parametrize("name", ["dialogues.txt", "harbour.txt"])
def test_the_readme_states_size_characters_and_sha256_of_each_corpus(name):
    data = (CORPORA / name).read_bytes()
    text = data.decode("ascii")
    row = f"| `{name}` | {len(data)} | {len(text)} | {len(set(text))} | `{hashlib.sha256(data).hexdigest()}` |"
    assert row in README.splitlines()


def test_harbour_py_writes_the_shipped_log_and_prints_what_the_readme_says(tmp_path):
    output = tmp_path / "harbour.txt"
    command = [sys.executable, str(CORPORA / "harbour.py"), "--validation", "0.1", "--output", str(output)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.read_bytes() == (CORPORA / "harbour.txt").read_bytes()
    assert "".join(f"    {line}\n" for line in printed.splitlines()) in README


def test_another_seed_writes_another_log(harbour):
    lines = [harbour.entry(harbour.Draw(seed), -1)[0] for seed in range(20)]
    assert len(set(lines)) == len(lines)


def test_the_floor_of_the_whole_log_is_what_an_independent_reader_finds(entries, log):
    floor, characters, count = promised("whole file")
    assert (characters, count) == (len(log), len(entries))
    assert math.fsum(nats for _, _, nats in entries) / characters == pytest.approx(floor, abs=6e-7)


def test_the_floor_of_the_last_tenth_is_what_an_independent_reader_finds(entries, log):
    floor, characters, count = promised("last 0.1")
    cut = len(log) - int(len(log) * 0.1)
    rest = [(start, nats) for start, _, nats in entries if start >= cut]
    assert (characters, count) == (len(log) - rest[0][0], len(rest))
    assert math.fsum(nats for _, nats in rest) / characters == pytest.approx(floor, abs=6e-7)


def test_the_entry_in_which_the_cut_falls_moves_the_floor_by_less_than_the_readme_says(entries, log):
    floor, characters, _ = promised("last 0.1")
    length = int(len(log) * 0.1)
    straddling = next(nats for start, end, nats in entries if start <= len(log) - length < end)
    lowest, highest = floor * characters / length, (floor * characters + straddling) / length
    assert floor - 0.002 < lowest <= highest < floor + 0.002


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("664 sacks landed", "664 sacks loaded"),
        ("664 sacks landed", "66 sacks landed"),
        ("664 sacks landed", "664 sack landed"),
        ("664 sacks of", "0664 sacks of"),
        ("sacks of flour", "barrels of flour"),
        ("M. Blanchet", "M. Hobson"),
        ("berth K1", "berth N1"),
        ("boiler cold", "oars shipped"),
        ("[BB]", "[BB)"),
        ("== Monday ==\n", ""),
        ("00:", "05:"),
    ],
)
def test_an_entry_whose_words_disagree_has_no_reading(harbour, old, new):
    entry = (
        '== Monday ==\n00:49 collier "Golden Petrel" from Calais (M. Blanchet), 664 sacks of flour; '
        "berth K1, calm, rain; flags A[BB]; boiler cold, 664 sacks landed.\n"
    )
    assert len(Reader(harbour, entry).entry(0, -1)) == 1
    assert old in entry
    assert Reader(harbour, entry.replace(old, new)).entry(0, -1) == []


def test_the_reader_notices_an_ambiguous_grammar(harbour, monkeypatch):
    monkeypatch.setattr(harbour, "QUAY", {"steam": {"K": 1, "K1": 1}})
    monkeypatch.setattr(harbour, "NUMBER", {"1": 1, "11": 1})
    entry = (
        '== Monday ==\n00:49 tug "Old Star" from Hull (M. Wells), in ballast; '
        "berth K11, W 4, rain; flags A; boiler cold, nothing landed.\n"
    )
    assert len(Reader(harbour, entry).entry(0, -1)) == 2


def test_the_log_is_half_a_megabyte_of_ascii(log):
    assert 500_000 <= len(log) < 501_000
    assert log.endswith(".\n")


@pytest.fixture(scope="module")
def blocks():
    text = (CORPORA / "dialogues.txt").read_bytes().decode("ascii")
    assert text.endswith("\n")
    return [block.split("\n") for block in text[:-1].split("\n\n")]


def test_the_dialogues_are_at_least_60_kilobytes():
    assert (CORPORA / "dialogues.txt").stat().st_size >= 62_000


def test_each_block_of_the_dialogues_is_a_speech_or_stage_directions(blocks):
    for block in blocks:
        name, *lines = block
        if name.startswith("["):
            assert all(re.fullmatch(r"\[[^\[\]]+\]", line) for line in block), block
        else:
            assert name.endswith(":"), block
            assert name[:-1] in CAST, block
            assert lines, block
            assert all(re.fullmatch(r"[^\[\]\s]([^\[\]]*\S)?", line) for line in lines), block


def test_no_line_of_the_dialogues_is_longer_than_80_characters(blocks):
    assert all(len(line) <= 80 for block in blocks for line in block)


def test_everyone_in_the_cast_speaks_often_and_the_readme_names_them(blocks):
    spoken = [block[0][:-1] for block in blocks if block[0].endswith(":")]
    assert all(spoken.count(name) >= 20 and name in README for name in CAST)


def test_quotation_marks_of_the_dialogues_are_closed_in_their_speech(blocks):
    assert all("".join(block).count('"') % 2 == 0 for block in blocks)


def test_the_dialogues_do_not_repeat_themselves(blocks):
    speeches = [" ".join(block[1:]) for block in blocks if block[0].endswith(":")]
    long = [speech for speech in speeches if len(speech) > 60]
    assert len(set(long)) == len(long)
