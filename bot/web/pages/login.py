"""The page `/login`: the way in, with `ACCESS=github`."""

from __future__ import annotations

from urllib.parse import quote

import msgspec
from aiohttp import web

from bot.people import places
from bot.web.page import Page, Sources


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    #: Where the button leads.
    start: str
    #: Whether a page was asked for that needs somebody to be signed in.
    is_asked: bool


def make_context(wanted: str) -> Context:
    """:param wanted: the page that was asked for, as a link says."""
    after = places.after(wanted)
    return Context(start=f"/login/start?next={quote(after, safe='/')}", is_asked=after != "/")


async def load(sources: Sources, request: web.Request) -> Context:
    """Nothing is read."""
    return make_context(request.query.get("next", "/"))


PAGE = Page(route="/login", template="login.html", context=Context, load=load)
