"""Charts fit their width, tell the truth about the values, and survive whatever a run produced."""

from __future__ import annotations

import io
import math
import random
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement

from charnn.terminal.charts.axes import Axis
from charnn.terminal.charts.canvas import Canvas, Pen
from charnn.terminal.charts.chart import Chart, Level, Mark, Series
from charnn.terminal.charts.labels import number
from charnn.terminal.charts.sparkline import sparkline
from charnn.terminal.charts.spec import ceiling

WIDTHS = [40, 60, 80, 120, 240]
SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.none() | st.floats() | st.floats(0, 5) | st.sampled_from([1e308, -1e308, 5e-324, 0.0])


def show(chart: Chart, width: int = 80, screen: int = 24, encoding: str = "utf-8", color: bool = True) -> list[str]:
    """The lines of a chart without their colours."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    system = "truecolor" if color else None
    console = Console(width=width, height=screen, force_terminal=True, color_system=system, file=file)  # type: ignore[arg-type]
    options = console.options
    return ["".join(s.text for s in line) for line in console.render_lines(chart, options, pad=False)]


def training(points: int = 3000, first: float = 4.2) -> Chart:
    generator = random.Random(1)
    steps = range(1, points + 1)
    losses = [1.5 + (first - 1.5) * math.exp(-20 * step / points) + generator.gauss(0, 0.05) for step in steps]
    checked = steps[points // 10 :: points // 10]
    return Chart(
        [
            Series("training", steps, losses, "cyan"),
            Series("validation", checked, [losses[step - 1] + 0.1 for step in checked], "yellow", "dots"),
        ],
        [Level("5-gram baseline", 1.67, "magenta"), Level("uniform", 4.17, "bright_black")],
        [Mark(checked[-1], 1.6, "best", "green")],
        title="hamlet-lstm-1",
        x_label="step",
        y_label="nats per character",
    )


def line(ys: list[float | None], **more: object) -> Chart:
    return Chart([Series("a", range(len(ys)), ys, "red")], **more)  # type: ignore[arg-type]


def plot_area(lines: list[str]) -> list[str]:
    return [text.split("│")[-1].split("┤")[-1] for text in lines if "│" in text or "┤" in text]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("height", [6, 10, 24, 60])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_chart_fills_its_height_and_never_exceeds_its_width(width: int, height: int, encoding: str) -> None:
    lines = show(Chart(**{**vars(training()), "height": height}), width, encoding=encoding)
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_words_of_a_chart_are_there_at_every_width(width: int) -> None:
    text = "\n".join(show(training(), width))
    for word in [
        "hamlet-lstm-1",
        "training",
        "validation",
        "uniform 4.17",
        "5-gram baseline 1.67",
        "best 1.60",
        "step",
    ]:
        assert word in text


def test_without_a_height_a_chart_takes_the_screen_but_not_more_than_half_its_width() -> None:
    assert len(show(training(), 80, screen=24)) == 23
    assert len(show(training(), 40, screen=60)) == 20


def test_a_chart_measures_as_wide_as_there_is_room() -> None:
    console = Console(width=70, file=io.StringIO())
    assert Measurement.get(console, console.options, training()) == Measurement(20, 70)


def test_a_line_from_corner_to_corner_has_dots_in_the_corners() -> None:
    area = plot_area(show(Chart([Series("a", [0, 1], [0, 1], "red")])))
    assert ord(area[-1][0]) & 0x40
    assert ord(area[0][-1]) & 0x08
    assert area[0][0] == " " and len(area[-1]) < 5


@pytest.mark.parametrize(("end", "letters"), [((7, 3), False), ((3, 7), False), ((-1, -5), False), ((9, 9), True)])
def test_a_line_has_no_hole(end: tuple[int, int], letters: bool) -> None:
    seen: list[tuple[int, int]] = []
    canvas = Canvas(10, 10, letters)
    canvas.dot = lambda x, y, pen: seen.append((x, y))  # type: ignore[method-assign]
    canvas.line((4.0, 4.0), end, Pen("red", "*"))
    assert seen[0] == (4, 4)
    assert all(max(abs(x - u), abs(y - v)) == 1 for (x, y), (u, v) in pairwise(seen))


@pytest.mark.parametrize(
    ("axis", "most", "labels"),
    [
        (Axis(0, 1), 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis(1.45, 4.2), 6, ["1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]),
        (Axis(0, 6000), 6, ["0", "1000", "2000", "3000", "4000", "5000", "6000"]),
        (Axis(0, 30000), 4, ["0", "10k", "20k", "30k"]),
        (Axis(0, 2.5e6), 5, ["0", "500k", "1000k", "1500k", "2000k", "2500k"]),
        (Axis(-1, 1), 2, ["-1", "0", "1"]),
        (Axis(0, 3e-5), 3, ["0", "1e-5", "2e-5", "3e-5"]),
        (Axis(1e-8, 1, log=True), 5, ["1e-8", "1e-6", "1e-4", "1e-2", "1"]),
        (Axis(0.01, 100, log=True), 9, ["0.01", "0.1", "1", "10", "100"]),
        (Axis(2, 8, log=True), 3, ["2", "4", "6", "8"]),
        (Axis(0.5, 8, log=True), 2, ["5"]),
        (Axis(2, 1e9, log=True), 2, ["1e5"]),
    ],
)
def test_ticks_are_round_and_labelled_alike(axis: Axis, most: int, labels: list[str]) -> None:
    ticks = axis.ticks(most)
    assert [tick.label for tick in ticks] == labels
    units = {"k": "e3", "M": "e6"}
    values = [float(label[:-1] + units[label[-1]] if label[-1] in units else label) for label in labels]
    assert [tick.value for tick in ticks] == pytest.approx(values)


def test_the_x_axis_takes_a_format() -> None:
    lines = show(line([1.0, 2.0, 3.0, 2.0, 1.0], x_format=lambda value: f"<{value:.0f}s>"))
    assert "<0s>" in lines[-2] and "<4s>" in lines[-2]


def test_a_constant_has_room_above_and_below() -> None:
    area = plot_area(show(line([1.5] * 50)))
    assert not area[0].strip() and not area[-1].strip()
    assert any(row.strip() for row in area)


def test_early_huge_losses_do_not_flatten_the_rest() -> None:
    losses = [60.0, 40.0, 25.0, 10.0] + [2 - step / 1000 for step in range(996)]
    assert ceiling(losses) == [pytest.approx(losses[-1] + 5 * (losses[103] - losses[-1]), rel=0.05)]
    text = "\n".join(show(line(list(losses))))
    assert "▲" in text and "up to 60.0" in text


def test_a_start_of_ordinary_height_stays_in_view() -> None:
    assert "▲" not in "\n".join(show(training()))


def test_a_crowded_line_shows_the_mean_of_each_column() -> None:
    swinging = line([1.0, 3.0] * 5000, levels=[Level("", 1.0, ""), Level("", 3.0, "")])
    used = [row for row in plot_area(show(swinging)) if set(row) & set(map(chr, range(0x2801, 0x2900)))]
    assert len(used) <= 4  # the two levels, and between them the mean on one or two rows


def test_a_gap_interrupts_the_line() -> None:
    ys = [1.0, 2.0, None, math.nan, math.inf, 2.0, 1.0]
    picture = ElementTree.fromstring(line(ys).svg())
    assert len(picture.findall(f".//{SVG}polyline")) == 2


def test_the_last_series_has_the_colour_of_a_shared_cell() -> None:
    canvas = Canvas(1, 1)
    canvas.dot(0, 3, Pen("dim", "-", faint=True))
    canvas.dot(0, 0, Pen("red", "*"))
    canvas.dot(1, 0, Pen("blue", "o"))
    assert list(canvas.lines()) == [[("⠉", "blue")]]


def test_accents_and_wide_characters_keep_their_places() -> None:
    canvas = Canvas(6, 1)
    canvas.write(0, 0, "e\u0301日x日", "")
    assert list(canvas.lines()) == [[("e\u0301日x日", "")]]


def test_words_may_cover_faint_lines_but_no_curve() -> None:
    canvas = Canvas(10, 2)
    for x in range(20):
        canvas.dot(x, 0, Pen("dim", "-", faint=True))
    canvas.dot(8, 0, Pen("red", "*"))
    assert canvas.taken(2, 0, 4) and not canvas.taken(2, 0, 2) and not canvas.taken(5, 0, 5)
    assert canvas.taken(6, 0, 5) and canvas.taken(0, 2, 1)  # outside


def test_a_label_without_room_goes_to_the_legend() -> None:
    level = [Level("baseline", 0.5, "blue")]
    assert "baseline 0.5 " in "\n".join(show(line([0.0, 1.0], levels=level), 40)[:-1])
    assert show(line([0.0, 1.0] * 30, levels=level), 40)[-1] == "━━ a   ┄┄ baseline 0.5"


def test_a_legend_with_too_many_names_counts_the_rest() -> None:
    series = [Series(f"run with a long name {i}", [0, 1], [i, i + 1], "red") for i in range(40)]
    lines = show(Chart(series, height=12), 60)
    assert len(lines) == 12 and "more" in lines[-1]


def test_without_unicode_everything_is_ascii() -> None:
    chart = training()
    text = "\n".join(
        show(Chart([Series("größe 日", [0, 1], [0, 1], "red"), *chart.series], chart.levels), encoding="ascii")
    )
    assert text.isascii() and r"gr\xf6\xdfe \u65e5" in text
    assert "*" in text and "o" in text and "- - -" in text and "|" in text


def test_without_colour_several_curves_are_drawn_in_letters() -> None:
    chart = Chart([Series("a", [0, 1], [0, 1], "red"), Series("é", [0, 1], [1, 0], "blue")])
    lines = show(chart, color=False)
    assert "* a   o é" in lines[-1]
    assert "━━ a   ━━ é" in show(chart)[-1]


def test_labels_cannot_control_the_terminal() -> None:
    bad = "\x1b[2J[red]\u202e\n:smile:"
    chart = Chart(
        [Series(bad, [0, 1], [0, 1], "red")], [Level(bad, 0.5, "x y z")], [Mark(0, 0, bad, "")], bad, bad, bad
    )
    text = "\n".join(show(chart, 120))
    assert text.count(r"\x1b[2J[red]\u202e\n:smile:") >= 4
    assert not set(text) & set("\x1b\u202e")
    ElementTree.fromstring(chart.svg())


@pytest.mark.parametrize("chart", [Chart(), line([]), line([None, math.nan]), line([0.0, -1.0], log_y=True)])
def test_a_chart_without_values_says_so(chart: Chart) -> None:
    assert "no data yet" in "\n".join(show(chart))
    assert "no data yet" in chart.svg()


def test_a_single_point_can_be_seen() -> None:
    dots = sum(
        bin(ord(cell) - 0x2800).count("1") for row in show(line([2.0])) for cell in row if 0x2800 < ord(cell) < 0x2900
    )
    assert dots == 4


def test_a_log_axis_shows_decades_and_leaves_out_what_it_cannot_show() -> None:
    lines = show(line([10.0**-k for k in range(9)] + [0.0, -1.0], log_y=True))
    assert [text.split()[0] for text in lines if "┤" in text] == ["1", "1e-2", "1e-4", "1e-6", "1e-8"]


def test_a_second_line_of_labels_names_the_same_places_in_another_unit() -> None:
    chart = line([float(x) for x in range(5)], x_below=lambda x: f"{x * 1000:.0f} m", x_label="epoch")
    lines = show(chart)
    ticks = [at for at, cell in enumerate(lines[-4]) if cell == "┬"]
    assert lines[-3].split() == ["0", "1", "2", "3", "4"]
    assert lines[-2].count("m") == 5
    assert all(abs(lines[-2].index(f"{k * 1000} m") - at) <= 6 for k, at in enumerate(ticks))
    assert {"4", "4000 m"} <= set(ElementTree.fromstring(chart.svg()).itertext())


def test_a_level_that_need_not_be_in_view_leaves_the_curves_their_room() -> None:
    far, near = [[Level("uniform", y, "", always=False)] for y in (9.0, 0.5)]
    assert not any("┄" in text or " 9 " in text for text in show(line([0.0, 1.0], levels=far)))
    assert "uniform 9.00" in show(line([0.0, 1.0], levels=far))[-1]
    assert "uniform 0.5" in "\n".join(show(line([0.0, 1.0], levels=near))[:-1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NUMBERS, NUMBERS), max_size=40),
    NUMBERS.filter(lambda value: value is not None),
    st.sampled_from(["line", "dots"]),
    st.booleans(),
    st.booleans(),
    st.integers(10, 100),
    st.integers(6, 30),
    st.text(st.characters(), max_size=50),
)
def test_any_values_at_any_size_give_a_chart(points, level, marker, log, below, width, height, label) -> None:  # type: ignore[no-untyped-def]
    series = Series(label, [x for x, _ in points], [y for _, y in points], "red", marker)
    chart = Chart(
        [series],
        [Level(label, level, "blue"), Level(label, 2 * level + 1, "blue", always=False)],
        [Mark(level, level, label, "")],
        *(label, label, label),
        x_below=str if below else None,
        log_y=log,
        height=height,
    )
    lines = show(chart, width)
    assert len(lines) == height
    assert all(cell_len(text) <= width for text in lines)
    ElementTree.fromstring(chart.svg())


@pytest.mark.parametrize("dark", [None, False, True])
def test_an_svg_has_a_polyline_for_each_curve_and_a_circle_for_each_point(dark: bool | None) -> None:
    chart = training()
    picture = ElementTree.fromstring(Chart([*chart.series, Series("b", [0, 9], [1, 2], "#ff8800")]).svg(dark=dark))
    assert len(picture.findall(f".//{SVG}polyline")) == 2
    assert len(picture.findall(f".//{SVG}circle")) == len(chart.series[1].xs)
    assert bool(picture.findall(f"{SVG}rect")) == (dark is not None)
    assert not picture.findall(f".//{SVG}script")


def test_an_svg_shows_labels_literally() -> None:
    chart = Chart([Series('<b>&"', [0, 1], [0, 1], "red")], [Level('<&"', 0.5, "")], [], '<&">', '&lt;<"', "<y>&")
    words = "".join(ElementTree.fromstring(chart.svg()).itertext())
    for label in ['<b>&"', '<&" 0.5', '<&">', '&lt;<"', "<y>&"]:
        assert label in words


def test_an_svg_stays_inside_its_frame() -> None:
    picture = ElementTree.fromstring(training(first=80.0).svg(640, 300))
    assert picture.get("viewBox") == "0 0 640 300"
    for text in picture.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x", "")) <= 640 and 0 <= float(text.get("y", "")) <= 300


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.1743, "4.17"), (1.5, "1.50"), (60, "60.0"), (0.5, "0.5"), (1234.5, "1234"), (2.5e-5, "2.50e-5"), (0, "0")],
)
def test_numbers_in_labels_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_a_sparkline_reaches_from_the_lowest_to_the_highest_bar() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 7], 8, ascii_only=True) == "_@"


def test_a_sparkline_fits_its_width_and_shows_gaps() -> None:
    assert sparkline([3, None, math.nan, 1, math.inf], 8) == "█  ▁ "
    assert sparkline(range(1000), 4) == "▁▃▆█"
    assert sparkline([2.0, 2.0], 8) == "▄▄"
    assert sparkline([], 8).strip() == ""
