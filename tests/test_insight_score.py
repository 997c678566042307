"""Surprise, pinned to one character at a time, to PyTorch on the same weights, and to sums written out."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import charnn
from charnn import cli
from charnn.baseline.ngrams import NGrams
from charnn.cli import main
from charnn.config import cell_names
from charnn.errors import ConfigError, CorpusError, UnknownCharacters
from charnn.insight.kinds import KINDS, KindsOf
from charnn.insight.memory import GAIN, Memory, cold_surprise, measure_memory
from charnn.insight.reading import Reader, regroup
from charnn.insight.score import LONGEST_LINE, Scored, Scorer, Tally, lines
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.network.state_dict import state_dict
from charnn.text.streams import BURN_IN
from charnn.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_code_points(np.frombuffer(" \nabcdeABC.,'12".encode("utf-32-le"), "<u4"))
V = len(VOCABULARY)


def new_model(cell="lstm", hidden=12, layers=2, seed=1, embedding=0, size=V):
    model = CharRNN(Shape(size, cell, "", layers, hidden, embedding))
    model.initialise(seed)
    model.vector *= 2  # sharper than at the start, so that the past matters
    model.pack()
    return model


def random_ids(count, seed=0, size=V):
    return np.random.default_rng(seed).integers(0, size, count).astype(np.uint8)


def slow_surprise(model, ids, before):
    """One character at a time, the softmax written out."""
    carry, nats, expected = model.zero_carry(1), [], []
    workspace = model.workspace(1, 1)
    for x, y in zip([before, *ids[:-1]], ids, strict=True):
        carry = model.forward(np.array([[x]]), carry, workspace)
        p = np.exp(workspace.logits[0].astype(float))
        p /= p.sum()
        nats.append(-math.log(p[y]))
        expected.append(sorted(range(len(p)), key=lambda k: -p[k]))
    return np.array(nats), np.array(expected)


def scored(model, ids, **options):
    return Scored.join(list(Scorer(model, VOCABULARY, **options).blocks([ids])))


@pytest.mark.parametrize("cell", cell_names())
@pytest.mark.parametrize("embedding", [0, 5])
def test_surprise_and_alternatives_are_those_of_reading_one_character_at_a_time(cell, embedding) -> None:
    model, ids = new_model(cell, embedding=embedding), random_ids(300)
    nats, expected = slow_surprise(model, ids, VOCABULARY.start)
    found = scored(model, ids, alternatives=3)
    np.testing.assert_allclose(found.nats[:, 0], nats, rtol=1e-4)
    np.testing.assert_array_equal(found.expected, expected[:, :3])
    assert np.all(found.probabilities[:, 0] >= found.probabilities[:, 1])
    first = found.expected[:, 0] == ids
    np.testing.assert_allclose(found.probabilities[first, 0], np.exp(-nats[first]), rtol=1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("cell", cell_names())
def test_surprise_is_that_of_pytorch_on_the_same_weights(cell) -> None:
    torch = pytest.importorskip("torch")
    model, ids = new_model(cell, hidden=16), random_ids(500)
    if not model.cell.torch_name:
        pytest.skip("PyTorch has no such cell")
    weights = {name: torch.from_numpy(array) for name, array in state_dict(model).items()}
    rnn = getattr(torch.nn, model.cell.torch_name)(len(VOCABULARY), 16, 2)
    out = torch.nn.Linear(16, len(VOCABULARY))
    rnn.load_state_dict({name[4:]: array for name, array in weights.items() if name.startswith("rnn.")})
    out.load_state_dict({name[4:]: array for name, array in weights.items() if name.startswith("out.")})
    x = torch.nn.functional.one_hot(torch.tensor([VOCABULARY.start, *ids[:-1].tolist()]), len(VOCABULARY)).float()
    with torch.no_grad():
        logits = out(rnn(x[:, None])[0])[:, 0]
        theirs = torch.nn.functional.cross_entropy(logits, torch.tensor(ids.astype(np.int64)), reduction="none")
    np.testing.assert_allclose(scored(model, ids).nats[:, 0], theirs.numpy(), atol=2e-5)


def test_blocks_of_any_size_give_the_same_surprise() -> None:
    model, ids = new_model(), random_ids(5000)
    whole = scored(model, ids)
    pieces = list(Scorer(model, VOCABULARY).blocks(np.array_split(ids, [1, 7, 7, 4000])))
    joined = Scored.join(pieces)
    np.testing.assert_allclose(joined.nats, whole.nats, atol=1e-5)
    np.testing.assert_array_equal(joined.kinds, whole.kinds)
    assert [len(block) for block in regroup(np.array_split(ids, 13), 1024)] == [1024] * 4 + [904]


def test_parallel_streams_agree_with_one_and_visit_each_character_once() -> None:
    model, ids = new_model(), random_ids(30_011)
    reader, visits = Reader(model, 0, streams=3), np.zeros(30_011, int)
    for start in range(0, len(ids), reader.block_size):
        for chunk in reader.chunks(ids[start : start + reader.block_size]):
            visits[start + chunk.at] += 1
            np.testing.assert_array_equal(chunk.y, ids[start + chunk.at])
    assert visits.tolist() == [1] * len(ids)
    one, many = scored(model, ids), scored(model, ids, streams=3)
    np.testing.assert_allclose(many.nats, one.nats, atol=1e-4)
    assert abs(many.nats.mean() - one.nats.mean()) < 1e-6


def test_streams_that_start_cold_would_not_agree(monkeypatch) -> None:
    model, ids = new_model(), random_ids(9000)
    one = scored(model, ids).nats.mean()
    monkeypatch.setattr(CharRNN, "zero_carry", lambda self, B: np.full((2, 2, B, 12), 0.9, "f"))
    monkeypatch.setattr("charnn.insight.reading.BURN_IN", 1)
    assert abs(scored(model, ids, streams=8).nats.mean() - one) > 1e-6
    assert BURN_IN == 512


def test_a_context_is_read_but_not_scored() -> None:
    model, ids = new_model(), random_ids(400)
    np.testing.assert_allclose(
        scored(model, ids[100:], context=ids[:100]).nats, scored(model, ids).nats[100:], atol=1e-4
    )


def test_the_baseline_and_another_model_judge_the_same_characters() -> None:
    ours, theirs, ids = new_model(seed=1), new_model("gru", seed=2), random_ids(9000)
    ngrams = NGrams.count(random_ids(2000, seed=5), 3, len(VOCABULARY))
    found = scored(ours, ids, against=(theirs, VOCABULARY), ngrams=ngrams)
    np.testing.assert_allclose(found.nats[:, 1], scored(theirs, ids).nats[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.nats[:, 2], ngrams.score(ids))


def test_another_model_may_number_the_characters_differently() -> None:
    more = Vocabulary.from_code_points(np.frombuffer((VOCABULARY.characters + "xyz\t").encode("utf-32-le"), "<u4"))
    theirs, ids = new_model("gru", size=len(more)), random_ids(200)
    found = scored(new_model(), ids, against=(theirs, more)).nats[:, 1]
    in_theirs = more.encode(VOCABULARY.decode(ids))
    np.testing.assert_allclose(found, slow_surprise(theirs, in_theirs, more.start)[0], rtol=1e-4)


def test_models_that_cut_a_text_differently_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="cut a text differently"):
        Scorer(new_model(), VOCABULARY, against=(new_model(size=256), Vocabulary.bytes_()))
    fewer = Vocabulary.from_code_points(np.frombuffer("ab\n".encode("utf-32-le"), "<u4"))
    with pytest.raises(UnknownCharacters, match="never saw"):
        scored(new_model(), random_ids(50), against=(new_model(size=3), fewer))


# Kinds, lines, sums


def test_kinds_partition_a_text() -> None:
    text = "Abc d'e\n1, 'a.\n"
    kinds = KindsOf(VOCABULARY)(VOCABULARY.encode(text), VOCABULARY.start)
    names = ["capital", "inside a word", "inside a word", "space", "first letter", "punctuation", "inside a word"]
    names += ["line end", "digit", "punctuation", "space", "punctuation", "inside a word", "punctuation", "line end"]
    assert [KINDS[kind] for kind in kinds] == names


def test_the_kind_of_a_first_letter_depends_on_what_stood_before_the_block() -> None:
    kinds_of = KindsOf(VOCABULARY)
    a = VOCABULARY.encode("a")
    assert KINDS[kinds_of(a, int(VOCABULARY.encode("b")[0]))[0]] == "inside a word"
    assert KINDS[kinds_of(a, int(VOCABULARY.encode(" ")[0]))[0]] == "first letter"


def test_the_bytes_of_a_letter_are_one_first_and_others_inside() -> None:
    ids = Vocabulary.bytes_().encode("é 日")
    kinds = [KINDS[kind] for kind in KindsOf(Vocabulary.bytes_())(ids, 10)]
    assert kinds == ["first letter", "inside a word", "space", "first letter", "inside a word", "inside a word"]


@pytest.mark.parametrize("cuts", [[], [1, 5, 6, 7, 900], list(range(1, 3000, 37))])
def test_lines_hold_every_character_once_with_its_number_and_column(cuts) -> None:
    model, ids = new_model(), random_ids(3000)
    text = VOCABULARY.decode(ids)
    blocks = [part for part in np.split(np.arange(3000), cuts) if len(part)]
    whole = scored(model, ids)
    found = list(lines([whole[part[0] : part[-1] + 1] for part in blocks], VOCABULARY))
    assert [VOCABULARY.decode(line.scored.ids) for line in found] == text.splitlines(keepends=True)
    assert [(line.number, line.column) for line in found] == [(n + 1, 1) for n in range(len(found))]
    assert [line.scored.at for line in found] == np.cumsum([0, *(len(line.scored) for line in found[:-1])]).tolist()


def test_a_text_without_line_ends_is_cut_into_pieces() -> None:
    ids = np.full(3 * LONGEST_LINE, VOCABULARY.characters.find("a"), np.uint8)
    found = list(lines([scored(new_model(), ids)], VOCABULARY))
    assert [(line.number, line.column) for line in found] == [(1, 1), (1, LONGEST_LINE + 1), (1, 2 * LONGEST_LINE + 1)]


def test_the_tally_adds_up_and_ranks_lines() -> None:
    ids, model = random_ids(4000), new_model()
    whole = scored(model, ids, against=(new_model("gru"), VOCABULARY))
    tally = Tally(("model", "against"), keep=3)
    found = list(tally.watch(lines([whole], VOCABULARY)))
    nats = whole.nats[:, 0]
    assert tally.characters == 4000
    assert tally.mean() == pytest.approx(nats.mean())
    assert tally.totals()["bits_per_character"] == pytest.approx(nats.mean() / math.log(2))
    assert tally.totals()["perplexity"] == pytest.approx(math.exp(nats.mean()))
    for row in tally.by_kind():
        chosen = whole.kinds == KINDS.index(row["kind"])
        assert row["characters"] == chosen.sum()
        assert row["model"] == pytest.approx(nats[chosen].mean())
    long = [line for line in found if len(line.scored) >= 8]
    assert tally.ranked("worst") == sorted(long, key=lambda line: -line.surprise)[:3]
    assert tally.ranked("ahead") == sorted(found, key=lambda line: -line.lead)[:3]
    assert tally.ranked("behind") == sorted(found, key=lambda line: line.lead)[:3]


# Memory


def test_cold_surprise_reads_exactly_so_many_characters() -> None:
    model, ids = new_model(), random_ids(300)
    at = np.array([100, 150, 299])
    for k in (1, 2, 64, 65, 100):
        slow = []
        for place in at:
            carry = model.zero_carry(1)
            workspace = model.workspace(1, 1)
            for x in ids[place - k : place]:
                carry = model.forward(np.array([[x]]), carry, workspace)
            p = np.exp(workspace.logits[0].astype(float))
            slow.append(-math.log(p[ids[place]] / p.sum()))
        np.testing.assert_allclose(cold_surprise(model, ids, at, k), slow, rtol=1e-4)


def test_memory_stands_beside_the_whole_text_and_the_baseline() -> None:
    model, ids = new_model(), random_ids(3000)
    ngrams = NGrams.count(random_ids(5000, seed=3), 4, len(VOCABULARY))
    memory = measure_memory(model, 0, ids, ngrams=ngrams, longest=64, positions=150)
    assert memory.contexts.tolist() == [1, 2, 4, 8, 16, 32, 64]
    np.testing.assert_allclose(memory.whole, slow_surprise(model, ids, 0)[0][memory.positions], rtol=1e-3)
    np.testing.assert_allclose(memory.nats[3], cold_surprise(model, ids, memory.positions, 8))
    for k in (1, 2, 3):
        np.testing.assert_allclose(memory.baseline[k - 1], ngrams.score(ids, order=k + 1)[memory.positions])
    assert memory.missing[-1] == pytest.approx(memory.losses[-1] - memory.whole.mean())
    assert memory.errors[2] == pytest.approx((memory.nats[2] - memory.whole).std(ddof=1) / math.sqrt(150))


@pytest.mark.parametrize(
    ("missing", "length"), [([1, 0.5, 0.1, 0.05], math.inf), ([1, 0.02, 0.0, 0.0], 2 * 2**0.5), ([0, 0, 0, 0], 1)]
)
def test_the_memory_is_where_more_context_stops_to_help(missing, length) -> None:
    nats = np.repeat(np.array(missing, float)[:, None], 9, axis=1) + 1
    memory = Memory(np.arange(9), np.array([1, 2, 4, 8]), nats, np.ones(9), np.empty((0, 9)))
    assert GAIN == 0.01
    assert memory.length == pytest.approx(length)


def test_memory_of_a_model_that_sees_one_character_is_one() -> None:
    model = new_model("vanilla", layers=1)
    model.parameters["recurrent0.Wh"][...] = 0
    model.pack()
    assert measure_memory(model, 0, random_ids(2000), longest=32, positions=100).length == 1


def test_a_text_too_short_for_memory_is_refused() -> None:
    with pytest.raises(CorpusError, match="too short"):
        measure_memory(new_model(), 0, random_ids(3))


# The Python surface and the command


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run of a few steps on a text of its own."""
    folder = tmp_path_factory.mktemp("score")
    text = "".join(VOCABULARY.characters[i] for i in random_ids(6000, seed=9))
    (folder / "text.txt").write_text(text)
    options = {"hidden_size": 8, "layers": 1, "steps": 5, "seq_length": 16, "batch_size": 4}
    for cell in ("lstm", "vanilla"):
        for _ in charnn.train(folder / "text.txt", out=folder / cell, cell=cell, **options):
            pass
    return folder


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_scoring_the_own_validation_text_gives_the_loss_of_training(trained) -> None:
    result = json.loads(invoke("score", trained / "lstm", "--json"))
    lines_ = (trained / "lstm" / "metrics.jsonl").read_text().splitlines()
    assert result["nats_per_character"] == pytest.approx(json.loads(lines_[-1])["val_loss"], abs=1e-4)
    assert list(result)[:5] == ["characters", "unknown", "nats_per_character", "bits_per_character", "perplexity"]


