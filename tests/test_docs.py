"""Pages enter; what they promise is tried out, page by page."""

from __future__ import annotations

import ast
import io
import math
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pages import ROOT, Block, Page, all_pages, charnn_calls, made_small

import charnn
from charnn import cli, config
from charnn.cli import main

PAGES = all_pages()
README, ROOMS, RUNS = (Page(ROOT / name) for name in ("README.md", "charnn/README.md", "charnn/runs/README.md"))
every_page = pytest.mark.parametrize("page", PAGES, ids=str)


# What a page says can be done, can be done


@every_page
def test_the_commands_and_examples_of_a_page_run_in_the_order_they_are_read(
    page: Page, checkout: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"A line of mine.\n")))
    for block in page.blocks:
        if block.language == "sh":
            for words in (words for line in block.text.splitlines() for words in charnn_calls(line)):
                code = cli.run(made_small(words))
                assert code == 0, f"charnn {shlex.join(words)}: {capfd.readouterr().err}"
        elif block.language == "yaml":
            name = block.text.partition("\n")[0].removeprefix("# ")
            (checkout / name).write_text(block.text)
        elif block.language == "python" and "import torch" not in block.text:
            small = block.text.replace('"hidden_size": 64, "epochs": 2', '"hidden_size": 8, "steps": 4')
            small = small.replace("hidden_size=64, epochs=2", "hidden_size=8, steps=4")
            exec(small, {"__name__": "example"})


@every_page
def test_the_python_of_a_page_is_formatted_as_ours_is(page: Page) -> None:
    for text in (block.text for block in page.blocks if block.language == "python"):
        ast.parse(text)
        words = [sys.executable, "-m", "ruff", "format", "--check", "--stdin-filename", "example.py", "-"]
        done = subprocess.run(words, input=text, text=True, capture_output=True, cwd=ROOT, timeout=60, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{text}"


@every_page
def test_the_links_of_a_page_lead_somewhere(page: Page) -> None:
    for target in page.links:
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        there = page.path.parent / file if file else page.path
        assert there.exists(), f"{page}: {target}"
        assert not anchor or anchor in Page(there.resolve()).anchors, f"{page}: {target}"


def test_every_page_is_reached_from_the_first() -> None:
    reached, new = set(), [README.path]
    while new:
        path = new.pop()
        reached.add(path)
        targets = (target.partition("#")[0] for target in Page(path).links if not target.startswith("https://"))
        there = {(path.parent / target).resolve() for target in targets if target.endswith(".md")}
        new += there - reached
    assert reached == {page.path for page in PAGES}


@every_page
def test_a_page_names_only_files_that_exist(page: Page) -> None:
    made_by_the_reader = {"charnn/network/cells/mgu.py"}
    for span in page.spans:
        if re.fullmatch(r"(charnn|configs|corpora|tests|\.ci|\.github)/[\w./-]+", span):
            assert span in made_by_the_reader or (ROOT / span).exists() or "NAME" in span, f"{page}: {span}"


# The first page


def test_the_first_page_is_read_in_five_minutes() -> None:
    assert len(README.text.splitlines()) <= 200
    assert len(README.text.encode()) <= 10_000


def test_setting_up_needs_python_alone_and_stays_in_the_checkout() -> None:
    lines = [line for line in README.shell_lines if "pip" in line]
    assert len(lines) == 2
    for line in lines:
        tools = [shlex.split(part)[0] for part in line.split("&&")]
        assert tools[0] == "python3"
        assert all(tool.startswith(".venv/bin/") for tool in tools[1:])


def test_ci_runs_the_test_command_of_the_first_page_as_it_is() -> None:
    (command,) = [line for line in README.shell_lines if "pytest" in line]
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1] == command


def test_pages_give_the_floor_of_the_harbour_log_as_its_own_page_derives_it() -> None:
    floor = re.search(r"last 0\.1: (\d\.\d+) nats", (ROOT / "corpora" / "README.md").read_text(encoding="utf-8"))
    assert floor
    for page, words in (
        (README, r"(0\.\d+), the floor"),
        (Page(ROOT / "charnn/insight/README.md"), r"below (0\.\d+)"),
    ):
        quoted = re.search(words, page.text)
        assert quoted, page
        assert math.isclose(float(floor[1]), float(quoted[1]), abs_tol=5e-4)


