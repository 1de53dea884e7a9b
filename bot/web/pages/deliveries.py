"""The page `/deliveries`: what GitHub sent, newest first, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from bot.model import delivery
from bot.model.person import Permission
from bot.store import inbox_list
from bot.web import states, viewing
from bot.web.page import Page, Sources, choice, number

#: Deliveries on one page.
LIMIT = 50


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: Without headers and bodies.
    deliveries: tuple[delivery.Delivery, ...]
    #: Only these are shown; None: all.
    state: delivery.State | None
    #: Whether GitHub's reports on our own checks are left out: they come by the dozen, and nothing follows from them.
    is_brief: bool
    #: What the filter can be set to.
    states: tuple[delivery.State, ...]
    #: Query of the page with older deliveries, or None on the last.
    older: str | None
    #: Query of the page with the newest deliveries, or None on the first.
    newest: str | None
    #: Whether one of them still has to be worked on, so that the page looks again.
    is_live: bool


def make_context(
    found: Sequence[delivery.Delivery],
    *,
    state: delivery.State | None,
    is_brief: bool = False,
    before_seq: int | None,
    now: datetime,
    limit: int = LIMIT,
) -> Context:
    """:param found: the deliveries of this page, and one more if there are older ones."""
    shown = tuple(found[:limit])
    kept = {} if is_brief else {"reports": "1"} if state is None else {"state": str(state)}
    return Context(
        now=now,
        deliveries=shown,
        state=state,
        is_brief=is_brief,
        states=states.DELIVERY_STATES,
        older="?" + urlencode({**kept, "before": shown[-1].seq}) if len(found) > limit else None,
        newest=None if before_seq is None else "?" + urlencode(kept),
        is_live=any(states.is_live_delivery(one) for one in shown),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what the query asks for."""
    word = choice(request.query, "state", states.DELIVERY_STATES)
    state = None if word is None else delivery.State(word)
    # Whoever asks for a state asks for all that are in it.
    is_brief = state is None and choice(request.query, "reports", ("1",)) is None
    before_seq = number(request.query, "before")
    found = await sources.store.read(
        inbox_list.list_newest,
        limit=LIMIT + 1,
        before_seq=before_seq,
        state=state,
        has_reports=not is_brief,
        among=viewing.visible(request, Permission.WRITE),
    )
    return make_context(found, state=state, is_brief=is_brief, before_seq=before_seq, now=sources.clock())


PAGE = Page(route="/deliveries", template="deliveries.html", context=Context, load=load)
