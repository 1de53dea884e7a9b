"""The timer: a schedule whose time has come becomes a delivery, once a slot over all replicas.

The slot is taken and the delivery stored by one transaction; from there it goes the way of every delivery.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.model import delivery
from bot.pipelines import cron
from bot.store import Store, deliveries, schedules

#: How often it looks: a slot is a minute long.
LOOK_SECONDS = 10.0
#: A slot that was missed for longer, because nothing ran here, is left out.
LATE = timedelta(hours=1)
_BATCH = 100
_log = telemetry.log("builds")


class Timer:
    """Looks for schedules that are due."""

    def __init__(self, store: Store, *, on_due: Callable[[], None], now: Callable[[], datetime]) -> None:
        """:param on_due: is called where deliveries were made."""
        self._store = store
        self._on_due = on_due
        self._now = now

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                if await self.look():
                    self._on_due()
            except errors.StoreUnavailable as error:
                _log.error("Schedules cannot be read.", action="fire_schedules", error=str(error))
            except Exception as error:
                _log.error("Looking for schedules failed.", action="fire_schedules", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> int:
        """Make a delivery of each slot that has come; gives how many.

        :raises errors.StoreUnavailable: if the database cannot be used.
        """
        now = self._now()
        made = 0
        for due in await self._store.read(schedules.list_due, now=now, limit=_BATCH):
            made += await self._store.write(fire, due, now=now)
        return made


def fire(connection: Connection, due: schedules.Schedule, *, now: datetime) -> bool:
    """Take the slot of a schedule, and store its delivery; whether there is one."""
    slot = due.next_at
    if slot is None or not schedules.move_on(connection, due, next_at=cron.next_after(due.cron, now)):
        return False
    if now - slot > LATE:
        _log.warning("A schedule was missed.", action="miss_schedule", repository=due.repository, cron=due.cron)
        return False
    deliveries.insert_many(connection, [of_slot(due, slot, now=now)])
    return True


def of_slot(due: schedules.Schedule, slot: datetime, *, now: datetime) -> delivery.VerifiedDelivery:
    """The delivery of one slot: the same one whoever makes it."""
    at = slot.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")
    name = hashlib.sha256(f"{due.repository_id}\0{due.cron}\0{at}".encode()).hexdigest()
    body = {
        "schedule": due.cron,
        "slot": at,
        "ref": due.ref,
        "repository": {"id": due.repository_id, "full_name": due.repository},
        "installation": {"id": due.installation_id},
    }
    return delivery.own(
        event=delivery.SCHEDULE,
        guid=f"schedule-{name[:40]}",
        body=msgspec.json.encode(body),
        repository=due.repository,
        repository_id=due.repository_id,
        installation_id=due.installation_id,
        ordering_key=f"schedule:{due.repository_id}",
        received_at=now,
    )
