"""The sender: posts each notification, signed, until its subscriber has it, has failed for days, or is gone.

Several replicas share the work by claims with leases. A crash behind a POST has it sent again under the same id, by
which subscribers know it. Order is not promised.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bot import errors, hint, policy, signing, telemetry
from bot.allowance import Allowance
from bot.model import notification
from bot.store import Store, notifications, patience, subscribers
from bot.subscribers import payload, schedule
from bot.subscribers.posting import Poster
from bot.subscribers.schedule import Action

#: How many are sent to one subscriber side by side: one that is slow holds up nobody else.
MAX_OF_ONE = 4
#: How many are sent to one subscriber in a minute.
PER_MINUTE = 120
LEASE = timedelta(minutes=1)
#: How often the sender looks, should a wake-up be lost.
LOOK_SECONDS = 5.0
_log = telemetry.log("subscribers")


class Sender:
    """Sends to the subscribers of the policy."""

    def __init__(
        self,
        store: Store,
        *,
        to: Mapping[str, policy.Subscriber],
        details_url: Callable[[str, str], str],
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
        poster: Poster | None = None,
        besides: Sequence[notification.Wanted] = (),
    ) -> None:
        """:param besides: who hears of builds as well, and is sent to by somebody else."""
        self._store = store
        self._to = to
        self._details_url = details_url
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._poster = poster or Poster()
        self._besides = besides
        self._hint = hint.Hint()
        #: With the subscriber that each is for.
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._allowances = {name: Allowance(burst=PER_MINUTE // 2, per_minute=PER_MINUTE) for name in to}

    def wake(self) -> None:
        """Hint that there is something to send."""
        self._hint.give()

    def close(self) -> None:
        """Let go of threads."""
        self._poster.close()

    async def keep(self) -> None:
        """Let the policy's subscribers be those that hear of builds from now on.

        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        wanted = [payload.wanted(one) for _, one in sorted(self._to.items())]
        wanted += self._besides
        await self._store.write(subscribers.keep, wanted, now=self._now())

    async def run(self) -> None:
        """Send for ever. When stopped, what is under way is given up: it is sent again under the same id."""
        is_kept = False
        async with asyncio.TaskGroup() as group:
            while True:
                due_at = None
                try:
                    if not is_kept:
                        await self.keep()
                        is_kept = True
                    due_at = await self.send_ready(group) if self._to else None
                except errors.StoreUnavailable as error:
                    _log.error("Notifications cannot be claimed.", action="claim_notifications", error=str(error))
                except Exception as error:
                    _log.error("Claiming notifications failed.", action="claim_notifications", exc_info=error)
                await self._hint.wait(self._pause_seconds(due_at))

    def _pause_seconds(self, due_at: datetime | None) -> float:
        if due_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.01, (due_at - self._now()).total_seconds()))

    async def send_ready(self, group: asyncio.TaskGroup) -> datetime | None:
        """Begin to send what is due; gives when the next one that waits will be due.

        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        busy = Counter(self._under_way.values())
        most = {name: min(MAX_OF_ONE - busy[name], self._allowances[name].left()) for name in self._to}
        claimed = await self._store.write(
            notifications.claim_due, most=most, now=self._now(), owner=self._owner, lease=LEASE
        )
        for one in claimed:
            self._allowances[one.subscriber].spend(1)
            task = group.create_task(self.send(one))
            self._under_way[task] = one.subscriber
            task.add_done_callback(self._forget)
        return await self._store.read(notifications.next_due_at, self._to, now=self._now())

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self.wake()

    async def send(self, claimed: notification.Notification) -> None:
        """Send one claimed notification and write what became of it."""
        with telemetry.bound(notification_id=claimed.id, subscriber=claimed.subscriber):
            try:
                outcome: str = await self._send(claimed)
            except errors.LeaseLost:
                outcome = "lease_lost"
            except Exception as error:
                # Its lease runs out, then it is claimed again.
                _log.error("Sending failed.", action="send_notification", exc_info=error)
                outcome = "error"
            self._metrics.notifications.labels(outcome).inc()

    async def _send(self, claimed: notification.Notification) -> str:
        to = self._to[claimed.subscriber]
        body = payload.render(claimed, url=self._details_url("builds", claimed.build_id))
        headers = signing.headers(body, id=claimed.id, at=self._now(), keys=to.keys)
        answer = await self._poster.post(to, headers=headers, body=body)
        verdict = schedule.decide(claimed, status=answer.status, reason=answer.reason, now=self._now())
        why = await patience.write(self._store, _settle, claimed, verdict, status=answer.status, now=self._now())
        if verdict.action != Action.SENT:
            _log.info("A notification was not taken.", action="send_notification", why=verdict.text)
        if why is not None:
            _log.warning(
                f"Subscriber {to.name} is sent nothing more; `buildhook subscribers enable {to.name}` changes that.",
                action="disable_subscriber",
                why=why,
            )
        return str(verdict.action if why is None else Action.DISABLE)


def _settle(
    connection: Connection,
    claimed: notification.Notification,
    verdict: schedule.Verdict,
    *,
    status: int | None,
    now: datetime,
) -> str | None:
    """Write what became of an attempt; gives why its subscriber is sent nothing any more, if this was what it took."""
    if verdict.action == Action.SENT:
        assert status is not None
        notifications.succeed(connection, claimed, status=status, now=now)
        return None
    since = notifications.fail(
        connection, claimed, status=status, error=verdict.text, next_attempt_at=verdict.again_at, now=now
    )
    why = verdict.text if verdict.action == Action.DISABLE else schedule.why_disabled(since, now=now)
    is_news = why is not None and subscribers.disable(connection, claimed.subscriber, reason=why, now=now)
    return why if is_news else None


async def measure(store: Store, metrics: telemetry.Metrics) -> None:
    """Set the metrics of what waits to be sent, and of who is sent nothing any more.

    :raises errors.StoreUnavailable: if the database cannot be read.
    """
    metrics.notifications_unsent.set(sum((await store.read(notifications.count_unsent)).values()))
    found = await store.read(subscribers.list_all)
    disabled = [one for one in found if one.state == notification.SubscriberState.DISABLED]
    metrics.subscribers_disabled.set(len(disabled))