# Screens


def printed_words() -> set[str]:
    """What a screen may say: words of the strings in charnn's source that are no docstrings, and of the harbour log."""
    text = (ROOT / "corpora" / "harbour.txt").read_text(encoding="ascii")
    found = {*config.cell_names(), *re.findall(r"[a-z]{3,}", text)}
    for path in (ROOT / "charnn").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
        strings = [node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found |= {word for node in strings if node not in docstrings for word in re.findall(r"[a-z]{3,}", node.value)}
    return found


@every_page
def test_a_screen_of_a_page_holds_no_word_that_charnn_does_not_print(page: Page) -> None:
    """A screen that the commands no longer print is renewed by ``make screens``."""
    known = printed_words() if any(block.is_screen for block in page.blocks) else set()
    for block in page.blocks:
        if block.is_screen:
            labels = [line for line in block.text.splitlines() if not looks_like_text(line)]
            words = set(re.findall(r"(?<![\w/-])[a-z]{3,}(?![\w/-])", "\n".join(labels)))
            curves = {word for word in words if len(set(word)) == 1}
            assert words - curves <= known, f"{page}: {words - curves - known}"


def looks_like_text(line: str) -> bool:
    """Whether a line of a screen is text that the network read, or marks below it."""
    return bool(re.search(r"\d\d:\d\d |;|↵", line)) or not re.search(r"[a-z]{3}", line)


def blocks_with(page: Page, words: str) -> list[Block]:
    return [block for block in page.blocks if words in block.text]


# What PyTorch reads


def test_the_pytorch_example_names_the_run_that_the_quick_start_makes() -> None:
    from charnn.text.batches import Batches
    from charnn.text.split import cut
    from charnn.yaml_file import read_file

    text = (ROOT / "corpora" / "dialogues.txt").read_bytes()
    settings = config.resolve(read_file(ROOT / "configs" / "tiny.yaml")).config
    training, _, _ = cut(len(text), settings.data.val_fraction, settings.data.test_fraction)
    ids = np.broadcast_to(np.uint8(0), training)
    per_epoch = Batches(ids, settings.training.batch_size, settings.training.seq_length).chunks_per_epoch
    assert settings.training.epochs is not None
    (example,) = blocks_with(RUNS, "import torch")
    assert f"step-{round(per_epoch * settings.training.epochs):08d}.safetensors" in example.text
    network = f"torch.nn.GRU({len(set(text))}, {settings.model.hidden_size}, num_layers={settings.model.layers})"
    assert network in example.text


def test_pytorch_loads_a_checkpoint_as_the_page_of_runs_says(checkout: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tiny = ["--config", "configs/tiny.yaml", "--steps", "2", "--out", "runs/tiny"]
    assert cli.run(["train", "corpora/dialogues.txt", *tiny]) == 0
    (example,) = blocks_with(RUNS, "import torch")
    (file,) = (checkout / "runs" / "tiny" / "checkpoints").glob("step-00000002.*")
    names: dict[str, object] = {}
    exec(re.sub(r'load_file\(".*"\)', f"load_file({str(file)!r})", example.text), names)
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


# The map of the code


def test_the_tree_lists_exactly_the_modules() -> None:
    tree = re.search(r"^    charnn/\n((?:      .*\n)+)", ROOMS.text, re.MULTILINE)
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
    named = re.findall(r"^\| `(\w+)` \|", ROOMS.text.partition("\n## Names")[0], re.MULTILINE)
    there = {
        path.stem for path in (ROOT / "charnn").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(named) == sorted(there - {"__init__", "__main__"})


# All of it


def test_the_version_is_one() -> None:
    result = CliRunner().invoke(main, ["--version"])
    assert result.output.split() == ["charnn", charnn.__version__]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest
    assert newest[1] == charnn.__version__


@pytest.mark.parametrize(
    "path",
    [
        *(page.path for page in PAGES),
        *sorted((ROOT / "configs").glob("*.yaml")),
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_page_speaks_of_charnn_alone(path: Path) -> None:
    """No notes to oneself, and no paths of the machine it was written on."""
    found = re.search(r"\bTODO\b|\bFIXME\b|\bXXX\b|/(work|tmp|home|root|opt)/", path.read_text(encoding="utf-8"))
    assert not found, found
