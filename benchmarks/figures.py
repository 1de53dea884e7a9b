"""How figures are written down: the median, and the smallest and largest beside it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one subject reached in one case."""

    subject: str
    case: str
    values: Mapping[str, str]


def spread(values: Sequence[float], *, digits: int = 0) -> str:
    """`median (smallest-largest)`."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def table(title: str, rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    columns = list(rows[0].values)
    lines = [f"## {title}", "", _line(["", "case", *columns]), "|---" * (len(columns) + 2) + "|"]
    lines += [_line([row.subject, row.case, *(row.values[name] for name in columns)]) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
