#!/usr/bin/env python3
"""A seed and a length in bytes enter; harbour.txt leaves, together with its exact probability in nats per character.
The text is a harbour master's log drawn from a small grammar, so a model's loss on it can be read against a true floor.

A line obeys this grammar; names in <> are drawn from the tables below, names in {} follow from what was drawn before:

    {hour}:<minute> <kind> "<adjective> <noun>" <way> <port> (<initial>. <master>), <cargo>; berth <quay><number>,
    <wind>, <sky>; flags <hoist>; <remark>, {echo}.

    cargo:  "in ballast", or <quantity> {unit} of <goods>, once or more, with ", " between
    wind:   "calm", or <point> <force>
    hoist:  <item> once or more, each of them a letter or a hoist in round or square brackets

What was drawn fixes words far to the right of it. The kind of ship decides her quays and remarks, the port the names
her master may have, the goods their unit, the quantity its plural; a bracket is closed by its own kind; the echo
repeats the first quantity and says "landed" or "loaded" according to the way. The hour is that of the line above plus
the drawn gap; at midnight the next weekday is announced.

Why the figure is exact: the probability of a text is the sum over its derivations, so the -log p of the choices made
may be added up only if no other choices write the same text. None do, for the text shows each choice, left to right:

- The options of a table are distinct, and either have one length (minutes, initials, quays, digits, letters) or are
  followed by a character that is in none of them (a space after a kind, a quotation mark after a noun, a comma after a
  remark, and so on). So no two options lead to texts of which one begins the other.
- A quantity ends at the first space, and its digits have one reading.
- After goods stands ", " or ";", after an item of a hoist another item or what closes it: going on is visible. The
  first character of an item tells a letter and the two brackets apart, and a wind in small letters is a calm.
- The gap is less than a day, so the hour, compared with the hour above, names it.

What stands in {} costs nothing, nor does the end: the log stops at the first line that reaches the length asked for.
"""

import argparse
import math
import random
from pathlib import Path

DIGITS = "0123456789"
WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def sorted_under(**groups):
    """Groups of words enter; a table from every word to the name of its group leaves."""
    return {word: group for group, words in groups.items() for word in words.split()}


# Tables map an option to its weight; its probability is the weight over the sum of the table.
# fmt: off
GAP = {1: 4, 2: 3, 3: 2, 5: 1}
MINUTE = {f"{minute:02}": 3 if minute % 15 == 0 else 1 for minute in range(60)}
KIND = {
    "brig": 5, "schooner": 6, "barque": 3, "cutter": 4, "steamer": 6, "collier": 4, "tug": 2, "lighter": 2,
    "wherry": 1}
RIG = sorted_under(sail="brig schooner barque cutter", steam="steamer collier tug", oars="lighter wherry")
QUAY = {"sail": {"N": 5, "E": 3, "M": 2}, "steam": {"S": 4, "K": 3}, "oars": {"P": 1, "W": 1}}
NUMBER = dict.fromkeys("123456789", 1)
REMARK = {
    "sail": {"topsail split": 3, "canvas furled": 6, "mainmast sprung": 2, "jib in rags": 2, "new rigging": 2,
             "canvas drying": 4, "yards braced": 3, "shrouds slack": 2},
    "steam": {"boiler cold": 4, "funnel smoking": 6, "short of coal": 3, "engine lame": 3, "valves leaking": 2,
              "stokers ashore": 3, "steam up": 5},
    "oars": {"oars shipped": 4, "one thole broken": 2, "towed astern": 3, "rowers resting": 3, "bailing": 2}}
ADJECTIVE = {
    "Grey": 4, "Merry": 3, "Silent": 3, "Golden": 5, "Little": 5, "Proud": 2, "Northern": 4, "Faithful": 3,
    "Bright": 3, "Lucky": 2, "Wild": 3, "Patient": 2, "Old": 4, "Crimson": 1, "Gentle": 2, "Hopeful": 2}
NOUN = {
    "Marigold": 3, "Heron": 4, "Star": 5, "Lantern": 3, "Widow": 2, "Thistle": 3, "Venture": 4, "Swan": 4,
    "Comet": 2, "Daughter": 3, "Anvil": 1, "Petrel": 4, "Rose": 5, "Fortune": 3, "Kestrel": 3, "Moon": 2,
    "Pilgrim": 3, "Dolphin": 4, "Orchard": 1, "Hazard": 2, "Margaret": 3, "Ursula": 2, "Falcon": 2, "Beacon": 2}
