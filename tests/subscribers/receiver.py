"""A subscriber's own server: plain or with TLS, with answers that a test chooses."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: What the certificate is for, beside 127.0.0.1.
NAME = "hooks.example.org"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered."""

    port: int = 0
    status: int = 204
    #: Instead of the status.
    answer: Answer | None = None
    received: list[Received] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ids(self) -> list[str]:
        """The ids that came, in order."""
        return [one.headers["webhook-id"] for one in self.received]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(headers, await request.read()))
        self.came.set()
        return await self.answer(request) if self.answer is not None else web.Response(status=self.status)


@contextlib.asynccontextmanager
async def receiving(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A server on a free port of this machine's loopback."""
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield made
    finally:
        await runner.cleanup()


def certificates(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of `NAME` shows, and what a client trusts it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(NAME), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return server, ssl.create_default_context(cafile=str(folder / "cert.pem"))
