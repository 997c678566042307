"""The exported page in a real browser: it computes what charnn computes, and does what it says it does."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import some_text

import charnn
from charnn.insight.neurons import Unit, activations
from charnn.text.unicode import readable

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it drives the browser")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next((path for path in map(shutil.which, BROWSERS) if path), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (on Debian: apt-get install chromium)")

WAIT = 60_000  # milliseconds, on a busy machine

CELLS = [("vanilla", "tanh"), ("vanilla", "relu"), ("lstm", "auto"), ("gru", "auto")]
HELD_OUT = 20_000

KOREAN = ["바다", "바람", "항구", "등불", "배는", "비가", "온다", "높은", "파도", "우리", "왕궁", "꽃잎"]
EMOJI = ["🌊", "⚓", "🐟", "👩\u200d🚀", "🇰🇷", "❤️", "👍🏽", "𝒽𝒾", "é", "ß"]
TEXTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "Korean": (KOREAN, {"normalize": "nfd"}),
    "emoji": (EMOJI, {}),
    "bytes": (KOREAN + EMOJI, {"tokens": "bytes"}),
}
"""Words to make texts of, and how they are cut into tokens."""


def words_in_lines(words: list[str], characters: int, seed: int = 1) -> str:
    rng, text = random.Random(seed), ""
    while len(text) < characters:
        text += " ".join(rng.choice(words) for _ in range(rng.randint(3, 8))) + ".\n"
    return text[:characters]


def train_small(folder: Path, text: str, **options: Any) -> charnn.Run:
    folder.mkdir(parents=True)
    (folder / "text.txt").write_text(text, encoding="utf-8")
    settings = {"hidden_size": 16, "batch_size": 8, "seq_length": 16, "steps": 120, "learning_rate": 0.02}
    list(charnn.train(folder / "text.txt", out=folder / "run", **{**settings, **options}))
    return charnn.load(folder / "run")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file; at the end nothing may have gone wrong on its page or have been asked of a network."""
    contexts, problems = [], []

    def visit(file: Path, **options: Any) -> Any:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append(dialog.message))
        page.on("request", lambda request: request.url == file.as_uri() or problems.append(request.url))
        page.goto(file.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not problems


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> charnn.Run:
    """Two layers of LSTM that have seen words, quotes and brackets."""
    rng, lines = random.Random(3), some_text(9000).split("\n")
    text = "".join(f'[{line}] "{line}"\n' if rng.random() < 0.3 else f"{line}\n" for line in lines)
    return train_small(tmp_path_factory.mktemp("page") / "sea", text, layers=2, steps=200)


@pytest.fixture(scope="module")
def file(run: charnn.Run) -> Path:
    path = run.path.parent.parent.parent / "page.html"
    run.export(path, dtype="float32")
    return path


# Acting on the page


def slide(page: Any, name: str, value: float) -> None:
    """Move a slider as a hand would, so that it tells the page."""
    page.locator(f"#{name}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})) }", value
    )


def set_up(page: Any, prompt: str = "", **settings: Any) -> None:
    page.fill("#prompt", prompt)
    if settings and page.is_hidden("#length"):
        page.click("summary")
    for name, value in settings.items():
        if name in ("temperature", "top_p", "min_p"):
            slide(page, name.replace("_", "-"), value)
        else:
            page.fill(f"#{name}", str(value))


def until_written(page: Any) -> str:
    """All that stands on the paper once writing has ended."""
    page.wait_for_selector("#paper[aria-busy=false]")
    return page.text_content("#paper")


def write(page: Any, prompt: str = "", **settings: Any) -> str:
    set_up(page, prompt, **settings)
    page.click("#write")
    return until_written(page)


def until_read(page: Any, characters: int | None = None) -> float:
    """The surprise per token that the page tells of the whole text, once it has read so many characters."""
    read = "read. Surprise" if characters is None else f"{characters:,} characters read. Surprise"
    page.locator("#read-status", has_text=read).wait_for()
    return float(page.get_attribute("#figures data >> nth=0", "value"))


# The same figures as charnn


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("english")


LOSS = """(text) => {
  const findings = new Findings(charnn.network, charnn.vocabulary, text);
  for (const step of findings.read());
  return findings.mean;
}"""


@pytest.mark.parametrize("embedding", [0, 6], ids=["one-hot", "embedding"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("cell", "activation"), CELLS, ids=["tanh", "relu", "lstm", "gru"])
def test_every_network_computes_the_same(
    english: Path, visit: Callable[..., Any], cell: str, activation: str, layers: int, embedding: int
) -> None:
    name = f"{cell}-{activation}-{layers}-{embedding}"
    options = {"cell": cell, "activation": activation, "layers": layers, "embedding_size": embedding}
    run = train_small(english / name, some_text(6000), **options)
    text = some_text(HELD_OUT, seed=9)
    expected = run.score(text).nats_per_character
    for dtype, tolerance in (("float32", 1e-4), ("float16", 1e-3)):
        run.export(english / name / f"{dtype}.html", dtype=dtype)
        page = visit(english / name / f"{dtype}.html")
        assert page.evaluate(LOSS, text) == pytest.approx(expected, abs=tolerance)
        if dtype == "float32":
            greedy = "".join(run.sample("The sea", length=1000, temperature=0))
            assert write(page, "The sea", temperature=0, length=1000) == "The sea" + greedy


@pytest.mark.parametrize("name", TEXTS)
def test_every_kind_of_text_is_written_and_read_the_same(name: str, tmp_path: Path, visit: Callable[..., Any]) -> None:
    words, options = TEXTS[name]
    run = train_small(tmp_path / "run", words_in_lines(words, 6000), cell="gru", layers=1, **options)
    run.export(tmp_path / "page.html", dtype="float32")
    page, prompt = visit(tmp_path / "page.html"), words[0] + " "
    for settings in ({"temperature": 0}, {"temperature": 1, "seed": 3}):
        written = write(page, prompt, length=1000, **settings)
        expected = prompt + readable("".join(run.sample(prompt, length=1000, **settings)))
        if name == "bytes":  # of which the page writes 1,000 characters: it shows no parts of one
            expected = expected.rstrip("\ufffd")
            written = written[: len(expected)]
        assert len(expected) > 300 and written == expected
    text = words_in_lines(words, HELD_OUT, seed=9)
    page.click("#tab-read")
    page.fill("#text", text)
    characters = len(run.vocabulary.encode(text)) if name == "Korean" else HELD_OUT
    assert until_read(page, characters) == pytest.approx(run.score(text).nats_per_character, abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7, "seed": 0},
        {"temperature": 1.5, "top_p": 0.9, "seed": 2**32 + 5},
        {"temperature": 1.0, "min_p": 0.1, "seed": 9_007_199_254_740_991},
        {"temperature": 1.2, "top_p": 0.8, "min_p": 0.05, "seed": 77},
    ],
    ids=str,
)
def test_the_same_seed_writes_the_text_of_charnn_sample(
    run: charnn.Run, file: Path, visit: Callable[..., Any], settings: dict[str, Any]
) -> None:
    drawn = "".join(run.sample("The", length=600, **settings))
    assert write(visit(file), "The", length=600, **settings) == "The" + drawn


