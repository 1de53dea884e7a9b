"""What GitHub tried to deliver to our webhook, asked for as the App itself: each attempt, and how it went.

GitHub tries once and keeps what it sent for three days. https://docs.github.com/en/rest/apps/webhooks
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import msgspec

from bot import errors
from bot.github import classify, pages, urls
from bot.github.app_auth import AppCalls

_PATH = ("app", "hook", "deliveries")
#: What to do about a delivery that was answered so; GitHub puts the last two in the place of an answer.
MENDING: Mapping[int, str] = MappingProxyType(
    {
        301: "Write the address that it redirects to: GitHub follows no redirect.",
        302: "Write the address that it redirects to: GitHub follows no redirect.",
        307: "Write the address that it redirects to: GitHub follows no redirect.",
        308: "Write the address that it redirects to: GitHub follows no redirect.",
        401: "Write the same secret in both places: on the App's page on GitHub, and in BUILDHOOK_WEBHOOK_SECRET here.",
        403: "Something before the service refuses it: let the proxy pass POST /webhook on.",
        404: "Something else answers there: let the proxy pass POST /webhook on, and see that the path is /webhook.",
        405: "Something else answers there: let the proxy pass POST /webhook on, and see that the path is /webhook.",
        413: "The proxy takes no large bodies: let it take 25 MiB (for nginx: `client_max_body_size 26m`).",
        503: "The service takes nothing for now: see its log, and what `buildhook doctor` says of `database`.",
        502: "See that the service runs, and that its proxy and firewall let GitHub in.",
        504: "See that the service runs and is not overloaded: GitHub waits 10 seconds.",
    }
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver one event."""

    id: int
    #: Of the event: attempts that repeat it bear the same.
    guid: str
    delivered_at: datetime
    is_redelivery: bool
    #: GitHub's words, e.g. `OK` or `timed out`.
    status: str
    #: What we answered; where we did not, what GitHub puts in its place, e.g. 502 or 504.
    status_code: int
    event: str
    action: str | None
    installation_id: int | None
    repository_id: int | None

    @property
    def is_ok(self) -> bool:
        """Whether our door took it."""
        return 200 <= self.status_code < 300


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of attempts, newest first."""

    attempts: tuple[Attempt, ...]
    #: Where older ones follow; None at the end.
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FullDelivery:
    """An attempt with what was sent."""

    attempt: Attempt
    #: Names in lower case. They tell what was sent and prove nothing about `payload_json`.
    request_headers: Mapping[str, str] = field(repr=False)
    #: The payload as an object of JSON, as it stands in GitHub's answer: not the bytes that were signed.
    payload_json: bytes = field(repr=False)


class _Attempt(msgspec.Struct):
    id: int
    guid: str
    delivered_at: datetime
    redelivery: bool
    status: str
    status_code: int
    event: str
    action: str | None = None
    installation_id: int | None = None
    repository_id: int | None = None


class _Request(msgspec.Struct):
    headers: dict[str, object] | None
    payload: msgspec.Raw


class _Delivery(_Attempt, kw_only=True):
    request: _Request


async def list_deliveries(calls: AppCalls, *, cursor: str | None, per_page: int) -> DeliveryPage:
    """A page of attempts, newest first; those under way are not among them.

    :param cursor: a page's `next_cursor`; None for the newest
    :param per_page: at most 100
    :raises errors.Invalid: if GitHub does not know the cursor.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    query: dict[str, str | int] = {"per_page": per_page}
    if cursor is not None:
        query["cursor"] = cursor
    answer = await calls.fetch("GET", urls.path(*_PATH, query=query))
    what = "GET /app/hook/deliveries"
    found = classify.decode(answer, list[_Attempt], what=what)
    return DeliveryPage(
        attempts=tuple(_attempt(one) for one in found), next_cursor=pages.next_cursor(answer, what=what)
    )


async def get_delivery(calls: AppCalls, delivery_id: int) -> FullDelivery:
    """The attempt with the headers and the payload that it sent.

    :param delivery_id: an attempt's `id`
    :raises errors.NotReachable: if GitHub has no such attempt, or its payload no longer.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    found = await calls.call("GET", urls.path(*_PATH, delivery_id), _Delivery)
    payload = bytes(found.request.payload)
    if payload == b"null":
        raise errors.NotReachable(f"GitHub does not have the payload of delivery {delivery_id} any more.")
    if not payload.startswith(b"{"):
        raise errors.GitHubUnavailable(f"What GitHub calls the payload of delivery {delivery_id} is no object.")
    headers = found.request.headers or {}
    return FullDelivery(
        attempt=_attempt(found),
        request_headers={name.lower(): str(value) for name, value in headers.items() if value is not None},
        payload_json=payload,
    )


async def redeliver(calls: AppCalls, delivery_id: int) -> None:
    """Have GitHub send the event again, soon: the same GUID, as an attempt of its own.

    :param delivery_id: an attempt's `id`
    :raises errors.Invalid: if it is too old.
    :raises errors.NotReachable: if GitHub has no such attempt.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    await calls.fetch("POST", urls.path(*_PATH, delivery_id, "attempts"))


def _attempt(found: _Attempt) -> Attempt:
    return Attempt(
        id=found.id,
        guid=found.guid,
        delivered_at=found.delivered_at,
        is_redelivery=found.redelivery,
        status=found.status,
        status_code=found.status_code,
        event=found.event,
        action=found.action,
        installation_id=found.installation_id,
        repository_id=found.repository_id,
    )
