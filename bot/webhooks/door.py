"""The door: `POST /webhook` proves a request, stores it and answers; nothing else ever happens before the answer.

The outcomes are a closed set: 202, 400, 401, 403, 413, 415 and 503 with Retry-After.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from bot import errors, failpoint, telemetry
from bot.model import delivery
from bot.store import deliveries
from bot.webhooks import parse
from bot.webhooks.inbox import Inbox

#: GitHub cuts the connection after 10 s; an answer that cannot come in time is better not begun.
BODY_TIMEOUT_SECONDS = 8.0
#: From the first byte to the answer, so that GitHub gets to see it: a database that is locked holds each commit up.
ANSWER_TIMEOUT_SECONDS = 9.0
#: All bodies that are being read together may hold this much memory.
MAX_BYTES_IN_FLIGHT = 256 * 1024**2
#: Nearly all deliveries are smaller than this; a quarter of the memory is kept for them, so that a few senders of large
#: bodies cannot shut the door to everybody.
SMALL_BODY_BYTES = 128 * 1024
#: One refusal of each kind is logged in this time, with how many there were: strangers cannot fill the disk.
LOG_INTERVAL_SECONDS = 10.0
RETRY_AFTER_SECONDS = 30
#: From this size a body is proved and read off the event loop, which others need meanwhile.
_LARGE_BODY_BYTES = 512 * 1024
_log = telemetry.log("webhooks")


@dataclass(frozen=True, slots=True)
class Credentials:
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
        max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT,
    ) -> None:
        self._inbox = inbox
        self._credentials = credentials
        self._metrics = metrics
        self._known_events = known_events
        self._max_bytes_in_flight = max_bytes_in_flight
        self._bytes_in_flight = 0
        self._refusals = _Refusals()

    def routes(self) -> list[web.RouteDef]:
        """The door's only route."""
        return [web.post("/webhook", self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one request; a client's mistake is never an exception in the log."""
        started = time.perf_counter()
        try:
            headers = _headers(request)
            guid, put = await self._take(request, headers)
            await failpoint.pause("inbox.before_200")
        except errors.DeliveryRefused as refusal:
            self._metrics.rejected.labels(refusal.label).inc()
            self._refusals.note(refusal)
            return _refused(refusal)
        finally:
            self._metrics.answer_seconds.observe(time.perf_counter() - started)
        event = headers["x-github-event"]
        self._metrics.deliveries.labels(event if event in self._known_events else "other", put).inc()
        return web.json_response({"delivery": guid, "result": put}, status=202)

    async def _take(self, request: web.Request, headers: Mapping[str, str]) -> tuple[str, deliveries.Put]:
        credentials = self._credentials()
        if credentials is None:
            raise _try_later("The App's credentials are not set up yet.", label="no_credentials")
        parse.refuse_early(headers)
        answer_by = asyncio.get_running_loop().time() + ANSWER_TIMEOUT_SECONDS
        await failpoint.pause("recv.after_headers")
        body = await self._read(request)
        try:
            proved, secret = await self._parse(headers, body, credentials)
            await failpoint.pause("recv.after_verify")
            self._metrics.secret_used.labels("current" if secret == 0 else "previous").inc()
            async with asyncio.timeout_at(answer_by):
                return proved.guid, await self._inbox.put(proved)
        except errors.InboxFull:
            raise _try_later("Too many deliveries wait to be handled.", label="inbox_full") from None
        except errors.StoreUnavailable:
            raise _try_later("The delivery cannot be stored right now.", label="store_unavailable") from None
        except TimeoutError:
            # It may be stored all the same: then GitHub's next attempt finds it there.
            raise _try_later("The delivery could not be stored in time.", label="store_unavailable") from None
        finally:
            self._bytes_in_flight -= len(body)

    async def _parse(
        self, headers: Mapping[str, str], body: bytes, credentials: Credentials
    ) -> tuple[delivery.VerifiedDelivery, int]:
        received_at = datetime.now(UTC)

        def work() -> tuple[delivery.VerifiedDelivery, int]:
            return parse.delivery(
                headers,
                body=body,
                received_at=received_at,
                secrets=credentials.secrets,
                app_id=credentials.app_id,
            )

        return await asyncio.to_thread(work) if len(body) >= _LARGE_BODY_BYTES else work()

    async def _read(self, request: web.Request) -> bytes:
        """Read the body within its bounds; its size stays counted until the caller gives it back."""
        chunks: list[bytes] = []
        size_bytes = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                async for chunk in request.content.iter_any():
                    size_bytes += len(chunk)
                    self._bytes_in_flight += len(chunk)
                    if size_bytes > parse.MAX_BODY_BYTES:
                        raise parse.too_large()
                    if self._bytes_in_flight > self._allowed_in_flight(size_bytes):
                        raise _try_later("Too much is being received at once.", label="too_many_bytes")
                    chunks.append(chunk)
                    await failpoint.pause("recv.mid_body")
        except BaseException as error:
            self._bytes_in_flight -= size_bytes
            if isinstance(error, TimeoutError):
                raise errors.DeliveryRefused(
                    f"The body did not arrive within {BODY_TIMEOUT_SECONDS:.0f} s.", status=400, label="slow_body"
                ) from None
            if isinstance(error, web.PayloadAccessError | ConnectionError | web.RequestPayloadError):
                raise errors.DeliveryRefused("The body broke off.", status=400, label="broken_body") from None
            raise
        return b"".join(chunks)

    def _allowed_in_flight(self, size_bytes: int) -> int:
        is_small = size_bytes <= SMALL_BODY_BYTES
        return self._max_bytes_in_flight if is_small else self._max_bytes_in_flight * 3 // 4


class _Refusals:
    """The log lines of refusals, few however many there are."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._next_line_at: dict[str, float] = {}

    def note(self, refusal: errors.DeliveryRefused) -> None:
        """Count a refusal, and write the count if the last line of its kind is long ago."""
        self._counts[refusal.label] += 1
        now = time.monotonic()
        if now < self._next_line_at.get(refusal.label, now):
            return
        self._next_line_at[refusal.label] = now + LOG_INTERVAL_SECONDS
        _log.info(
            "Requests were refused.",
            action="refuse_delivery",
            reason=refusal.label,
            status=refusal.status,
            count=self._counts.pop(refusal.label),
        )


def _headers(request: web.Request) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        # Two values for one name: whoever stands in front may have looked at the other one.
        if name in headers and name.startswith(("x-github-", "x-hub-", "content-")):
            raise errors.DeliveryRefused(f"The header {name} came twice.", status=400, label="header")
        headers[name] = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return headers


def _try_later(text: str, *, label: str) -> errors.DeliveryRefused:
    return errors.DeliveryRefused(text, status=503, label=label, retry_after_seconds=RETRY_AFTER_SECONDS)


def _refused(refusal: errors.DeliveryRefused) -> web.Response:
    response = web.json_response({"error": str(refusal)}, status=refusal.status)
    if refusal.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.status in (400, 413, 415):
        # What is left of the body is not waited for.
        response.force_close()
    return response
