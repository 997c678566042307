"""Answers of measurements enter; medians, paired ratios and shares of the limit leave.

A row is one piece of work, its variants are the ways to do it: charnn's, PyTorch's, the machine's limit. In every
repeat all of them are measured one after the other, so that a ratio compares what the machine did at the same time.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from charnn.benchmark.children import Answer

FAR_BEHIND = 0.7
"""A variant that reaches less than this share of the best of its kind is not measured again."""

LIMIT = "limit"
"""What the machine can do at best, among the kinds of a row's variants."""


@dataclass
class Variant:
    """One way to do the work of a row: what ``ask`` needs, and the answer of every repeat (None: not measured)."""

    kind: str
    setting: str
    task: str
    spec: dict[str, Any]
    blas_threads: int | None = None
    answers: list[Answer | None] = field(default_factory=list)

    @property
    def dropped(self) -> bool:
        return None in self.answers


@dataclass
class Row:
    """Work measured in ``unit``; ``figure`` is the key of the answers that counts.

    ``cost`` turns the unit into that of the limit: operations or bytes a character.
    """

    part: str
    name: str
    unit: str
    variants: list[Variant]
    facts: dict[str, Any] = field(default_factory=dict)
    cost: float = 1.0
    figure: str = "value"
    less_is_better: bool = False

    @property
    def kinds(self) -> list[str]:
        """Whose work this is, the first being what the row is about."""
        return list(dict.fromkeys(variant.kind for variant in self.variants))

    def values(self, variant: Variant) -> list[float]:
        """What a variant reached in every repeat, in the unit of the row; empty where the system could not say."""
        found = [answer[self.figure] for answer in variant.answers if answer is not None]
        scale = self.cost if variant.kind == LIMIT else 1.0
        return [] if None in found else [float(value) / scale for value in found]

    def best(self, kind: str) -> Variant | None:
        """The variant of a kind with the best median; None where there is none, or nothing is known of it."""
        known = [v for v in self.variants if v.kind == kind and not v.dropped and self.values(v)]
        choose = min if self.less_is_better else max
        return choose(known, key=lambda variant: statistics.median(self.values(variant)), default=None)

    def median(self, kind: str) -> float | None:
        best = self.best(kind)
        return None if best is None else statistics.median(self.values(best))

    def ratio(self, kind: str, other: str) -> float | None:
        """The median of the ratios ``kind`` / ``other``, each within one repeat."""
        above, below = self.best(kind), self.best(other)
        if above is None or below is None:
            return None
        return statistics.median(a / b for a, b in zip(self.values(above), self.values(below), strict=True))

    def drop_the_slow(self) -> None:
        """After the first repeat: mark the variants that are far behind the best of their kind."""
        for kind in self.kinds:
            best = self.median(kind)
            for variant in self.variants:
                if variant.kind == kind and best is not None and self._far_behind(self.values(variant)[0], best):
                    variant.answers.append(None)

    def _far_behind(self, value: float, best: float) -> bool:
        return (best / value if self.less_is_better else value / best) < FAR_BEHIND

    def to_json(self) -> dict[str, Any]:
        """``share_of_limit`` is that of the machine's limit; ``ratio`` is the first kind's figure over this one's."""
        results = {}
        for kind in self.kinds:
            best = self.best(kind)
            results[kind] = {
                "setting": None if best is None else best.setting,
                "median": _short(self.median(kind)),
                "share_of_limit": _short(self.ratio(kind, LIMIT)) if kind != LIMIT else None,
                "ratio": _short(self.ratio(self.kinds[0], kind)),
            }
        variants = [{"kind": v.kind, "setting": v.setting, "answers": v.answers} for v in self.variants]
        return {
            "part": self.part,
            "name": self.name,
            **self.facts,
            "unit": self.unit,
            "results": results,
            "variants": variants,
        }


def _short(value: float | None) -> float | None:
    """Six digits are more than a clock gives."""
    return None if value is None else float(f"{value:.6g}")
