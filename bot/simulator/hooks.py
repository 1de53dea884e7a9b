"""Webhooks go out: signed, all at the same time, in the background, each attempt recorded, none repeated by itself.

See https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import secrets
import time
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec

from bot.simulator import bell, values
from bot.simulator.clock import Clock

#: An event with a larger payload is never sent.
LARGEST_PAYLOAD_BYTES = 25 * 1024 * 1024

#: The webhook's own id.
HOOK_ID = 400_000_001

#: A larger body is sent piece by piece.
_LARGE_BYTES = 512 * 1024

#: How much of an answer is kept.
_KEPT_ANSWER_CHARACTERS = 65_536


class Hooks:
    """The webhook of one App: its address, its secret and everything that was sent."""

    def __init__(self, *, url: str | None, secret: str | None, app_id: int, changes: bell.Bell, clock: Clock) -> None:
        #: Where deliveries go. None: events are recorded and not sent.
        self.url = url
        self.secret = secret
        #: `json`, or `form` for the JSON as one field of a form.
        self.content_type = "json"
        #: Whether the receiver's certificate is not looked at.
        self.is_insecure = False
        #: GitHub cuts the connection after this.
        self.timeout_seconds = 10.0
        #: While it is set no delivery reaches its receiver, as if nobody listened there.
        self.is_down = False
        #: Redeliveries go out without `X-Hub-Signature-256`, as GitHub's did in January 2026.
        self.unsigned_redeliveries = False
        #: Every attempt, oldest first.
        self.deliveries: list[values.Delivery] = []
        self._app_id = app_id
        self._changes = changes
        self._clock = clock
        self._next_id = 60_000_000_001
        self._session: aiohttp.ClientSession | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def belong_to(self, app_id: int, *, url: str | None) -> None:
        """Be the webhook of another App, to which nothing was sent yet."""
        self._app_id, self.url = app_id, url
        self.deliveries.clear()
        self._changes.ring()

    def sign(self, body: bytes) -> str:
        """The value of `X-Hub-Signature-256` for these bytes."""
        return "sha256=" + hmac.new((self.secret or "").encode(), body, hashlib.sha256).hexdigest()

    def headers(self, body: bytes, *, event: str, guid: str) -> dict[str, str]:
        """The headers of a delivery, in GitHub's spelling."""
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json" if self.content_type == "json" else values.FORM,
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(HOOK_ID),
            "X-GitHub-Hook-Installation-Target-ID": str(self._app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
        }
        if self.secret:
            sha1 = hmac.new(self.secret.encode(), body, "sha1").hexdigest()
            headers["X-Hub-Signature"] = f"sha1={sha1}"
            headers["X-Hub-Signature-256"] = self.sign(body)
        return headers

    def prepare(
        self,
        event: str,
        payload: Mapping[str, Any],
        *,
        installation_id: int | None = None,
        repository_id: int | None = None,
    ) -> values.Delivery:
        """A signed delivery that is neither recorded nor sent yet."""
        body = msgspec.json.encode(payload)
        if self.content_type == "form":
            body = urlencode({"payload": body}).encode()
        guid = str(uuid.uuid1(node=secrets.randbits(48)))
        return values.Delivery(
            id=self._new_id(),
            guid=guid,
            event=event,
            action=payload.get("action"),
            installation_id=installation_id,
            repository_id=repository_id,
            headers=self.headers(body, event=event, guid=guid),
            body=body,
            created_at=self._clock.instant(),
        )

    def send(self, delivery: values.Delivery) -> None:
        """Records a delivery and, if there is an address, sends it in the background."""
        if len(delivery.body) > LARGEST_PAYLOAD_BYTES:
            return
        self.deliveries.append(delivery)
        self._changes.ring()
        if self.url is None:
            delivery.status = "no webhook URL"
            delivery.done.set()
            return
        delivery.url = self.url
        task = asyncio.get_running_loop().create_task(self._attempt(delivery, self.url))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def again(self, delivery: values.Delivery) -> values.Delivery:
        """Sends a delivery again, in the background: the same bytes and GUID, as an attempt of its own."""
        headers = self.headers(delivery.body, event=delivery.event, guid=delivery.guid)
        if self.unsigned_redeliveries:
            headers.pop("X-Hub-Signature-256", None)
        repeated = values.Delivery(
            id=self._new_id(),
            guid=delivery.guid,
            event=delivery.event,
            action=delivery.action,
            installation_id=delivery.installation_id,
            repository_id=delivery.repository_id,
            headers=headers,
            body=delivery.body,
            created_at=self._clock.instant(),
            redelivery=True,
        )
        self.send(repeated)
        return repeated

    def config(self) -> dict[str, str]:
        """The webhook as the API shows it: the secret is hidden, and missing where there is none."""
        shown = {"content_type": self.content_type, "insecure_ssl": "1" if self.is_insecure else "0"}
        if self.url is not None:
            shown["url"] = self.url
        if self.secret:
            shown["secret"] = "*" * 8
        return shown

    def find(self, delivery_id: int) -> values.Delivery | None:
        """The attempt of that id."""
        return next((delivery for delivery in self.deliveries if delivery.id == delivery_id), None)

    def age(self, days: float) -> None:
        """Makes every attempt older by so many days."""
        for delivery in self.deliveries:
            delivery.created_at -= timedelta(days=days)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """Posts any bytes with any headers to the webhook address; gives status and text.

        :raises aiohttp.ClientError: if there is no answer
        :raises TimeoutError: if it does not come in time
        """
        assert self.url is not None, "there is no webhook URL"
        async with self._client().post(
            self.url, data=_sent(body), headers=headers, allow_redirects=False, timeout=self._timeout()
        ) as answer:
            return answer.status, await answer.text(errors="replace")

    async def settle(self) -> None:
        """Returns when every delivery that was under way is over."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def close(self) -> None:
        """Cuts what is still under way."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers={"Accept-Encoding"},
            )
        return self._session

    def _timeout(self) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=self.timeout_seconds)

    async def _attempt(self, delivery: values.Delivery, url: str) -> None:
        started = time.monotonic()
        try:
            if self.is_down:
                raise ConnectionRefusedError("the webhook is down")
            async with self._client().post(
                url,
                data=_sent(delivery.body),
                headers=delivery.headers,
                allow_redirects=False,
                timeout=self._timeout(),
            ) as answer:
                text = await answer.text(errors="replace")
            delivery.status_code = answer.status
            delivery.response_headers = dict(answer.headers)
            delivery.response_body = text[:_KEPT_ANSWER_CHARACTERS]
            is_ok = 200 <= answer.status < 300
            delivery.status = "OK" if is_ok else f"Invalid HTTP Response: {answer.status}"
        except TimeoutError:
            delivery.status, delivery.status_code = "timed out", 504
        except (aiohttp.ClientError, OSError, ValueError):
            delivery.status, delivery.status_code = "failed to connect to host", 502
        delivery.duration_seconds = time.monotonic() - started
        delivery.done.set()
        self._changes.ring()


def _sent(body: bytes) -> bytes | io.BytesIO:
    """A body in the form that aiohttp sends without holding the loop up."""
    return io.BytesIO(body) if len(body) > _LARGE_BYTES else body
