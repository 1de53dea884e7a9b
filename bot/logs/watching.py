"""Who looks at a log while it grows is told that it may have changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Watcher:
    """Tells when a job's log may have changed. A wake-up is a hint: look, do not trust it."""

    def __init__(self) -> None:
        self._is_changed = asyncio.Event()

    def wake(self) -> None:
        """Let `wait` return now, or the next one at once."""
        self._is_changed.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a change since the last wait. False when the time is over without one."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_changed.wait()
        except TimeoutError:
            return False
        self._is_changed.clear()
        return True


class Watchers:
    """All watchers, by the job that they watch."""

    def __init__(self) -> None:
        self._all: dict[str, set[Watcher]] = {}

    @contextlib.asynccontextmanager
    async def watch(self, job_id: str) -> AsyncIterator[Watcher]:
        """A watcher as long as the block runs."""
        watcher = Watcher()
        self._all.setdefault(job_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            others = self._all[job_id]
            others.discard(watcher)
            if not others:
                del self._all[job_id]

    def wake(self, job_id: str) -> None:
        """Wake those of a job."""
        for watcher in self._all.get(job_id, ()):
            watcher.wake()
