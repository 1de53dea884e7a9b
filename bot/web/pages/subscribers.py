"""The page `/subscribers`: who hears of builds, and who is sent nothing any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from bot.model import notification
from bot.store import notifications, subscribers
from bot.web.page import Page, Sources

#: So many of the newest notifications of each are shown.
SHOWN = 5


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One subscriber."""

    subscriber: notification.Subscriber
    #: How many wait to be sent.
    unsent: int
    #: The newest first.
    newest: tuple[notification.Notification, ...]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: Those that are sent nothing any more first.
    rows: tuple[Row, ...]
    #: Whether something waits, so that the page looks again.
    is_live: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored."""

    subscribers: Sequence[notification.Subscriber]
    #: By name; so are those below.
    unsent: Mapping[str, int]
    newest: Mapping[str, Sequence[notification.Notification]]


def make_context(found: Found, *, now: datetime) -> Context:
    """All subscribers, those that need somebody first."""
    rows = [
        Row(subscriber=one, unsent=found.unsent.get(one.name, 0), newest=tuple(found.newest.get(one.name, ())))
        for one in found.subscribers
    ]
    rows.sort(key=lambda row: (row.subscriber.state != notification.SubscriberState.DISABLED, row.subscriber.name))
    return Context(now=now, rows=tuple(rows), is_live=any(row.unsent for row in rows))


def _find(connection: Connection) -> Found:
    known = subscribers.list_all(connection)
    return Found(
        subscribers=known,
        unsent=notifications.count_unsent(connection),
        newest={one.name: notifications.list_newest(connection, subscriber=one.name, limit=SHOWN) for one in known},
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what is known."""
    return make_context(await sources.store.read(_find), now=sources.clock())


PAGE = Page(route="/subscribers", template="subscribers.html", context=Context, load=load)
