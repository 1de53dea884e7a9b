"""The sweeper: forgets what is older than the retention, oldest first and a little at a time.

One replica at a time sweeps the database; each looks after its own disk. A log is deleted when no job has it any more,
so whatever is cut off half-way is found again by the next sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection
from ulid import ULID

from bot import errors, failpoint, telemetry
from bot.builds import purge
from bot.engines import contract
from bot.logs import Storage
from bot.store import (
    Store,
    answers,
    approvals,
    artifacts,
    audit,
    bookmarks,
    builds,
    deliveries,
    jobs,
    leases,
    pauses,
    pulls,
    requests,
    results,
    secrets,
    self_tests,
)

#: How often the sweeper looks.
SWEEP_SECONDS = 3600.0
#: What of a repository without builds a job used since then stays for a while.
ENGINE_PATIENCE = timedelta(days=1)
#: One transaction deletes this many at most: the door waits for it.
_BATCH = 200
#: Of test cases and findings, which are small, this many.
_ROWS = 2_000
#: So many logs are looked for in the database at once.
_LOGS_AT_ONCE = 500
_FRESH = timedelta(hours=1)
_LEASE_NAME = "sweeper"
_LEASE = timedelta(minutes=10)
#: The bookmark that says which object store is this database's.
_STORAGE = "storage"
#: These are deleted by whoever wrote them, or never.
_KEPT_BOOKMARKS = (pauses.NAME, pauses.END_NAME, purge.PREFIX, self_tests.PREFIX, _STORAGE)
_log = telemetry.log("builds")


class Sweeper:
    """Deletes deliveries, builds, logs and all else past `retention`; the audit not before it is 90 days old."""

    def __init__(
        self,
        store: Store,
        *,
        engine: contract.Engine,
        storage: Storage,
        retention: timedelta,
        owner: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = engine
        self._storage = storage
        self._logs = storage.logs
        self._artifacts = storage.artifacts
        self._retention = retention
        self._owner = owner
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
        if await self._store.write(_take_lease, owner=self._owner, now=self._now()):
            await self._sweep_database()
            await self._sweep_storage()
            await self._store.write(leases.release, _LEASE_NAME, owner=self._owner)
        await self.free_logs()
        await self.seal_logs()
        await self.free_artifacts()
        await self._sweep_engine()

    async def free_logs(self) -> int:
        """Delete the logs on this machine's disk that no job has any more. Gives how many."""
        if not await self._store.read(jobs.is_any):
            # Nothing shows that these logs and this database belong together.
            return 0
        return await self._free_all(self._logs.list_ids())

    async def seal_logs(self) -> None:
        """Pack what is plain on this machine's disk though its job has ended: it was cut off, or had no room."""
        async for some in self._logs.list_loose_ids(before=self._now() - _FRESH):
            for one in await self._store.read(jobs.list_final, some) if some else ():
                await self._logs.seal(one)

    async def _free_all(self, ids: AsyncIterator[list[str]]) -> int:
        freed = 0
        batch: list[str] = []
        async for some in ids:
            batch += some
            if len(batch) >= _LOGS_AT_ONCE:
                freed += await self._free_logs(batch)
                batch = []
        freed += await self._free_logs(batch)
        if freed:
            _log.info("Logs without a job were deleted.", action="sweep_logs", count=freed)
        return freed

    async def free_artifacts(self) -> int:
        """Delete the artifacts on this machine's disk that no job has any more. Gives how many."""
        if not await self._store.read(jobs.is_any):
            return 0
        # What was put there just now has no entry before its job's end is written.
        return await self._free_artifacts(self._artifacts.list_ids(before=self._now() - _FRESH))

    async def _free_artifacts(self, ids: AsyncIterator[Sequence[str]]) -> int:
        freed = 0
        async for some in ids:
            gone = await self._store.read(artifacts.list_without, list(some))
            await self._artifacts.delete(*gone)
            freed += len(gone)
        return freed

    async def _sweep_storage(self) -> None:
        """Delete what lies in the object store and no job has any more, where all of it is this database's."""
        if self._storage.url is None or not await self._store.read(jobs.is_any):
            return
        if not await self._storage.is_of(await self._store.write(_mark, self._owner, now=self._now())):
            _log.warning(
                "The object store holds logs of another database: what no job has is left there. Give each its own"
                " prefix, or delete the object `owner` to give the store to this one.",
                action="sweep_storage",
                storage=self._storage.url,
            )
            return
        before = self._now() - _FRESH
        await self._free_all(self._logs.list_far_ids(before=before))
        await self._free_artifacts(self._artifacts.list_far_ids(before=before))

    async def _free_logs(self, ids: list[str]) -> int:
        gone = await self._store.read(jobs.list_without, ids) if ids else []
        await self._logs.delete(*gone)
        return len(gone)

    async def _sweep_database(self) -> None:
        before = self._now() - self._retention
        deleted = 0
        for work in (
            deliveries.delete_finished,
            pulls.delete_old,
            approvals.delete_old,
            answers.delete_old,
            audit.delete_old,
        ):
            while gone := await self._store.write(work, before=before, limit=_BATCH):
                deleted += gone
        while gone := await self._store.write(artifacts.delete_expired, before=self._now(), limit=_BATCH):
            deleted += gone
        expired = self._now() - requests.KEPT
        while gone := await self._store.write(requests.delete_expired, before=expired, limit=_BATCH):
            deleted += gone
        deleted += await self._store.write(bookmarks.delete_old, before=before, keep=_KEPT_BOOKMARKS)
        deleted += await self._delete_builds(before)
        if deleted:
            _log.info("Old entries were deleted.", action="sweep", count=deleted, before=before.isoformat())
        for installation_id in await self._store.write(purge.list_due, now=self._now()):
            await self._purge(installation_id)

    async def _delete_builds(self, before: datetime, *, installation_id: int | None = None) -> int:
        deleted = 0
        while True:
            while gone := await self._store.write(
                results.delete_old, before=before, most_builds=_BATCH, limit=_ROWS, installation_id=installation_id
            ):
                deleted += gone
                await self._store.write(_take_lease, owner=self._owner, now=self._now())
            gone, jobs_gone = await self._store.write(
                builds.delete_finished, before=before, limit=_BATCH, installation_id=installation_id
            )
            if jobs_gone:
                await failpoint.pause("gc.mid_delete")
            for job_id in jobs_gone:
                await self._free(job_id)
            await self._free_logs(jobs_gone)
            deleted += gone
            if gone < _BATCH:
                return deleted
            await self._store.write(_take_lease, owner=self._owner, now=self._now())

    async def _purge(self, installation_id: int) -> None:
        now = self._now()
        deleted = 0
        # Secrets and pull requests first: only the others tell whose they are.
        while gone := await self._store.write(secrets.delete_of_installation, installation_id, limit=_BATCH):
            deleted += gone
        while gone := await self._store.write(pulls.delete_of_installation, installation_id, limit=_BATCH):
            deleted += gone
        while gone := await self._store.write(answers.delete_of_installation, installation_id, limit=_BATCH):
            deleted += gone
        deleted += await self._delete_builds(now, installation_id=installation_id)
        while gone := await self._store.write(
            deliveries.delete_finished, before=now, limit=_BATCH, installation_id=installation_id
        ):
            deleted += gone
        is_whole = await self._store.write(purge.finish, installation_id)
        _log.info(
            "What was kept of an installation that is gone was deleted.",
            action="purge_installation",
            installation_id=installation_id,
            count=deleted,
            is_whole=is_whole,
        )

    async def _sweep_engine(self) -> None:
        keep = await self._store.read(builds.list_repository_ids)
        try:
            await self._engine.sweep(keep=keep, before=self._now() - ENGINE_PATIENCE)
        except errors.EngineError as error:
            _log.warning("The engine keeps what no build needs.", action="sweep_engine", error=str(error))

    async def _free(self, job_id: str) -> None:
        try:
            await self._engine.remove(job_id)
        except errors.EngineError as error:
            _log.warning("The engine keeps an ended job.", action="remove_job", job_id=job_id, error=str(error))


def _mark(connection: Connection, owner: str, *, now: datetime) -> str:
    """What this database calls its object store: the first that swept it gave it its name."""
    known = bookmarks.find(connection, _STORAGE)
    if known is None:
        known = owner
        bookmarks.save(connection, _STORAGE, known, now=now)
    return known


def _take_lease(connection: Connection, *, owner: str, now: datetime) -> bool:
    return leases.take(connection, _LEASE_NAME, owner=owner, now=now, lease=_LEASE)
