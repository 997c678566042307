"""What units tell: properties against definitions written out, correlations against NumPy's, chance against noise."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

import charnn
from charnn.cli import main
from charnn.config import cell_names
from charnn.errors import ConfigError, CorpusError
from charnn.insight.neurons import LEFT, RIGHT, Unit, activations, all_units, measure_neurons, passage
from charnn.insight.properties import FARTHEST, bracket_depth, indentation, inside_quotes, properties_of, since_any
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.text.vocabulary import Vocabulary

WORDS = 'One "two" three (four [5]) six.\n  Seven, eight!\n\n"Nine ten.\n\neleven\n'
VOCABULARY = Vocabulary.from_code_points(np.frombuffer(WORDS.encode("utf-32-le"), "<u4"))


def new_model(cell="lstm", hidden=10, layers=2, seed=1):
    model = CharRNN(Shape(len(VOCABULARY), cell, "", layers, hidden))
    model.initialise(seed)
    model.vector *= 1.5
    model.pack()
    return model


def random_text(count, seed=0):
    return np.random.default_rng(seed).integers(0, len(VOCABULARY), count).astype(np.uint8)


def marked(values) -> str:
    return "".join(str(int(value)) for value in values)


# Properties


def test_quotes_open_and_close_and_end_with_the_paragraph() -> None:
    assert marked(inside_quotes('a "b" c')) == "0011000"
    assert marked(inside_quotes("“b” it's")) == "11000000"
    assert marked(inside_quotes('"a\nb\n\nc')) == "1111100"


def test_brackets_nest_and_never_fall_below_zero() -> None:
    assert marked(bracket_depth("a(b[c]d)e)(")) == "01122110001"
    assert marked(bracket_depth("({\n\n.")) == "12200"


def test_counts_start_anew_and_stop_somewhere() -> None:
    assert marked(since_any("ab\ncd", "\n")) == "12012"
    assert list(since_any("." + "a" * 500, "."))[-1] == FARTHEST
    assert list(indentation("  a \n b\tc")) == [1, 2, 2, 2, 0, 1, 1, 1, 1]


def test_every_property_of_a_text_is_what_its_name_says() -> None:
    found = properties_of(VOCABULARY, VOCABULARY.encode(WORDS), since=["e"])
    columns = dict(zip(found.names, found.values.T, strict=True))
    words = [len(re.search(r"[A-Za-z]*\Z", WORDS[: n + 1]).group()) for n in range(len(WORDS))]  # type: ignore[union-attr]
    assert columns["position in the word"].tolist() == words
    assert columns["inside a word"].tolist() == [float(c.isalpha()) for c in WORDS]
    assert columns["capital"].tolist() == [float(c in "OSN") for c in WORDS]
    assert columns["digit"].tolist() == [float(c == "5") for c in WORDS]
    assert columns["after a line end"].tolist() == [float(c == "\n") for c in WORDS]
    assert columns["after a space"].tolist() == [float(c == " ") for c in WORDS]
    lines = [n - WORDS.rfind("\n", 0, n + 1) for n in range(len(WORDS))]
    assert columns["position in the line"].tolist() == lines
    assert columns["since 'e'"].tolist()[2:] == [n - WORDS.rfind("e", 0, n + 1) for n in range(2, len(WORDS))]


def test_what_never_changes_is_left_out() -> None:
    assert "digit" not in properties_of(VOCABULARY, VOCABULARY.encode("One two\n")).names


# Correlations


@pytest.mark.parametrize("cell", cell_names())
def test_correlations_are_those_of_numpy_with_a_plain_reading(cell) -> None:
    model, ids = new_model(cell), random_text(3000)
    carry, workspace, slow = model.zero_carry(1), model.workspace(1, 1), []
    for x in ids:
        carry = model.forward(np.array([[x]]), carry, workspace)
        slow.append(carry[:, :, 0].reshape(-1))
    values = np.array(slow)  # (N, U)
    neurons = measure_neurons(model, VOCABULARY, ids, shifts=3)
    wanted = np.corrcoef(values.T, neurons.properties.values.T)[: values.shape[1], values.shape[1] :]
    np.testing.assert_allclose(neurons.correlations, wanted, atol=2e-4)
    units = [all_units(model)[0], all_units(model)[-1]]
    np.testing.assert_allclose(activations(model, VOCABULARY, ids, units), values[:, [0, -1]], atol=1e-4)


def test_a_context_is_read_first() -> None:
    model, ids = new_model(), random_text(600)
    unit = Unit(1, 3, "c")
    whole = activations(model, VOCABULARY, ids, [unit])
    np.testing.assert_allclose(activations(model, VOCABULARY, ids[200:], [unit], ids[:200]), whole[200:], atol=1e-4)


def test_chance_is_what_moved_properties_reach() -> None:
    model, ids = new_model(), random_text(2000)
    neurons = measure_neurons(model, VOCABULARY, ids, shifts=5, seed=7)
    values = activations(model, VOCABULARY, ids, all_units(model))
    largest = np.zeros(len(neurons.properties.names))
    for shift in np.random.Generator(np.random.Philox(7)).integers(200, 1800, 5):
        moved = np.roll(neurons.properties.values, -shift, axis=0)
        r = np.corrcoef(values.T, moved.T)[: values.shape[1], values.shape[1] :]
        largest = np.maximum(largest, np.abs(r).max(axis=0))
    np.testing.assert_allclose(neurons.chance, largest, atol=2e-4)


def test_a_network_that_reads_other_text_is_no_discovery() -> None:
    model, ids = new_model(), random_text(4000)
    neurons = measure_neurons(model, VOCABULARY, ids)
    deaf = new_model()
    deaf.parameters["input.Wx"][...] = 0
    deaf.pack()
    assert len(neurons.ranked()) > 10
    assert all(abs(one.r) > one.chance for one in neurons.ranked())
    assert measure_neurons(deaf, VOCABULARY, ids).ranked() == []


def test_the_ranking_goes_down_and_names_the_strongest_pair() -> None:
    neurons = measure_neurons(new_model("gru"), VOCABULARY, random_text(3000), shifts=10)
    ranked = neurons.ranked()
    assert [abs(one.r) for one in ranked] == sorted((abs(one.r) for one in ranked), reverse=True)
    assert abs(ranked[0].r) == pytest.approx(np.abs(neurons.correlations).max())
    best = neurons.best("inside a word")[0]
    column = neurons.properties.names.index("inside a word")
    assert abs(best.r) == np.abs(neurons.correlations[:, column]).max()
    assert neurons.units.index(best.unit) == np.abs(neurons.correlations[:, column]).argmax()


@pytest.mark.parametrize("cell", [cell for cell in cell_names() if CharRNN(Shape(3, cell, "", 1, 2)).cell.sigmoids])
def test_saturated_gates_are_counted_one_by_one(cell) -> None:
    model, ids = new_model(cell), random_text(500)
    gates = measure_neurons(model, VOCABULARY, ids, shifts=1).gates
    carry, workspace = model.zero_carry(1), model.workspace(1, 1)
    left, right = np.zeros_like(gates.left), np.zeros_like(gates.right)
    for x in ids:
        carry = model.forward(np.array([[x]]), carry, workspace)
        for layer, buffers in enumerate(workspace.recurrent):
            for gate, name in enumerate(gates.names):
                left[layer, gate] += getattr(buffers.steps[0], name)[0] < LEFT
                right[layer, gate] += getattr(buffers.steps[0], name)[0] > RIGHT
    np.testing.assert_allclose(gates.left, left / 500, atol=0.005)
    np.testing.assert_allclose(gates.right, right / 500, atol=0.005)
    assert 0 < gates.left.mean() < 1


def test_a_passage_is_where_a_unit_moves_most() -> None:
    values = np.concatenate([np.zeros(100), np.tile([1, -1], 50), np.zeros(100)]).astype(np.float32)
    assert passage(values, np.array([0, 50, 100, 200]), 100) == 100


def test_units_are_named_by_layer_number_and_state() -> None:
    model = new_model()
    assert str(Unit.parse("1:7:c", model)) == "1:7:c"
    assert Unit.parse("0:9", model) == Unit(0, 9, "h")
    for wrong in ("2:0", "0:10", "-1:0", "0", "a:b", "0:1:z", "0:1:c:d"):
        with pytest.raises(ConfigError, match="unit"):
            Unit.parse(wrong, model)


def test_a_text_too_short_is_refused() -> None:
    with pytest.raises(CorpusError, match="too short"):
        measure_neurons(new_model(), VOCABULARY, random_text(99))


# The Python surface and the command


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neurons")
    words = np.random.default_rng(1).choice([*WORDS.split(" "), "\n"], 1500)
    (folder / "text.txt").write_text(" ".join(words))
    options = {"hidden_size": 8, "layers": 1, "steps": 20, "seq_length": 16, "batch_size": 4}
    for _ in charnn.train(folder / "text.txt", out=folder / "run", **options):
        pass
    return folder / "run"


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_and_python_say_the_same(run) -> None:
    neurons = charnn.load(run).neurons()
    found = json.loads(invoke("neurons", run, "--json"))
    assert found["properties"]["inside a word"][0]["r"] == pytest.approx(neurons.best("inside a word")[0].r)
    assert [gate["gate"] for gate in found["gates"]] == ["i", "f", "o"]


def test_the_screen_shows_tables_a_coloured_passage_and_gates(run) -> None:
    screen = invoke("neurons", run, "--top", 3, "--unit", "0:2:c", "--gates")
    for words in ("inside a word", "best property", "unit 0:2:c", "f > 0.9", "gate f: share of the time below 0.1"):
        assert words in screen


class Characters(HTMLParser):
    """The text inside <pre>, and every tag there is."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self._inside = [], set(), False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "pre":
            self.text.append("")
            self._inside = True

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "pre"

    def handle_data(self, data):
        if self._inside:
            self.text[-1] += data


def test_the_page_holds_the_text_and_nothing_from_elsewhere(run, tmp_path) -> None:
    (tmp_path / "text.txt").write_text(WORDS * 3)
    page = tmp_path / "units.html"
    invoke("neurons", run, tmp_path / "text.txt", "--unit", "0:1", "--unit", "0:2", "--html", page)
    content = page.read_text()
    assert Characters(content).text == [WORDS * 3] * 2
    assert not {"script", "link", "img"} & Characters(content).tags
    assert "http" not in content
