"""A service elsewhere, asked through its API: the same shapes as from the database here."""

from __future__ import annotations

import asyncio
import ipaddress
import uuid
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
import typer

from bot import errors
from bot.shapes import listed
from bot.shapes.problem import PROBLEM_TYPE, Problem

if TYPE_CHECKING:
    import aiohttp

#: The option of every command that can ask a service.
Url = Annotated[
    str | None,
    typer.Option("--server", help="Ask the service there (BUILDHOOK_SERVER), not the database here.", metavar="URL"),
]
T = TypeVar("T")
L = TypeVar("L", listed.Builds, listed.Deliveries)
#: The items that a service gives at once.
_MOST = 100
_API = "/api/v1"
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_CHUNK_BYTES = 1024 * 1024
#: Before a change is asked for again: its answer was lost, or the first request is still under way.
_PAUSES_SECONDS = (0.2, 1.0)
#: What a service that is started again, or a proxy before it, answers for a while.
_AWAY = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class Server:
    """A service; open while the block lasts.

    :param token: an API token; None where none is needed.
    :raises errors.SettingsError: if it is no place that a token can be sent to.
    """

    def __init__(self, url: str, *, token: str | None) -> None:
        self._url = _checked(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()

    async def __aenter__(self) -> Self:
        # It takes a fifth of a second, which is not for those who ask no service.
        import aiohttp

        self._errors = (aiohttp.ClientError, TimeoutError)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_READ_SECONDS)
        self._http = aiohttp.ClientSession(timeout=timeout, headers=self._headers)
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._http is not None:
            await self._http.close()

    async def get(self, path: str, kind: type[T], **query: object) -> T:
        """What a GET gives; what of the query is None is not asked for."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        _, data = await self._ask("GET", path, params=params)
        return self._read(data, kind)

    async def some(self, path: str, kind: type[L], *, limit: int, **query: object) -> list[Any]:
        """The first items of a list, part by part until there are so many."""
        found: list[Any] = []
        cursor: str | None = None
        while len(found) < limit:
            part = await self.get(path, kind, limit=min(limit - len(found), _MOST), cursor=cursor, **query)
            found += part.items
            if part.next is None:
                break
            cursor = parse_qs(urlsplit(part.next).query).get("cursor", [None])[0]
        return found

    async def post(self, path: str, body: object, kind: type[T]) -> T:
        """What a POST gives; where its answer is lost, it is sent again with the same key, and done once."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": f'"{uuid.uuid4()}"'}
        sent = msgspec.json.encode(body)
        for pause_seconds in _PAUSES_SECONDS:
            try:
                return self._read((await self._ask("POST", path, data=sent, headers=headers))[1], kind)
            except errors.ServiceAway:
                await asyncio.sleep(pause_seconds)
        return self._read((await self._ask("POST", path, data=sent, headers=headers))[1], kind)

    async def part(self, path: str, *, start: int) -> bytes:
        """Some bytes from `start` on; none where there are no more by now."""
        wanted = f"bytes={start}-{start + _CHUNK_BYTES - 1}"
        status, data = await self._ask("GET", path, is_range=True, headers={"Range": wanted})
        return b"" if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE else data

    async def chunks(self, path: str) -> AsyncIterator[bytes]:
        """A large answer, piece by piece."""
        try:
            async with self._session.get(self._url + path, allow_redirects=False) as answer:
                if answer.status != HTTPStatus.OK:
                    self._refuse(answer.status, answer.content_type, await answer.read())
                async for data in answer.content.iter_chunked(_CHUNK_BYTES):
                    yield data
        except self._errors as error:
            raise self._away(error) from error

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        is_range: bool = False,
    ) -> tuple[int, bytes]:
        try:
            async with self._session.request(
                method, self._url + path, params=params, data=data, headers=headers, allow_redirects=False
            ) as answer:
                given = await answer.read()
                is_end = is_range and answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
                if not is_end and not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    is_under_way = answer.status == HTTPStatus.CONFLICT and "Retry-After" in answer.headers
                    self._refuse(answer.status, answer.content_type, given, is_away=is_under_way)
                return answer.status, given
        except self._errors as error:
            raise self._away(error) from error

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "the server is not open"
        return self._http

    def _read(self, data: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError:
            raise errors.Conflict(f"{self._url} answers what no buildhook of this version says.") from None

    def _away(self, error: Exception) -> errors.BuildhookError:
        return errors.ServiceAway(f"{self._url} cannot be reached: {str(error) or type(error).__name__}")

    def _refuse(self, status: int, content_type: str, data: bytes, *, is_away: bool = False) -> None:
        try:
            told = msgspec.json.decode(data, type=Problem).detail if content_type == PROBLEM_TYPE else None
        except msgspec.MsgspecError:
            told = None
        if status == HTTPStatus.UNAUTHORIZED:
            raise errors.NotSignedIn(
                "The service takes no request without an API token, or not with this one: make one on the page of your"
                " account there, and set BUILDHOOK_TOKEN."
            )
        if status in _AWAY or is_away:
            raise errors.ServiceAway(told or f"{self._url} answers {status}: it is busy, or what stands before it is.")
        if told is None:
            raise errors.Conflict(f"{self._url} answers {status}, not as a buildhook does: is it the right address?")
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
            raise errors.NotFound(told)
        raise errors.Conflict(told)


def part_of(text: str) -> str:
    """A part of a path: whatever somebody writes stays one."""
    return quote(text, safe="")


def _checked(url: str) -> str:
    """The address of the API of a service, which is asked without a path, and over TLS unless it is this machine's."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not is_safe or parts.username or parts.query or parts.fragment or parts.path.strip("/"):
        raise errors.SettingsError(
            "BUILDHOOK_SERVER is the address of a service without a path, such as https://builds.example.com;"
            " plain http only to this machine."
        )
    return f"{parts.scheme}://{parts.netloc}{_API}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