def test_the_test_part_is_scored_after_all_that_stands_before_it(trained) -> None:
    options = {"hidden_size": 8, "layers": 1, "steps": 5, "seq_length": 16, "batch_size": 4}
    fractions = {"val_fraction": 0.05, "test_fraction": 0.1}
    list(charnn.train(trained / "text.txt", out=trained / "tested", cell="gru", **options, **fractions))
    run = charnn.load(trained / "tested")
    ids = run.vocabulary.encode((trained / "text.txt").read_text())
    expected = slow_surprise(run.model, ids[5400 - BURN_IN :], run.vocabulary.start)[0][BURN_IN:]
    score = run.score_test()
    assert score.text == (trained / "text.txt").read_text()[5400:] and len(score.nats) == 600
    np.testing.assert_allclose(score.nats, expected, rtol=1e-4)
    result = json.loads(invoke("score", trained / "tested", "--test", "--json"))
    assert (result["part"], result["characters"]) == ("test", 600)
    assert result["nats_per_character"] == pytest.approx(expected.mean(), abs=1e-4)
    assert json.loads(invoke("score", trained / "tested", "--json"))["part"] == "validation"
    assert "tested on its test text" in invoke("score", trained / "tested", "--test")
    assert "on its test text" in invoke("score", trained / "tested", "--test", "--memory")


