"""A server that answers as each test writes down, a clock that a test moves, and a client between the two."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import logging
import ssl
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
import structlog
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from bot import telemetry
from bot.github import Clock, GitHub, Patience, Repository
from bot.github.client import Call, Client
from bot.github.urls import derive

APP_ID = 4711
INSTALLATION_ID = 7
REPOSITORY_ID = 1296269
NAME = "octo/hello"
SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
#: Hundreds of characters, as the newer installation tokens have.
TOKEN = f"ghs_{APP_ID}_" + "CanaryToken" * 40
TOKEN_PATH = f"/app/installations/{INSTALLATION_ID}/access_tokens"
VERBS = ("GET", "POST", "PATCH", "PUT", "DELETE")
#: The credential of calls made by hand.
SECRET = "ghs_" + "CanaryCredential" * 20
START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it arrived."""

    method: str
    #: As sent, with its quoting, without the query.
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer."""

    status: int = 200
    #: Sent as JSON, unless `raw` is given.
    data: Any = None
    raw: bytes | None = None
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        """The answer for aiohttp."""
        body = (
            self.raw if self.raw is not None else b"" if self.status in {204, 304} else msgspec.json.encode(self.data)
        )
        headers = {} if self.status in {204, 304} else {"content-type": self.content_type}
        return web.Response(status=self.status, body=body, headers=headers | self.headers)


Scripted = Reply | Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A web server that answers as it is told and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._scripts: defaultdict[tuple[str, str], list[Scripted]] = defaultdict(list)
        self._runner: web.AppRunner | None = None
        #: Set at the end of a test: handlers that stall wait for it.
        self.released = asyncio.Event()
        self.url = ""

    async def open(self) -> None:
        """Listen."""
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Let stalled handlers go and stop listening."""
        self.released.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def on(self, method: str, path: str, *replies: Scripted) -> None:
        """Answer so, one reply after the other; the last one again and again."""
        self._scripts[method, path] = list(replies)

    def asked(self, method: str | None = None, path: str | None = None) -> list[Seen]:
        """The requests seen, perhaps of one kind only."""
        return [one for one in self.seen if method in {None, one.method} and path in {None, one.path}]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        self.seen.append(
            Seen(
                method=request.method,
                path=path,
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=_read(request, body) if body else None,
            )
        )
        script = self._scripts[request.method, path]
        if not script:
            return Reply(status=404, data={"message": "Not Found"}).response()
        reply = script.pop(0) if len(script) > 1 else script[0]
        return reply.response() if isinstance(reply, Reply) else await reply(request)


def _read(request: web.Request, body: bytes) -> Any:
    is_form = request.content_type == "application/x-www-form-urlencoded"
    return dict(parse_qsl(body.decode())) if is_form else msgspec.json.decode(body)


class Time:
    """A clock that moves only when a test says so."""

    def __init__(self) -> None:
        self.at = START
        self.seconds = 1000.0

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        """For the client."""
        return Clock(now=lambda: self.at, monotonic=lambda: self.seconds)


def granted(token: str = TOKEN, *, life_seconds: float = 3600, at: datetime = START, name: str = NAME) -> Reply:
    """GitHub's answer to a request for a token."""
    expires_at = (at + timedelta(seconds=life_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    repository = {"id": REPOSITORY_ID, "full_name": name}
    return Reply(
        status=201,
        data={"token": token, "expires_at": expires_at, "repositories": [repository]},
        headers={"date": http_date(at)},
    )


def http_date(at: datetime) -> str:
    """As in a `Date` header."""
    return at.strftime("%a, %d %b %Y %H:%M:%S GMT")


class Thing(msgspec.Struct):
    """What the server answers with."""

    id: int


def make_call(method: str = "GET", path: str = "/thing", **changes: object) -> Call:
    """A call with defaults."""
    body = None if method == "GET" else {"name": "ü", "n": 1}
    made = Call(method=method, path=path, credential=SECRET, account="installation 7", scope="7/1", body=body)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def private_key() -> str:
    """The App's private key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.fixture
def time() -> Time:
    """The client's clock."""
    return Time()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """The server that the client asks; it gives tokens."""
    scripted = Server()
    await scripted.open()
    scripted.on("POST", TOKEN_PATH, granted())
    yield scripted
    await scripted.close()


@pytest.fixture
async def foreign() -> AsyncIterator[Server]:
    """A server at another origin."""
    scripted = Server()
    await scripted.open()
    yield scripted
    await scripted.close()


@pytest.fixture
def patience() -> Patience:
    """Enough for this machine, and little pause between attempts."""
    return Patience(pause_seconds=0.001)


@pytest.fixture
async def client(server: Server, time: Time, patience: Patience, metrics: telemetry.Metrics) -> AsyncIterator[Client]:
    """The transport alone."""
    opened = Client(derive(server.url), metrics=metrics, clock=time.clock, patience=patience)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def github(
    server: Server, time: Time, patience: Patience, metrics: telemetry.Metrics, private_key: str
) -> AsyncIterator[GitHub]:
    """The whole client."""
    made = GitHub(
        api_url=server.url,
        app_id=APP_ID,
        private_key=private_key,
        metrics=metrics,
        clock=time.clock,
        patience=patience,
    )
    async with made as opened:
        yield opened


@pytest.fixture
def repository(github: GitHub) -> Repository:
    """The repository of most tests."""
    return github.repository(installation_id=INSTALLATION_ID, repository_id=REPOSITORY_ID, full_name=NAME)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as the service writes it: JSON lines."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    telemetry.configure_logs(level="debug", is_terminal=False)
    yield written
    structlog.reset_defaults()
    root.handlers[:] = before[0]
    root.setLevel(before[1])


@pytest.fixture
def self_signed(private_key: str, tmp_path: Path) -> ssl.SSLContext:
    """A TLS server's side with a certificate that nobody vouches for."""
    key = load_pem_private_key(private_key.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=today - timedelta(days=1),
        not_valid_after=today + timedelta(days=1),
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    path = tmp_path / "server.pem"
    path.write_bytes(private_key.encode() + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
