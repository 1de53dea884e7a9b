"""How people come in, as the pages are given it: with `ACCESS=github` from the start, or as soon as there is an App."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.people.people import People
from bot.people.signing_in import SigningIn
from bot.store import Store
from bot.web import access, guard, setup


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """How people sign in."""

    people: People
    signing_in: SigningIn
    #: Where people reach this service.
    public_url: str
    #: How often the right to what goes on is looked at again.
    again_seconds: float = guard.AGAIN_SECONDS


#: Gives how people sign in; None as long as nobody can, because there is no App yet.
Way = Callable[[], Entry | None]


def expect(way: Way) -> Entry:
    """How people sign in.

    :raises web.HTTPNotFound: if nobody can yet.
    """
    found = way()
    if found is None:
        raise web.HTTPNotFound
    return found


def guarding(way: Way | None, store: Store) -> Middleware:
    """The middleware in front of every route.

    :param way: None where nobody ever signs in.
    """
    local = access.guard()
    if way is None:
        return local
    made: dict[Entry, Middleware] = {}

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        entry = way()
        # The set-up is this machine's to its end, also when people can sign in already.
        if entry is None or setup.is_of_it(request):
            return await local(request, handler)
        if entry not in made:
            its = guard.Guard(
                store, people=entry.people, public_url=entry.public_url, again_seconds=entry.again_seconds
            )
            made[entry] = its.middleware()
        return await made[entry](request, handler)

    return guarded
