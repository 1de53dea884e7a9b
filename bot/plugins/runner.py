"""The runner: hands deliveries to users' own handlers, once ours are done with them; each has a record of its own.

A handler may run more than once for a delivery (a crash, a failure), and not again once it has returned, whatever the
others do. Nothing that one does or fails to do reaches our own work.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import gidgethub

from bot import errors, hint, telemetry
from bot.events import dispatcher, retrying
from bot.github import GitHub
from bot.model import delivery, handler_run
from bot.plugins.loading import Handler, Handlers
from bot.plugins.thread import GRACE_SECONDS, TIMEOUT_SECONDS, HandlerThread
from bot.store import Store, deliveries, handler_runs, patience

#: How many deliveries one handler has side by side: one that hangs holds up no other.
MAX_OF_ONE = 4
#: The lease outlives every handler.
LEASE = timedelta(minutes=5)
#: How often the runner looks, should a wake-up be lost.
LOOK_SECONDS = 5.0
#: Of what a handler says of its failure so much is kept.
_LONGEST_ERROR = 500
_log = telemetry.log("plugins")


class Runner:
    """Runs users' own handlers."""

    def __init__(
        self,
        store: Store,
        *,
        handlers: Handlers,
        github: GitHub,
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
        timeout_seconds: float = TIMEOUT_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._store = store
        self._handlers = handlers
        self._github = github
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._threads = {
            name: HandlerThread(name, timeout_seconds=timeout_seconds, grace_seconds=grace_seconds)
            for name in handlers.by_name
        }
        self._hint = hint.Hint()
        #: With the handler that each is of.
        self._under_way: dict[asyncio.Task[None], str] = {}

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._hint.give()

    async def close(self) -> None:
        """End the handlers' threads."""
        await asyncio.gather(*(one.close() for one in self._threads.values()))

    async def run(self) -> None:
        """Run handlers for ever. When stopped, what is under way is begun again at the next start."""
        if not self._handlers.by_name:
            await asyncio.get_running_loop().create_future()
        await self.settle_suspects()
        async with asyncio.TaskGroup() as group:
            while True:
                due_at = None
                try:
                    due_at = await self.run_ready(group)
                except errors.StoreUnavailable as error:
                    _log.error("Handlers cannot be given anything.", action="claim_handler_runs", error=str(error))
                except Exception as error:
                    _log.error("Claiming for handlers failed.", action="claim_handler_runs", exc_info=error)
                await self._hint.wait(self._pause_seconds(due_at))

    async def settle_suspects(self) -> None:
        """Run one by one what was under way when the process ended, twice already: one of them may be what ends it."""
        while True:
            try:
                claimed = await self._claim(dict.fromkeys(self._threads, 1), min_attempts=retrying.SUSPECT_ATTEMPTS)
            except errors.StoreUnavailable as error:
                _log.error("Handlers cannot be given anything.", action="claim_handler_runs", error=str(error))
                return
            if not claimed:
                return
            for one in claimed:
                await self.handle(one)

    def _pause_seconds(self, due_at: datetime | None) -> float:
        if due_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.01, (due_at - self._now()).total_seconds()))

    async def run_ready(self, group: asyncio.TaskGroup) -> datetime | None:
        """Begin what is due; gives when the next one that waits will be due.

        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        busy = Counter(self._under_way.values())
        for one in await self._claim({name: MAX_OF_ONE - busy[name] for name in self._threads}):
            task = group.create_task(self.handle(one))
            self._under_way[task] = one.handler
            task.add_done_callback(self._forget)
        return await self._store.read(handler_runs.next_due_at, now=self._now())

    async def _claim(self, most: dict[str, int], *, min_attempts: int = 0) -> list[handler_run.HandlerRun]:
        return await self._store.write(
            handler_runs.claim_due,
            most=most,
            now=self._now(),
            owner=self._owner,
            lease=LEASE,
            min_attempts=min_attempts,
        )

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        self.wake()

    async def handle(self, claimed: handler_run.HandlerRun) -> None:
        """Give one delivery to one handler and write what became of it."""
        with telemetry.bound(handler=claimed.handler):
            started = time.perf_counter()
            try:
                state = await self._handle(claimed)
            except errors.LeaseLost:
                state = "lease_lost"
            except Exception as error:
                # Its lease runs out, then it is claimed again.
                _log.error("What a handler did could not be written.", action="run_handler", exc_info=error)
                state = "not_written"
            self._metrics.handler_runs.labels(state).inc()
            self._metrics.handler_seconds.observe(time.perf_counter() - started)

    async def _handle(self, claimed: handler_run.HandlerRun) -> str:
        if claimed.attempts > retrying.MAX_ATTEMPTS:
            return await self._end(claimed, delivery.State.PARKED, error=retrying.never_ended(claimed))
        of = await self._store.read(deliveries.find_seq, claimed.delivery_seq)
        if of is None:
            return "gone"
        handler = self._handlers.by_name[claimed.handler]
        with telemetry.bound(delivery_id=of.id):
            try:
                event = await dispatcher.read(of)
                if not self._handlers.takes(claimed.handler, event):
                    await self._store.write(handler_runs.drop, claimed)
                    return "not_taken"
                api = self._github.handler_api(installation_id=of.installation_id, repository_id=of.repository_id)
                await self._threads[claimed.handler].call(lambda: handler.function(event, api))
            except Exception as error:
                return await self._after(claimed, handler, error)
        return await self._end(claimed, delivery.State.HANDLED)

    async def _after(self, claimed: handler_run.HandlerRun, handler: Handler, error: Exception) -> str:
        verdict = judge(error, claimed, handler=handler, now=self._now())
        if verdict.is_unexpected:
            _log.error("A handler failed.", action="run_handler", attempts=claimed.attempts, exc_info=error)
        if verdict.is_ignored:
            return await self._end(claimed, delivery.State.IGNORED, error=verdict.text)
        if verdict.again_at is None:
            return await self._end(claimed, delivery.State.PARKED, error=verdict.text)
        await patience.write(
            self._store,
            handler_runs.put_off,
            claimed,
            at=verdict.again_at,
            error=verdict.text,
            is_counted=verdict.is_counted,
        )
        return str(delivery.State.RETRYING)

    async def _end(self, claimed: handler_run.HandlerRun, state: delivery.State, *, error: str | None = None) -> str:
        await patience.write(self._store, handler_runs.finish, claimed, state=state, now=self._now(), error=error)
        if state == delivery.State.PARKED:
            _log.warning("A handler failed too often.", action="park_handler_run", error=error)
        return str(state)


def judge(error: Exception, claimed: handler_run.HandlerRun, *, handler: Handler, now: datetime) -> retrying.Verdict:
    """The verdict on a handler's failure: as on ours, with the line of its file where it is its own. Pure."""
    match error:
        case errors.BuildhookError():
            return retrying.decide(error, claimed, now=now)
        case gidgethub.GitHubBroken():
            return retrying.decide(
                errors.GitHubUnavailable(f"GitHub answered {int(error.status_code)}."), claimed, now=now
            )
        case _:
            said = telemetry.one_line(telemetry.redact(str(error)))
            text = f"{type(error).__name__}{_where(error, handler)}" + (f": {said}" if said else "")
            return retrying.again(text[:_LONGEST_ERROR], claimed, now=now, is_unexpected=True)


def _where(error: Exception, handler: Handler) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((one.lineno for one in reversed(frames) if one.filename == handler.file), None)
    return f" in line {line} of {handler.file}" if line is not None else ""