def test_writing_may_begin_with_nothing(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    assert write(visit(file), "", length=100, seed=4) == "".join(run.sample(length=100, seed=4))


@pytest.mark.parametrize("stop", [".", "\n", "nd", "]"])
def test_writing_stops_before_a_text(run: charnn.Run, file: Path, visit: Callable[..., Any], stop: str) -> None:
    page = visit(file)
    drawn = "".join(run.sample("The", length=3000, seed=1, stop=(stop,)))
    assert write(page, "The", length=3000, seed=1, stop=stop.replace("\n", "\\n")) == "The" + drawn
    assert "stopped" in page.text_content("#write-status") and len(drawn) < 3000


# Writing


def test_going_on_goes_on_and_undo_goes_back(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    whole = "The" + "".join(run.sample("The", length=600, seed=5))
    first = write(page, "The", length=200, seed=5)
    assert first == whole[:203]
    for end in (403, 603):
        page.click("#go-on")
        assert until_written(page) == whole[:end]
    page.click("#undo")
    page.click("#undo")
    assert page.text_content("#paper") == first
    page.click("#go-on")
    assert until_written(page) == whole[:403]
    other = write(page, "wind", seed=6)
    assert other.startswith("wind")
    page.click("#undo")
    assert page.text_content("#paper") == whole[:403]
    for _ in range(2):
        page.click("#undo")
    assert "writes here" in page.text_content("#paper")
    assert page.is_disabled("#undo") and page.is_disabled("#go-on")


def test_going_on_after_a_stop_passes_it(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    whole = "The" + "".join(run.sample("The", length=2000, seed=1))
    text = write(page, "The", length=1000, seed=1, stop=".")
    for _ in range(3):
        assert whole.startswith(text) and whole[len(text)] == "."
        page.click("#go-on")
        longer = until_written(page)
        assert len(longer) > len(text)
        text = longer


def test_writing_can_be_stopped_and_goes_on_where_it_was(
    run: charnn.Run, file: Path, visit: Callable[..., Any]
) -> None:
    page = visit(file)
    set_up(page, "The", length=100_000, seed=2)
    page.click("#write")
    page.wait_for_selector("#paper[aria-busy=true]")
    assert page.text_content("#write") == "Stop"
    page.locator("#paper", has_text="the").wait_for()
    page.keyboard.press("Escape")
    stopped = until_written(page)
    assert "Stopped" in page.text_content("#write-status") and page.text_content("#write") == "Write"
    page.fill("#length", "50")
    page.click("#go-on")
    whole = "The" + "".join(run.sample("The", length=len(stopped) + 50, seed=2))
    assert until_written(page) == whole[: len(stopped) + 50]


def test_characters_that_it_never_saw_are_named_and_left_out(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.fill("#prompt", "The söa\u202e é")
    page.click("#write")
    problem = page.locator("#prompt-problem")
    assert "'é' 'ö' '\\u202e'" in problem.text_content() and "writes here" in page.text_content("#paper")
    problem.locator("button").click()
    assert problem.is_hidden() and page.input_value("#prompt") == "The sa "
    assert write(page, "The sa ", length=5).startswith("The sa ")


def test_fields_that_hold_nonsense_are_pointed_at(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    for name, value in (("length", "0"), ("length", ""), ("seed", "-1"), ("seed", "1.5")):
        page.fill(f"#{name}", value)
        page.click("#write")
        assert "writes here" in page.text_content("#paper")
        assert page.evaluate("document.activeElement.id") == name
        page.fill("#length", "10")
        page.fill("#seed", "")


def test_what_was_written_can_be_copied(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file, permissions=["clipboard-read", "clipboard-write"])
    text = write(page, "The", length=300, seed=1)
    page.click("#copy")
    page.locator("#write-status", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == text


# What it expects


def bars(page: Any, name: str) -> list[tuple[str, float]]:
    """The characters of a list of bars with their probabilities."""
    rows = page.locator(f"#{name} .row").all()
    texts = [(row.locator(".sign").text_content(), row.locator(".share").text_content()) for row in rows]
    return [(sign, float(share.strip("<%").replace("\u00a0%", "")) / 100) for sign, share in texts]


def probabilities(run: charnn.Run, prompt: str) -> dict[str, float]:
    """What comes after a prompt, read as sampling reads it."""
    ids = run.vocabulary.encode(prompt)[:, None]
    workspace = run.model.workspace(len(ids), 1)
    run.model.forward(ids, run.model.zero_carry(1), workspace)
    weights = np.exp(workspace.logits[-1].astype(float))
    return dict(zip(run.vocabulary.characters, weights / weights.sum(), strict=True))


def test_what_comes_next_is_shown_as_one_types(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.focus("#prompt")
    for typed in ("T", "Th", "The"):
        page.keyboard.type(typed[-1])
        page.locator("#next-context bdi", has_text=typed).wait_for()
        expected = sorted(probabilities(run, typed).items(), key=lambda pair: -pair[1])
        shown = bars(page, "next")
        assert shown[0][0].replace("␣", " ") == expected[0][0]
        assert [share for _, share in shown] == pytest.approx([share for _, share in expected[:10]], abs=6e-3)
    page.keyboard.press("Backspace")
    page.locator("#next-context bdi", has_text="Th").wait_for()
    page.wait_for_function("() => document.querySelector('#next-context bdi').textContent === 'Th'")


def test_a_character_can_be_chosen(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.fill("#prompt", "The")
    page.locator("#next-context bdi", has_text="The").wait_for()
    sign = page.text_content("#next .row >> nth=1 >> .sign").replace("␣", " ")
    page.click("#next .row >> nth=1")
    page.wait_for_function("(sign) => $('paper').textContent === 'The' + sign", arg=sign)
    set_up(page, "The", length=20, temperature=0)
    page.click("#go-on")
    assert until_written(page) == f"The{sign}" + "".join(run.sample(f"The{sign}", length=20, temperature=0))
    page.click("#undo")
    page.click("#undo")
    assert "writes here" in page.text_content("#paper")


# Reading


def test_a_text_is_coloured_by_surprise_with_its_total(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.click("#tab-read")
    until_read(page)
    facts = json.loads(page.text_content("#facts-data"))
    assert page.input_value("#text") == facts["excerpt"]
    text = 'The sea. [the] "hdhd" y\nrain'
    page.fill("#text", text)
    score = run.score(text)
    assert until_read(page, len(text)) == pytest.approx(score.nats_per_character, abs=1e-6)
    figures = page.locator("#figures div").all_text_contents()
    losses = (score.nats_per_character, facts["val_loss"], facts["baseline"]["loss"])
    for figure, nats in zip(figures, losses, strict=True):
        assert f"{nats:.2f} nats" in figure and f"{nats / np.log(2):.2f} bits" in figure
    colours = [int(name[1]) for name in page.evaluate("charnn.reading.spans.map((span) => span.classList[0])")]
    assert colours == [min(9, int(nats / 0.7)) for nats in score.nats]
    assert max(colours) == 9 and min(colours) == 0


def test_what_it_expected_is_shown_where_one_points(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.click("#tab-read")
    text = "The sea and the wind"
    page.fill("#text", text)
    until_read(page, 20)
    score = run.score(text, alternatives=8)
    for place in (4, 9):
        page.hover(f"#reading span >> nth={place}")
        assert f"{score.nats[place]:.2f} nats" in page.text_content("#place-text")
        shown = bars(page, "expected")
        assert [sign.replace("␣", " ").replace("↵", "\n") for sign, _ in shown][:3] == list(score.expected[place][:3])
        assert [share for _, share in shown] == pytest.approx(list(score.probabilities[place]), abs=6e-3)
    page.focus("#place")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#place", "aria-valuetext").startswith("11: ")
    assert f"{score.nats[10]:.2f} nats" in page.get_attribute("#place", "aria-valuetext")


def test_what_was_written_can_be_read(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    assert page.is_disabled("#judge")
    text = write(page, "The", length=80, seed=1)
    page.click("#judge")
    until_read(page, 83)
    assert page.evaluate("charnn.reading.findings.characters.map((one) => one.text).join('')") == text
    page.click("#use-excerpt")
    page.wait_for_function("() => $('text').value === charnn.facts.excerpt")


def test_a_long_text_is_cut_and_an_empty_one_is_no_error(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.click("#tab-read")
    until_read(page)
    page.fill("#text", "")
    page.locator("#read-status", has_text="nothing to read").wait_for()
    page.fill("#text", "the sea " * 2600)
    page.locator("#read-status", has_text="Only the first 20,000 are read. 20,000 characters read").wait_for()
    page.fill("#text", "naïve")
    assert "'ï'" in page.locator("#text-problem:visible").text_content()
    page.click("#text-problem button")
    until_read(page, 4)


# Looking inside


def test_a_text_is_coloured_by_the_unit_that_is_chosen(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.click("#tab-read")
    until_read(page)
    page.click("text=One unit")
    facts = json.loads(page.text_content("#facts-data"))
    ids = run.vocabulary.encode("\n" + facts["excerpt"])
    rows = page.locator("#units .unit").all()
    assert len(rows) == len(facts["units"]) > 3
    for row, one in list(zip(rows, facts["units"], strict=True))[:3]:
        assert one["property"] in row.text_content() and f"{one['chance']:.2f}" in row.text_content()
        row.locator("input").check()
        unit = Unit(one["layer"], one["unit"], one["state"])
        values = activations(run.model, run.vocabulary, ids, [unit])[1:, 0]
        expected = np.round(6 * values / abs(values).max())
        names = page.evaluate("charnn.reading.spans.map((span) => span.classList[0])")
        shown = np.array([int(name[1]) * (-1 if name[0] == "n" else 1) for name in names])
        assert (shown == expected).mean() > 0.99  # of those between two colours either is right


def test_the_gates_of_a_unit_are_those_of_the_network(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.click("#tab-read")
    page.fill("#text", "the sea")
    until_read(page, 7)
    page.click("text=One unit")
    page.fill("#unit-layer", "1")
    page.fill("#unit-index", "3")
    page.select_option("#unit-value", "f")
    slide(page, "place", 5)
    ids = run.vocabulary.encode("\nthe s")[:, None]
    workspace = run.model.workspace(len(ids), 1)
    run.model.forward(ids, run.model.zero_carry(1), workspace)
    step = workspace.recurrent[1].steps[-1]
    names, values = (page.locator(f".trace {part}").all_text_contents() for part in (".trace-name", ".share"))
    shown = dict(zip(names, values, strict=True))
    assert [name.split()[0] for name in shown] == ["h", "c", "i", "f", "g", "o"]
    for name, value in shown.items():
        assert float(value.replace("−", "-")) == pytest.approx(float(getattr(step, name[0])[0, 3]), abs=6e-3)
    assert f"unit 1:3:f is +{float(step.f[0, 3]):.2f}" in page.text_content("#place-text")
    assert not page.locator("#units input:checked").count()


# About


def test_the_facts_are_told(run: charnn.Run, file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    assert page.title() == "run" == page.text_content("h1")
    assert "An LSTM network" in page.text_content("#summary") and "makes things up" in page.text_content("#summary")
    page.click("#tab-about")
    told = page.inner_text("#about-panel")
    for words in ("text.txt", f"{run.model.size:,}", "200 steps", "2 layers of 16 units", "32-bit", "makes things up"):
        assert words in told
    points = page.get_attribute("#curve .training", "points").split()
    assert len(points) == len(json.loads(page.text_content("#facts-data"))["curve"])
    assert "Loss in nats over 200 steps" in page.get_attribute("#curve svg", "aria-label")


# Every reader


SIZES = [(360, 640), (390, 844), (1280, 800), (1920, 1080)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_sticks_out_of_any_screen(file: Path, visit: Callable[..., Any], size: tuple[int, int]) -> None:
    page = visit(file, viewport={"width": size[0], "height": size[1]})
    write(page, "The", length=200)
    for click in ("#tab-write", "#tab-read", "text=One unit", "#tab-about"):
        page.click(click)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0], click


NAMELESS = """() => [...document.querySelectorAll('button, input, select, textarea, [tabindex="0"], svg[role=img]')]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.getAttribute('aria-label') || node.labels?.length || node.textContent.trim()))
  .map((node) => node.outerHTML)"""


def test_every_control_has_a_name(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    write(page, "The", length=100)
    for click in ("#tab-write", "#tab-read", "text=One unit", "#tab-about"):
        page.click(click)
        assert page.evaluate(NAMELESS) == []


def test_the_keyboard_alone_is_enough(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    focused: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    reached = dict.fromkeys(focused)
    assert list(reached)[:4] == ["skip", "tab-write", "prompt", "write"]
    assert {"paper", "temperature", "top-p", "min-p", "length", "seed", "stop", "row"} <= reached.keys()
    page.focus("#prompt")
    page.keyboard.type("The")
    page.keyboard.press("Control+Enter")
    assert until_written(page).startswith("The")
    page.focus("#tab-write")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#read-panel") and page.is_hidden("#write-panel")
    assert page.evaluate("document.activeElement.id") == "tab-read"
    until_read(page)
    page.focus("#by-surprise")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#unit-card")
    page.focus("#reading")
    page.keyboard.press("ArrowRight")
    assert page.input_value("#place") == "2"
    page.focus("#tab-read")
    page.keyboard.press("End")
    assert page.is_visible("#about-panel")


def test_the_focus_can_be_seen(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


CONTRAST = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (colour) => channels(colour).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (node) => {
    const { backgroundColor } = getComputedStyle(node);
    return backgroundColor === 'rgba(0, 0, 0, 0)' ? ground(node.parentElement) : backgroundColor;
  };
  const weak = [];
  for (const node of document.querySelectorAll('h1, h2, p, label, button:enabled, dt, dd, summary, output, .given')) {
    if (!node.checkVisibility() || !node.textContent.trim()) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) weak.push(node.outerHTML.slice(0, 100));
  }
  return weak;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(file: Path, visit: Callable[..., Any], scheme: str) -> None:
    page = visit(file, color_scheme=scheme)
    write(page, "The", length=100)
    for click in ("#tab-write", "#tab-read", "text=One unit", "#tab-about"):
        page.click(click)
        assert page.evaluate(CONTRAST) == []
    grounds = {"light": "rgb(246, 244, 239)", "dark": "rgb(20, 21, 26)"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[scheme]


COLOURS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = (...colours) => {
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
      .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  };
  const card = getComputedStyle($('reading')).backgroundColor;
  const names = [...Array(10).keys()].map((k) => `s${k}`).concat('p0 p1 p2 p3 p4 p5 p6 n1 n2 n3 n4 n5 n6'.split(' '));
  return names.map((name) => {
    const span = element('span', {className: name});
    $('reading').append(span);
    const {color, backgroundColor} = getComputedStyle(span);
    const [a, b] = [light(card, color), light(card, backgroundColor)].sort((x, y) => y - x);
    return [name, (a + 0.05) / (b + 0.05), light(card, backgroundColor)];
  });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_coloured_text_can_be_read_and_each_colour_told_from_the_next(
    file: Path, visit: Callable[..., Any], scheme: str
) -> None:
    page = visit(file, color_scheme=scheme)
    page.click("#tab-read")
    colours = page.evaluate(COLOURS)
    assert [name for name, contrast, _ in colours if contrast < 4.5] == []
    assert len({round(light, 4) for name, _, light in colours if name[0] == "s"}) == 10


def test_what_is_written_is_announced_when_it_is_done(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    assert page.get_attribute("#paper", "aria-live") == "polite"
    set_up(page, length=100_000)
    page.click("#write")
    page.wait_for_selector("#paper[aria-busy=true]")
    page.keyboard.press("Escape")
    page.wait_for_selector("#paper[aria-busy=false]")
    assert page.get_attribute("#write-status", "role") == "status"


# Safe


NASTY = [
    "</script><script>hacked = 1</script>",
    '<img src=x onerror="hacked = 1">',
    "]]>--><!--",
    "&lt;&amp;&quot;'\"`${hacked = 1}{{script}}",
    "\u2028\u2029\u202e\u2066\u200f\u0000\u0007\u001b[2J",
    "javascript:hacked = 1",
]


def test_nothing_in_a_run_can_act_on_the_page(tmp_path: Path, visit: Callable[..., Any]) -> None:
    text = "".join(random.Random(1).choices([*NASTY, "\n", " the sea "], k=900))
    folder = tmp_path / "<img src=x onerror=hacked=1>\u202e&amp;{{script}}"
    folder.mkdir()
    name = "<script>hacked = 1<\\script>\u202e&lt;.txt"
    (folder / name).write_text(text, encoding="utf-8")
    options = {"hidden_size": 12, "layers": 1, "batch_size": 8, "seq_length": 16, "steps": 60}
    list(charnn.train(folder / name, out=folder / NASTY[1].replace("/", "|"), **options))
    run = charnn.load(folder / NASTY[1].replace("/", "|"))
    run.export(tmp_path / "page.html", dtype="float32")
    page = visit(tmp_path / "page.html")
    prompt = "".join(NASTY[:4])
    assert write(page, prompt, length=1500, seed=1) == prompt + "".join(run.sample(prompt, length=1500, seed=1))
    page.click("#judge")
    until_read(page)
    page.click("text=One unit")
    page.click("#tab-about")
    assert "<script>hacked = 1" in page.inner_text("#facts") and "\\u202e" in page.inner_text("#facts")
    assert page.title() == page.text_content("h1") == '<img src=x onerror="hacked = 1">'
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("document.scripts.length") == 2 and not page.locator("img, iframe, object, embed").count()


def test_markup_that_is_typed_is_text(file: Path, visit: Callable[..., Any]) -> None:
    page = visit(file)
    page.fill("#prompt", '<img src=x onerror="hacked = 1">\u202e')
    assert "'<'" in page.text_content("#prompt-problem") and "\\u202e" in page.text_content("#prompt-problem")
    assert not page.locator("img").count() and page.evaluate("typeof hacked") == "undefined"


def test_the_policy_lets_no_other_script_run_and_nothing_load(file: Path, browser: Any) -> None:
    page = browser.new_page()
    page.goto(file.as_uri())
    page.evaluate("""() => {
      const script = document.createElement('script');
      script.textContent = 'hacked = 1';
      document.body.append(script);
      document.body.insertAdjacentHTML('beforeend', '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">');
    }""")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("fetch('data:,x').then(() => 'loaded', () => 'refused')") == "refused"
    page.close()
