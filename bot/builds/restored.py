"""What a restore ends: jobs that ran when the backup was made, and builds that GitHub shows to have gone on since."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.builds import lifecycle, transitions
from bot.engines import contract
from bot.model import build, job
from bot.store import Store, answers, builds, checks, jobs, notifications

_log = telemetry.log("builds")


async def end_running(
    store: Store, engine: contract.Engine, *, reason: str, now: Callable[[], datetime]
) -> list[job.Job]:
    """End the jobs that an engine had: what became of them is not known, and they are not run a second time."""
    ended = await store.write(_end_running, reason=reason, now=now())
    for one in ended:
        try:
            # Restored on the same machine, it may run there to this day.
            if await engine.find(one.id):
                await engine.cancel(one.id, reason=reason)
        except errors.EngineError as error:
            _log.warning("The engine keeps a job.", action="cancel_job", job_id=one.id, error=str(error))
    return ended


def _end_running(connection: Connection, *, reason: str, now: datetime) -> list[job.Job]:
    found = jobs.list_on_engine(connection)
    for one in found:
        end_jobs(connection, one.build_id, reason=reason, now=now, job_ids={one.id})
    return found


def end_jobs(
    connection: Connection, build_id: str, *, reason: str, now: datetime, job_ids: Collection[str] | None = None
) -> None:
    """End these jobs of a build (None: all of them, and the build) that have not ended; who follows them loses them."""
    while left := [
        one
        for one in jobs.list_of_builds(connection, [build_id])
        if one.state not in job.FINAL and (job_ids is None or one.id in job_ids)
    ]:
        # One by one: what needs it may end or begin with it.
        (one,) = jobs.take_over(connection, [left[0].id])
        state = lifecycle.transition(one.state, lifecycle.Signal.ERRORED)
        transitions.save(connection, replace(one, state=state, reason=reason, finished_at=now), now=now)
    if job_ids is None:
        _end_build(connection, build_id, reason=reason, now=now)


def _end_build(connection: Connection, build_id: str, *, reason: str, now: datetime) -> None:
    of = builds.get(connection, build_id)
    # One that waits for approval has no jobs that could end.
    is_over = of.state in build.FINAL
    builds.save_state(
        connection,
        build_id,
        state=of.state if is_over else build.State.ERRORED,
        started_at=of.started_at,
        finished_at=of.finished_at or now,
        reason=of.reason if is_over and of.reason is not None else reason,
    )
    if not is_over:
        checks.mark_stale(connection, build_id=build_id, job_id=None, is_conclusion=True, now=now)
        after = replace(of, state=build.State.ERRORED, finished_at=of.finished_at or now)
        notifications.note(connection, of, after, now=now)
        answers.note_build(connection, after, now=now)
