"""A text and the values of some units over it enter; one self-contained HTML page with the coloured text leaves."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from charnn.insight.reading import Ids
from charnn.terminal.neurons import ACTIVATION
from charnn.terminal.painting import Painted, characters, drawn
from charnn.terminal.safe import escape
from charnn.text.vocabulary import Vocabulary

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff }}
pre {{ font: 14px/1.6 ui-monospace, monospace; white-space: pre-wrap; border: 1px solid #8884; padding: 1em }}
@media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818 }} }}
{steps}
</style></head><body>
<h1>{title}</h1>
<p>Each character is coloured by the value of one unit after it was read, from {low} to {high} of the largest value
that the unit takes.</p>
"""


def page(
    title: str,
    vocabulary: Vocabulary,
    ids: Ids,
    shown: Sequence[tuple[str, npt.NDArray[np.float32]]],
) -> str:
    """One self-contained page: the text (n,) once for each unit, given by its caption and its values (n,) in -1..1."""
    low, high = (f'<span class="s{step}">{name}</span>' for step, name in ((0, "-1"), (6, "1")))
    steps = "\n".join(
        f".s{step} {{ color: {style.split()[0]}; background: {style.split()[2]} }}"
        for step, style in enumerate(ACTIVATION.styles)
        if style
    )
    parts = [HEAD.format(title=_quoted(title), steps=steps, low=low, high=high)]
    for caption, values in shown:
        text = drawn(characters(vocabulary, ids, values, ACTIVATION.adds), "utf-8", ACTIVATION.adds)
        parts.append(f"<h2>{_quoted(caption)}</h2>\n<pre>{_spans(text)}</pre>\n")
    return "".join([*parts, "</body></html>\n"])


def _spans(text: Iterable[Painted]) -> str:
    """Neighbours of the same colour share a span."""
    parts = []
    for step, group in groupby(text, key=lambda painted: ACTIVATION.step(painted[1])):
        quoted = html.escape("".join(shown for shown, _ in group))
        parts.append(f'<span class="s{step}">{quoted}</span>' if ACTIVATION.styles[step] else quoted)
    return "".join(parts)


def _quoted(text: str) -> str:
    return html.escape(escape(text))
