"""The site: puts the pages, the buttons, the live log and the health routes onto an application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from aiohttp import web

from bot import clock, errors, telemetry
from bot.logs import ArtifactStore, LogStore
from bot.pipelines import schema
from bot.store import Store
from bot.web import access, download, error_pages, health, page, rawlog, security, stream
from bot.web.actions import Actions, routes
from bot.web.assets import Assets
from bot.web.health import Readiness
from bot.web.pages import PAGES
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
    access_mode: str,
    refresh_metrics: Callable[[], Awaitable[None]] | None = None,
    clock: Callable[[], datetime] = clock.now,
    retention: timedelta | None = None,
    max_streams: int = stream.MAX_STREAMS,
) -> stream.Streams:
    """Add everything that the dashboard needs; the door adds its own route to the same application.

    :param access_mode: `local`, as in the setting ACCESS.
    :param retention: how long builds are kept; None: for ever.
    :return: the live streams; they end with the application, or earlier by `close`.
    :raises errors.SettingsError: if there is no such access mode.
    """
    if access_mode != "local":
        raise errors.SettingsError(f"ACCESS: {access_mode!r} is not known; write local")
    sources = page.Sources(store=store, logs=logs, artifacts=kept, clock=clock)
    streams = stream.Streams(limit=max_streams)
    app.middlewares.append(error_pages.shown(_TEMPLATES, clock=clock, retention=retention))
    app.middlewares.append(access.guard())
    app.on_response_prepare.append(security.add_headers)
    for module in PAGES:
        one: page.Page = module.PAGE
        app.router.add_get(one.route, page.handler(one, sources=sources, templates=_TEMPLATES))
    app.add_routes(routes(actions))
    app.add_routes(_ASSETS.routes())
    app.router.add_get("/schema.json", send_schema)
    app.add_routes(rawlog.routes(sources))
    app.add_routes(download.routes(sources))
    app.add_routes(stream.routes(sources, templates=_TEMPLATES, streams=streams))
    app.add_routes(health.routes(readiness, metrics=metrics, refresh=refresh_metrics))

    async def close_streams(_app: web.Application) -> None:
        streams.close()

    app.on_shutdown.append(close_streams)
    return streams
