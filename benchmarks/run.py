"""Runs all benchmarks, or those named, and prints their tables."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import door, figures, way

BENCHMARKS = {
    "door": ("The door", door.measure),
    "way": ("The way, from a signed push to a green check", way.measure),
}


async def main(names: list[str]) -> None:
    """Measure and print."""
    for name in names or list(BENCHMARKS):
        title, measure = BENCHMARKS[name]
        print(figures.table(title, await measure()), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
