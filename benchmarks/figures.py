"""How figures are written down: the median, the smallest and the largest, and targets with whether they hold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one subject reached in one case."""

    subject: str
    case: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure has to reach, and what it should."""

    name: str
    value: float
    must: float
    goal: float
    unit: str = ""
    #: Whether more is better.
    is_rate: bool = False

    @property
    def verdict(self) -> str:
        """How it stands."""

        def reaches(bound: float) -> bool:
            return self.value >= bound if self.is_rate else self.value <= bound

        if math.isnan(self.value):
            return "not measured"
        if reaches(self.goal):
            return "goal reached"
        return "holds" if reaches(self.must) else "**missed**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one benchmark found."""

    rows: Sequence[Row]
    targets: Sequence[Target] = ()
    #: What a reader has to know of this run, such as a peer that was not there.
    notes: Sequence[str] = ()


def spread(values: Sequence[float], *, digits: int = 0) -> str:
    """`median (smallest-largest)`."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of all does not exceed.

    :param part: between 0 and 1.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def text(part: Part) -> str:
    """A part as Markdown: its table, its targets and its notes."""
    columns = list(dict.fromkeys(name for row in part.rows for name in row.values))
    lines = [_line(["", "case", *columns]), "|---" * (len(columns) + 2) + "|"]
    lines += [_line([row.subject, row.case, *(row.values.get(name, "") for name in columns)]) for row in part.rows]
    if part.targets:
        lines += ["", _line(["target", "must", "goal", "here", ""]), "|---|---|---|---|---|"]
        lines += [_target(one) for one in part.targets]
    lines += [line for note in part.notes for line in ("", f"> {note}")]
    return "\n".join(lines) + "\n"


def _target(one: Target) -> str:
    sign = "≥" if one.is_rate else "≤"
    here = "-" if math.isnan(one.value) else _amount(one.value, one.unit)
    return _line(
        [one.name, f"{sign} {_amount(one.must, one.unit)}", f"{sign} {_amount(one.goal, one.unit)}", here, one.verdict]
    )


def _amount(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{number} {unit}".strip()


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
