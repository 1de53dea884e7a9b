"""The page `/account`: what somebody is signed in with, and their API tokens."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from aiohttp import web

from bot.model import person
from bot.web import viewing
from bot.web.page import Page, Sources

#: What the form offers, in days.
LIVES = (7, 30, 90, 365)


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    login: str
    is_operator: bool
    #: The one of this browser, if a browser asks.
    own_id: str | None
    sign_ins: tuple[person.SignIn, ...]
    tokens: tuple[person.ApiToken, ...]
    scopes: tuple[person.Scope, ...]
    lives: tuple[int, ...]
    default_life: int
    #: A token that was just made: shown once and never again.
    made: str | None


def make_context(
    *,
    login: str,
    is_operator: bool,
    own_id: str | None,
    sign_ins: Sequence[person.SignIn],
    tokens: Sequence[person.ApiToken],
    now: datetime,
    made: str | None = None,
) -> Context:
    """:param made: a token that was just made."""
    return Context(
        now=now,
        login=login,
        is_operator=is_operator,
        own_id=own_id,
        sign_ins=tuple(sign_ins),
        tokens=tuple(tokens),
        scopes=tuple(person.Scope),
        lives=LIVES,
        default_life=person.TOKEN.days,
        made=made,
    )


async def load(sources: Sources, request: web.Request, *, made: str | None = None) -> Context:
    """Read what somebody has."""
    viewer = viewing.viewer(request)
    people = sources.people() if sources.people is not None else None
    if people is None or viewer.user_id is None:
        raise web.HTTPNotFound
    return make_context(
        login=viewer.login,
        is_operator=viewer.is_operator,
        own_id=viewer.sign_in_id,
        sign_ins=await people.sign_ins(viewer),
        tokens=await people.tokens(viewer),
        now=sources.clock(),
        made=made,
    )


PAGE = Page(route="/account", template="account.html", context=Context, load=load)
