"""Groups of lines that fold: found by what builds print for GitHub Actions and for Buildkite; pure, and a scan.

A group begins with `::group::` or `##[group]`, and ends with `::endgroup::`, where the next one begins, or where a step
does. Buildkite's `---`, `~~~` and `+++` begin one too, and `^^^ +++` opens the one that it stands in. Lines of a diff
and of `go test` begin with the same signs and are none.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#grouping-log-lines
https://buildkite.com/docs/pipelines/configure/managing-log-output
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from bot.logs import LogStore
from bot.web import scanning

#: So many groups fold; what comes behind them stands open.
MAX_GROUPS = 2000
#: By what stands in a line, what it does. Looked for one after another: ten times as fast as all in one pattern.
_KINDS = {
    b"::group::": "begin",
    b"##[group]": "begin",
    b"::endgroup::": "end",
    b"##[endgroup]": "end",
    b"^^^ +++": "opens",
    b"--- ": "---",
    b"~~~ ": "~~~",
    b"+++ ": "+++",
}
#: Only colours may stand before it.
_BEFORE = re.compile(rb"(?:\x1b\[[0-9;]*[mK])*")
_MAX_BEFORE_BYTES = 64
_NONE_BEHIND = (b"FAIL:", b"PASS:", b"SKIP:", b"BENCH:", b"a/", b"b/", b"/dev/null")


class Mark(msgspec.Struct, frozen=True):
    """A line that begins or ends a group."""

    line: int
    #: `begin`, `end`, `opens`, or the sign.
    kind: str


class Group(msgspec.Struct, frozen=True):
    """Some lines that fold."""

    #: The line that stays.
    first: int
    last: int
    #: Whether it stands open if nobody says otherwise.
    is_open: bool


def marks(data: bytes, *, number: int) -> list[Mark]:
    """The marks in some lines.

    :param number: that of the first line.
    """
    places = sorted((at, kind) for text, kind in _KINDS.items() for at in _places(data, text))
    made, counted = [], 0
    for at, kind in places:
        number += data.count(b"\n", counted, at)
        counted = at
        made.append(Mark(number, kind))
    return made


def _places(data: bytes, text: bytes) -> Iterator[int]:
    """Where lines begin with a text."""
    at = data.find(text)
    while at >= 0:
        begin = data.rfind(b"\n", max(0, at - _MAX_BEFORE_BYTES), at) + 1
        is_first = begin > 0 or at <= _MAX_BEFORE_BYTES
        behind = at + len(text)
        if is_first and _BEFORE.fullmatch(data, begin, at) and not data.startswith(_NONE_BEHIND, behind):
            yield at
        at = data.find(text, behind)


def group(found: Iterable[Mark], *, total: int, steps: Iterable[int] = (), failures: Iterable[int] = ()) -> list[Group]:
    """The groups that marks make.

    :param total: how many lines the log has.
    :param steps: the lines with which the steps' output begins: no group goes beyond.
    :param failures: the lines that people look for: their groups stand open.
    """
    wanted = sorted(failures)
    made: list[Group] = []
    first, is_open = 0, False

    def close(last: int) -> None:
        nonlocal first
        if first and last > first:
            made.append(Group(first, last, is_open or any(first <= one <= last for one in wanted)))
        first = 0

    every = [*found, *(Mark(line, "step") for line in steps if line <= total)]
    for mark in sorted(every, key=lambda one: (one.line, one.kind != "step")):
        if mark.kind == "opens":
            is_open = True
        elif mark.kind == "end":
            close(mark.line)
        else:
            close(mark.line - 1)
            if mark.kind != "step":
                first, is_open = mark.line, mark.kind == "+++"
        if len(made) >= MAX_GROUPS:
            return made
    close(total)
    return made


async def load(logs: LogStore, job_id: str, *, is_wanted: Callable[[], bool] = lambda: True) -> list[Mark]:
    """The marks of a whole log, as many as are used."""
    found: list[Mark] = []
    async for piece in scanning.pieces(logs, job_id, is_wanted=is_wanted):
        found += await asyncio.to_thread(marks, piece.data, number=piece.number)
        if len(found) > 3 * MAX_GROUPS:
            break
    return found
