"""A hint from one loop to another that there is something to do: lost ones cost time, many at once become one."""

from __future__ import annotations

import asyncio
import contextlib


class Hint:
    """What a loop waits for between two looks. It belongs to one loop; anybody in the same event loop may give it."""

    def __init__(self, *, pause_seconds: float = 0.01) -> None:
        """:param pause_seconds: the least time between two looks, so that what comes at once is looked at at once."""
        self._pause_seconds = pause_seconds
        self._given = asyncio.Event()
        self._looked_at = 0.0

    def give(self) -> None:
        """There is something to do."""
        self._given.set()

    async def wait(self, timeout_seconds: float) -> None:
        """Wait for a hint, or for so long; hints given until this returns are taken."""
        loop = asyncio.get_running_loop()
        # Not `wait_for`: before Python 3.12 that may swallow the cancellation that stops the loop.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._given.wait()
        too_early_seconds = self._looked_at + self._pause_seconds - loop.time()
        if too_early_seconds > 0:
            await asyncio.sleep(too_early_seconds)
        self._given.clear()
        self._looked_at = loop.time()
