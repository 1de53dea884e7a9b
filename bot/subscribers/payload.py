"""What a subscriber reads: pure. The same bytes for each attempt, with ids, names and states only."""

from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import msgspec

from bot import policy
from bot.model import notification


def render(one: notification.Notification, *, url: str) -> bytes:
    """The body of a notification, as the specification has it.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#payload-structure

    :param url: the page of the build.
    """
    at = one.created_at.isoformat().replace("+00:00", "Z")
    return msgspec.json.encode({"type": one.event, "timestamp": at, "data": {"build": {**one.data, "url": url}}})


def wanted(one: policy.Subscriber) -> notification.Wanted:
    """A subscriber as the database keeps it: of its URL, which may be a secret, only where it leads."""
    parts = urlsplit(one.url)
    return notification.Wanted(
        name=one.name,
        origin=f"{parts.scheme}://{parts.netloc}",
        url_digest=hashlib.sha256(one.url.encode()).hexdigest(),
        events=tuple(sorted(one.events)),
    )
