"""The connections of a job to the outside, each judged, and bounded in number, memory and time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from concurrent.futures import ThreadPoolExecutor

from bot import addresses, egress

from . import heads

#: So many connections are served at once; others wait until one ends.
_MOST = 256
#: How long a head may take, from the connection on.
_HEAD_SECONDS = 30.0
_LOOKUP_SECONDS = 15.0
#: How long one address of a host is tried.
_CONNECT_SECONDS = 10.0
#: How long a connection may be without a byte either way; and how long once one side has said all.
_IDLE_SECONDS, _HALF_SECONDS = 600.0, 120.0
_PIECE_BYTES = 16 * 1024
#: So many refusals are told, each host and port once; a pipe holds them all.
_MOST_NOTES = 100
_MAX_TRAILER_BYTES = 16 * 1024
#: How long a client may take to see that it is refused.
_LINGER_SECONDS = 2.0

_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Refused(Exception):
    """The host is not to be connected to, or cannot be."""

    def __init__(self, status: int, text: str, *, is_told: bool = False) -> None:
        super().__init__(text)
        self.status = status
        #: Whether the job's log is to tell of it.
        self.is_told = is_told


class Proxy:
    """Serves what is connected to one listening socket."""

    def __init__(self, listening: socket.socket, *, hosts: egress.Hosts, notes: int) -> None:
        """:param notes: a pipe; each refusal is a line in it."""
        self._listening = listening
        self._hosts = hosts
        self._notes = notes
        self._told: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lookups = ThreadPoolExecutor(4, thread_name_prefix="lookup")

    async def serve(self) -> None:
        """Serve for ever."""
        loop = asyncio.get_running_loop()
        self._listening.setblocking(False)
        os.set_blocking(self._notes, False)
        slots = asyncio.Semaphore(_MOST)
        while True:
            await slots.acquire()
            try:
                accepted, _ = await loop.sock_accept(self._listening)
            except OSError:
                # No descriptor or no memory is left: those that are served give some back.
                slots.release()
                await asyncio.sleep(0.05)
                continue
            task = loop.create_task(self._attend(accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: slots.release())

    async def _attend(self, accepted: socket.socket) -> None:
        client = await _streams(accepted)
        try:
            await self._answer(client)
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError, heads.Malformed):
            # Whoever is at one of the ends has gone, lets us wait, or goes on in a way that is none.
            client[1].transport.abort()
        finally:
            client[1].close()

    async def _answer(self, client: _Ends) -> None:
        try:
            request = await _request(client[0])
            server = await self._connect(request)
        except Refused as error:
            if error.is_told:
                self._tell(str(error))
            await _say(client, heads.answer(error.status, str(error)))
            return
        try:
            await _exchange(request, client, server)
        finally:
            server[1].transport.abort()

    async def _connect(self, request: heads.Request) -> _Ends:
        """:raises Refused: if it may not be, or cannot be."""
        host = f"[{request.host}]" if ":" in request.host else request.host
        name = f"{host}:{request.port}"
        verdict = self._hosts.judge(request.host, request.port)
        if verdict.rule is None:
            raise Refused(403, f"{name} {verdict.why}", is_told=True)
        found = await self._look_up(request, name)
        allowed, why = [], ""
        for address in found:
            refused = addresses.why_refused(address, verdict.rule)
            if refused is None and _is_own(address):
                refused = "it is this machine's own"
            if refused is None:
                allowed.append(address)
            else:
                why = f"{name} has the address {address}, which no build is connected to: {refused}"
        if not allowed:
            raise Refused(403, why, is_told=True)
        for address in allowed:
            with contextlib.suppress(OSError, TimeoutError):
                return await _open(address, request.port)
        raise Refused(502, f"no connection to {name} comes about")

    async def _look_up(self, request: heads.Request, name: str) -> list[str]:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await asyncio.get_running_loop().run_in_executor(
                    self._lookups, _addresses, request.host, request.port
                )
        except TimeoutError:
            raise Refused(504, f"the name in {name} was not found in time") from None
        except (OSError, UnicodeError):
            raise Refused(502, f"the name in {name} cannot be resolved") from None
        except RuntimeError:
            raise Refused(503, "the job has no thread left to look a name up") from None
        if not found:
            raise Refused(502, f"the name in {name} cannot be resolved")
        return found

    def _tell(self, text: str) -> None:
        if len(self._told) == _MOST_NOTES - 1:
            text = "more of what is refused is not told"
        if text not in self._told and len(self._told) < _MOST_NOTES:
            self._told.add(text)
            with contextlib.suppress(OSError):
                os.write(self._notes, f"{text}\n".encode("ascii", "replace"))


async def _streams(made: socket.socket) -> _Ends:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=heads.MAX_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, made)
    transport.set_write_buffer_limits(high=_PIECE_BYTES)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _request(reader: asyncio.StreamReader) -> heads.Request:
    """:raises Refused: if it is none."""
    try:
        async with asyncio.timeout(_HEAD_SECONDS):
            return heads.parse(await reader.readuntil(b"\r\n\r\n"))
    except heads.Malformed as error:
        raise Refused(400, f"this is no request for the proxy of the egress list: {error}") from None
    except asyncio.LimitOverrunError:
        raise Refused(431, f"the head of a request has at most {heads.MAX_BYTES} bytes") from None
    except TimeoutError:
        raise Refused(408, "no request came") from None


async def _open(address: str, port: int) -> _Ends:
    """Connect to this address and no other: nothing is looked up here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            await asyncio.get_running_loop().sock_connect(made, (address, port))
        return await _streams(made)
    except BaseException:
        made.close()
        raise


