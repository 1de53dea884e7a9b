"""Runs the service until it is told to stop: what `buildhook serve`, `setup` and `dev` do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import uvloop

from bot import errors, failpoint, garbage, settings, systemd, telemetry
from bot.app import Service
from bot.cli import output

_log = telemetry.log("cli")


#: What goes on beside a service: it is given the service, and what reads the settings again, which gives them, or None
#: where they are wrong. When it ends, the service does.
Beside = Callable[[Service, Callable[[], settings.Settings | None]], Awaitable[None]]


def run(
    given: Mapping[str, object],
    *,
    as_json: bool,
    is_for_set_up: bool = False,
    ends: bool = False,
    beside: Beside | None = None,
) -> None:
    """Run the service until it is told to stop.

    :param given: settings that the command line names.
    :param is_for_set_up: whether it is only started where there is something to set up.
    :param ends: whether it ends once it is set up.
    :param beside: what goes on beside it.
    """
    manager = settings.take_manager()
    loaded = settings.load(**given)
    if is_for_set_up and loaded.has_credentials:
        raise errors.SettingsError(
            f"This is set up already, for App {loaded.app_id}: start `buildhook serve`, or see what `buildhook doctor` "
            f"says. For another App take BUILDHOOK_APP_ID, BUILDHOOK_PRIVATE_KEY and BUILDHOOK_WEBHOOK_SECRET out of "
            f"the environment, of .env and of {loaded.data_dir / 'settings.env'}."
        )
    telemetry.configure_logs(level=loaded.log_level, is_terminal=False if as_json else None)
    # What is in memory has no business on disk, not even of a service that crashed.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for sentence in settings.loose_files():
        _log.warning(sentence, action="read_settings")
    for name, meant in settings.unknown_names().items():
        _log.warning(f"{name} is no setting: perhaps it is misspelt. {meant}", action="read_settings")
    failpoint.arm(failpoint.parse(loaded.failpoint or ""), on_fire=_say_failpoint)
    garbage.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(loaded, given=given, as_json=as_json, manager=manager, ends=ends, beside=beside))


async def _serve(
    loaded: settings.Settings,
    *,
    given: Mapping[str, object],
    as_json: bool,
    manager: systemd.Manager,
    ends: bool,
    beside: Beside | None,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_stop() -> None:
        if stop.is_set():
            # Asked twice: whatever is under way is found again at the next start.
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    async with Service(loaded, reread=functools.partial(settings.load, **given)) as service:
        status = f"Listens on {service.url}."
        loop.add_signal_handler(signal.SIGHUP, _reload, service, given, manager, status)
        running = asyncio.create_task(service.run())
        _say_ready(service, loaded, as_json=as_json)
        manager.ready(status)
        watching = asyncio.create_task(manager.watch(service.answers))
        companion = None
        if beside is not None:
            companion = asyncio.ensure_future(beside(service, lambda: _reload(service, given, manager, status)))
        stopping = asyncio.create_task(_stopped(stop, companion, set_up=service if ends else None))
        broken = asyncio.create_task(service.broken())
        await asyncio.wait({running, stopping, broken}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if companion is not None:
            companion.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await companion
        manager.stopping()
        # Whoever was told that it stops is not told that it is ready.
        loop.add_signal_handler(signal.SIGHUP, _reload, service, given, systemd.Manager(), status)
        if running.done():
            # A loop that ends by itself has failed; whoever watches the process starts it anew.
            await running
        # The loops go on meanwhile: what is under way waits for them.
        await service.drain()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        if broken.done():
            _give_up(broken.result())
        broken.cancel()
        watching.cancel()
    _log.info("The service has stopped; builds that run go on.", action="stop")


def _give_up(broken: errors.StoreBroken) -> None:
    output.fail(str(broken))
    # Closing the database would sync it once more, and that may succeed without what was lost.
    os._exit(1)


def _say_failpoint(fired: failpoint.Failpoint) -> None:
    _log.warning("A failpoint is reached.", action="failpoint", name=fired.name, does=fired.action, nth=fired.nth)


def _reload(
    service: Service, given: Mapping[str, object], manager: systemd.Manager, status: str
) -> settings.Settings | None:
    manager.reloading()
    loaded = None
    try:
        loaded = settings.load(**given)
        service.reload(loaded)
    except errors.SettingsError as error:
        _log.error("The settings are wrong, so the old ones stay.", action="reload_settings", error=str(error))
        status += f" The settings are wrong, so the old ones stay: {error}"
        loaded = None
    manager.ready(status)
    return loaded


async def _stopped(stop: asyncio.Event, companion: asyncio.Future[None] | None, *, set_up: Service | None) -> None:
    """Wait until the service is told to stop, what goes on beside it ends, or it is set up where that is the end."""
    waiting: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait())]
    if set_up is not None and set_up.setting_up is not None:
        waiting.append(asyncio.create_task(set_up.setting_up.is_told.wait()))
    try:
        ended = waiting if companion is None else [*waiting, companion]
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _say_ready(service: Service, loaded: settings.Settings, *, as_json: bool) -> None:
    url, link = service.url, service.setup_link
    if as_json:
        told = {"url": url, "webhook": f"{url}/webhook", "data_dir": str(loaded.data_dir)}
        output.json(told if link is None else {**told, "setup": link})
    else:
        output.line(f"buildhook listens on {url} (webhook: {url}/webhook)")
        if link is not None:
            output.line("It has no App yet. Open this to set it up; the link is good once, for you alone:")
            output.line(f"  {link}")
    sys.stdout.flush()
