"""One signed POST to one subscriber: to an address that was checked and no other, without redirects, within bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

import bot
from bot import addresses, policy

CONNECT_SECONDS = 5.0
#: From the name to the last byte that is read of the answer; the specification asks for 15 to 30.
TOTAL_SECONDS = 15.0
#: Of an answer so much is read, so that its sender sees it taken; nothing of it is kept.
MAX_ANSWER_BYTES = 16 * 1024
#: Names are looked up by so many threads of their own: one that takes long holds up no other part of the service.
_LOOKUPS = 4
#: Gives the addresses of a host as they would be connected to.
Lookup = Callable[[str, int], Awaitable[list[str]]]


class Refused(OSError):
    """The policy does not let the address be a subscriber's."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a POST."""

    #: None where no answer came.
    status: int | None
    #: Why none came, a sentence for people.
    reason: str = ""


class Poster:
    """Makes each POST over a connection of its own."""

    def __init__(
        self, *, lookup: Lookup | None = None, tls: ssl.SSLContext | None = None, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        """:param lookup: finds the addresses of a name; the system's own way when not given.
        :param tls: what certificates are trusted; the system's when not given.
        """
        self._executor = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="lookup")
        self._lookup = lookup or self._ask_system
        self._tls: ssl.SSLContext | bool = tls or True
        self._timeout = aiohttp.ClientTimeout(total=total_seconds, connect=min(CONNECT_SECONDS, total_seconds))

    def close(self) -> None:
        """Let go of the threads; a lookup that takes long is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def post(self, to: policy.Subscriber, *, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a body once. Whatever goes wrong on the way is an answer without a status."""
        rule = rule_of(to)
        connector = aiohttp.TCPConnector(
            resolver=_Resolver(rule, self._lookup),
            socket_factory=_gate(rule),
            use_dns_cache=False,
            force_close=True,
            ssl=self._tls,
        )
        given = {"Content-Type": "application/json", "User-Agent": f"buildhook/{bot.__version__}", **headers}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=self._timeout,
                    auto_decompress=False,
                    trust_env=False,
                ) as session,
                session.post(to.url, data=body, headers=given, allow_redirects=False) as response,
            ):
                await response.content.read(MAX_ANSWER_BYTES)
                return Answer(status=response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return Answer(status=None, reason=_why(error))

    async def _ask_system(self, host: str, port: int) -> list[str]:
        return await asyncio.get_running_loop().run_in_executor(self._executor, _addresses, host, port)


def rule_of(to: policy.Subscriber) -> addresses.Rule:
    """What the policy lets the address of a subscriber be."""
    return addresses.Rule(
        allow_private=to.allow_private,
        allow_loopback=to.allow_private,
        only_loopback=urlsplit(to.url).scheme == "http",
    )


class _Resolver(AbstractResolver):
    """Looks a name up once for each connection, and gives on what was checked: there is no second look to deceive."""

    def __init__(self, rule: addresses.Rule, lookup: Lookup) -> None:
        self._rule = rule
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """:raises Refused: if one of the addresses is not allowed: a name with both kinds is no honest one."""
        found = await self._lookup(host, port)
        for address in found:
            _check(address, self._rule)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def _gate(rule: addresses.Rule) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes the socket of a connection whose address is allowed, whoever named it: a URL may hold one itself."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, address = info
        _check(str(address[0]), rule)
        return socket.socket(family, kind, proto)

    return make


def _check(address: str, rule: addresses.Rule) -> None:
    why = addresses.why_refused(address, rule)
    if why is not None:
        raise Refused(f"nothing is sent to {address}: {why}")


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _why(error: BaseException) -> str:
    """Why there is no answer, in words that hold nothing of the URL but its host."""
    refused = _refusal(error)
    match error:
        case _ if refused is not None:
            return f"The policy does not allow its address: {refused}."
        case aiohttp.InvalidURL():
            return "Its URL cannot be used: write the host as a name or a whole address."
        case aiohttp.ClientConnectorDNSError():
            return f"The name {error.host} cannot be resolved."
        case aiohttp.ClientConnectorCertificateError():
            return f"The certificate of {error.host} is not trusted."
        case aiohttp.ClientConnectorSSLError():
            return f"No TLS connection to {error.host} comes about."
        case aiohttp.ClientConnectorError():
            return f"No connection to {error.host}:{error.port} comes about."
        case TimeoutError():
            return "It took too long to answer."
        case _:
            return f"The connection broke ({type(error).__name__})."


def _refusal(error: BaseException | None) -> Refused | None:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, Refused):
            return error
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, Refused) else error.__cause__ or error.__context__
        seen += 1
    return None
