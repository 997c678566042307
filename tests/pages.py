"""The Markdown pages of the repository enter; their blocks, commands, sections, links and words in backticks leave."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands in it, and the language of the block just before it."""

    language: str
    text: str
    after: str

    @property
    def is_screen(self) -> bool:
        """Whether it shows what the commands just before it print."""
        return self.language == "text" and self.after == "sh"


@dataclass(frozen=True)
class Page:
    """One page, by its path below the root of the repository."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks, in order; ``after`` is empty where prose stands between a block and the one before."""
        found, end, before = [], 0, ""
        for match in re.finditer(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL):
            between = self.text[end : match.start()].strip()
            found.append(Block(match[1], match[2], "" if between else before))
            end, before = match.end(), match[1]
        return found

    @cached_property
    def shell_lines(self) -> list[str]:
        """The lines of its shell blocks, each with what a backslash continues."""
        texts = (block.text.replace("\\\n", "") for block in self.blocks if block.language == "sh")
        return [line for text in texts for line in text.splitlines()]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @cached_property
    def spans(self) -> list[str]:
        """What stands in backticks in the prose, with the bars of tables as they are meant."""
        return [span.replace("\\|", "|") for span in re.findall(r"`([^`\n]+)`", self.prose)]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after ``#``."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    @cached_property
    def links(self) -> list[str]:
        """The targets of its links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    def section(self, heading: str) -> str:
        """What stands below a heading of the second level, up to the next one."""
        _, _, rest = self.text.partition(f"\n## {heading}\n")
        assert rest, f"{self} has no section {heading}"
        return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]

    def rows(self, pattern: str) -> dict[str, list[str]]:
        """The cells after the first of every table row whose first cell matches, by what the pattern captures there."""
        found = {}
        for line in self.prose.splitlines():
            if line.startswith("| ") and (match := re.match(pattern, line[2:])):
                found[match[1]] = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("| "))[1:]]
        return found


def all_pages() -> list[Page]:
    folders = ("charnn", "configs", "corpora", "tests")
    return [
        Page(path) for path in [*ROOT.glob("*.md"), *(p for f in folders for p in sorted((ROOT / f).rglob("*.md")))]
    ]


def charnn_calls(line: str) -> list[list[str]]:
    """What follows each charnn of a line, up to ``&&``, ``|``, ``<``, ``>``, a comment or the end of ``"$(...)"``."""
    calls = re.findall(r"""(?:^|&& |\$\()(?:\S*/)?charnn (.*?)(?=$| && | [|<>] |\)"| +#)""", line)
    return [shlex.split(call) for call in calls]


SMALL = ["--steps", "4", "--layers", "1", "--hidden", "8", "--seq-length", "16", "--batch-size", "4", "--workers", "1"]
SIZED = {
    "train": {"--epochs", "--steps", "--budget", "--hidden", "--layers", "--seq-length", "--batch-size", "--workers"},
    "compare": {"--steps", "--budget", "--parameters", "--workers"},
    "gradients": {"--steps", "--positions", "--hidden"},
    "bench": {"--against", "--only", "--cell", "--hidden", "--seconds"},
}
"""Flags of how long and how large, with a value."""


def made_small(words: list[str]) -> list[str]:
    """The same command as a matter of a second: a few steps of a tiny network; to resume is to go on for a few more."""
    command, resumes = words[0], "--resume" in words
    if command == "neurons":
        return [re.sub(r"^(\d+):\d+", r"0:3", word) for word in words]
    if command not in SIZED or (command == "compare" and resumes):
        return words
    kept, rest = [], iter(words)
    for word in rest:
        if word in SIZED[command]:
            next(rest)
        else:
            kept.append(word)
    return (
        kept
        + {
            "train": ["--steps", "6"] if resumes else SMALL,
            "compare": ["--steps", "4", "--parameters", "2000", "--workers", "1", "--set", "training.seq_length=16"],
            "gradients": ["--steps", "16", "--positions", "4", "--hidden", "8"],
            "bench": ["--quick", "--only", "startup", "--seconds", "0.01"],
        }[command]
    )