def test_a_run_without_a_test_part_says_so(trained, capsys) -> None:
    with pytest.raises(CorpusError, match="the run has no test part"):
        charnn.load(trained / "lstm").score_test()
    assert cli.run(["score", str(trained / "lstm"), "--test"]) == 3
    told = capsys.readouterr().err
    assert "the run has no test part" in told and "--test-fraction" in told
    assert cli.run(["score", str(trained / "lstm"), "text.txt", "--test"]) == 2
    assert "cannot be combined" in capsys.readouterr().err


def test_json_tsv_and_python_say_the_same(trained) -> None:
    text = (trained / "text.txt").read_text()[:700]
    (trained / "piece.txt").write_text(text)
    score = charnn.load(trained / "lstm").score(text, alternatives=2)
    totals = json.loads(invoke("score", trained / "lstm", trained / "piece.txt", "--json"))
    rows = [row.split("\t") for row in invoke("score", trained / "lstm", trained / "piece.txt", "--tsv").splitlines()]
    assert totals["characters"] == len(score.nats) == len(rows) - 1 == 700
    assert totals["perplexity"] == pytest.approx(score.perplexity)
    column = rows[0].index("model")
    np.testing.assert_allclose([float(row[column]) for row in rows[1:]], score.nats, atol=1e-5)
    assert [row[3].replace(r"\n", "\n") for row in rows[1:]] == list(text)
    assert score.expected.shape == (700, 2)
    assert [row[rows[0].index("expected1")] for row in rows[1:9]] == [
        c.replace("\n", r"\n") for c in score.expected[:8, 0]
    ]


