"""Processes that write a log each and are killed: `python -m tests.logs.writer FOLDER FIRST COUNT`.

It says how many were killed before they were done. They are forks: a thousand of them take seconds.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from bot import failpoint
from bot.logs import LogStore

#: Where one may die, and how often each place is passed.
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


async def write(folder: Path, *, first: int, count: int) -> int:
    """Let logs be written and their writers killed; gives how many were."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.logs.writer", str(folder), str(first), str(count), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return int(said)


async def _write(folder: Path, number: int) -> None:
    chance = random.Random(-number)
    place, times = chance.choice(PLACES)
    failpoint.arm(failpoint.parse(f"{place}:kill:{chance.randint(1, times)}"), on_fire=lambda _: None)
    whole, one = text(number), job_id(number)
    step = -(-len(whole) // _PIECES)
    logs = LogStore(folder)
    for start in range(0, len(whole), step):
        await logs.append(one, offset_bytes=start, data=whole[start : start + step])
    await logs.seal(one)


def _main() -> None:
    killed = 0
    folder, first, count = sys.argv[1:]
    for number in range(int(first), int(first) + int(count)):
        pid = os.fork()
        if pid == 0:
            asyncio.run(_write(Path(folder), number))
            os._exit(0)
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    sys.stdout.write(f"{killed}\n")


if __name__ == "__main__":
    _main()
