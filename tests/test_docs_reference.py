"""The pages that own the commands and the options enter, and what charnn has of both; agreement leaves."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pages import ROOT, Page, all_pages, charnn_calls, made_small

import charnn
from charnn import cli, config, errors
from charnn.cli import COMMANDS, main
from charnn.cli.options import FLAGS

PAGES = all_pages()
COMMANDS_PAGE, OPTIONS_PAGE, RUNS_PAGE, PYTHON_PAGE = (
    Page(ROOT / name)
    for name in ("charnn/cli/README.md", "configs/README.md", "charnn/runs/README.md", "charnn/README.md")
)
OPTION_FLAGS = {config.KEYS[key]: flag for group in FLAGS.values() for flag, key in group.items()}
every_page = pytest.mark.parametrize("page", PAGES, ids=str)


def options_of(command: str) -> list[click.Option]:
    found = importlib.import_module(f"charnn.cli.{command}").command
    return [parameter for parameter in found.params if isinstance(parameter, click.Option)]


def flags_of(command: str) -> set[str]:
    return {flag for option in options_of(command) for flag in option.opts} | {"-h", "--help"}


def flags_in(words: str) -> list[str]:
    """The flags among words, without their values."""
    return re.findall(r"(?<![\w-])--?[a-z][a-z-]*", words)


@every_page
def test_a_page_names_only_flags_that_exist(page: Page) -> None:
    """After a command those of the command, also where another program starts it; alone, those of any command."""
    everywhere = {flag for command in COMMANDS for flag in flags_of(command)}
    for words in (*page.spans, *page.shell_lines):
        for command, arguments in re.findall(r"\bcharnn ([a-z]+) ([^|>#&]*)", words):
            assert set(flags_in(arguments)) <= flags_of(command), f"{page}: {words}"
        if words.startswith("-"):
            assert set(flags_in(words)) <= everywhere, f"{page}: {words}"


@every_page
def test_a_page_names_only_options_that_exist(page: Page) -> None:
    sections = "|".join(config.SECTIONS)
    for span in page.spans:
        named = re.findall(rf"(?:^|--set )((?:{sections})\.\w+)(?:=\S*)?$", span.removesuffix(".py"))
        assert set(named) <= set(config.OPTIONS), f"{page}: {span}"
        key = re.match(r"([a-z_0-9]+): \d\S*$", span)
        assert key is None or key[1] in config.KEYS, f"{page}: {span}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_has_a_section_with_its_flags_and_an_example(command: str) -> None:
    """The flags of the options of the configuration have a table of their own, and another page that owns it."""
    section = COMMANDS_PAGE.section(command)
    assert re.search(rf"^(eval .*)?charnn {command}\b", section, re.MULTILINE)
    named = {flag for span in re.findall(r"^\| (.*?) \|", section, re.MULTILINE) for flag in flags_in(span)}
    there = flags_of(command) - {"-h", "--help"}
    if command == "train":
        there -= set(OPTION_FLAGS.values())
    assert named == there
    assert all(option.help for option in options_of(command))


def test_the_first_table_of_commands_has_every_command() -> None:
    listed = re.findall(r"^\| \[`charnn ([a-z]+)", COMMANDS_PAGE.text, re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("option", config.OPTIONS)
def test_an_option_has_a_row_with_its_flag_and_its_default(option: str) -> None:
    flag, default, meaning = OPTIONS_PAGE.rows(r"`([a-z]+\.[a-z_0-9]+)` \|")[option]
    spec = config.OPTIONS[option]
    expected = "auto" if spec.metadata.get("auto") else "" if spec.default is None else str(spec.default)
    if option == "training.budget":
        expected = f"{config.DEFAULT_BUDGET / 60:g}m"
    assert flag.strip("`") == OPTION_FLAGS.get(option, "")
    assert default == expected
    assert meaning


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_the_help_of_a_command_begins_with_examples_that_parse(name: str) -> None:
    result = CliRunner().invoke(main, [*([name] if name else []), "--help"])
    assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines() if line.startswith("  ")]
    examples = [line for line in lines if line.startswith("charnn ")]
    assert examples
    assert result.output.index(examples[-1]) < result.output.index("Options:")
    for line in examples:
        ((command, *words),) = charnn_calls(line)
        importlib.import_module(f"charnn.cli.{command}").command.make_context(command, words)


# What programs read


JSON = {
    "inspect": "inspect run --json",
    "sample": "sample run --length 3 --json",
    "score": "score run --json",
    "score, memory": "score run --memory --json",
    "neurons": "neurons run --json",
    "gradients": "gradients run --steps 8 --positions 2 --json",
    "compare": "compare corpora/harbour.txt --cell gru --parameters 2000 --steps 4 --quiet --json",
}


@pytest.mark.parametrize("name", JSON)
def test_the_fields_of_json_stand_in_the_section_of_the_command(
    name: str, checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(made_small(["train", "corpora/harbour.txt", "--out", "run"])) == 0
    capfd.readouterr()
    words = JSON[name].split()
    assert cli.run(words) == 0
    section = COMMANDS_PAGE.section(words[0])
    for field in keys_of(json.loads(capfd.readouterr().out)):
        assert f"`{field}`" in section, f"charnn {words[0]} --json: {field}"


def keys_of(document: Any) -> Iterator[str]:
    """The fields of an object, or of the first of a list of them."""
    yield from document[0] if isinstance(document, list) else document


def test_every_exit_code_of_an_error_has_a_row() -> None:
    rows = COMMANDS_PAGE.section("Exit codes")
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert len(codes) > 5
    for code in codes:
        assert re.search(rf"^\| {code} \|", rows, re.MULTILINE), code


def test_the_fields_of_a_line_of_metrics_stand_in_the_page_of_runs(checkout: Path) -> None:
    assert cli.run(made_small(["train", "corpora/harbour.txt", "--out", "run"])) == 0
    line = json.loads((checkout / "run" / "metrics.jsonl").read_text().splitlines()[0])
    for field in line:
        assert f"`{field}`" in RUNS_PAGE.text, field


def test_the_names_that_charnn_exports_stand_in_its_page() -> None:
    for name in set(charnn.__all__) - {"__version__"}:
        assert f"`charnn.{name}" in PYTHON_PAGE.section("Python"), name
