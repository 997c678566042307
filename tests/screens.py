"""Pages enter; their commands are run as they stand, and the screens in the pages leave as they now are.

    python tests/screens.py [PAGE...]

A screen is a ``text`` block right below an ``sh`` block, and is what the block's charnn commands print. Without PAGE,
all pages that have one are done: it takes some minutes on a machine that does nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import ROOT, Page, all_pages

WIDTH = "100"


def printed_by(line: str, folder: Path) -> str:
    """What one line of a shell block prints, in ``folder``; nothing where it is no charnn command."""
    if not line.startswith("charnn "):
        return ""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": WIDTH}
    print(line, file=sys.stderr)
    done = subprocess.run(line, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def renewed(page: Page) -> str:
    """The page with its screens as the commands now print them."""
    text = page.text
    with tempfile.TemporaryDirectory() as name:
        for shared in ("corpora", "configs"):
            (Path(name) / shared).symlink_to(ROOT / shared)
        screen = ""
        for block in page.blocks:
            if block.language == "sh":
                screen = "".join(printed_by(line, Path(name)) for line in block.text.splitlines())
            elif block.is_screen:
                lines = "".join(f"{line.rstrip()}\n" for line in screen.strip("\n").splitlines())
                text = text.replace(f"```text\n{block.text}```", f"```text\n{lines}```", 1)
    return text


def main(names: list[str]) -> None:
    pages = [Page(Path(name).resolve()) for name in names] or all_pages()
    for page in pages:
        if any(block.is_screen for block in page.blocks):
            page.path.write_text(renewed(page), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
