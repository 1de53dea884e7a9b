"""Actions: the buttons on pages; each is a POST that calls one function and leads to the page of the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from bot import errors
from bot.builds import commands
from bot.model import audit
from bot.store import requests
from bot.web import viewing


class Actions(msgspec.Struct, frozen=True, kw_only=True):
    """What pages can cause. Each raises `errors.NotFound` or `errors.Conflict`, whose text is shown."""

    #: Queues a delivery again, by its id.
    replay: Callable[[str, audit.Actor], Awaitable[None]]
    #: Asks a build's jobs to end, by the build's id.
    cancel: Callable[[str, audit.Actor], Awaitable[None]]
    #: Runs a build's jobs again as the next generation, all or (True) only what did not pass; gives the new build's id.
    retry: Callable[[str, bool, audit.Actor], Awaitable[str]]
    #: Asks for a build of a repository, a branch or tag (None: the default branch) and inputs; gives the delivery's id.
    start: Callable[[str, str | None, Mapping[str, str], audit.Actor], Awaitable[str]]
    #: Lets a build run that waits, as it was seen; gives the id of the delivery that asks.
    approve: Callable[[str, commands.Seen, audit.Actor], Awaitable[str]]
    #: Makes a token for a repository's badge and feed in place of the one before; gives it, once.
    make_badge_token: Callable[[str, audit.Actor], Awaitable[str]]
    #: The same for a request that bears a key: what it asks for is done once, whoever asks again.
    once: Callable[[requests.Claimed], Actions]


def routes(actions: Actions) -> list[web.RouteDef]:
    """The POST routes."""

    async def replay(request: web.Request) -> web.Response:
        delivery_id = request.match_info["id"]
        await actions.replay(delivery_id, by(request))
        raise web.HTTPSeeOther(f"/deliveries/{delivery_id}")

    async def cancel(request: web.Request) -> web.Response:
        build_id = request.match_info["id"]
        await actions.cancel(build_id, by(request))
        raise web.HTTPSeeOther(f"/builds/{build_id}")

    async def retry(request: web.Request) -> web.Response:
        build_id = await actions.retry(request.match_info["id"], False, by(request))
        raise web.HTTPSeeOther(f"/builds/{build_id}")

    async def retry_failed(request: web.Request) -> web.Response:
        build_id = await actions.retry(request.match_info["id"], True, by(request))
        raise web.HTTPSeeOther(f"/builds/{build_id}")

    async def start(request: web.Request) -> web.Response:
        given = await request.post()
        repository = f"{request.match_info['owner']}/{request.match_info['repo']}"
        ref = str(given.get("ref", "")).strip()
        delivery_id = await actions.start(repository, ref or None, _inputs(str(given.get("inputs", ""))), by(request))
        raise web.HTTPSeeOther(f"/deliveries/{delivery_id}")

    async def approve(request: web.Request) -> web.Response:
        given = await request.post()
        seen = commands.Seen(head_sha=str(given.get("head_sha", "")), digest=str(given.get("digest", "")))
        delivery_id = await actions.approve(request.match_info["id"], seen, by(request))
        raise web.HTTPSeeOther(f"/deliveries/{delivery_id}")

    return [
        web.post("/builds/{id:[0-9A-Z]{26}}/approve", approve),
        web.post("/repos/{owner:[A-Za-z0-9._-]{1,100}}/{repo:[A-Za-z0-9._-]{1,100}}/start", start),
        web.post("/deliveries/{id:[A-Za-z0-9-]{1,72}}/replay", replay),
        web.post("/builds/{id:[0-9A-Z]{26}}/cancel", cancel),
        web.post("/builds/{id:[0-9A-Z]{26}}/retry", retry),
        web.post("/builds/{id:[0-9A-Z]{26}}/retry-failed", retry_failed),
    ]


def by(request: web.Request, *, via: audit.Via = audit.Via.PAGE) -> audit.Actor:
    """Who does it, for the audit: nobody by name where only this machine reaches the pages."""
    viewer = viewing.viewer(request)
    return audit.Actor(via=via, id=viewer.user_id, name=viewer.login or None)


def _inputs(text: str) -> dict[str, str]:
    """Inputs as people write them: `name=value`, one a line."""
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise errors.Conflict(f"`{line[:80]}` is no name=value: write one input a line.")
        found[name.strip()] = value.strip()
    return found
