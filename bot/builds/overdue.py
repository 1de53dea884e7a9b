"""Jobs that nobody brings to an end: their machine is gone, or their time long over. They end here, with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.builds import lifecycle, transitions
from bot.model import job
from bot.store import Store, jobs

#: How often it looks.
LOOK_SECONDS = 10.0
#: A replica that was silent for so long does not come back in time for its jobs. A restart, also one of the machine,
#: should be quicker.
LOST_AFTER = timedelta(minutes=5)
#: How long beyond its own time limit a job may take to be prepared, to be ended and to be told of.
PATIENCE = timedelta(minutes=30)
_LOST = (
    "The machine that ran it was not heard of for {minutes:.0f} minutes. What it did is not known, so it is not started"
    " again by itself: run it again."
)
_OVERDUE = "Its time limit of {minutes:g} minutes is long over and its engine does not say what became of it."
_log = telemetry.log("builds")


class Overdue:
    """Ends jobs that hang."""

    def __init__(self, store: Store, *, owner: str, on_change: Callable[[], None], now: Callable[[], datetime]) -> None:
        self._store = store
        self._owner = owner
        self._on_change = on_change
        self._now = now

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.settle()
            except errors.StoreUnavailable as error:
                _log.error("Jobs that hang cannot be ended.", action="settle_overdue", error=str(error))
            except Exception as error:
                _log.error("Looking for jobs that hang failed.", action="settle_overdue", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def settle(self) -> list[job.Job]:
        """End what hangs now; gives the jobs as they ended."""
        ended = await self._store.write(_settle, now=self._now(), owner=self._owner)
        for one in ended:
            _log.warning("A job was given up.", action="give_up_job", job_id=one.id, reason=one.reason)
        if ended:
            self._on_change()
        return ended


def _settle(connection: Connection, *, now: datetime, owner: str) -> list[job.Job]:
    gone = jobs.claim_lost(connection, silent_since=now - LOST_AFTER, owner=owner)
    lost = [_ended(one, _LOST.format(minutes=LOST_AFTER.total_seconds() / 60), now=now) for one in gone]
    late = jobs.take_over(connection, [one.id for one in overdue(jobs.list_on_engine(connection), now=now)])
    hung = [_ended(one, _OVERDUE.format(minutes=one.plan.timeout_minutes), now=now) for one in late]
    for one in (*lost, *hung):
        transitions.save(connection, one, now=now)
    return [*lost, *hung]


def overdue(running: Sequence[job.Job], *, now: datetime) -> list[job.Job]:
    """Those of the jobs whose time is over for longer than they may need to end. Pure."""
    return [
        one
        for one in running
        if one.started_at is not None and one.started_at + timedelta(minutes=one.plan.timeout_minutes) + PATIENCE < now
    ]


def _ended(one: job.Job, reason: str, *, now: datetime) -> job.Job:
    return replace(one, state=lifecycle.transition(one.state, lifecycle.Signal.ERRORED), reason=reason, finished_at=now)
