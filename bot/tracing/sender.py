"""The sender of traces: sends each build's once, when it has ended and GitHub shows it, and again until it is taken.

That a trace is to be sent is written in the transaction that ends its build, as the notification of a subscriber that
no policy can name. So a crash loses none, replicas share the work by leases, and a collector that is away is waited
for. One that died between the collector's answer and ours sends the same spans again, under the same ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from bot import errors, hint, telemetry
from bot.model import build, notification, trace
from bot.store import Store, builds, checks, deliveries, jobs, notifications, patience
from bot.tracing import spans

#: With a space, which no name of the policy has.
NAME = "opentelemetry traces"
#: How many builds are sent together.
MAX_TOGETHER = 32
LEASE = timedelta(minutes=2)
#: How long GitHub may take to acknowledge what a trace then tells of; it is sent without that in the end.
SHOWN_WITHIN = timedelta(minutes=10)
#: How long a collector is waited for.
KEPT = timedelta(days=1)
#: How often is looked whether GitHub acknowledged, and whether a collector is back.
LOOK_AGAIN = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)
#: How often the sender looks, should a wake-up be lost.
LOOK_SECONDS = 5.0
#: How many pipelines' names become a label; of more, and of strangers, it is `other`.
MAX_NAMES = 100
_log = telemetry.log("tracing")


def _until_shown(age: timedelta) -> timedelta:
    # The longer it waits the seldomer is looked: while GitHub is away there are many.
    return max(LOOK_AGAIN, age / 2)


class Exporter(Protocol):
    """Who takes spans to a collector; its calls may wait."""

    def is_sampled(self, trace_id: int) -> bool: ...
    def send(self, spans: Sequence[trace.Span]) -> bool: ...
    def measure_run(self, *, seconds: float, attributes: Mapping[str, str]) -> None: ...
    def close(self) -> None: ...


def wanted(where: str) -> notification.Wanted:
    """The sender as a subscriber.

    :param where: what people are shown of where it sends to.
    """
    return notification.Wanted(name=NAME, origin=where, url_digest="", events=(notification.Event.FINISHED.value,))


class Sender:
    """Sends the traces of builds that ended."""

    def __init__(
        self,
        store: Store,
        *,
        exporter: Exporter,
        web_url: str,
        details_url: Callable[[str, str], str],
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._exporter = exporter
        self._web_url = web_url
        self._details_url = details_url
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._hint = hint.Hint()
        #: Until when a collector that is away is not asked; None where it is there.
        self._away_until: datetime | None = None
        self._names: set[str] = set()

    def wake(self) -> None:
        """Hint that there is something to send."""
        self._hint.give()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            due_at = None
            try:
                due_at = await self.send_ready()
            except errors.StoreUnavailable as error:
                _log.error("Traces cannot be claimed.", action="claim_traces", error=str(error))
            except Exception as error:
                # Their leases run out, then they are claimed again.
                _log.error("Sending traces failed.", action="send_traces", exc_info=error)
            await self._hint.wait(self._pause_seconds(due_at))

    def _pause_seconds(self, due_at: datetime | None) -> float:
        if due_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.01, (due_at - self._now()).total_seconds()))

    async def send_ready(self) -> datetime | None:
        """Send what is due; gives when the next one that waits will be due.

        :raises errors.StoreUnavailable: if the database cannot be read or written.
        """
        if self._away_until is not None and self._now() < self._away_until:
            return self._away_until
        # One finds out whether it is back; the others wait where they are.
        most = MAX_TOGETHER if self._away_until is None else 1
        claimed = await self._store.write(
            notifications.claim_due, most={NAME: most}, now=self._now(), owner=self._owner, lease=LEASE
        )
        if claimed:
            found = await self._store.read(_told, [one.build_id for one in claimed])
            ready = [one for one in claimed if self._is_ready(one, found.get(one.build_id))]
            late = [one for one in claimed if one not in ready]
            await self._put_off(late, why="GitHub does not show all of it yet.")
            if ready:
                await self._send(ready, found)
            if len(claimed) == most and self._away_until is None:
                self.wake()
        return await self._store.read(notifications.next_due_at, [NAME], now=self._now())

    def _is_ready(self, one: notification.Notification, told: spans.Told | None) -> bool:
        if told is None or self._now() - one.created_at >= SHOWN_WITHIN:
            return True
        return not any(other.is_stale for other in told.checks)

    async def _send(self, ready: Sequence[notification.Notification], found: Mapping[str, spans.Told]) -> None:
        there = [found[one.build_id] for one in ready if one.build_id in found]
        try:
            is_taken = await self._offer(there)
        except Exception as error:
            # Such as a certificate that is not there.
            _log.error("Traces cannot be sent.", action="send_traces", exc_info=error)
            is_taken = False
        if is_taken:
            taken = await patience.write(self._store, _succeed, ready, now=self._now())
            for one in there:
                if one.of_build.id in taken:
                    self._measure(one.of_build)
            self._metrics.traces.labels("sent").inc(len(taken))
        else:
            self._metrics.traces.labels("not_taken").inc(len(ready))
            await self._put_off(ready, why="The collector did not take it.", pause=lambda _: PAUSE)
        self._say(is_away=not is_taken)

    async def _offer(self, there: Sequence[spans.Told]) -> bool:
        answer: Future[bool] = Future()

        def send() -> None:
            # Nobody waits any more where the service stops: it is sent again at the next start.
            with contextlib.suppress(InvalidStateError):
                try:
                    answer.set_result(self._exporter.send(self._made(there)))
                except Exception as error:
                    answer.set_exception(error)

        # A daemon of its own: a collector that takes its time holds up nobody else, nor the end of the process.
        threading.Thread(target=send, name="tracing", daemon=True).start()
        return await asyncio.wrap_future(answer)

    def _made(self, there: Sequence[spans.Told]) -> list[trace.Span]:
        return [span for one in there for span in spans.make(one, web_url=self._web_url, details_url=self._details_url)]

    def _say(self, *, is_away: bool) -> None:
        if is_away and self._away_until is None:
            _log.warning(
                "The collector of OpenTelemetry takes no traces: they are kept for a day and sent when it is there."
                " Builds go on. See OTEL_EXPORTER_OTLP_ENDPOINT.",
                action="send_traces",
            )
        if self._away_until is not None and not is_away:
            _log.info("The collector of OpenTelemetry takes traces again.", action="send_traces")
        self._away_until = self._now() + PAUSE if is_away else None

    async def _put_off(
        self,
        some: Sequence[notification.Notification],
        *,
        why: str,
        pause: Callable[[timedelta], timedelta] = _until_shown,
    ) -> None:
        if some:
            await patience.write(self._store, _put_off, some, pause=pause, why=why, now=self._now())

    def _measure(self, of: build.Build) -> None:
        name = of.pipeline or "buildhook"
        # A stranger's file may call itself anything, each time.
        is_known = name in self._names or (of.trust == build.Trust.TRUSTED and len(self._names) < MAX_NAMES)
        if is_known:
            self._names.add(name)
        facts = {"cicd.pipeline.name": name if is_known else "other", "cicd.pipeline.result": spans.RESULTS[of.state]}
        word = spans.error_type(of)
        if word is not None:
            facts["error.type"] = word
        ended_at = of.finished_at or of.created_at
        self._exporter.measure_run(
            seconds=max(0.0, (ended_at - (of.started_at or of.created_at)).total_seconds()), attributes=facts
        )


def _told(connection: Connection, build_ids: Sequence[str]) -> dict[str, spans.Told]:
    """What is stored of each; nothing of one that was deleted, or goes on after all."""
    found = {}
    for of in builds.list_by_ids(connection, list(build_ids)):
        if of.state not in build.FINAL:
            continue
        its_jobs = jobs.list_of_builds(connection, [of.id])
        origins = [jobs.find(connection, one.origin_id) for one in its_jobs if one.origin_id is not None]
        found[of.id] = spans.Told(
            of_build=of,
            jobs=its_jobs,
            checks=checks.list_of_build(connection, of.id),
            delivery=None if of.delivery_id is None else deliveries.find(connection, of.delivery_id),
            ran_in={one.id: one.build_id for one in origins if one is not None},
        )
    return found


def _succeed(connection: Connection, taken: Sequence[notification.Notification], *, now: datetime) -> set[str]:
    """Write which traces were taken; gives the builds of those that nobody else has sent meanwhile."""
    own = set()
    for one in taken:
        try:
            notifications.succeed(connection, one, status=200, now=now)
        except errors.LeaseLost:
            continue
        own.add(one.build_id)
    return own


def _put_off(
    connection: Connection,
    some: Sequence[notification.Notification],
    *,
    pause: Callable[[timedelta], timedelta],
    why: str,
    now: datetime,
) -> None:
    for one in some:
        age = now - one.created_at
        again_at = now + pause(age) if age < KEPT else None
        try:
            notifications.fail(connection, one, status=None, error=why, next_attempt_at=again_at, now=now)
        except errors.LeaseLost:
            continue
