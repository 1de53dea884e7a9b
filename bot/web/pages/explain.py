"""The page `/explain`: why something was built or not; the same answer as that of `buildhook explain`."""

from __future__ import annotations

from datetime import datetime

import msgspec
from aiohttp import web

from bot.builds import explaining, finding
from bot.web import states, viewing
from bot.web.page import Page, Sources

#: Whatever can be asked is shorter.
_MAX_CHARACTERS = 300


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: As it was asked; empty where nothing was.
    asked: str
    #: What can be asked, where it was nothing of that.
    usage: str | None
    found: explaining.Explanation | None
    #: Whether the answer can still change, so that the page looks again.
    is_live: bool


def make_context(asked: str, found: explaining.Explanation | None, *, now: datetime) -> Context:
    """:param found: None where nothing was asked, or nothing that can be."""
    facts = found.facts if found is not None else explaining.Facts(now=now)
    return Context(
        now=now,
        asked=asked,
        usage=explaining.USAGE if found is None and asked else None,
        found=found,
        is_live=any(states.is_live_delivery(one) for one in facts.deliveries)
        or any(states.is_live(one) for one in facts.builds),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read what the query asks for."""
    asked = request.query.get("q", "").strip()[:_MAX_CHARACTERS]
    question = explaining.read(asked)
    found = None
    if question is not None:
        found = await sources.store.read(finding.explain, question, now=sources.clock(), among=viewing.visible(request))
    return make_context(asked, found, now=sources.clock())


PAGE = Page(route="/explain", template="explain.html", context=Context, load=load)
