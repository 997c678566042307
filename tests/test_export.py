"""A run becomes a page: what is in it, what it says of the run, and what cannot be exported."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TINY, complaint, names, new_run, some_text, write_text

import charnn
from charnn import cli
from charnn.config import cell_names
from charnn.errors import ConfigError, StorageError, UnknownCharacters
from charnn.export import facts, page
from charnn.network.state_dict import state_dict
from charnn.text.vocabulary import Vocabulary
from charnn.training.trainer import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 20 steps on some words, validated twice."""
    folder = tmp_path_factory.mktemp("export")
    list(charnn.train(write_text(folder), out=folder / "run", **TINY, validate_every=10))
    return folder / "run"


def facts_in(file: Path) -> dict[str, Any]:
    """What a page says of its run."""
    return json.loads(element(file.read_text(encoding="utf-8"), "facts-data"))


def element(text: str, name: str) -> str:
    found = re.search(rf'<script type="[a-z/]+" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return found[1]


# The command and the call


def test_the_command_writes_a_page_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert cli.run(["export", str(folder), str(out)]) == 0
    shown, told = capsys.readouterr()
    assert shown == "" and f"wrote {out}" in told and "MB" in told
    assert cli.run(["export", str(folder), str(out), "--json", "--dtype", "float32"]) == 0
    size = out.stat().st_size
    parameters = charnn.load(folder).model.size
    assert json.loads(capsys.readouterr().out) == {
        "file": str(out),
        "bytes": size,
        "parameters": parameters,
        "step": 20,
        "dtype": "float32",
    }


def test_the_call_writes_the_same_page_as_the_command(folder: Path, tmp_path: Path) -> None:
    assert cli.run(["export", str(folder), str(tmp_path / "a.html")]) == 0
    charnn.load(folder).export(tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("name", ["page.txt", "page", "page.html.gz"])
def test_the_name_says_what_is_written(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["export", str(folder), str(tmp_path / name)]) == 2
    assert ".html" in capsys.readouterr().err and not names(tmp_path)


def test_a_page_is_written_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    out.write_text("what was there")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert cli.run(["export", str(folder), str(out)]) == 6
    assert "No space left" in capsys.readouterr().err
    assert names(tmp_path) == ["page.html"] and out.read_text() == "what was there"


def test_a_folder_that_is_not_there_is_an_error_of_storage(folder: Path, tmp_path: Path) -> None:
    assert "page.html" in complaint(lambda: charnn.load(folder).export(tmp_path / "no" / "page.html"), StorageError)


# What is in it


@pytest.mark.parametrize("dtype", page.DTYPES)
def test_the_weights_are_those_of_the_checkpoint(folder: Path, tmp_path: Path, dtype: str) -> None:
    run = charnn.load(folder)
    run.export(tmp_path / "page.html", dtype=dtype)
    data = base64.b64decode(element((tmp_path / "page.html").read_text(), "weights-data"))
    values, at = np.frombuffer(data, dtype), 0
    arrays = state_dict(run.model)
    assert [name for name, _ in facts_in(tmp_path / "page.html")["arrays"]] == list(arrays)
    for array in arrays.values():
        np.testing.assert_array_equal(values[at : at + array.size], array.reshape(-1).astype(dtype))
        at += array.size
    assert at == len(values)


def test_a_page_of_800_000_parameters_is_smaller_than_2500_kilobytes(tmp_path: Path) -> None:
    with new_run(tmp_path, layers=2, hidden_size=256, steps=1) as run:
        list(train(run))
    loaded = charnn.load(tmp_path / "run")
    assert loaded.model.size > 800_000
    loaded.export(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_500_000


def test_the_security_policy_names_the_one_script_and_the_one_style(folder: Path, tmp_path: Path) -> None:
    charnn.load(folder).export(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    assert policy
    directives = dict(part.split(maxsplit=1) for part in policy[1].split("; "))
    assert directives["default-src"] == "'none'"
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        hashed = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert directives[kind] == f"'sha256-{hashed}'"
    assert text.index(policy[0]) < text.index("<title>")
    assert set(re.findall(r"https?://[^\s\"')]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\bon[a-z]+=\"|\bstyle=\"", text)


def test_the_facts_are_those_of_the_run(folder: Path, tmp_path: Path) -> None:
    run = charnn.load(folder)
    run.export(tmp_path / "page.html")
    said = facts_in(tmp_path / "page.html")
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert said["files"] == ["text.txt"] and said["corpus"] == 4000 and said["step"] == 20
    assert said["parameters"] == run.model.size and said["unit"] == "character"
    assert said["val_loss"] == pytest.approx(metrics[-1]["val_loss"], abs=1e-5)
    assert said["train_loss"] == metrics[-1]["train_loss"]
    assert [point[0] for point in said["curve"]] == [line["step"] for line in metrics]
    assert said["baseline"]["order"] >= 1 and said["baseline"]["loss"] > 0
    assert said["excerpt"] and set(said["excerpt"]) <= set(run.vocabulary.characters)


def test_an_older_checkpoint_tells_of_its_own_time(folder: Path, tmp_path: Path) -> None:
    (older,) = (folder / "checkpoints").glob("step-00000010.*")
    charnn.load(older).export(tmp_path / "page.html")
    said = facts_in(tmp_path / "page.html")
    assert said["step"] == 10 and {point[0] for point in said["curve"]} <= set(range(11))


def test_a_curve_of_many_points_keeps_its_ends() -> None:
    points = list(range(12_345))
    thin = facts.thinned(points)
    assert len(thin) == facts.CURVE_POINTS and thin[0] == 0 and thin[-1] == 12_344
    assert np.ptp(np.diff(thin)) <= 1
    assert facts.thinned(points[:5]) == points[:5]


def test_units_are_told_with_what_they_tell(folder: Path, tmp_path: Path) -> None:
    run = charnn.load(folder)
    run.export(tmp_path / "page.html")
    units = facts_in(tmp_path / "page.html")["units"]
    assert units and len({(one["layer"], one["unit"]) for one in units}) == len(units)
    neurons = run.neurons()
    for one in units:
        row = next(k for k, unit in enumerate(neurons.units) if (unit.index, unit.state) == (one["unit"], one["state"]))
        column = neurons.properties.names.index(one["property"])
        assert one["r"] == pytest.approx(neurons.correlations[row, column], abs=1e-4)
        assert abs(one["r"]) > one["chance"] == pytest.approx(neurons.chance[column], abs=1e-4)


def test_another_text_may_be_shown(folder: Path, tmp_path: Path) -> None:
    text = "the sea and the wind.\n" * 10
    (tmp_path / "text.txt").write_text(text)
    assert cli.run(["export", str(folder), str(tmp_path / "a.html"), "--text", str(tmp_path / "text.txt")]) == 0
    charnn.load(folder).export(tmp_path / "b.html", text=text)
    assert facts_in(tmp_path / "a.html")["excerpt"] == facts_in(tmp_path / "b.html")["excerpt"] == text
    complaint(lambda: charnn.load(folder).export(tmp_path / "c.html", text="ü"), UnknownCharacters)
    assert names(tmp_path) == ["a.html", "b.html", "text.txt"]


def test_characters_that_the_network_never_saw_are_an_error_or_left_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text("the söa\n" * 20)
    words = ["export", str(folder), str(tmp_path / "page.html"), "--text", str(tmp_path / "text.txt")]
    assert cli.run(words) == 3
    assert "--unknown nearest" in capsys.readouterr().err and names(tmp_path) == ["text.txt"]
    assert cli.run([*words, "--unknown", "skip"]) == 0
    assert facts_in(tmp_path / "page.html")["excerpt"] == "the sa\n" * 20


def test_a_text_too_short_for_units_is_shown_alone(folder: Path, tmp_path: Path) -> None:
    charnn.load(folder).export(tmp_path / "page.html", text="the sea")
    said = facts_in(tmp_path / "page.html")
    assert said["excerpt"] == "the sea" and said["units"] == []


def test_without_a_text_the_page_does_without(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(charnn.load(folder).path.read_bytes())
    assert cli.run(["export", str(alone), str(tmp_path / "page.html")]) == 0
    assert "shows no text" in capsys.readouterr().err
    said = facts_in(tmp_path / "page.html")
    assert (said["excerpt"], said["units"], said["curve"], said["train_loss"]) == ("", [], [], None)
    assert "<title>alone</title>" in (tmp_path / "page.html").read_text()


def test_a_run_without_held_out_text_has_a_page(tmp_path: Path) -> None:
    with new_run(tmp_path, val_fraction=0.0) as run:
        list(train(run))
    charnn.load(tmp_path / "run").export(tmp_path / "page.html")
    said = facts_in(tmp_path / "page.html")
    assert (said["excerpt"], said["val_loss"], said["baseline"]) == ("", None, None)


# What cannot be exported


def test_every_cell_that_there_is_can_be_exported() -> None:
    assert set(cell_names()) == page.CELLS
    for name in page.CELLS:
        page.check_cell(name)


def test_a_cell_of_ones_own_is_refused_by_name() -> None:
    assert "mgu" in complaint(lambda: page.check_cell("mgu"), ConfigError)


def test_weights_beyond_16_bits_are_refused_with_what_to_do(folder: Path, tmp_path: Path) -> None:
    run = charnn.load(folder)
    run.model.parameters["output.W"][0, 0] = 70_000
    message = complaint(lambda: run.export(tmp_path / "page.html"), ConfigError)
    assert "out.weight" in message and "float32" in message and not names(tmp_path)
    run.export(tmp_path / "page.html", dtype="float32")
    assert "float8" in complaint(lambda: run.export(tmp_path / "page.html", dtype="float8"), ConfigError)


# What may stand in it


def test_nothing_in_the_facts_can_end_their_element() -> None:
    nasty = {"</script><script>": ["<!--", "]]>", "&lt;", "\u2028\u2029", "\ud800", "\x00", "{{script}}"]}
    text = page.harmless_json(nasty)
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text) == nasty


def test_a_name_cannot_ask_for_another_part_of_the_page(folder: Path, tmp_path: Path) -> None:
    named = tmp_path / "{{script}}<b>&{{weights}}"
    shutil.copytree(folder, named)
    charnn.load(named).export(tmp_path / "page.html")
    assert "<title>{{script}}&lt;b&gt;&amp;{{weights}}</title>" in (tmp_path / "page.html").read_text()


def test_an_excerpt_ends_with_a_line_or_with_the_text() -> None:
    text = some_text(4000)
    vocabulary = Vocabulary.from_code_points(np.array([ord(c) for c in text]))
    ids = vocabulary.encode(text)
    cut = facts.excerpt_of(vocabulary, ids, 7)
    assert text[7:].startswith(cut) and cut.endswith("\n") and facts.EXCERPT - 100 < len(cut) <= facts.EXCERPT
    assert facts.excerpt_of(vocabulary, ids, 3900) == text[3900:]
    of_bytes = Vocabulary.bytes_()
    shown = facts.excerpt_of(of_bytes, of_bytes.encode("한" * 2000)[1:], 0)
    assert set(shown) == {"한"}