WAY = {"from": 6, "for": 5}
DEED = {"from": "landed", "for": "loaded"}
PORT = {
    "Bergen": 6, "Stavanger": 4, "Tromso": 2, "Leith": 6, "Whitby": 5, "Hull": 7, "Poole": 2, "Nantes": 4,
    "Brest": 3, "Calais": 4, "Lisbon": 4, "Porto": 5, "Faro": 1, "Lubeck": 4, "Emden": 3, "Rostock": 2}
COAST = sorted_under(
    Norway="Bergen Stavanger Tromso", Britain="Leith Whitby Hull Poole", France="Nantes Brest Calais",
    Portugal="Lisbon Porto Faro", Germany="Lubeck Emden Rostock")
INITIAL = {"A": 5, "B": 2, "C": 3, "D": 2, "E": 3, "F": 2, "H": 4, "J": 6, "L": 3, "M": 4, "O": 1, "P": 3, "T": 3}
MASTER = {
    "Norway": {"Dahl": 4, "Haugen": 3, "Lien": 3, "Solberg": 2, "Moe": 2, "Strand": 2},
    "Britain": {"Barker": 4, "Fenwick": 3, "Gale": 2, "Hobson": 3, "Trotter": 1, "Wells": 4, "Young": 3},
    "France": {"Blanchet": 3, "Caron": 3, "Duval": 4, "Legrand": 2, "Perrot": 2},
    "Portugal": {"Alves": 4, "Coelho": 2, "Matos": 3, "Pinto": 3, "Sousa": 4},
    "Germany": {"Ahlers": 2, "Brandt": 4, "Jansen": 4, "Lange": 3, "Vogt": 2},
}
LADEN = {True: 9, False: 1}
MORE_GOODS = {True: 2, False: 3}
GOODS = {
    "herring": 6, "pitch": 2, "ale": 3, "flour": 5, "salt": 5, "barley": 3, "coal": 6, "slate": 2, "iron": 3,
    "oranges": 2, "glass": 2, "tea": 3, "linen": 2, "wool": 4, "sheep": 2, "oxen": 1}
UNIT = sorted_under(
    barrel="herring pitch ale", sack="flour salt barley", ton="coal slate iron", chest="oranges glass tea",
    bale="linen wool", head="sheep oxen")
PLURAL = {"barrel": "barrels", "sack": "sacks", "ton": "tons", "chest": "chests", "bale": "bales", "head": "head"}
FIRST_DIGIT = dict(zip(DIGITS[1:], [30, 18, 12, 10, 8, 7, 6, 5, 4], strict=True))
NEXT_DIGIT = dict(zip(DIGITS, [10, 3, 4, 3, 4, 8, 4, 3, 4, 3], strict=True))
MORE_DIGITS = {True: 2, False: 3}
CALM = {True: 1, False: 9}
POINT = {"N": 3, "NNE": 1, "NE": 3, "E": 3, "SE": 2, "SSE": 1, "S": 4, "SSW": 3, "SW": 7, "WSW": 4, "W": 6, "NW": 4}
FORCE = dict(zip(DIGITS[1:], [2, 4, 6, 6, 5, 3, 2, 1, 1], strict=True))
SKY = {"clear": 5, "cloud": 5, "rain": 4, "drizzle": 2, "fog": 2, "haze": 2, "hail": 1, "snow": 1}
ITEM = {"letter": 8, "()": 1, "[]": 1}
LETTER = {"A": 6, "B": 4, "C": 3, "D": 5, "F": 2, "G": 2, "K": 3, "L": 4, "Q": 2, "R": 4, "T": 5, "X": 1, "Z": 1}
MORE_ITEMS = {True: 2, False: 1}
# fmt: on


