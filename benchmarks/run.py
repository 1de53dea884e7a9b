"""Runs all benchmarks, or those named, prints their tables and writes them into `docs/benchmarks.md`.

A part that takes longer than it may, or breaks, is told and left as it was; the others are run all the same, and the
run ends with status 1.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import calls, door, figures, growth, logs, machine, pages, start, way

#: One line for each part; its figures stand between the marks of its name in `docs/benchmarks.md`.
BENCHMARKS: dict[str, Callable[[], Awaitable[figures.Part]]] = {
    "door": door.measure,
    "way": way.measure,
    "calls": calls.measure,
    "logs": logs.measure,
    "start": start.measure,
    "pages-sqlite": pages.on_sqlite,
    "pages-postgresql": pages.on_postgresql,
    "growth": growth.measure,
}
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
#: A part that takes longer is stopped.
LIMIT_SECONDS = 300.0


async def main(names: list[str]) -> int:
    """Measure, print and write; gives the exit status."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"There is no benchmark {unknown[0]!r}: write some of {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    status = 0
    where = machine.describe()
    for name in names or list(BENCHMARKS):
        print(f"-- {name}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                found = figures.text(await BENCHMARKS[name]())
        except Exception as error:
            print(f"!!! {name} could not be measured: {error!r}", file=sys.stderr, flush=True)
            status = 1
            continue
        print(found, flush=True)
        took = time.monotonic() - began
        write(name, f"{where}\n- this part took {took:.0f} s\n\n{found}")
    return status


def write(name: str, text: str) -> None:
    """Put the figures of a part between its marks."""
    begin, end = f"<!-- measured: {name} -->", f"<!-- end of measured: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
    known = DOCUMENT.read_text(encoding="utf-8")
    if not pattern.search(known):
        raise ValueError(f"{DOCUMENT.name} has no place for {name}: write {begin} and {end} into it")
    DOCUMENT.write_text(pattern.sub(lambda _: f"{begin}\n{text}{end}", known), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
