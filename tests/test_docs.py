"""README, presets, help and packaging enter; what they promise is tried out, word for word where that is quick."""

from __future__ import annotations

import ast
import importlib
import math
import random
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import charnn
from charnn import config
from charnn.cli import COMMANDS, main, run
from charnn.network.model import CharRNN
from charnn.network.shape import Shape
from charnn.yaml_file import read_file

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = (ROOT / "charnn" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SHELL = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
PYTHON = [text for language, text in BLOCKS if language == "python"]
PRESETS = sorted((ROOT / "configs").glob("*.yaml"))
PAGES = [
    path for pattern in ("*.md", "charnn/*.md", "configs/*.md", "corpora/*.md") for path in sorted(ROOT.glob(pattern))
]

SMALL = ["--steps", "4", "--layers", "1", "--hidden", "8", "--seq-length", "16", "--batch-size", "4"]
LENGTHS = {"--epochs", "--steps", "--budget"}
SIZES = {"--hidden", "--layers", "--seq-length", "--batch-size", "--workers"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like a checkout to somebody who types commands, with short texts for corpora."""
    (tmp_path / "corpora").mkdir()
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in ("dialogues.txt", "harbour.txt"):
        text = (ROOT / "corpora" / name).read_bytes()
        head = text[:6000].decode("ascii")
        (tmp_path / "corpora" / name).write_text(head + "".join(sorted(set(text.decode("ascii")))) + head)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def charnn_words(line: str) -> list[list[str]]:
    """What follows each charnn of a shell line, up to ``&&``, ``|``, ``>``, a comment, or the end of ``"$(...)"``."""
    calls = re.findall(r"""(?:^|&& |\$\()(?:\S*/)?charnn (.*?)(?=$| && | [|>] |\)"| +#)""", line)
    return [shlex.split(call) for call in calls]


def charnn_commands() -> list[list[str]]:
    """Every charnn command of the README's shell blocks, in order."""
    return [words for line in SHELL for words in charnn_words(line)]


def made_small(words: list[str]) -> list[str]:
    """The same command with a few steps of a tiny network; to resume is to go on for a few steps more."""
    if words[0] == "bench":
        return ["bench", "--quick", "--only", "startup", "--seconds", "0.01"]
    resumes = "--resume" in words
    if words[0] == "neurons":
        return [re.sub(r"^(\d+):\d+", r"0:3", word) for word in words]
    if words[0] not in ("train", "compare") or (words[0] == "compare" and resumes):
        return words
    kept, rest = [], iter(words)
    for word in rest:
        if word in LENGTHS or word in SIZES:
            next(rest)
        else:
            kept.append(word)
    if words[0] == "compare":
        return [*kept, "--steps", "4", "--workers", "1", "--set", "training.seq_length=16"]
    return kept + (["--steps", "6"] if resumes else SMALL)


def commands_in(text: str) -> list[str]:
    """The lines of a help's examples."""
    return [line.strip() for line in text.splitlines() if line.startswith("  ") and line.strip().startswith("charnn ")]


def test_the_readme_shows_a_command_for_every_command_there_is() -> None:
    assert {words[0] for words in charnn_commands()} == set(COMMANDS)


def test_the_readmes_commands_run_in_the_order_they_are_read(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for words in charnn_commands():
        code = run(made_small(words))
        assert code == 0, f"charnn {shlex.join(words)}: {capfd.readouterr().err}"


def test_setting_up_needs_python_alone_and_stays_in_the_checkout() -> None:
    for line in [line for line in SHELL if "pip" in line]:
        tools = [shlex.split(part)[0] for part in line.split("&&")]
        assert tools[0] == "python3"
        assert all(tool.startswith(".venv/bin/") for tool in tools[1:])


def test_ci_runs_the_readmes_test_command_as_it_is() -> None:
    (command,) = [line for line in SHELL if "pytest" in line]
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == command


def test_the_first_commands_preset_gives_the_run_that_the_readme_looks_at() -> None:
    """The PyTorch example names sizes and a step: those of the preset on the shipped text."""
    from charnn.text.batches import Batches
    from charnn.text.corpus import split

    text = (ROOT / "corpora" / "dialogues.txt").read_bytes()
    settings = config.resolve(read_file(ROOT / "configs" / "tiny.yaml")).config
    training = split(len(text), settings.data.val_fraction, settings.data.test_fraction).train
    ids = np.broadcast_to(np.uint8(0), training.stop - training.start)
    per_epoch = Batches(ids, settings.training.batch_size, settings.training.seq_length).chunks_per_epoch
    assert settings.training.epochs is not None
    assert f"step-{round(per_epoch * settings.training.epochs):08d}.safetensors" in README
    network = f"torch.nn.GRU({len(set(text))}, {settings.model.hidden_size}, num_layers={settings.model.layers})"
    assert network in README


def test_pytorch_loads_a_checkpoint_as_the_readme_says(checkout: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tiny = ["--config", "configs/tiny.yaml", "--steps", "2", "--out", "runs/tiny"]
    assert run(["train", "corpora/dialogues.txt", *tiny]) == 0
    (snippet,) = [text for text in PYTHON if "import torch" in text]
    (file,) = (checkout / "runs" / "tiny" / "checkpoints").glob("step-00000002.*")
    names: dict[str, object] = {}
    exec(re.sub(r'load_file\(".*"\)', f"load_file({str(file)!r})", snippet), names)
    loaded = charnn.load("runs/tiny")
    ids = loaded.vocabulary.encode("There is a lamp.")[:, None]  # (T, 1)
    workspace = loaded.model.workspace(len(ids), 1)
    loaded.model.forward(ids, loaded.model.zero_carry(1), workspace)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(ids.astype(np.int64)), len(loaded.vocabulary)).float()
    rnn, out = names["rnn"], names["out"]
    assert callable(rnn)
    assert callable(out)
    theirs = out(rnn(one_hot)[0]).detach().numpy()[:, 0]
    np.testing.assert_allclose(workspace.logits, theirs, atol=1e-5)


def test_the_readmes_python_runs(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(made_small(["train", "corpora/dialogues.txt", "--config", "configs/tiny.yaml"])) == 0
    examples = [text for text in PYTHON if "import charnn" in text]
    assert len(examples) == 2
    for text in examples:
        small = text.replace("hidden_size=64, epochs=2", "hidden_size=8, steps=4, seq_length=16, batch_size=4")
        exec(small, {"__name__": "example"})
    assert capsys.readouterr().out.strip()


def test_the_tree_lists_exactly_the_modules() -> None:
    tree = re.search(r"^    charnn/\n((?:      .*\n)+)", ROOMS, re.MULTILINE)
    assert tree, "the page has no tree"
    listed, folders = set(), [""]
    for line in tree[1].splitlines():
        indent, name = re.match(r"( +)(\S+)", line).groups()  # type: ignore[union-attr]
        del folders[len(indent) // 2 - 2 :]
        listed.add(folders[-1] + name)
        if name.endswith("/"):
            folders.append(folders[-1] + name)
    package = ROOT / "charnn"
    there = {str(p.relative_to(package)) for p in package.rglob("*.py")}
    rooms = {str(Path(name).parent) + "/" for name in there if name.endswith("/__init__.py")}
    assert listed == rooms | {name for name in there if "/" not in name or not name.endswith("__init__.py")}


def test_the_table_of_imports_names_every_room_once() -> None:
    named = re.findall(r"^\| `(\w+)` \|", ROOMS, re.MULTILINE)
    there = {
        path.stem for path in (ROOT / "charnn").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(named) == sorted(there - {"__init__", "__main__"})


def test_links_to_files_and_headings_resolve() -> None:
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in anchors, f"{page.name}: {target}"
            elif not target.startswith("https://"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_version_is_one() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.split() == ["charnn", charnn.__version__]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == charnn.__version__


def test_pages_speak_of_charnn_alone() -> None:
    """No notes to oneself, and no paths of the machine a page was written on."""
    for page in [*PAGES, *PRESETS, ROOT / "Makefile", ROOT / ".ci" / "run"]:
        found = re.search(r"\bTODO\b|\bFIXME\b|\bXXX\b|/(work|tmp|home|root|opt)/", page.read_text(encoding="utf-8"))
        assert not found, f"{page.name}: {found[0]}"


# Presets


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_trains(preset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(1)
    text = tmp_path / "text.txt"
    text.write_text("".join(rng.choices("abcdefgh \n", k=12000)))
    words = ["train", str(text), "--config", str(preset), "--out", str(tmp_path / "run")]
    shorter = ["--steps", "2", "--batch-size", "2", "--hidden", "8"]
    code = run([*words, *shorter])
    assert code == 0, capfd.readouterr().err
    assert charnn.load(tmp_path / "run").step == 2


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_holds_only_what_differs_from_the_defaults(preset: Path) -> None:
    default = config.Config().to_json()
    for name, setting in read_file(preset).items():
        section, _, key = name.partition(".")
        assert config.coerce(name, setting) != default[section][key], f"{preset.name}: {name} is the default"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_a_preset_begins_with_the_command_that_uses_it(preset: Path) -> None:
    comment = preset.read_text(encoding="utf-8").partition("\n\n")[0]
    assert f"--config configs/{preset.name}" in comment


def test_the_commands_of_the_results_are_valid(
    checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charnn.planning.dry_run.MEASURE_SECONDS", 0.0)
    page = (ROOT / "configs" / "README.md").read_text(encoding="utf-8")
    shutil.copy("corpora/dialogues.txt", "tinyshakespeare.txt")
    commands = re.findall(r"`charnn (train [^`]+)`", page)
    assert len(commands) > 8
    for command in set(commands):
        words = shlex.split(command)
        assert run([*words, "--dry-run"]) == 0, f"{command}: {capfd.readouterr().err}"


def test_the_readme_lists_the_presets() -> None:
    assert set(re.findall(r"\]\(configs/([\w-]+\.yaml)\)", README)) == {path.name for path in PRESETS}


# Options


def test_every_option_of_the_configuration_is_in_the_readme_with_its_flag_and_default() -> None:
    from charnn.cli.options import FLAGS

    flags = {config.KEYS[key]: flag for group in FLAGS.values() for flag, key in group.items()}
    rows = dict(re.findall(r"^\| `([a-z]+\.[a-z_0-9]+)` (\|.*)$", README, re.MULTILINE))
    assert set(rows) == set(config.OPTIONS)
    for name, row in rows.items():
        flag, default, help_text = (
            (cell.strip() for cell in row.strip("| ").split("|"))
            if flags.get(name)
            else (
                "",
                *(cell.strip() for cell in row.strip("| ").split("|")),
            )
        )
        assert flag.strip("`") == flags.get(name, ""), name
        assert help_text, name
        spec = config.OPTIONS[name]
        expected = "auto" if spec.metadata.get("auto") else "" if spec.default is None else str(spec.default)
        if name == "training.budget":
            expected = f"{config.DEFAULT_BUDGET / 60:g}m"
        assert default == expected, name


def options_of(name: str) -> list[click.Option]:
    command = importlib.import_module(f"charnn.cli.{name}").command
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_of_a_command_is_in_the_readme_and_has_a_help(name: str) -> None:
    for option in options_of(name):
        assert option.help, option.name
        for flag in option.opts:
            assert re.search(rf"`{flag}[` ]", README), f"charnn {name} {flag}"


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_of_a_command_leads_with_examples_that_parse(name: str) -> None:
    result = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    examples = commands_in(result.output)
    assert examples
    assert result.output.index(examples[-1]) < result.output.index("Options:")
    for line in examples:
        ((command, *words),) = charnn_words(line)
        module = importlib.import_module(f"charnn.cli.{command}")
        module.command.make_context(command, words)


# A cell of one's own


def mgu_source() -> str:
    (source,) = [text for text in PYTHON if "class MGU" in text]
    return source


@pytest.fixture
def with_mgu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import charnn.network.cells

    (tmp_path / "mgu.py").write_text(mgu_source(), encoding="utf-8")
    monkeypatch.setattr(charnn.network.cells, "__path__", [*charnn.network.cells.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "charnn.network.cells.mgu", raising=False)


def worst_gradient_error(shape: Shape, change: Callable[[str, np.ndarray], None] = lambda name, g: None) -> float:
    """The largest relative error of a gradient against central differences, over every weight of a small network."""
    rng = np.random.default_rng(1)
    model = CharRNN(shape, np.float64)
    model.initialise(1)
    x, y = rng.integers(shape.vocabulary_size, size=(2, 4, 2))  # (T, B)
    carry = rng.normal(size=model.zero_carry(2).shape)
    workspace, gradient = model.workspace(4, 2), np.zeros(model.size)

    def loss() -> float:
        model.pack()
        return float(model.losses(x, y, carry, workspace)[0].sum())

    model.gradient(x, y, carry, workspace, model.views(gradient), 1.0)
    for name, array in model.views(gradient).items():
        change(name, array)
    numeric, h = np.zeros(model.size), 1e-5
    for i, weight in enumerate(model.vector.copy()):
        model.vector[i] = weight + h
        above = loss()
        model.vector[i] = weight - h
        numeric[i] = (above - loss()) / (2 * h)
        model.vector[i] = weight
    scale = max(np.abs(numeric).max(), np.abs(gradient).max())
    return float(np.abs(numeric - gradient).max() / scale)


@pytest.mark.usefixtures("with_mgu")
@pytest.mark.parametrize("layers", [1, 2])
def test_the_cell_in_the_readme_has_exact_gradients(layers: int) -> None:
    assert worst_gradient_error(Shape(5, "mgu", layers=layers, hidden_size=3)) < 1e-8


@pytest.mark.usefixtures("with_mgu")
def test_a_gradient_that_is_a_little_wrong_is_noticed() -> None:
    def one_percent_off(name: str, gradient: np.ndarray) -> None:
        if name == "recurrent0.Wh":
            gradient *= 1.01

    assert worst_gradient_error(Shape(5, "mgu", layers=1, hidden_size=3), one_percent_off) > 1e-6


def test_the_cell_in_the_readme_trains_once_it_is_a_file_in_the_folder(checkout: Path) -> None:
    shutil.copytree(ROOT / "charnn", checkout / "charnn", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "charnn" / "network" / "cells" / "mgu.py").write_text(mgu_source(), encoding="utf-8")
    words = [sys.executable, "-m", "charnn", "train", "corpora/dialogues.txt", "--cell", "mgu", *SMALL]
    done = subprocess.run(words, cwd=checkout, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "runs/dialogues-mgu-1" in done.stderr


def test_the_readmes_python_is_formatted_as_ours_is() -> None:
    for text in PYTHON:
        ast.parse(text)
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "format", "--check", "--stdin-filename", "example.py", "-"],
            input=text,
            text=True,
            capture_output=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr}\n{text}"


def test_losses_of_the_readme_are_the_floor_of_the_corpus() -> None:
    """The figure quoted for the harbour log is the one its own README derives."""
    floor = re.search(r"last 0\.1: (\d\.\d+) nats", (ROOT / "corpora" / "README.md").read_text(encoding="utf-8"))
    quoted = re.search(r"below (\d\.\d+) nats per character on its last tenth", README)
    assert floor
    assert quoted
    assert math.isclose(float(floor[1]), float(quoted[1]), abs_tol=5e-4)
