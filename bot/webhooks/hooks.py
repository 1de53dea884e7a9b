"""The side door: `POST /hooks/{source}` takes signed webhooks of the policy's sources into the same inbox.

The outcomes are a closed set: 202, 400, 401, 404, 413, 415 and 503 with Retry-After. A source that the policy does not
name gets the answer of a route that is not there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime

from aiohttp import web

from bot import clock, errors, failpoint, policy, telemetry
from bot.allowance import Allowance
from bot.model import delivery
from bot.store import deliveries
from bot.visitors import Visitors
from bot.webhooks import doorway, parse
from bot.webhooks.inbox import Inbox


class HookDoor:
    """Takes requests from the policy's sources."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        sources: Callable[[], Mapping[str, policy.Source]],
        is_set_up: Callable[[], bool],
        metrics: telemetry.Metrics,
        bodies: doorway.Bodies | None = None,
        visitors: Visitors | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """:param is_set_up: whether the App's credentials are there, without which nothing can be built.
        :param bodies: what is being read; the same for all doors of a process.
        :param visitors: says from which address a request came; without it no proxy is believed.
        """
        self._inbox = inbox
        self._sources = sources
        self._is_set_up = is_set_up
        self._metrics = metrics
        self._bodies = bodies or doorway.Bodies()
        self._now = now
        self._refusals = doorway.Refusals(visitors or Visitors())
        #: By source; a new rate begins anew.
        self._allowances: dict[tuple[str, int], Allowance] = {}

    def routes(self) -> list[web.RouteDef]:
        """The door's only route."""
        return [web.post("/hooks/{source}", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one request; a client's mistake is never an exception in the log.

        :raises web.HTTPNotFound: if the policy does not name the source.
        """
        started = time.perf_counter()
        source = self._sources().get(request.match_info["source"])
        if source is None:
            self._metrics.rejected.labels("unknown_source").inc()
            raise web.HTTPNotFound
        try:
            guid, put = await self._take(request, source)
            await failpoint.pause("inbox.before_200")
        except errors.DeliveryRefused as refusal:
            self._metrics.rejected.labels(refusal.label).inc()
            self._refusals.note(refusal, request)
            return doorway.refused(refusal)
        finally:
            self._metrics.answer_seconds.observe(time.perf_counter() - started)
        self._metrics.deliveries.labels(delivery.HOOK, put).inc()
        return doorway.taken(guid, put)

    async def _take(self, request: web.Request, source: policy.Source) -> tuple[str, deliveries.Put]:
        if not self._is_set_up():
            raise doorway.try_later("The App's credentials are not set up yet.", label="no_credentials")
        headers = doorway.headers(request)
        parse.refuse_early(headers, max_bytes=parse.MAX_HOOK_BYTES, types=(delivery.JSON,))
        answer_by = asyncio.get_running_loop().time() + doorway.ANSWER_TIMEOUT_SECONDS
        await failpoint.pause("recv.after_headers")
        body = await self._bodies.read(request, max_bytes=parse.MAX_HOOK_BYTES)
        try:
            proved, secret = parse.signed(headers, body=body, received_at=self._now(), source=source)
            await failpoint.pause("recv.after_verify")
            self._metrics.secret_used.labels("current" if secret == 0 else "previous").inc()
            # Only what is proved counts: a stranger cannot use the source's rate up.
            self._spend(source)
            return proved.guid, await doorway.put(self._inbox, proved, answer_by=answer_by)
        finally:
            self._bodies.free(len(body))

    def _spend(self, source: policy.Source) -> None:
        key = (source.name, source.per_minute)
        allowance = self._allowances.get(key)
        if allowance is None:
            allowance = self._allowances[key] = Allowance(burst=source.per_minute, per_minute=source.per_minute)
        if not allowance.left():
            raise doorway.try_later(
                f"More than {source.per_minute} webhooks of this source came in a minute.", label="source_rate"
            )
        allowance.spend(1)