def _addresses(host: str, port: int) -> list[str]:
    # As bytes, because Python would read a text as a name of any script.
    found = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _is_own(address: str) -> bool:
    """Whether an address is this machine's, by what the kernel would do: nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            # There is no way to it, so no connection comes about either.
            return False
        return bool(probe.getsockname()[0] == probe.getpeername()[0])


async def _say(client: _Ends, data: bytes) -> None:
    client[1].write(data)
    client[1].write_eof()
    # What was sent and not read would take the answer away again.
    async with asyncio.timeout(_LINGER_SECONDS):
        while await client[0].read(_PIECE_BYTES):
            continue


class _Idle:
    """Ends what is within its timeout once no byte has come for too long."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self._seconds = _IDLE_SECONDS

    def heard(self) -> None:
        """A byte came."""
        self._timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def hurry(self) -> None:
        """One side has said all."""
        self._seconds = _HALF_SECONDS
        self.heard()


async def _exchange(request: heads.Request, client: _Ends, server: _Ends) -> None:
    """Pass on what both say: until both have said all, or, of one request, until its answer is there."""
    async with asyncio.timeout(_IDLE_SECONDS) as timeout:
        idle = _Idle(timeout)
        if request.is_tunnel:
            client[1].write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            sending = asyncio.create_task(_pump(client[0], server[1], idle))
        else:
            server[1].write(request.head)
            sending = asyncio.create_task(_send_body(request, client[0], server[1], idle))
        answering = asyncio.create_task(_pump(server[0], client[1], idle))
        try:
            if request.is_tunnel:
                await asyncio.gather(sending, answering)
                return
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            await answering
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: _Idle) -> None:
    while data := await reader.read(_PIECE_BYTES):
        idle.heard()
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    idle.hurry()


async def _send_body(
    request: heads.Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: _Idle
) -> None:
    """Pass the body on, and nothing behind it: a second request would be judged by nobody."""
    if request.length is None:
        while size := heads.chunk_size(await reader.readuntil(b"\r\n")):
            writer.write(b"%x\r\n" % size)
            await _send_exactly(size, reader, writer, idle)
            if await reader.readexactly(2) != b"\r\n":
                raise heads.Malformed("its body has a chunk of another size")
            writer.write(b"\r\n")
        left = _MAX_TRAILER_BYTES
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            left -= len(line)
            if left < 0:
                raise heads.Malformed("its trailer is too long")
        writer.write(b"0\r\n\r\n")
    else:
        await _send_exactly(request.length, reader, writer, idle)
    await writer.drain()
    if not await reader.read(1):
        idle.hurry()


async def _send_exactly(left: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle: _Idle) -> None:
    while left:
        data = await reader.read(min(left, _PIECE_BYTES))
        if not data:
            raise EOFError
        left -= len(data)
        idle.heard()
        writer.write(data)
        await writer.drain()
