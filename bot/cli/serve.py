"""`buildhook serve`: the service, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Annotated

import typer
import uvloop

from bot import errors, settings, telemetry
from bot.app import Service
from bot.cli import output

_log = telemetry.log("cli")


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on (BUILDHOOK_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="The port, 0 for a free one (BUILDHOOK_PORT).")] = None,
    as_json: output.Json = False,
) -> None:
    """Run the service. SIGTERM stops it, SIGHUP reads the settings again; builds go on meanwhile.

    Example: BUILDHOOK_APP_ID=1 BUILDHOOK_PRIVATE_KEY_FILE=key.pem BUILDHOOK_WEBHOOK_SECRET_FILE=secret buildhook serve
    """
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    loaded = settings.load(**given)
    telemetry.configure_logs(level=loaded.log_level, is_terminal=False if as_json else None)
    for name in settings.unknown_names():
        _log.warning(f"{name} is no setting: perhaps it is misspelt.", action="read_settings")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded, given=given, as_json=as_json))


async def _serve(loaded: settings.Settings, *, given: Mapping[str, object], as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_stop() -> None:
        if stop.is_set():
            # Asked twice: whatever is under way is found again at the next start.
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    async with Service(loaded) as service:
        loop.add_signal_handler(signal.SIGHUP, _reload, service, given)
        running = asyncio.create_task(service.run())
        _say_ready(service.url, loaded, as_json=as_json)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            # A loop that ends by itself has failed; whoever watches the process starts it anew.
            await running
        running.cancel()
        await asyncio.wait({running})
        _log.info("The service has stopped; builds that run go on.", action="stop")


def _reload(service: Service, given: Mapping[str, object]) -> None:
    try:
        service.reload(settings.load(**given))
    except errors.SettingsError as error:
        _log.error("The settings are wrong, so the old ones stay.", action="reload_settings", error=str(error))


def _say_ready(url: str, loaded: settings.Settings, *, as_json: bool) -> None:
    if as_json:
        output.json({"url": url, "webhook": f"{url}/webhook", "data_dir": str(loaded.data_dir)})
    else:
        output.console().print(f"buildhook listens on {url} (webhook: {url}/webhook)")
    sys.stdout.flush()
