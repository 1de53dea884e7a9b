"""What is looked up for the metrics, and how late the event loop is."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import Connection

from bot import errors, ledger, telemetry
from bot.model import build, job
from bot.store import Store, builds, counts
from bot.subscribers import sender
from bot.webhooks import inbox

#: How often the inbox is measured, for its bound and for the metrics.
INBOX_SECONDS = 2.0
#: How often the rest is looked up where it is sent to somebody; whoever asks for the metrics has it looked up then.
REST_SECONDS = 15.0
#: How often the event loop is asked whether it turns.
TICK_SECONDS = 0.25
#: A loop that is so late answers nobody in time, and a new process is better.
WEDGED_SECONDS = 10.0
#: From here on the log says so.
SLOW_SECONDS = 1.0
_log = telemetry.log("app")


class Watchdog:
    """Knows how late the event loop is."""

    def __init__(self, metrics: telemetry.Metrics) -> None:
        self._metrics = metrics
        self._due_at: float | None = None

    def late_seconds(self) -> float:
        """How late it is right now."""
        if self._due_at is None:
            return 0.0
        return max(0.0, asyncio.get_running_loop().time() - self._due_at)

    def why_wedged(self) -> str | None:
        """Why a new process would be better, or None."""
        late = self.late_seconds()
        return None if late < WEDGED_SECONDS else f"the event loop is {late:.0f} s late"

    async def run(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._due_at = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            late = self.late_seconds()
            self._metrics.loop_lag.observe(late)
            if late >= SLOW_SECONDS:
                _log.warning("The event loop stood still.", action="watch_loop", seconds=round(late, 3))


class Measuring:
    """Looks the metrics of the database up."""

    def __init__(
        self,
        store: Store,
        *,
        metrics: telemetry.Metrics,
        taking: inbox.Inbox,
        data_dir: Path,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._inbox = taking
        self._data_dir = data_dir
        self._now = now

    async def run(self, *, is_all: bool) -> None:
        """Look up for ever what is needed all the time. :param is_all: all of it, for those that it is sent to."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            try:
                if is_all and loop.time() >= next_at:
                    next_at = loop.time() + REST_SECONDS
                    await self.look()
                else:
                    await self._look_at_inbox()
            except errors.StoreUnavailable as error:
                _log.debug("The metrics cannot be looked up.", action="measure", error=str(error))
            await asyncio.sleep(INBOX_SECONDS)

    async def look(self) -> None:
        """Bring the gauges up to date.

        :raises errors.StoreUnavailable: if the database cannot be read.
        """
        await self._look_at_inbox()
        jobs, ours, parked, left = await self._store.read(_look, now=self._now())
        for state in set(job.State) - job.FINAL:
            self._metrics.jobs_active.labels(state).set(jobs.get(state, 0))
        running = ours.get(build.State.RUNNING, 0)
        self._metrics.builds_unfinished.labels("executing").set(running)
        self._metrics.builds_unfinished.labels("pending").set(sum(ours.values()) - running)
        self._metrics.parked.set(parked)
        self._metrics.limit_remaining.set(1.0 if left is None else left)
        # A disk that hangs must not take the loop with it.
        with contextlib.suppress(OSError):
            disk = await asyncio.to_thread(shutil.disk_usage, self._data_dir)
            self._metrics.disk_free.set(disk.free / disk.total)
        await ledger.measure(self._store, self._metrics, now=self._now())
        await sender.measure(self._store, self._metrics)

    async def _look_at_inbox(self) -> None:
        oldest_at = (await self._inbox.measure()).oldest_received_at
        age = 0.0 if oldest_at is None else (self._now() - oldest_at).total_seconds()
        self._metrics.inbox_oldest.set(max(0.0, age))


def _look(
    connection: Connection, *, now: datetime
) -> tuple[dict[job.State, int], dict[build.State, int], int, float | None]:
    return (
        builds.count_jobs_by_state(connection),
        counts.unfinished_builds(connection),
        counts.parked(connection),
        counts.lowest_budget(connection, now=now),
    )
