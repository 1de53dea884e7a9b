"""Log parts: a page shows so many lines of a log, from any line on, whatever the log's size."""

from __future__ import annotations

import asyncio

import msgspec

from bot.logs import LogStore
from bot.web import loglines

#: How many lines one part has.
PART_LINES = 500
#: How many lines are shown before the one that is asked for.
LINES_BEFORE = 100
#: A part with more bytes than these has its lines cut sooner, so that no page becomes heavy.
WIDE_BYTES = 1024 * 1024
WIDE_LINE_BYTES = 2 * 1024
_READ_BYTES = 1024 * 1024


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one page shows of a log."""

    lines: tuple[loglines.Line, ...]
    #: The number of the first line, from 1.
    first: int
    #: How many lines the whole log has; one that is not whole counts.
    total: int
    #: Size of the whole log.
    size_bytes: int
    #: Where the log's last line begins if it is not whole, else its end: from there it can be followed.
    next_bytes: int

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + len(self.lines) - 1

    @property
    def older(self) -> int | None:
        """Where the part before this one begins; None where there is none."""
        return None if self.first <= 1 else max(1, self.first - PART_LINES)

    @property
    def newer(self) -> int | None:
        """Where the part behind this one begins; None where there is none."""
        return self.last + 1 if self.last < self.total else None


async def load(
    logs: LogStore, job_id: str, *, first: int | None = None, line: int | None = None, limit: int | None = None
) -> Part:
    """The part that begins with a line, or the one around a line; the last one where nothing is asked.

    What is behind the end is the last part too.

    :param limit: how many lines; None: as many as a part has.
    """
    limit = PART_LINES if limit is None else limit
    size_bytes = await logs.size(job_id)
    # The last byte lies in the last line; so does the end where that is not whole.
    total, behind = await logs.line_numbers(job_id, at=[size_bytes - 1, size_bytes]) if size_bytes else (0, 0)
    is_whole = size_bytes == 0 or total != behind
    next_bytes = size_bytes if is_whole else await _start(logs, job_id, line=total, size_bytes=size_bytes)
    latest = max(1, total - limit + 1)
    if first is None or first > total:
        first = latest if line is None or line > total else max(1, min(line - min(LINES_BEFORE, limit // 4), latest))
    start = await _start(logs, job_id, line=first, size_bytes=size_bytes)
    end = size_bytes
    if first + limit <= total:
        end = await _start(logs, job_id, line=first + limit, size_bytes=size_bytes)
    is_wide = end - start > WIDE_BYTES
    cut = min(WIDE_LINE_BYTES, loglines.MAX_LINE_BYTES) if is_wide else None
    assembler = loglines.Assembler(number=first, start_bytes=start, max_line_bytes=cut)
    lines: list[loglines.Line] = []
    at = start
    while at < end and (data := await logs.read(job_id, start=at, limit=min(_READ_BYTES, end - at))):
        # Thousands of lines take a while: the loop is needed by others meanwhile.
        lines += await asyncio.to_thread(assembler.feed, data)
        at += len(data)
    rest = assembler.rest()
    return Part(
        lines=(*lines, *(() if rest is None else (rest,))),
        first=first,
        total=total,
        size_bytes=size_bytes,
        next_bytes=next_bytes,
    )


async def _start(logs: LogStore, job_id: str, *, line: int, size_bytes: int) -> int:
    start = await logs.find_line(job_id, number=line)
    return size_bytes if start is None else min(start, size_bytes)
