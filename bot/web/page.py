"""A page: a route, a template, a frozen context value, and the function that loads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.logs import ArtifactStore, LogStore
from bot.model import engine, storage
from bot.people.people import People
from bot.store import Store
from bot.web import scanning, viewing
from bot.web.templating import Templates


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where pages take what they show from."""

    store: Store
    logs: LogStore
    artifacts: ArtifactStore
    #: Gives the current instant.
    clock: Callable[[], datetime]
    #: Gives those who sign in, None before there is an App; itself None where nobody ever does.
    people: Callable[[], People | None] | None = None
    #: The engines of this service.
    engines: Callable[[], engine.Engines] = engine.Engines
    #: How much each repository may keep.
    most_bytes: Callable[[], int] = lambda: storage.USUAL_BYTES
    #: Logs that are being looked through.
    scans: scanning.Scans = msgspec.field(default_factory=scanning.Scans)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page: the `PAGE` of each module in `bot.web.pages.PAGES`."""

    #: As aiohttp's router takes it.
    route: str
    template: str
    #: The frozen dataclass that the template is rendered with.
    context: type
    #: Loads the context for a request.
    load: Callable[[Sources, web.Request], Awaitable[object]]


def handler(page: Page, *, sources: Sources, templates: Templates) -> Handler:
    """The request handler that shows a page."""

    async def show(request: web.Request) -> web.Response:
        context = await page.load(sources, request)
        # A long log takes a while to render: the loop is needed by others meanwhile.
        shell = viewing.shell(request)
        text = await asyncio.to_thread(templates.render, page.template, context, shell=shell)
        return web.Response(text=text, content_type="text/html")

    return show


def choice(query: Mapping[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    """A query parameter with a closed set of values; None where it is absent or empty.

    :raises web.HTTPBadRequest: if it has another value.
    """
    given = query.get(name) or None
    if given is not None and given not in allowed:
        raise web.HTTPBadRequest(text=f"`{name}` is one of: {', '.join(allowed)}.")
    return given


def number(query: Mapping[str, str], name: str) -> int | None:
    """A query parameter that is a number from 1; None where it is absent or empty.

    :raises web.HTTPBadRequest: if it is something else.
    """
    given = query.get(name) or None
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= 15 and int(given) > 0):
        raise web.HTTPBadRequest(text=f"`{name}` is a number from 1.")
    return int(given)
