"""Asks our own addresses who answers there: with requests that no service of ours takes for anything else."""

from __future__ import annotations

import aiohttp
import msgspec

from bot import telemetry
from bot.doctor.facts import Reply, Unasked
from bot.settings import Settings

_SECONDS = 10.0
_MOST_BYTES = 4096
#: Like a delivery, but for its signature: the door refuses it and keeps nothing.
_UNSIGNED = {
    "Content-Type": "application/json",
    "User-Agent": "buildhook-doctor",
    "X-GitHub-Event": "ping",
    "X-GitHub-Delivery": "00000000-0000-0000-0000-000000000000",
}
_TRY_LATER = 503
_ABOUT_PROXIES = "[+]proxies "


class _Refusal(msgspec.Struct, forbid_unknown_fields=True):
    error: str


async def service(settings: Settings) -> Reply:
    """Who answers where the service listens on this machine.

    :raises Unasked: if only the service knows where that is.
    """
    return await door(f"{_here(settings)}/webhook")


async def unlisted_proxy(settings: Settings) -> str | None:
    """What the service says of a proxy that its settings do not name; None where it has met none.

    :raises Unasked: if it does not say.
    """
    url = f"{_here(settings)}/readyz?verbose"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            lines = (await answer.content.read(_MOST_BYTES)).decode("utf-8", "replace").splitlines()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        raise Unasked("the service does not answer") from None
    said = [line.removeprefix(_ABOUT_PROXIES) for line in lines if line.startswith(_ABOUT_PROXIES)]
    if len(said) != 1 or said == ["ok: note withheld"]:
        raise Unasked("the service does not say it to this machine")
    return None if said == ["ok"] else telemetry.one_line(said[0])[:200]


def _here(settings: Settings) -> str:
    """Where the service listens on this machine. :raises Unasked: if only the service knows where that is."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    if settings.port == 0:
        raise Unasked("BUILDHOOK_PORT=0 lets the service choose a port, which only it knows")
    return f"http://{shown}:{settings.port}"


async def door(url: str) -> Reply:
    """Who answers at the webhook's address."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.post(url, data=b"{}", headers=_UNSIGNED, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MOST_BYTES)
            return Reply(url=url, status=answer.status, is_ours=_is_ours(answer.status, body))
    except TimeoutError:
        return Reply(url=url, status=None, problem=f"no answer within {_SECONDS:.0f} seconds")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        said = telemetry.one_line(str(error))[:200] or type(error).__name__
        return Reply(url=url, status=None, problem=said)


def _is_ours(status: int, body: bytes) -> bool:
    """Whether it is our door's own way to refuse what is not signed, or to say that it takes nothing yet."""
    try:
        refused = msgspec.json.decode(body, type=_Refusal)
    except msgspec.MsgspecError:
        return False
    return status in (401, _TRY_LATER) and bool(refused.error)
