"""What every door of the inbox has in common: bodies are read within bounds, and refusals are few words."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import msgspec
from aiohttp import web

from bot import errors, failpoint, telemetry
from bot.model import delivery
from bot.store import deliveries
from bot.visitors import Visitors
from bot.webhooks import parse
from bot.webhooks.inbox import Inbox

#: A sender cuts the connection after some seconds, GitHub after 10; an answer that cannot come in time is better not
#: begun.
BODY_TIMEOUT_SECONDS = 8.0
#: From the first byte to the answer, so that the sender gets to see it: a database that is locked holds each commit up.
ANSWER_TIMEOUT_SECONDS = 9.0
#: All bodies that are being read together may hold this much memory.
MAX_BYTES_IN_FLIGHT = 256 * 1024**2
#: Nearly all deliveries are smaller than this; a quarter of the memory is kept for them, so that a few senders of large
#: bodies cannot shut the door to everybody.
SMALL_BODY_BYTES = 128 * 1024
#: One refusal of each kind is logged in this time, with how many there were: strangers cannot fill the disk.
LOG_INTERVAL_SECONDS = 10.0
RETRY_AFTER_SECONDS = 30
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_log = telemetry.log("webhooks")


class Bodies:
    """All bodies that are being read, whichever door they come to; none is held beyond the bound."""

    def __init__(self, *, max_bytes_in_flight: int = MAX_BYTES_IN_FLIGHT) -> None:
        self._max_bytes_in_flight = max_bytes_in_flight
        self._bytes_in_flight = 0

    async def read(self, request: web.Request, *, max_bytes: int) -> bytes:
        """Read a body within its bounds; its size stays counted until the caller gives it back by `free`.

        :raises errors.DeliveryRefused: 400, 413 or 503.
        """
        if request.content.is_eof():
            # All of it came with the headers, as a small one does: there is nothing to wait for.
            return await self._take(request.content.read_nowait(), max_bytes=max_bytes)
        chunks: list[bytes] = []
        size_bytes = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                async for chunk in request.content.iter_any():
                    size_bytes += len(chunk)
                    self._bytes_in_flight += len(chunk)
                    if size_bytes > max_bytes:
                        raise parse.too_large(max_bytes)
                    if self._bytes_in_flight > self._allowed_in_flight(size_bytes):
                        raise try_later("Too much is being received at once.", label="too_many_bytes")
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

    async def _take(self, body: bytes, *, max_bytes: int) -> bytes:
        if len(body) > max_bytes:
            raise parse.too_large(max_bytes)
        if self._bytes_in_flight + len(body) > self._allowed_in_flight(len(body)):
            raise try_later("Too much is being received at once.", label="too_many_bytes")
        await failpoint.pause("recv.mid_body")
        self._bytes_in_flight += len(body)
        return body

    def free(self, size_bytes: int) -> None:
        """A body of this size is held no longer."""
        self._bytes_in_flight -= size_bytes

    def _allowed_in_flight(self, size_bytes: int) -> int:
        is_small = size_bytes <= SMALL_BODY_BYTES
        return self._max_bytes_in_flight if is_small else self._max_bytes_in_flight * 3 // 4


class Refusals:
    """The log lines of refusals, few however many there are."""

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._counts: Counter[str] = Counter()
        self._next_line_at: dict[str, float] = {}

    def note(self, refusal: errors.DeliveryRefused, request: web.Request) -> None:
        """Count a refusal, and write the count if the last line of its kind is long ago, with who was the last."""
        self._counts[refusal.label] += 1
        seen = self._visitors.look(request)
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
            address=seen.address,
        )


def headers(request: web.Request) -> dict[str, str]:
    """All headers, names in lower case.

    :raises errors.DeliveryRefused: 400, if one that counts came twice.
    """
    given = list(request.headers.items())
    found = {name.lower(): value for name, value in given}
    if len(found) < len(given):
        for name, count in Counter(name.lower() for name, _ in given).items():
            # Two values for one name: whoever stands in front may have looked at the other one.
            if count > 1 and name.startswith(("x-github-", "x-hub-", "webhook-", "content-")):
                raise errors.DeliveryRefused(f"The header {name} came twice.", status=400, label="header")
    if not "".join(found.values()).isascii():
        return {name: _as_text(value) for name, value in found.items()}
    return found


def _as_text(value: str) -> str:
    return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def taken(guid: str, put: deliveries.Put) -> web.Response:
    """The answer to a request that is stored, or was before."""
    body = msgspec.json.encode({"delivery": guid, "result": put})
    return web.Response(status=202, body=body, headers=_JSON)


def try_later(text: str, *, label: str) -> errors.DeliveryRefused:
    """The refusal of what may be sent again in a while."""
    return errors.DeliveryRefused(text, status=503, label=label, retry_after_seconds=RETRY_AFTER_SECONDS)


def refused(refusal: errors.DeliveryRefused) -> web.Response:
    """The answer to a request that is refused."""
    response = web.json_response({"error": str(refusal)}, status=refusal.status)
    if refusal.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(refusal.retry_after_seconds)
    if refusal.status in (400, 413, 415):
        # What is left of the body is not waited for.
        response.force_close()
    return response


async def put(inbox: Inbox, proved: delivery.VerifiedDelivery, *, answer_by: float) -> deliveries.Put:
    """Store a proved delivery before this time of the event loop.

    :raises errors.DeliveryRefused: 503, if it cannot be stored now.
    """
    try:
        return await inbox.put(proved, answer_by=answer_by)
    except errors.InboxFull:
        raise try_later("Too many deliveries wait to be handled.", label="inbox_full") from None
    except errors.StoreUnavailable:
        raise try_later("The delivery cannot be stored right now.", label="store_unavailable") from None
    except TimeoutError:
        # It may be stored all the same: then the sender's next attempt finds it there.
        raise try_later("The delivery could not be stored in time.", label="store_unavailable") from None
