"""A process that writes one log and is killed: `python -m tests.logs.writer FOLDER NUMBER FAILPOINT`."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

from bot import failpoint
from bot.logs import LogStore

#: Where it may die, and how often each place is passed.
PLACES = (("log.mid_chunk", 12), ("artifact.mid_write", 1), ("log.packed", 1))
_PIECES = 12


def job_id(number: int) -> str:
    """The job of a log."""
    return f"01J{number:023d}"


def text(number: int) -> bytes:
    """The bytes of a log: lines, returns, colours, and what is no UTF-8."""
    chance = random.Random(number)
    parts = (b"line %d\n", b"\r%d%%", b"\x1b[32m%d\x1b[0m\n", b"\xff\xfe%d", b"%d\n\n\n")
    return b"".join(chance.choice(parts) % number for number in range(chance.randrange(50, 5000)))


async def write(folder: Path, number: int, *, chance: random.Random) -> bool:
    """Let one be written and killed; whether it was."""
    place, times = chance.choice(PLACES)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.logs.writer", str(folder), str(number), f"{place}:kill:{chance.randint(1, times)}"
    )
    return await process.wait() == -signal.SIGKILL


async def _main() -> None:
    folder, number, point = sys.argv[1:]
    failpoint.arm(failpoint.parse(point), on_fire=lambda _: None)
    whole, one = text(int(number)), job_id(int(number))
    step = -(-len(whole) // _PIECES)
    logs = LogStore(Path(folder))
    for start in range(0, len(whole), step):
        await logs.append(one, offset_bytes=start, data=whole[start : start + step])
    await logs.seal(one)


if __name__ == "__main__":
    asyncio.run(_main())
