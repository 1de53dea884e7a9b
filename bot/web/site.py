"""The site: puts the pages, the buttons, the live log and the health routes onto an application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from aiohttp import web

from bot import clock, telemetry
from bot.logs import ArtifactStore, LogStore
from bot.model import engine, storage
from bot.onboarding import SettingUp
from bot.people.people import People
from bot.pipelines import schema
from bot.store import Store
from bot.visitors import Visitors
from bot.web import (
    api,
    download,
    error_pages,
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
from bot.web.entering import Way, guarding
from bot.web.health import Readiness
from bot.web.pages import PAGES, SIGN_IN_PAGES
from bot.web.templating import Templates

#: For `web.Application(client_max_size=...)`: no page takes a body; the door reads its own within its own bounds.
CLIENT_MAX_SIZE_BYTES = 64 * 1024
# Read with the module: a running loop never waits for the disk.
_ASSETS = Assets()
_TEMPLATES = Templates(_ASSETS)


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
    way: Way | None = None,
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

    :param way: gives how people sign in; None where only this machine ever reaches the pages.
    :param engines: gives the engines that jobs come to.
    :param setting_up: what sets the service up; None where it is.
    :param retention: how long builds are kept; None: for ever.
    :param most_bytes: gives how much each repository may keep.
    :param visitors: says from which address a request came; without it no proxy is believed.
    :return: the live streams; they end with the application, or earlier by `close`.
    """

    def people() -> People | None:
        entry = way() if way is not None else None
        return None if entry is None else entry.people

    def public_url() -> str:
        entry = way() if way is not None else None
        return "" if entry is None else entry.public_url

    sources = page.Sources(
        store=store,
        logs=logs,
        artifacts=kept,
        clock=clock,
        people=None if way is None else people,
        engines=engines,
        most_bytes=most_bytes,
    )
    streams = stream.Streams(limit=max_streams)
    app.middlewares.append(error_pages.shown(_TEMPLATES, clock=clock, retention=retention))
    app.middlewares.append(guarding(way, store))
    app.on_response_prepare.append(security.add_headers)
    for module in (*PAGES, *(() if way is None else SIGN_IN_PAGES)):
        one: page.Page = module.PAGE
        app.router.add_get(one.route, page.handler(one, sources=sources, templates=_TEMPLATES))
    if way is not None:
        app.add_routes(login.routes(sources, way=way, templates=_TEMPLATES, visitors=visitors or Visitors()))
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
    app.add_routes(outside.routes(sources, actions=actions, templates=_TEMPLATES, public_url=public_url))
    app.add_routes(health.routes(readiness, metrics=metrics, refresh=refresh_metrics, why_wedged=why_wedged))

    async def close_streams(_app: web.Application) -> None:
        streams.close()

    app.on_shutdown.append(close_streams)
    return streams