class Draw:
    """Tables enter; options leave, drawn from a seeded generator. `nats` is the sum of -log p of all of them so far."""

    def __init__(self, seed: int) -> None:
        self.uniform = random.Random(seed).random  # the one method whose values Python promises to keep
        self.nats = 0.0

    def one(self, table):
        """A table enters; one of its options leaves, as likely as its weight says."""
        total = sum(table.values())
        point = self.uniform() * total
        for option, weight in table.items():
            point -= weight
            if point < 0:
                self.nats += math.log(total / weight)
                return option


def quantity(draw: Draw) -> str:
    """Draws enter; the decimal digits of a number from 1 upwards leave."""
    digits = draw.one(FIRST_DIGIT)
    while draw.one(MORE_DIGITS):
        digits += draw.one(NEXT_DIGIT)
    return digits


def hoist(draw: Draw) -> str:
    """Draws enter; flags leave, with every bracket closed."""
    item = draw.one(ITEM)
    flags = draw.one(LETTER) if item == "letter" else item[0] + hoist(draw) + item[1]
    return flags + hoist(draw) if draw.one(MORE_ITEMS) else flags


def cargo(draw: Draw) -> list[tuple[str, str]]:
    """Draws enter; (quantity with its unit, goods) pairs leave, none for a ship in ballast."""
    lots, more = [], draw.one(LADEN)
    while more:
        amount, goods = quantity(draw), draw.one(GOODS)
        lots.append((f"{amount} {UNIT[goods] if amount == '1' else PLURAL[UNIT[goods]]}", goods))
        more = draw.one(MORE_GOODS)
    return lots


def entry(draw: Draw, hours: int) -> tuple[str, int]:
    """The hours from the opening of the log to its last line enter; the next line and its hours leave."""
    before, hours = hours, hours + draw.one(GAP)
    day, hour = divmod(hours, 24)
    heading = f"== {WEEKDAYS[day % 7]} ==\n" if day > before // 24 else ""
    minute, kind, ship = draw.one(MINUTE), draw.one(KIND), f"{draw.one(ADJECTIVE)} {draw.one(NOUN)}"
    way, port, initial = draw.one(WAY), draw.one(PORT), draw.one(INITIAL)
    master = f"{initial}. {draw.one(MASTER[COAST[port]])}"
    lots = cargo(draw)
    load = ", ".join(" of ".join(lot) for lot in lots) or "in ballast"
    berth = draw.one(QUAY[RIG[kind]]) + draw.one(NUMBER)
    wind = "calm" if draw.one(CALM) else f"{draw.one(POINT)} {draw.one(FORCE)}"
    sky, flags, remark = draw.one(SKY), hoist(draw), draw.one(REMARK[RIG[kind]])
    echo = f"{lots[0][0] if lots else 'nothing'} {DEED[way]}"
    line = f'{hour:02}:{minute} {kind} "{ship}" {way} {port} ({master}), {load}; berth {berth}, {wind}, {sky}; '
    return f"{heading}{line}flags {flags}; {remark}, {echo}.\n", hours


def main() -> None:
    """Options enter; the log is written and its nats per character are printed, whole and for the end held out.
    The second figure covers the entries that begin at or after the cut, given all that stands before them."""
    parser = argparse.ArgumentParser(description="Draw a harbour master's log and print its exact nats per character.")
    parser.add_argument("--bytes", type=int, default=500_000, help="stop after the line that reaches this length")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("harbour.txt"))
    parser.add_argument("--validation", type=float, metavar="P", help="print the figure for the last part P, too")
    options = parser.parse_args()

    draw, lines, starts, nats, length, hours = Draw(options.seed), [], [], [], 0, -1
    while not lines or length < options.bytes:
        starts.append(length)
        nats.append(draw.nats)
        line, hours = entry(draw, hours)
        lines.append(line)
        length += len(line)
    options.output.write_bytes("".join(lines).encode("ascii"))
    figure = "{:.6f} nats per character over {} characters in {} entries"
    print("whole file:", figure.format(draw.nats / length, length, len(lines)))
    if options.validation is not None:
        cut = length - int(length * options.validation)
        if cut > starts[-1]:
            parser.error(f"no entry begins in the last {options.validation} of so short a log")
        first = next(index for index, start in enumerate(starts) if start >= cut)
        rest = length - starts[first]
        print(f"last {options.validation}:", figure.format((draw.nats - nats[first]) / rest, rest, len(lines) - first))


if __name__ == "__main__":
    main()
