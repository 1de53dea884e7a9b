"""The sweeper: forgets what is older than the retention, oldest first and a little at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from ulid import ULID

from bot import errors, failpoint, telemetry
from bot.engines import contract
from bot.logs import LogStore
from bot.store import Store, builds, deliveries, jobs

#: How often the sweeper looks.
SWEEP_SECONDS = 3600.0
#: One transaction deletes this many at most: the door waits for it.
_BATCH = 200
_log = telemetry.log("builds")


class Sweeper:
    """Deletes deliveries, builds and their logs past `retention`."""

    def __init__(
        self,
        store: Store,
        *,
        engine: contract.Engine,
        logs: LogStore,
        retention: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = engine
        self._logs = logs
        self._retention = retention
        self._now = now

    async def run(self) -> None:
        """Sweep for ever."""
        is_first = True
        failures = 0
        while True:
            failures += 1
            try:
                if is_first:
                    await self.free_ended()
                    is_first = False
                await self.sweep()
                failures = 0
            except errors.StoreUnavailable as error:
                _log.error("Old entries cannot be deleted.", action="sweep", error=str(error))
            except Exception as error:
                _log.error("Sweeping failed.", action="sweep", exc_info=error)
            # What was cut off half-way need not wait for the next round.
            await asyncio.sleep(min(2.0 ** min(failures, 12), SWEEP_SECONDS) if failures else SWEEP_SECONDS)

    async def free_ended(self) -> None:
        """Free what the engine still holds of jobs that ended just before the last process did."""
        after_id = str(ULID.from_datetime(self._now() - timedelta(days=1)))
        for job_id in await self._store.read(jobs.list_ended_ids, after_id=after_id):
            await self._free(job_id)

    async def sweep(self) -> None:
        """Delete everything that is too old now."""
        before = self._now() - self._retention
        deleted = 0
        while gone := await self._store.write(deliveries.delete_finished, before=before, limit=_BATCH):
            deleted += gone
        while True:
            builds_gone, jobs_gone = await self._store.write(builds.delete_finished, before=before, limit=_BATCH)
            if jobs_gone:
                await failpoint.pause("gc.mid_delete")
            for job_id in jobs_gone:
                await self._logs.delete(job_id)
                await self._free(job_id)
            deleted += builds_gone
            if builds_gone < _BATCH:
                break
        if deleted:
            _log.info("Old entries were deleted.", action="sweep", count=deleted, before=before.isoformat())

    async def _free(self, job_id: str) -> None:
        try:
            await self._engine.remove(job_id)
        except errors.EngineError as error:
            _log.warning("The engine keeps an ended job.", action="remove_job", job_id=job_id, error=str(error))
