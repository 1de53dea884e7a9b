"""Log parts: a long log is shown in parts of bounded size, each of which begins with a line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.logs import LogStore
from bot.web import loglines

#: About how much of a log one page shows.
PART_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one page shows of a log."""

    lines: tuple[loglines.Line, ...]
    #: From 1.
    part: int
    parts: int
    #: Size of the whole log.
    size_bytes: int
    #: Where the first line behind this part begins; a last line that is not whole counts as behind.
    next_bytes: int


def count(size_bytes: int) -> int:
    """In how many parts a log of this size is shown."""
    return max(1, -(-size_bytes // PART_BYTES))


async def load(logs: LogStore, job_id: str, *, part: int | None = None, line: int | None = None) -> Part:
    """The part with this number, or with this line; the last one where there is no such part or nothing is asked."""
    size_bytes = await logs.size(job_id)
    parts = count(size_bytes)
    index = parts - 1 if part is None else min(part, parts) - 1
    if line is not None:
        index = await _index_of_line(logs, job_id, line=line, parts=parts)
    start = await _boundary(logs, job_id, index=index)
    end = size_bytes if index == parts - 1 else await _boundary(logs, job_id, index=index + 1)
    (number,) = await logs.line_numbers(job_id, at=[start])
    data = await logs.read(job_id, start=start, limit=max(end - start, 0))
    # Thousands of lines take a while: the loop is needed by others meanwhile.
    lines, next_bytes = await asyncio.to_thread(_lines, data, number=number, start_bytes=start)
    return Part(lines=lines, part=index + 1, parts=parts, size_bytes=size_bytes, next_bytes=next_bytes)


def _lines(data: bytes, *, number: int, start_bytes: int) -> tuple[tuple[loglines.Line, ...], int]:
    assembler = loglines.Assembler(number=number, start_bytes=start_bytes)
    lines = assembler.feed(data)
    rest = assembler.rest()
    return (*lines, *(() if rest is None else (rest,))), assembler.next_bytes


async def _index_of_line(logs: LogStore, job_id: str, *, line: int, parts: int) -> int:
    start = await logs.find_line(job_id, number=line)
    return parts - 1 if start is None else min(start // PART_BYTES, parts - 1)


async def _boundary(logs: LogStore, job_id: str, *, index: int) -> int:
    """The byte with which a part begins: the first line that begins in it, or its first byte where none is near."""
    if index == 0:
        return 0
    nominal = index * PART_BYTES
    near = await logs.read(job_id, start=nominal - 1, limit=loglines.MAX_LINE_BYTES)
    found = near.find(b"\n")
    return nominal if found < 0 else nominal + found
