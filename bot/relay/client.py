"""Listens to a relay's channel, and posts each webhook to our door, which proves it as it proves any other."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

import bot
from bot import errors
from bot.relay import stream, unwrap

#: Where a relay makes new channels.
NEW = "/new"
_ACCEPT = "text/event-stream"
_AGENT = f"buildhook/{bot.__version__}"
_UNAVAILABLE = 503
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are waited for."""

    connect_seconds: float = 10.0
    #: smee.io says something every half minute: a channel that is silent for longer is broken.
    silence_seconds: float = 90.0
    #: Before the channel is asked for again; doubles up to the longest.
    pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    #: How often a webhook is posted that our door cannot take for now: GitHub does not send it again.
    attempts: int = 4
    retry_seconds: float = 0.5


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a webhook at our door."""

    event: str
    guid: str
    #: What the door answered; None where it did not.
    status: int | None
    text: str


def checked(url: str) -> str:
    """The address of a channel as given, once it is proved to be one.

    :raises errors.SettingsError: if it is none, or everybody on the way could read what it says.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or parts.username is not None or not url.isascii():
        raise errors.SettingsError("--relay: write the address of a channel, such as https://smee.io/abcdef.")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise errors.SettingsError("--relay: write https://: everybody on the way could read what GitHub sends.")
    return url


async def new_channel(url: str) -> str:
    """Have a relay make a channel.

    :param url: e.g. `https://smee.io/new`.
    :raises errors.SettingsError: if it makes none.
    """
    timeout = aiohttp.ClientTimeout(total=Patience().connect_seconds)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": _AGENT}) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            made = URL(url).join(URL(answer.headers.get("Location", "")))
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise errors.SettingsError(f"--relay: {url} cannot be asked for a channel: {_why(error)}.") from None
    # A relay behind a proxy may call itself http.
    is_own = made.host == URL(url).host and made.path not in ("", "/", NEW)
    if not 300 <= status < 400 or not is_own:
        raise errors.SettingsError(f"--relay: {url} made no channel ({status}): write the address of one.")
    return str(made.with_scheme("https") if URL(url).scheme == "https" else made)


class Relay:
    """One channel, and the door that it leads to."""

    def __init__(
        self,
        url: str,
        *,
        door: str,
        on_passed: Callable[[Passed], None],
        on_state: Callable[[str], None],
        patience: Patience | None = None,
    ) -> None:
        """
        :param url: from `checked`.
        :param door: the address of our own webhook, on this machine.
        :param on_state: hears in a sentence how it stands with the channel.
        """
        self._url = url
        self._door = door
        self._on_passed = on_passed
        self._on_state = on_state
        self._patience = patience or Patience()
        self._is_well = False

    async def run(self) -> None:
        """Listen until cancelled; a channel that breaks is asked for again. What came meanwhile is lost there."""
        its = self._patience
        pause_seconds = its.pause_seconds
        timeout = aiohttp.ClientTimeout(total=None, connect=its.connect_seconds, sock_read=its.silence_seconds)
        headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity", "Cache-Control": "no-store", "User-Agent": _AGENT}
        # A packed answer could unpack to anything.
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False) as listening,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as posting,
        ):
            while True:
                self._is_well = False
                why = await self._listen(listening, posting)
                if self._is_well:
                    pause_seconds = its.pause_seconds
                self._on_state(f"The relay is away: {why}. It is asked again in {pause_seconds:g} s.")
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, its.longest_pause_seconds)

    async def _listen(self, listening: aiohttp.ClientSession, posting: aiohttp.ClientSession) -> str:
        """Listen until the channel breaks; gives why it did."""
        parser = stream.Parser()
        try:
            async with listening.get(self._url, allow_redirects=False) as answer:
                if answer.status != 200 or answer.content_type != _ACCEPT:
                    return f"it answered with {answer.status} ({answer.content_type}), and no stream of events"
                self._is_well = True
                self._on_state(f"GitHub's webhooks come by {self._url}.")
                async for chunk in answer.content.iter_any():
                    for event in parser.feed(chunk):
                        if event.name == "message":
                            self._on_passed(await self._pass(posting, event.data))
        except stream.TooLarge:
            return "it sent more than GitHub ever does"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _why(error)
        return "it ended the stream"

    async def _pass(self, posting: aiohttp.ClientSession, data: bytes) -> Passed:
        try:
            one = unwrap.unwrap(data)
        except unwrap.Unreadable as error:
            return Passed(event="", guid="", status=None, text=f"What the relay sent is no webhook. {error}")
        pause_seconds, status, text = self._patience.retry_seconds, None, ""
        for attempt in range(self._patience.attempts):
            if attempt:
                await asyncio.sleep(pause_seconds)
                pause_seconds *= 2
            status, text = await self._post(posting, one)
            if status is not None and status != _UNAVAILABLE:
                break
        return Passed(event=one.event, guid=one.guid, status=status, text=text)

    async def _post(self, posting: aiohttp.ClientSession, one: unwrap.Relayed) -> tuple[int | None, str]:
        try:
            async with posting.post(
                self._door, data=io.BytesIO(one.body), headers=dict(one.headers), allow_redirects=False
            ) as answer:
                return answer.status, (await answer.text(errors="replace"))[:300].strip()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return None, _why(error)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it said nothing for too long"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection to {error.host}:{error.port}"
    return f"the connection broke ({type(error).__name__})"
