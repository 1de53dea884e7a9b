"""Many browsers that follow one log, in a process of their own: `python -m tests.web.viewers PORT PATH COUNT LINES`.

Each proves that it was shown every line once and in order; one event that all are sent is looked into once. Some read
nothing after the first bytes. Prints one line of JSON when all have come, and one when all have ended.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
from collections import Counter
from dataclasses import dataclass

_TEXT = re.compile(r'<span class="t">(.*)</span></div>$')
#: Each of so many reads nothing.
STALLS = 100


@dataclass(frozen=True, slots=True)
class Rows:
    """An event with lines, once it was looked into."""

    first: int
    last: int
    #: Whether all but the first and the last are whole, and whether the last one is.
    is_last_whole: bool
    is_well: bool


class Crowd:
    """What all viewers have in common."""

    def __init__(self, port: int, path: str, lines: int) -> None:
        self.port = port
        self.path = path
        self.lines = lines
        self.known: dict[bytes, Rows] = {}
        self.ended: Counter[str] = Counter()
        self.begun = 0

    def rows(self, data: bytes) -> Rows:
        found = self.known.get(data)
        if found is None:
            rows = json.loads(data)
            numbers = [row["number"] for row in rows]
            texts = [_TEXT.search(row["html"]).group(1) for row in rows]  # type: ignore[union-attr]
            whole = [text == line_of(number) for number, text in zip(numbers, texts, strict=True)]
            is_well = numbers == list(range(numbers[0], numbers[0] + len(numbers))) and all(whole[:-1])
            found = self.known[data] = Rows(numbers[0], numbers[-1], whole[-1], is_well)
        return found

    async def view(self, *, stalls: bool) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.begun += 1
            if b" 200 " not in head.split(b"\r\n")[0]:
                self.ended[head.split(b"\r\n")[0].decode()] += 1
                return
            if stalls:
                # The kernel takes some of it, and then nobody.
                writer.transport.pause_reading()  # type: ignore[attr-defined]
                await asyncio.sleep(3600)
            self.ended[await self._follow(reader)] += 1
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            self.ended[type(error).__name__] += 1
        finally:
            writer.close()

    async def _follow(self, reader: asyncio.StreamReader) -> str:
        last, is_whole, kept = 0, True, b""
        while True:
            size = int(await reader.readline() or b"0", 16)
            if not size:
                return "cut"
            kept += (await reader.readexactly(size + 2))[:-2]
            *events, kept = kept.split(b"\r\n\r\n")
            for event in events:
                fields = dict(line.split(b": ", 1) for line in event.split(b"\r\n") if not line.startswith(b":"))
                if fields.get(b"event") == b"lines":
                    rows = self.rows(fields[b"data"])
                    # The line that was not whole is sent again, and no other one.
                    if not rows.is_well or rows.first not in ((last, last + 1) if is_whole else (last,)):
                        return f"gap: {rows.first} behind {last}"
                    last, is_whole = rows.last, rows.is_last_whole
                if fields.get(b"event") == b"done":
                    return "whole" if (last, is_whole) == (self.lines, True) else f"{last} of {self.lines}"


def line_of(number: int) -> str:
    """A line of the log."""
    return f"line {number} " + "x" * (number % 60)


async def _main(port: int, path: str, count: int, lines: int) -> None:
    crowd = Crowd(port, path, lines)
    viewing: list[asyncio.Task[None]] = []
    stalled: list[asyncio.Task[None]] = []
    for number in range(count):
        stalls = number % STALLS == STALLS - 1
        (stalled if stalls else viewing).append(asyncio.create_task(crowd.view(stalls=stalls)))
        while number - crowd.begun > 200:
            await asyncio.sleep(0.01)
    while crowd.begun < count:
        await asyncio.sleep(0.05)
    _tell(begun=crowd.begun)
    await asyncio.gather(*viewing)
    for task in stalled:
        task.cancel()
    await asyncio.gather(*stalled, return_exceptions=True)
    _tell(ended=crowd.ended, distinct=len(crowd.known))


def _tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
