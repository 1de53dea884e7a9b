"""Text is searched in a log: plain text in what can be read of each line, never a pattern."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterator
from typing import AnyStr

import msgspec

from bot.logs import LogStore
from bot.web import loglines, scanning

#: How many lines are found at once; whoever wants more asks again behind the last.
MAX_FOUND = 10_000
MAX_CHARACTERS = 200
#: What is not seen of a line: the same sequences that `bot.web.ansi` drops.
_UNSEEN = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~]?)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
_COLOUR = re.compile(rb"\x1b\[[0-9;]*[mK]")
#: Something returned to the start of its line, and went on there.
_RETURN = re.compile(rb"\r(?!\n)")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched."""

    text: str
    #: Whether capital letters are other letters.
    is_exact: bool = False

    @property
    def overlap_bytes(self) -> int:
        """How many bytes one hit has at most, with some sequences amid it."""
        return len(self.text.encode()) + 256


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The lines that have it."""

    #: In order.
    lines: tuple[int, ...]
    #: Whether there may be more behind the last of them.
    has_more: bool


async def search(
    logs: LogStore,
    job_id: str,
    wanted: Wanted,
    *,
    after: int = 0,
    limit: int = MAX_FOUND,
    is_asked: Callable[[], bool] = lambda: True,
) -> Found:
    """The lines behind a line that have the text.

    :param after: the line; 0: search from the first one.
    :param is_asked: says whether anybody still waits for it.
    """
    found: list[int] = []
    if wanted.text:
        pieces = scanning.pieces(logs, job_id, line=after + 1, overlap=wanted.overlap_bytes, is_wanted=is_asked)
        async for piece in pieces:
            new = await asyncio.to_thread(hits, piece.data, wanted, number=piece.number, limit=limit + 2 - len(found))
            # A very long line comes in several pieces.
            found += new[1:] if new and found and new[0] == found[-1] else new
            if len(found) > limit:
                break
    return Found(lines=tuple(found[:limit]), has_more=len(found) > limit)


def hits(data: bytes, wanted: Wanted, *, number: int, limit: int) -> list[int]:
    """The numbers of the first lines that have the text.

    :param number: that of the first line in `data`.
    """
    seen = _seen(data)
    if wanted.text.isascii():
        hay, needle = (seen, wanted.text.encode()) if wanted.is_exact else (seen.lower(), wanted.text.lower().encode())
        found = _places(hay, needle, b"\n")
    else:
        text = seen.decode("utf-8", "replace")
        found = _places(*((text, wanted.text) if wanted.is_exact else (text.lower(), wanted.text.lower())), "\n")
    if _RETURN.search(data):
        # What was written over is not found.
        lines = data.split(b"\n")
        found = (at for at in found if b"\r" not in lines[at] or _is_in(loglines.text(lines[at]), wanted))
    return [number + at for at in itertools.islice(found, limit)]


def _seen(data: bytes) -> bytes:
    # Nearly all sequences are colours, and those are taken out twice as fast.
    if b"\x1b" in data:
        data = b"".join(_COLOUR.split(data))
    return _UNSEEN.sub(b"", data) if b"\x1b" in data or b"\x00" in data else data


def _places(hay: AnyStr, needle: AnyStr, line_end: AnyStr) -> Iterator[int]:
    """How many lines end before each line with the text."""
    line, at = 0, 0
    place = hay.find(needle)
    while place >= 0:
        line += hay.count(line_end, at, place)
        yield line
        at = hay.find(line_end, place)
        if at < 0:
            return
        place = hay.find(needle, at)


def _is_in(text: str, wanted: Wanted) -> bool:
    return wanted.text in text if wanted.is_exact else wanted.text.lower() in text.lower()
