"""Health: `/livez` says that the loop turns, `/readyz` and `/healthz` that work is taken; `/metrics` has the figures.

https://kubernetes.io/docs/reference/using-api/health-checks/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import prometheus_client
from aiohttp import web
from sqlalchemy.engine import Connection

import bot
from bot import errors, telemetry
from bot.store import Store
from bot.web import access

#: A check that takes longer has failed.
CHECK_TIMEOUT_SECONDS = 5.0
#: How long an answer is given again, so that asking often costs nothing.
FRESH_SECONDS = 1.0
#: Says what is wrong, or None.
Check = Callable[[], Awaitable[str | None]]
_log = telemetry.log("web")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found."""

    name: str
    #: What is wrong, for the operator; None when all is well.
    trouble: str | None
    #: What the operator should know although deliveries are taken.
    note: str | None = None


class Readiness:
    """The checks that have to be well before work is sent here."""

    def __init__(
        self,
        checks: Mapping[str, Check],
        *,
        note: Check | None = None,
        about_proxies: Callable[[], str | None] = lambda: None,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        """
        :param note: says what the operator should know of the work although deliveries are taken, or None.
        :param about_proxies: the same of what stands in front; costs nothing and is asked each time.
        """
        self._checks = dict(checks)
        self._note = note
        self._about_proxies = about_proxies
        self._fresh_seconds = fresh_seconds
        self._is_draining = False
        self._found: tuple[float, tuple[Finding, ...]] | None = None
        self._looking = asyncio.Lock()

    def drain(self) -> None:
        """Not ready from now on: the service is about to stop."""
        self._is_draining = True

    async def look(self) -> tuple[Finding, ...]:
        """Run all checks, side by side."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if self._found is None or now - self._found[0] >= self._fresh_seconds:
                found = await asyncio.gather(*(_find(name, check) for name, check in self._checks.items()))
                if self._note is not None:
                    said = await _find("work", self._note)
                    found.append(Finding(name="work", trouble=None, note=said.trouble))
                self._found = (now, tuple(found))
            drained = Finding(name="draining", trouble="the service is stopping" if self._is_draining else None)
            proxies = Finding(name="proxies", trouble=None, note=self._about_proxies())
            return (*self._found[1], proxies, drained)


async def _find(name: str, check: Check) -> Finding:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return Finding(name=name, trouble=await check())
    except TimeoutError:
        return Finding(name=name, trouble=f"no answer within {CHECK_TIMEOUT_SECONDS:.0f} s")
    except errors.BuildhookError as error:
        return Finding(name=name, trouble=str(error))
    except Exception as error:
        _log.error("A readiness check failed.", action="check_readiness", check=name, exc_info=error)
        return Finding(name=name, trouble="the check itself failed; the log says how")


def store_check(store: Store) -> Check:
    """The database can be written: takes the write lock, and changes nothing."""

    async def look() -> str | None:
        await store.write(_touch)
        return None

    return look


def _touch(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1")


def routes(
    readiness: Readiness,
    *,
    metrics: telemetry.Metrics,
    refresh: Callable[[], Awaitable[None]] | None,
    why_wedged: Callable[[], str | None] = lambda: None,
) -> list[web.RouteDef]:
    """The routes.

    :param refresh: brings the gauges up to date before they are shown.
    :param why_wedged: why only a new process helps, or None; what a restart would not mend is for readiness alone.
    """

    async def is_alive(request: web.Request) -> web.Response:
        trouble = why_wedged()
        if trouble is None and "verbose" not in request.query:
            return web.Response(text="ok\n")
        line = "[+]loop ok\nalive\n" if trouble is None else f"[-]loop {trouble}\nwedged\n"
        return web.Response(status=200 if trouble is None else 503, text=line)

    async def show_version(_request: web.Request) -> web.Response:
        return web.json_response({"version": bot.__version__})

    async def is_ready(request: web.Request) -> web.Response:
        found = await readiness.look()
        is_well = all(one.trouble is None for one in found)
        if all(one.trouble is None and one.note is None for one in found) and "verbose" not in request.query:
            return web.Response(text="ok\n")
        # A stranger learns which part is not well, not why.
        text = _listed(found, says_why=access.is_local(request))
        return web.Response(status=200 if is_well else 503, text=text)

    async def show_metrics(_request: web.Request) -> web.Response:
        if refresh is not None:
            await refresh()
        body = prometheus_client.generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})

    return [
        web.get("/livez", is_alive),
        web.get("/readyz", is_ready),
        web.get("/healthz", is_ready),
        web.get("/metrics", show_metrics),
        web.get("/version", show_version),
    ]


def _noted(note: str | None, *, says_why: bool) -> str:
    if note is None:
        return "ok"
    return telemetry.one_line(note) if says_why else "ok: note withheld"


def _listed(found: tuple[Finding, ...], *, says_why: bool) -> str:
    lines = [
        f"[+]{one.name} {_noted(one.note, says_why=says_why)}"
        if one.trouble is None
        else f"[-]{one.name} {telemetry.one_line(one.trouble) if says_why else 'failed: reason withheld'}"
        for one in found
    ]
    return "\n".join([*lines, "ready" if all(one.trouble is None for one in found) else "not ready", ""])
