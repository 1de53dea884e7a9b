"""The dispatcher: takes stored deliveries oldest first, asks handlers what to write, and writes it with "handled".

A handler may run twice (a crash, a retry); what it returned is applied once, in one transaction, behind a fence.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from gidgethub import sansio
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint, hint, ramp, telemetry
from bot.builds import lifecycle
from bot.events import retrying, trail, visibility
from bot.events.context import Context
from bot.events.router import Router
from bot.model import build, delivery, outcome
from bot.store import Store, budgets, deliveries, idle, outcomes, patience

#: How many deliveries are handled side by side, and of one repository: while GitHub lets one wait, others go on.
MAX_SIDE_BY_SIDE = 32
MAX_OF_ONE = 16
#: How many deliveries from which nothing follows are settled at once.
MAX_IDLE = 512
#: A handler that takes longer has failed; the lease outlives it.
HANDLER_TIMEOUT_SECONDS = 120.0
LEASE = timedelta(minutes=5)
#: How often the dispatcher looks, should a wake-up be lost.
LOOK_SECONDS = 5.0
#: From this size a body is decoded off the event loop, which others need meanwhile.
_LARGE_BODY_BYTES = 256 * 1024
_log = telemetry.log("events")


class Dispatcher:
    """Claims, routes and writes; it decides nothing about builds."""

    def __init__(
        self,
        store: Store,
        *,
        router: Router,
        context: Callable[[delivery.Delivery], Context],
        metrics: telemetry.Metrics,
        owner: str,
        on_applied: Callable[[], None],
        now: Callable[[], datetime],
        why_done: Callable[[delivery.Delivery], Awaitable[str | None]] | None = None,
        hand_on: Callable[[str, str | None], Sequence[str]] = lambda *_: (),
    ) -> None:
        """:param why_done: says why nothing follows from a delivery that comes again after a restore, or None.
        :param hand_on: the users' own handlers that may take an event with its action, once ours are done with it.
        """
        self._store = store
        self._router = router
        self._context = context
        self._metrics = metrics
        self._owner = owner
        self._on_applied = on_applied
        self._now = now
        self._why_done = why_done
        self._hand_on = hand_on
        #: With the repository that each is about.
        self._under_way: dict[asyncio.Task[None], int | None] = {}
        self._hint = hint.Hint()
        self._ramp = ramp.Ramp(MAX_SIDE_BY_SIDE)

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._hint.give()

    async def run(self) -> None:
        """Dispatch for ever. When stopped, what is under way is given up: nothing of it was written."""
        await self.settle_suspects()
        async with asyncio.TaskGroup() as group:
            while True:
                due_at = None
                try:
                    due_at = await self._dispatch_ready(group)
                except errors.StoreUnavailable as error:
                    _log.error("Deliveries cannot be claimed.", action="claim_deliveries", error=str(error))
                await self._hint.wait(self._pause_seconds(due_at))

    async def settle_suspects(self) -> None:
        """Handle one by one what was under way when the process ended, twice already.

        One of them may be what ends it; side by side it would take the attempts of the others with it.
        """
        while True:
            try:
                suspect = await self._store.write(
                    deliveries.claim_suspect,
                    now=self._now(),
                    owner=self._owner,
                    lease=LEASE,
                    min_attempts=retrying.SUSPECT_ATTEMPTS,
                )
            except errors.StoreUnavailable as error:
                _log.error("Deliveries cannot be claimed.", action="claim_deliveries", error=str(error))
                return
            if suspect is None:
                return
            await self.dispatch(suspect)

    def _pause_seconds(self, due_at: datetime | None) -> float:
        if due_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.01, (due_at - self._now()).total_seconds()))

    async def _dispatch_ready(self, group: asyncio.TaskGroup) -> datetime | None:
        free = self._ramp.width - len(self._under_way)
        if free <= 0:
            return None
        busy = Counter(self._under_way.values())
        look = await self._store.write(
            _look,
            now=self._now(),
            owner=self._owner,
            limit=free,
            busy=busy,
            why_idle=self._why_idle,
            hand_on=self._hand_on,
        )
        for one in look.claimed:
            task = group.create_task(self.dispatch(one))
            self._under_way[task] = one.repository_id
            task.add_done_callback(self._forget)
        self._count_idle(look.idle)
        return look.due_at

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self.wake()

    def _why_idle(self, event: str, action: str | None) -> str | None:
        return retrying.no_handler(event, action) if self._router.is_idle(event, action) else None

    def _count_idle(self, idle: Counter[str]) -> None:
        for event, count in idle.items():
            self._metrics.handled.labels(_label(event), str(delivery.State.IGNORED)).inc(count)
        if idle:
            _log.info("Deliveries are ignored.", action="ignore_deliveries", events=dict(idle))
            # More of them may stand behind, and the users' own handlers may take them.
            self.wake()
            self._on_applied()

    async def dispatch(self, claimed: delivery.Delivery) -> None:
        """Handle one claimed delivery and write what became of it."""
        with telemetry.bound(delivery_id=claimed.id):
            started = time.perf_counter()
            try:
                state = await self._settle(claimed)
            except errors.LeaseLost:
                state = "lease_lost"
            except errors.StoreUnavailable as error:
                # Its lease runs out, then it is claimed again.
                _log.error("An outcome could not be written.", action="apply_outcome", error=str(error))
                state = "not_written"
            self._metrics.handled.labels(_label(claimed.event), state).inc()
            self._metrics.handle_seconds.observe(time.perf_counter() - started)

    async def _settle(self, claimed: delivery.Delivery) -> str:
        if claimed.attempts > retrying.MAX_ATTEMPTS:
            return await self._fail(claimed, error=retrying.never_ended(claimed), again_at=None)
        steps: list[str] = []
        try:
            await failpoint.pause("dispatch.after_claim")
            async with asyncio.timeout(HANDLER_TIMEOUT_SECONDS):
                why_done = await self._why_done(claimed) if self._why_done is not None else None
                decided = outcome.ignored(why_done) if why_done is not None else await self._decide(claimed, steps)
            self._ramp.went_well()
            # Whoever had it before a restore is not given it again.
            hand_on = () if why_done is not None else self._names(claimed)
            return await self._apply(claimed, decided, hand_on=hand_on)
        except (errors.LeaseLost, errors.StoreUnavailable):
            raise
        except Exception as error:
            return await self._after(claimed, error, steps)

    async def _decide(self, claimed: delivery.Delivery, steps: list[str]) -> outcome.Outcome:
        event = await read(claimed)
        # Only GitHub says who may see a repository: what we made ourselves says nothing of it.
        is_github = delivery.SOURCE not in claimed.headers or claimed.headers[delivery.SOURCE] == "api"
        seen = visibility.told(event) if is_github else ()
        handlers = self._router.handlers(event)
        if not handlers:
            ignored = outcome.ignored(retrying.no_handler(claimed.event, claimed.action))
            return replace(ignored, visibilities=seen)
        decided = []
        for handler in handlers:
            context = self._context(claimed)
            try:
                made = await handler(event, context)
            finally:
                # Also of one that fails: how far it came tells why.
                steps += context.trail.steps
            decided.append(replace(made, trail=trail.joined(context.trail.steps, made.trail)))
        await failpoint.pause("dispatch.mid_handler")
        joined = outcome.joined(decided)
        # What was asked of GitHub just now holds over what the event told.
        return replace(joined, visibilities=(*seen, *joined.visibilities))

    def _names(self, claimed: delivery.Delivery) -> Sequence[str]:
        if claimed.event == delivery.HOOK and delivery.hook_source(claimed.headers) is None:
            # GitHub signs no event's name: what came by its door is no source's webhook.
            return ()
        return self._hand_on(claimed.event, claimed.action)

    async def _apply(self, claimed: delivery.Delivery, decided: outcome.Outcome, *, hand_on: Sequence[str]) -> str:
        made = await patience.write(
            self._store,
            outcomes.apply,
            claimed,
            decided,
            now=self._now(),
            hand_on=hand_on,
            spares=lifecycle.outliving,
        )
        if decided.look_again_at is not None:
            return "retrying"
        _log.info(
            "A delivery is handled.",
            action="handle_delivery",
            event_name=claimed.event,
            reason=decided.trail[-1],
            builds=[one.id for one in made],
            **({"build_id": made[0].id} if len(made) == 1 else {}),
        )
        for one in made:
            waits = one.state == build.State.WAITING
            self._metrics.decisions.labels("waits" if waits else str(one.trust)).inc()
        self._on_applied()
        return str(delivery.State.IGNORED if decided.is_ignored else delivery.State.HANDLED)

    async def _after(self, claimed: delivery.Delivery, error: Exception, steps: list[str]) -> str:
        if isinstance(error, errors.RateLimited | errors.GitHubUnavailable):
            self._ramp.went_badly()
        verdict = retrying.decide(error, claimed, now=self._now())
        if verdict.is_unexpected:
            _log.error("A handler failed.", action="handle_delivery", attempts=claimed.attempts, exc_info=error)
        if verdict.is_ignored:
            ignored = outcome.ignored(verdict.text)
            ignored = replace(ignored, trail=trail.joined(steps, ignored.trail))
            return await self._apply(claimed, ignored, hand_on=self._names(claimed))
        if verdict.is_counted:
            return await self._fail(claimed, error=verdict.text, again_at=verdict.again_at, steps=steps)
        assert verdict.again_at is not None
        await patience.write(
            self._store,
            deliveries.look_again,
            claimed,
            at=verdict.again_at,
            reason="It is tried again until GitHub answers.",
            error=verdict.text,
            trail=tuple(steps),
        )
        return str(delivery.State.RETRYING)

    async def _fail(
        self, claimed: delivery.Delivery, *, error: str, again_at: datetime | None, steps: Sequence[str] | None = None
    ) -> str:
        kept = None if steps is None else tuple(steps)
        if again_at is not None:
            state = delivery.State.RETRYING
            await patience.write(
                self._store, deliveries.fail, claimed, error=error, next_attempt_at=again_at, trail=kept
            )
        else:
            state = delivery.State.PARKED
            self._metrics.system_errors.labels("controller", "delivery_parked").inc()
            await patience.write(
                self._store,
                outcomes.park,
                claimed,
                error=error,
                now=self._now(),
                hand_on=self._names(claimed),
                trail=kept,
            )
            self._on_applied()
        _log.warning("A delivery could not be handled.", action="fail_delivery", state=state, error=error)
        return str(state)


class _Look(msgspec.Struct, frozen=True):
    """What there is to do."""

    claimed: list[delivery.Delivery]
    #: When the next delivery that waits will be due.
    due_at: datetime | None
    #: How many from which nothing follows were settled, by event.
    idle: Counter[str]


def _look(
    connection: Connection,
    *,
    now: datetime,
    owner: str,
    limit: int,
    busy: Mapping[int | None, int],
    why_idle: Callable[[str, str | None], str | None],
    hand_on: Callable[[str, str | None], Sequence[str]],
) -> _Look:
    ignored = idle.ignore_idle(connection, why=why_idle, hand_on=hand_on, now=now, limit=MAX_IDLE)
    if not deliveries.is_any_waiting(connection, now=now):
        # Mostly so: nobody pays for more than this look.
        return _Look([], None, ignored)
    claimed = deliveries.claim_next(
        connection, now=now, owner=owner, lease=LEASE, limit=limit, most_each=MAX_OF_ONE, busy=busy
    )
    found = (deliveries.next_due_at(connection, now=now), budgets.next_opening(connection, now=now))
    return _Look(claimed, min((at for at in found if at is not None), default=None), ignored)


def _label(event: str) -> str:
    return event if event in retrying.KNOWN_EVENTS else "other"


async def read(claimed: delivery.Delivery) -> sansio.Event:
    """The event that a delivery tells of.

    :raises ValueError: if its body is no JSON.
    """

    def decode() -> object:
        return msgspec.json.decode(delivery.payload(headers=claimed.headers, body=claimed.body))

    data = await asyncio.to_thread(decode) if len(claimed.body) >= _LARGE_BODY_BYTES else decode()
    return sansio.Event(data, event=claimed.event, delivery_id=claimed.id)
