"""The site: puts the pages, the buttons, the live log and the health routes onto an application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiohttp import web
from aiohttp.typedefs import Middleware

from bot import clock, telemetry
from bot.logs import ArtifactStore, LogStore
from bot.model import engine, storage
from bot.onboarding import SettingUp
from bot.people.people import People
from bot.people.signing_in import SigningIn
from bot.pipelines import schema
from bot.store import Store
from bot.visitors import Visitors
from bot.web import (
    access,
    api,
    download,
    error_pages,
    guard,
    health,
    login,
    logroutes,
    outside,
    page,
    rawlog,
    security,
    setup,
    stream,
)
from bot.web.actions import Actions, routes
from bot.web.assets import Assets
from bot.web.health import Readiness
from bot.web.pages import PAGES, SIGN_IN_PAGES
from bot.web.templating import Templates

#: For `web.Application(client_max_size=...)`: no page takes a body; the door reads its own within its own bounds.
CLIENT_MAX_SIZE_BYTES = 64 * 1024
# Read with the module: a running loop never waits for the disk.
_ASSETS = Assets()
_TEMPLATES = Templates(_ASSETS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How people sign in."""

    people: People
    signing_in: SigningIn
    #: Where people reach this service.
    public_url: str
    #: How often the right to what goes on is looked at again.
    again_seconds: float = guard.AGAIN_SECONDS


def _guard(entry: Entry | None, store: Store) -> Middleware:
    if entry is None:
        return access.guard()
    return guard.Guard(
        store, people=entry.people, public_url=entry.public_url, again_seconds=entry.again_seconds
    ).middleware()


async def send_schema(_request: web.Request) -> web.Response:
    """The JSON Schema of the pipeline file, for editors."""
    return web.Response(text=schema.text(), content_type="application/schema+json")


def add_to(
    app: web.Application,
    *,
    store: Store,
    logs: LogStore,
    kept: ArtifactStore,
    metrics: telemetry.Metrics,
    readiness: Readiness,
    actions: Actions,
    entry: Entry | None = None,
    engines: Callable[[], engine.Engines] = engine.Engines,
    setting_up: SettingUp | None = None,
    refresh_metrics: Callable[[], Awaitable[None]] | None = None,
    why_wedged: Callable[[], str | None] = lambda: None,
    clock: Callable[[], datetime] = clock.now,
    retention: timedelta | None = None,
    visitors: Visitors | None = None,
    most_bytes: Callable[[], int] = lambda: storage.USUAL_BYTES,
    max_streams: int = stream.MAX_STREAMS,
) -> stream.Streams:
    """Add everything that the dashboard needs; the door adds its own route to the same application.

    :param entry: how people sign in; None where only this machine reaches the pages.
    :param engines: gives the engines that jobs come to.
    :param setting_up: what sets the service up; None where it is.
    :param retention: how long builds are kept; None: for ever.
    :param most_bytes: gives how much each repository may keep.
    :param visitors: says from which address a request came; without it no proxy is believed.
    :return: the live streams; they end with the application, or earlier by `close`.
    """
    people = None if entry is None else entry.people
    sources = page.Sources(
        store=store, logs=logs, artifacts=kept, clock=clock, people=people, engines=engines, most_bytes=most_bytes
    )
    streams = stream.Streams(limit=max_streams)
    app.middlewares.append(error_pages.shown(_TEMPLATES, clock=clock, retention=retention))
    app.middlewares.append(_guard(entry, store))
    app.on_response_prepare.append(security.add_headers)
    for module in (*PAGES, *(() if entry is None else SIGN_IN_PAGES)):
        one: page.Page = module.PAGE
        app.router.add_get(one.route, page.handler(one, sources=sources, templates=_TEMPLATES))
    if entry is not None:
        app.add_routes(
            login.routes(
                sources,
                signing_in=entry.signing_in,
                people=entry.people,
                templates=_TEMPLATES,
                visitors=visitors or Visitors(),
                public_url=entry.public_url,
            )
        )
    if setting_up is not None:
        app.add_routes(setup.routes(setting_up, templates=_TEMPLATES))
    app.add_routes(routes(actions))
    app.add_routes(api.routes(sources, actions))
    app.add_routes(_ASSETS.routes())
    app.router.add_get("/schema.json", send_schema)
    app.add_routes(rawlog.routes(sources))
    app.add_routes(logroutes.routes(sources, templates=_TEMPLATES))
    app.add_routes(download.routes(sources))
    app.add_routes(stream.routes(sources, templates=_TEMPLATES, streams=streams))
    public_url = "" if entry is None else entry.public_url
    app.add_routes(outside.routes(sources, actions=actions, templates=_TEMPLATES, public_url=public_url))
    app.add_routes(health.routes(readiness, metrics=metrics, refresh=refresh_metrics, why_wedged=why_wedged))

    async def close_streams(_app: web.Application) -> None:
        streams.close()

    app.on_shutdown.append(close_streams)
    return streams
