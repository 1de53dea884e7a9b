"""The door: `POST /webhook` proves a request, stores it and answers; nothing else ever happens before the answer.

The outcomes are a closed set: 202, 400, 401, 403, 413, 415 and 503 with Retry-After.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from bot import errors, failpoint, telemetry
from bot.store import deliveries
from bot.visitors import Visitors
from bot.webhooks import doorway, parse
from bot.webhooks.inbox import LARGE_BODY_BYTES, Inbox


class Credentials(msgspec.Struct, frozen=True):
    """What a delivery is proved with."""

    app_id: int
    secrets: Sequence[bytes]

    def __repr__(self) -> str:
        return f"Credentials(app_id={self.app_id})"


class Door:
    """Takes requests from GitHub."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        credentials: Callable[[], Credentials | None],
        metrics: telemetry.Metrics,
        known_events: frozenset[str],
        bodies: doorway.Bodies | None = None,
        on_taken: Callable[[str], None] | None = None,
        visitors: Visitors | None = None,
    ) -> None:
        """
        :param bodies: what is being read; the same for all doors of a process.
        :param on_taken: hears the event of each delivery that was proved and is kept, also where it was before.
        :param visitors: says from which address a request came; without it no proxy is believed.
        """
        self._inbox = inbox
        self._credentials = credentials
        self._metrics = metrics
        self._known_events = known_events
        self._bodies = bodies or doorway.Bodies()
        self._on_taken = on_taken
        self._refusals = doorway.Refusals(visitors or Visitors())

    def routes(self) -> list[web.RouteDef]:
        """The door's only route."""
        return [web.post("/webhook", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one request; a client's mistake is never an exception in the log."""
        started = time.perf_counter()
        try:
            headers = doorway.headers(request)
            guid, put = await self._take(request, headers)
            await failpoint.pause("inbox.before_200")
        except errors.DeliveryRefused as refusal:
            self._metrics.rejected.labels(refusal.label).inc()
            self._refusals.note(refusal, request)
            return doorway.refused(refusal)
        finally:
            self._metrics.answer_seconds.observe(time.perf_counter() - started)
        event = headers["x-github-event"]
        if self._on_taken is not None:
            self._on_taken(event)
        self._metrics.deliveries.labels(event if event in self._known_events else "other", put).inc()
        return doorway.taken(guid, put)

    async def _take(self, request: web.Request, headers: Mapping[str, str]) -> tuple[str, deliveries.Put]:
        credentials = self._credentials()
        if credentials is None:
            raise doorway.try_later("The App's credentials are not set up yet.", label="no_credentials")
        parse.refuse_early(headers)
        answer_by = asyncio.get_running_loop().time() + doorway.ANSWER_TIMEOUT_SECONDS
        await failpoint.pause("recv.after_headers")
        body = await self._bodies.read(request, max_bytes=parse.MAX_BODY_BYTES)
        try:
            work = functools.partial(
                parse.delivery,
                headers,
                body=body,
                received_at=datetime.now(UTC),
                secrets=credentials.secrets,
                app_id=credentials.app_id,
            )
            proved, secret = await asyncio.to_thread(work) if len(body) >= LARGE_BODY_BYTES else work()
            await failpoint.pause("recv.after_verify")
            self._metrics.secret_used.labels("current" if secret == 0 else "previous").inc()
            return proved.guid, await doorway.put(self._inbox, proved, answer_by=answer_by)
        finally:
            self._bodies.free(len(body))
