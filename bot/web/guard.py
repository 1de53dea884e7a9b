"""The guard of `ACCESS=github`: who asks, about what, and whether GitHub lets them; only then a page's own code runs.

What somebody may not see answers as what is not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from sqlalchemy.engine import Connection
from yarl import URL

from bot import errors
from bot.people import proof
from bot.people.people import People
from bot.people.viewer import Viewer
from bot.store import Store, subjects
from bot.web import access, rules, viewing
from bot.web.rules import About, Rule

#: How often the right to what goes on is looked at again.
AGAIN_SECONDS = 30.0
#: Whoever does what is grave signed in at most so long ago.
FRESH_SECONDS = 3600.0
_READING = frozenset({"GET", "HEAD"})
_GONE = "There is nothing here. It may have been deleted, or it never was."


class Guard:
    """Stands in front of every route.

    :param public_url: where people reach this service: what our own pages' origin is, whatever a proxy says.
    """

    def __init__(self, store: Store, *, people: People, public_url: str, again_seconds: float = AGAIN_SECONDS) -> None:
        self._store = store
        self._people = people
        self._origin = str(URL(public_url).origin())
        self._again_seconds = again_seconds

    def middleware(self) -> Middleware:
        """For the application, inside the one that shows errors."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            rule = rules.find(request.method, resource.canonical if resource is not None else None)
            if rule is None:
                raise _refusal(request)
            if rule.about is About.NOTHING:
                return await handler(request)
            self._refuse_foreign(request)
            viewer = await self._find(request)
            if viewer is None:
                raise _sign_in(request)
            if request.method not in _READING:
                await self._refuse_forged(request)
            viewer, repository_id = await self._admit(request, rule, viewer)
            viewing.note(request, viewer, repository_id=repository_id)
            if not rule.is_long:
                return await handler(request)
            return await self._watched(request, rule, handler)

        return guarded

    async def _find(self, request: web.Request) -> Viewer | None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind:
            # Who shows a token means it: a cookie beside it says nothing.
            return await self._people.of_token(given.strip()) if kind.lower() == "bearer" else None
        if rules.is_api(request.path) and request.method not in _READING:
            # A program that changes something shows a token: no page of another site can send one.
            return None
        cookie = request.cookies.get(viewing.COOKIE)
        return await self._people.of_cookie(cookie) if cookie else None

    async def _admit(self, request: web.Request, rule: Rule, viewer: Viewer) -> tuple[Viewer, int | None]:
        """Who asks, with their right in what they ask for, and the repository that it belongs to.

        :raises errors.NotFound: if they may not see it, or it is not there.
        :raises web.HTTPForbidden: if they may see it, and not do this.
        """
        repository_id = None
        if rule.about is About.SERVICE and not viewer.is_operator:
            raise errors.NotFound(_GONE)
        is_of_repository = rule.about not in (About.SELF, About.SERVICE)
        if is_of_repository:
            is_there, repository_id = await self._store.read(_subject, rule.about, dict(request.match_info))
            if not is_there:
                raise errors.NotFound(_GONE)
            viewer = await self._people.with_right(viewer, repository_id)
            if not viewer.may(rules.seeing(rule), repository_id):
                raise errors.NotFound(_GONE)
        if request.method not in _READING and not viewer.can_write:
            raise web.HTTPForbidden(text="This API token may only read: make one with the scope `write`.")
        if is_of_repository and not viewer.may(rule.need, repository_id):
            raise web.HTTPForbidden(text="Only who may write to the repository on GitHub can do this.")
        if rule.is_grave and not await self._people.is_fresh(viewer, within_seconds=FRESH_SECONDS):
            raise web.HTTPForbidden(text="Sign in once more for this: the last time is more than an hour ago.")
        return viewer, repository_id

    async def _watched(self, request: web.Request, rule: Rule, handler: Handler) -> web.StreamResponse:
        """Go on for as long as the right holds; then the connection is cut, and coming back finds nothing."""
        working = asyncio.ensure_future(handler(request))
        try:
            while True:
                done, _ = await asyncio.wait({working}, timeout=self._again_seconds)
                if done:
                    return await working
                if not await self._still(request, rule):
                    working.cancel()
                    await asyncio.wait({working})
                    if request.transport is not None:
                        request.transport.abort()
                    raise errors.NotFound(_GONE)
        finally:
            working.cancel()

    async def _still(self, request: web.Request, rule: Rule) -> bool:
        try:
            viewer = await self._find(request)
            return viewer is not None and bool(await self._admit(request, rule, viewer))
        except (errors.BuildhookError, web.HTTPException):
            return False

    def _refuse_foreign(self, request: web.Request) -> None:
        is_cross = request.headers.get("Sec-Fetch-Site") == "cross-site"
        if is_cross and request.headers.get("Sec-Fetch-Mode") != "navigate":
            raise web.HTTPForbidden(text="Other sites may link here, but not read or embed this.")

    async def _refuse_forged(self, request: web.Request) -> None:
        """Changes come from our own pages, or from a program with a token, which no other site can send."""
        cookie = request.cookies.get(viewing.COOKIE)
        if "Authorization" in request.headers or cookie is None:
            return
        if not access.is_from(request, self._origin):
            raise web.HTTPForbidden(text="Changes are taken from buildhook's own pages only.")
        given = (await request.post()).get(viewing.FORM_FIELD)
        if not isinstance(given, str) or not proof.is_form_token(given, cookie):
            raise web.HTTPForbidden(text="This page is from before you signed in: load it again.")


def _refusal(request: web.Request) -> Exception:
    """What nobody may ask is not there; a program is told where only the method is wrong, as the API is public."""
    wrong = request.match_info.http_exception
    if rules.is_api(request.path) and isinstance(wrong, web.HTTPMethodNotAllowed):
        return wrong
    return errors.NotFound(_GONE)


def _sign_in(request: web.Request) -> web.HTTPException:
    is_page = request.method in _READING and not rules.is_api(request.path)
    is_person = is_page and "text/html" in request.headers.get("Accept", "").lower()
    if is_person:
        return web.HTTPSeeOther(f"/login?next={quote(request.path_qs, safe='/')}")
    text = "Sign in, or send an API token: Authorization: Bearer bhk_..."
    return web.HTTPUnauthorized(text=text, headers={"WWW-Authenticate": 'Bearer realm="buildhook"'})


def _subject(connection: Connection, about: About, given: Mapping[str, str]) -> tuple[bool, int | None]:
    """Whether what is asked for is there, and the repository that it belongs to."""
    match about:
        case About.BUILD:
            found = subjects.of_build(connection, given["id"])
        case About.JOB:
            found = subjects.of_job(connection, given["id"])
        case About.ARTIFACT:
            found = subjects.of_artifact(connection, given["id"])
        case About.REPOSITORY:
            found = subjects.of_name(connection, f"{given['owner']}/{given['repo']}")
        case _:
            return subjects.of_delivery(connection, given["id"])
    return found is not None, found
