"""A running door and what stands behind it, as a test sees them."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import sqlalchemy as sa

from bot import telemetry
from bot.model import delivery
from bot.store import Store, deliveries, schema
from bot.webhooks.door import Credentials
from bot.webhooks.inbox import Inbox
from tests import recorded

CREDENTIALS = Credentials(recorded.APP_ID, (recorded.SECRET,))
KNOWN_EVENTS = frozenset({"push", "pull_request", "check_run", "ping"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the door said."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def result(self) -> str | None:
        """`stored`, `duplicate`, `requeued` or `conflict`; None for a refusal."""
        result: str | None = self.body.get("result")
        return result


@dataclass(slots=True)
class Service:
    """A running door and what stands behind it."""

    store: Store
    inbox: Inbox
    metrics: telemetry.Metrics
    http: aiohttp.ClientSession
    port: int
    #: What the door proves with; a test may change it while the door is open.
    credentials: Credentials | None
    #: How often the dispatcher was woken.
    wake_ups: list[None] = field(default_factory=list)

    async def post(
        self, one: recorded.Recorded, *, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """Send a delivery; `headers` replaces them all, `body` the bytes."""
        return await self.send(one.headers if headers is None else headers, one.body if body is None else body)

    async def send(self, headers: Mapping[str, str] | Any, body: Any) -> Answer:
        """Send any request."""
        if isinstance(body, bytes) and len(body) > 1024 * 1024:
            # The client warns of large bodies in one piece.
            body = io.BytesIO(body)
        async with self.http.post(f"http://127.0.0.1:{self.port}/webhook", data=body, headers=headers) as response:
            is_ours = response.content_type == "application/json"
            return Answer(response.status, dict(response.headers), await response.json() if is_ours else {})

    async def send_raw(self, *pieces: bytes) -> bytes:
        """Write these bytes to a connection of their own, and give back the head of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
            return await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.transport.abort()

    async def rows(self) -> int:
        """How many deliveries are stored."""
        return await self.store.read(_count)

    async def stored(self) -> list[delivery.Delivery]:
        """All deliveries in the order of arrival, with headers and bodies."""
        return await self.store.read(_all)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where it was never touched."""
        return self.metrics.registry.get_sample_value(f"buildhook_{name}", labels) or 0.0

    def series(self) -> int:
        """How many time series there are."""
        return sum(len(family.samples) for family in self.metrics.registry.collect())


def _count(connection: sa.Connection) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(schema.deliveries)).scalar_one()


def _all(connection: sa.Connection) -> list[delivery.Delivery]:
    guids = connection.execute(sa.select(schema.deliveries.c.id).order_by(schema.deliveries.c.seq)).scalars().all()
    return [found for guid in guids if (found := deliveries.find(connection, guid)) is not None]


Open = Callable[..., Awaitable[Service]]