def test_the_screens_name_totals_kinds_lines_and_alternatives(trained) -> None:
    screen = invoke("score", trained / "lstm", "--worst", 2)
    assert "nats per character" in screen
    assert "inside a word" in screen
    assert len(re.findall(r"^line \d+: ", screen, re.MULTILINE)) == 2
    assert "expected '" in screen
    both = invoke("score", trained / "lstm", "--against", trained / "vanilla")
    assert "Where the first run is better" in both
    one = invoke("score", trained / "lstm", trained / "text.txt", "--at", 2)
    assert len(one.splitlines()) == 1 + len((trained / "text.txt").read_text().split("\n")[1]) + 1
    assert "memory:" in invoke("score", trained / "lstm", "--memory")


def test_unknown_characters_are_an_error_or_left_out_and_counted(trained) -> None:
    (trained / "odd.txt").write_text("aaaßbbbß\x1b[31m")
    result = CliRunner().invoke(main, ["score", str(trained / "lstm"), str(trained / "odd.txt")])
    assert isinstance(result.exception, UnknownCharacters)
    assert result.exception.exit_code == 3
    skipped = json.loads(invoke("score", trained / "lstm", trained / "odd.txt", "--json", "--unknown", "skip"))
    assert (skipped["characters"], skipped["unknown"]) == (6 + 1, 6)  # of the escape sequence only 1 and ...


def test_without_the_own_text_the_baseline_is_left_out(trained, tmp_path) -> None:
    checkpoint = next((trained / "lstm" / "checkpoints").iterdir())
    alone = tmp_path / checkpoint.name
    alone.write_bytes(checkpoint.read_bytes())
    result = CliRunner().invoke(main, ["score", str(alone), str(trained / "text.txt"), "--json"])
    assert "continuing without the n-gram baseline" in result.stderr
    assert "baseline" not in json.loads(result.stdout)["kinds"][0]
