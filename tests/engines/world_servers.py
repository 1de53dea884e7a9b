"""The servers of one host of a `world`: one that says where it was reached, HTTP, TLS with a repository, a resolver.

`python -m tests.engines.world_servers FOLDER`: says `made`, waits for a line, listens, says `ready`. What asks them is
written down in the folder. TLS is served where the folder holds a certificate, with the files of its folder `www`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import sys
from pathlib import Path
from typing import cast

from tests.engines import world

_A, _AAAA = 1, 28


class Resolver(asyncio.DatagramProtocol):
    """Answers for `world.NAMES`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked: dict[str, int] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += data[at] + 1
        kind = int.from_bytes(data[at + 1 : at + 3])
        name = ".".join(labels).lower()
        found = [ipaddress.ip_address(one) for one in self._answers(name, kind)]
        wanted = [one.packed for one in found if one.version == (6 if kind == _AAAA else 4)]
        code = 0 if name in world.NAMES else 3
        head = data[:2] + bytes((0x84, code)) + data[4:6] + len(wanted).to_bytes(2) + bytes(4)
        records = b"".join(
            b"\xc0\x0c" + kind.to_bytes(2) + b"\x00\x01\x00\x00\x00\x00" + len(one).to_bytes(2) + one for one in wanted
        )
        self._transport.sendto(head + data[12 : at + 5] + records, addr)

    def _answers(self, name: str, kind: int) -> tuple[str, ...]:
        told = world.NAMES.get(name, ((),))
        if kind != _A:
            return told[0] if len(told) == 1 else ()
        turn = self._asked[name] = self._asked.get(name, 0) + 1
        found = told[min(turn, len(told)) - 1]
        with (self._folder / "lookups").open("a") as file:
            file.write(f"{name} {','.join(found)}\n")
        return found


async def _say_where(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    address = ipaddress.ip_address(writer.get_extra_info("sockname")[0].partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    writer.write(f"reached {mapped or address}\n".encode())
    await _end(reader, writer)


async def _end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """All that is still said; ours is over."""
    try:
        if writer.can_write_eof():
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 5)
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.close()


class Http:
    """Answers each request with its bytes as they came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, and whatever comes behind it."""
        seen = b""
        try:
            seen = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in seen.split(b"\r\n")[1:-2])
            if b"chunked" in fields.get(b"transfer-encoding", b""):
                seen += await reader.readuntil(b"0\r\n\r\n")
            seen += await reader.readexactly(int(fields.get(b"content-length", b"0")))
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(seen), seen))
            seen += await _end(reader, writer)
        except (EOFError, OSError) as error:
            seen += getattr(error, "partial", b"")
            writer.close()
        with (self._folder / "requests").open("a") as file:
            file.write(f"{seen!r}\n")


def _files(root: Path) -> object:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode().partition("?")[0].lstrip("/")
        file = root / path
        data = file.read_bytes() if file.is_file() else b""
        status = b"200 OK" if file.is_file() else b"404 Not Found"
        writer.write(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data))
        await _end(reader, writer)

    return serve


async def _main() -> None:
    folder = Path(sys.argv[1])
    loop = asyncio.get_running_loop()
    print("made", flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.readline)
    everywhere = socket.create_server(("::", world.PORT), family=socket.AF_INET6, dualstack_ipv6=True)
    await asyncio.start_server(_say_where, sock=everywhere)
    if folder.name != "here":
        await loop.create_datagram_endpoint(lambda: Resolver(folder), local_addr=("192.0.2.2", 53))
        await asyncio.start_server(Http(folder).serve, "0.0.0.0", 80)
        if (folder / "cert.pem").exists():
            tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            await asyncio.start_server(_files(folder / "www"), "0.0.0.0", 443, ssl=tls)  # type: ignore[arg-type]
    print("ready", flush=True)  # noqa: T201
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
