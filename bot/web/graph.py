"""The graph of a build's jobs as a drawing: where each box lies, and the lines between them. Pure.

The jobs of a matrix share a box. Sizes are in the drawing's own units; the page scales it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bot.model import job

WIDTH, GAP_X, GAP_Y = 210, 48, 16
#: Of each job in its box, and around all of them.
ROW, PADDING, HEADING = 26, 6, 22
#: A drawing of more boxes, or a box of more jobs, says nothing: the list below says it.
MOST_BOXES, MOST_JOBS = 60, 12
_SHOWN_CHARACTERS = 22


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One job in its box."""

    job: job.Job
    #: As much of its name as fits.
    text: str
    y: int


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs of one id under `jobs:`."""

    key: str
    #: Above the jobs of a matrix; empty where there is one job.
    heading: str
    lines: tuple[Line, ...]
    #: How many more jobs there are than lines.
    more: int
    x: int
    y: int
    width: int
    height: int


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """A line from a box to one that needs it, as the path of an SVG."""

    source: str
    target: str
    path: str


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """The whole drawing."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int


def draw(stages: Sequence[Sequence[job.Job]]) -> Graph | None:
    """The drawing of stages, see `bot.web.pages.build.stages`; None where a list says as much."""
    columns = [_groups(stage) for stage in stages]
    if len(columns) < 2 or sum(map(len, columns)) > MOST_BOXES:
        return None
    boxes: dict[str, Box] = {}
    for number, column in enumerate(columns):
        y = 0
        for key, jobs in column.items():
            box = _box(key, jobs, x=number * (WIDTH + GAP_X), y=y)
            boxes[key] = box
            y += box.height + GAP_Y
    edges = [
        _edge(boxes[need], boxes[key])
        for column in columns
        for key, jobs in column.items()
        for need in dict.fromkeys(jobs[0].plan.needs)
        if need in boxes and boxes[need].x < boxes[key].x
    ]
    return Graph(
        boxes=tuple(boxes.values()),
        edges=tuple(edges),
        width=len(columns) * (WIDTH + GAP_X) - GAP_X,
        height=max(one.y + one.height for one in boxes.values()),
    )


def _groups(stage: Sequence[job.Job]) -> Mapping[str, list[job.Job]]:
    found: dict[str, list[job.Job]] = {}
    for one in stage:
        found.setdefault(one.plan.id, []).append(one)
    return found


def _box(key: str, jobs: Sequence[job.Job], *, x: int, y: int) -> Box:
    heading = _cut(key) if len(jobs) > 1 else ""
    top = PADDING + (HEADING if heading else 0)
    shown = jobs[:MOST_JOBS]
    more = len(jobs) - len(shown)
    return Box(
        key=key,
        heading=heading,
        lines=tuple(
            Line(job=one, text=_cut(one.plan.name), y=y + top + number * ROW) for number, one in enumerate(shown)
        ),
        more=more,
        x=x,
        y=y,
        width=WIDTH,
        height=top + (len(shown) + bool(more)) * ROW + PADDING,
    )


def _edge(source: Box, target: Box) -> Edge:
    x1, y1 = source.x + source.width, source.y + source.height // 2
    x2, y2 = target.x, target.y + target.height // 2
    bend = GAP_X // 2
    # Past the boxes between them it goes in the space between two columns.
    return Edge(source=source.key, target=target.key, path=f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
