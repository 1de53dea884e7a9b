"""The scheduler: starts queued jobs where a place is free, passes wishes to cancel on, and takes up what ran before.

The store says what is to be done, the engine what is being done; the scheduler holds nothing that a crash could lose.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint, hint, telemetry
from bot.builds import follower, lifecycle, quotas, transitions
from bot.engines import contract
from bot.model import build, job
from bot.store import Store, builds, jobs, patience

#: A replica owns a job for as long as it is heard of (`bot.store.replicas`); this bound is never reached.
LEASE = timedelta(days=1)
#: How often the scheduler looks, should a wake-up be lost. The command line's wishes come this way.
LOOK_SECONDS = 1.0
#: How long a job waits whose engine did not take it.
REFUSED_PAUSE = timedelta(seconds=15)
_STORE_PAUSE_SECONDS = 1.0
_log = telemetry.log("builds")


class _Started(msgspec.Struct, frozen=True):
    job: job.Job
    of_build: build.Build
    #: The context of what it needs, by id.
    needs: Mapping[str, Any]
    #: How much of its output is kept; None for as much as ever.
    log_bytes: int | None = None


class Scheduler:
    """Runs jobs on one engine, at most `max_jobs` at once."""

    def __init__(
        self,
        store: Store,
        *,
        engine: contract.Engine,
        following: follower.Follower,
        choose: Callable[[job.Plan], str],
        request: Callable[[job.Job, build.Build, Mapping[str, Any]], contract.JobRequest],
        max_jobs: int,
        quota: quotas.Quotas,
        metrics: telemetry.Metrics,
        owner: str,
        on_change: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = engine
        self._follower = following
        self._choose = choose
        self._request = request
        self._max_jobs = max_jobs
        self._quota = quota
        self._metrics = metrics
        self._owner = owner
        self._on_change = on_change
        self._now = now
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told_to_cancel: set[str] = set()
        self._hint = hint.Hint()
        self._measure()

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._hint.give()

    async def run(self) -> None:
        """Schedule for ever. When stopped, jobs on the engine go on, and the next start takes them up."""
        async with asyncio.TaskGroup() as group:
            await self.adopt(group)
            while True:
                try:
                    wanted = await self.start_ready(group)
                    self._on_change()
                    await self.settle_cancellations(wanted)
                except errors.StoreUnavailable as error:
                    _log.error("Jobs cannot be claimed.", action="claim_jobs", error=str(error))
                except Exception as error:
                    # Jobs that run are followed on; what could not be done now is found again.
                    _log.error("Scheduling failed.", action="schedule", exc_info=error)
                    self._metrics.system_errors.labels("scheduler", "scheduling").inc()
                    await asyncio.sleep(_STORE_PAUSE_SECONDS)
                await self._hint.wait(LOOK_SECONDS)

    async def adopt(self, group: asyncio.TaskGroup) -> None:
        """Take up the jobs that were on the engine when the last process ended."""
        for found in await patience.write(
            self._store,
            _adopt,
            now=self._now(),
            owner=self._owner,
            is_only=not self._store.is_shared,
            quota=self._quota,
        ):
            _log.info("A job goes on.", action="adopt_job", **_facts(found), state=found.job.state)
            self._spawn(group, found)

    async def start_ready(self, group: asyncio.TaskGroup) -> Sequence[job.Job]:
        """Start the oldest queued jobs, as many as there are free places. Gives those that somebody wants cancelled."""
        free = self._max_jobs - len(self._running)
        if free <= 0:
            return await self._store.read(jobs.list_cancel_requested, owner=self._owner)
        claimed, wanted = await self._store.write(
            _claim,
            choose=self._choose,
            now=self._now(),
            owner=self._owner,
            limit=free,
            quota=self._quota,
        )
        for one in claimed:
            self._metrics.queue_seconds.observe(max(0.0, (self._now() - one.job.created_at).total_seconds()))
            self._spawn(group, one)
        return wanted

    async def settle_cancellations(self, wanted: Sequence[job.Job]) -> None:
        """End what somebody wants cancelled: at once where nothing runs, else through the engine."""
        for one in wanted:
            reason = one.cancel_reason or lifecycle.CANCELLED
            match lifecycle.cancel_effect(one.state):
                case lifecycle.CancelEffect.AT_ONCE:
                    await self._cancel_at_once(one, reason)
                case lifecycle.CancelEffect.ASK_ENGINE if one.id not in self._told_to_cancel:
                    await failpoint.pause("cancel.after_mark")
                    await self._engine.cancel(one.id, reason=reason)
                    self._told_to_cancel.add(one.id)

    async def _cancel_at_once(self, one: job.Job, reason: str) -> None:
        ended = replace(
            one,
            state=lifecycle.transition(one.state, lifecycle.Signal.CANCELLED),
            reason=reason,
            finished_at=self._now(),
        )
        # Somebody else may have moved it meanwhile: then it is found again as it stands.
        with contextlib.suppress(errors.LeaseLost):
            await self._store.write(transitions.save, ended, now=self._now())
            self._on_change()

    def _spawn(self, group: asyncio.TaskGroup, one: _Started) -> None:
        task = group.create_task(self._run_job(one), name=f"job {one.job.id}")
        self._running[one.job.id] = task
        self._measure()

        def done(_task: asyncio.Task[None]) -> None:
            self._running.pop(one.job.id, None)
            self._told_to_cancel.discard(one.job.id)
            self._measure()
            self.wake()

        task.add_done_callback(done)

    def _measure(self) -> None:
        busy = len(self._running)
        self._metrics.workers.labels("busy").set(busy)
        self._metrics.workers.labels("available").set(max(0, self._max_jobs - busy))

    async def _run_job(self, one: _Started) -> None:
        with telemetry.bound(**_facts(one)):
            current = one.job
            while current.state in job.ON_ENGINE:
                try:
                    current = await self._start_and_follow(current, one)
                except errors.LeaseLost:
                    _log.warning("The job was taken over.", action="lose_job")
                    await self._let_go(current)
                    return
                except errors.StoreUnavailable as error:
                    _log.error("The job's progress cannot be written.", action="save_job", error=str(error))
                    await asyncio.sleep(_STORE_PAUSE_SECONDS)
                    current = await self._again(current)
                except Exception as error:
                    _log.error("Following the job failed.", action="follow_job", exc_info=error)
                    self._metrics.system_errors.labels("agent", "following").inc()
                    await asyncio.sleep(_STORE_PAUSE_SECONDS)
                    current = await self._again(current)

    async def _let_go(self, current: job.Job) -> None:
        # Whoever took it over has said how it ended; what still runs here is for nobody.
        with contextlib.suppress(errors.EngineError):
            await self._engine.cancel(current.id, reason="It was taken over, because nothing was heard of it.")

    async def _start_and_follow(self, current: job.Job, one: _Started) -> job.Job:
        try:
            if current.state == job.State.STARTING:
                await failpoint.pause("engine.before_submit")
                request = self._request(current, one.of_build, one.needs)
                await self._engine.start(dataclasses.replace(request, log_bytes=one.log_bytes))
                self._metrics.engine_up.labels(current.engine).set(1)
                await failpoint.pause("engine.after_submit_before_record")
            return await self._follower.follow(current)
        except errors.EngineError as error:
            return await self._put_back(current, error)
        except errors.NotFound as error:
            return await self._give_up(current, error)
        except errors.EngineBroken as error:
            ended = await self._give_up(current, error)
            with contextlib.suppress(errors.EngineError):
                await self._engine.cancel(current.id, reason="What was told of it cannot be true.")
            return ended

    async def _give_up(self, current: job.Job, error: errors.BuildhookError) -> job.Job:
        _log.warning("The job was given up.", action="give_up_job", engine=current.engine, error=str(error))
        ended = follower.given_up(await self._again(current), now=self._now(), error=error)
        await self._store.write(transitions.save, ended, now=self._now())
        self._on_change()
        return ended

    async def _put_back(self, current: job.Job, error: errors.EngineError) -> job.Job:
        _log.warning("The engine did not take the job.", action="refuse_job", error=str(error))
        self._metrics.engine_up.labels(current.engine).set(0)
        self._metrics.system_errors.labels("agent", "engine_refused").inc()
        state = lifecycle.transition(current.state, lifecycle.Signal.REFUSED)
        queued = replace(current, state=state, started_at=None, reason=f"Waits for the engine: {error}")
        await self._store.write(_put_back, queued, now=self._now())
        self._on_change()
        return queued

    async def _again(self, current: job.Job) -> job.Job:
        try:
            stored = await self._store.read(jobs.get, current.id)
        except errors.StoreUnavailable:
            return current
        return stored if stored.epoch == current.epoch else current


def _facts(one: _Started) -> dict[str, str]:
    return {"job_id": one.job.id, "build_id": one.of_build.id, **_cause(one.of_build)}


def _cause(of: build.Build) -> dict[str, str]:
    """The delivery that a build is of, for the log; nothing where nobody sent one."""
    return {} if of.delivery_id is None else {"delivery_id": of.delivery_id}


def _claim(
    connection: Connection,
    *,
    choose: Callable[[job.Plan], str],
    now: datetime,
    owner: str,
    limit: int,
    quota: quotas.Quotas,
) -> tuple[list[_Started], list[job.Job]]:
    started = []
    log_bytes: dict[int, int | None] = {}
    without = quota.exhausted(connection, now=now)
    for one in jobs.claim_ready(
        connection, now=now, owner=owner, lease=LEASE, limit=limit, most_of_one=quota.jobs, without=without
    ):
        try:
            engine = choose(one.plan)
        except errors.EngineMissing as error:
            state = lifecycle.transition(one.state, lifecycle.Signal.ERRORED)
            transitions.save(connection, replace(one, state=state, reason=str(error), finished_at=now), now=now)
            continue
        moved = replace(
            one,
            state=lifecycle.transition(one.state, lifecycle.Signal.CLAIMED),
            engine=engine,
            started_at=now,
            reason=None,
        )
        of_build = transitions.save(connection, moved, now=now).of_build
        of_id = of_build.repository_id
        if of_id not in log_bytes:
            log_bytes[of_id] = quota.log_bytes(connection, of_id)
        started.append(_Started(moved, of_build, _needs(connection, moved, of_build), log_bytes[of_id]))
    return started, jobs.list_cancel_requested(connection, owner=owner)


def _needs(connection: Connection, one: job.Job, of: build.Build) -> Mapping[str, Any]:
    if not one.plan.needs:
        return {}
    return lifecycle.needs_of(one, jobs.list_of_builds(connection, [of.id]), of=of)


def _adopt(connection: Connection, *, now: datetime, owner: str, is_only: bool, quota: quotas.Quotas) -> list[_Started]:
    found = jobs.adopt(connection, now=now, owner=owner, lease=LEASE, is_only=is_only)
    started = []
    for one in found:
        of_build = builds.get(connection, one.build_id)
        log_bytes = quota.log_bytes(connection, of_build.repository_id)
        started.append(_Started(one, of_build, _needs(connection, one, of_build), log_bytes))
    return started


def _put_back(connection: Connection, queued: job.Job, *, now: datetime) -> None:
    transitions.save(connection, queued, now=now)
    jobs.put_off(connection, queued.id, not_before_at=now + REFUSED_PAUSE)
