"""The other way into the inbox: what GitHub's API told the App itself, where no request came. The same checks hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from bot.model import delivery
from bot.store import deliveries
from bot.webhooks import parse
from bot.webhooks.inbox import LARGE_BODY_BYTES, Inbox


class Intake:
    """Takes what was asked for instead of sent."""

    def __init__(self, inbox: Inbox, *, app_id: int, now: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._app_id = app_id
        self._now = now

    async def take(self, headers: Mapping[str, str], body: bytes, *, source: str) -> deliveries.Put:
        """Read it and store it durably; see `parse.recovered`.

        :raises errors.DeliveryRefused: if the door would refuse it, whoever sends it.
        :raises errors.InboxFull: if too many deliveries wait to be handled.
        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        received_at = self._now()

        def work() -> delivery.VerifiedDelivery:
            return parse.recovered(headers, body=body, received_at=received_at, app_id=self._app_id, source=source)

        read = await asyncio.to_thread(work) if len(body) >= LARGE_BODY_BYTES else work()
        return await self._inbox.put(read)
