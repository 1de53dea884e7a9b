"""Strangers at the door: they can fill neither memory nor log nor metrics, and genuine deliveries get through."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.store import deliveries
from bot.webhooks import doorway
from tests import recorded
from tests.webhooks.service import KNOWN_EVENTS, Open, Service

MIB = 1024 * 1024
PING = recorded.load("ping")
#: Every answer that the door may give.
CLOSED_SET = {202, 400, 401, 403, 413, 415, 503}


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


@contextlib.asynccontextmanager
async def _watched_memory() -> AsyncIterator[Callable[[], int]]:
    """Gives a function that tells by how much memory has grown at most since the start."""
    start = peak = _resident_bytes()

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, _resident_bytes())
            await asyncio.sleep(0.002)

    task = asyncio.create_task(watch())
    try:
        yield lambda: max(peak, _resident_bytes()) - start
    finally:
        task.cancel()


class Attacker:
    """A connection that sends a body of its own making and listens for the answer meanwhile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))

    @classmethod
    async def begin(cls, port: int, *lines: str) -> Attacker:
        """Connect and send a request's head: one that looks like GitHub's, with these lines added."""
        attacker = cls(*await asyncio.open_connection("127.0.0.1", port))
        given = [f"{name}: {value}" for name, value in PING.headers.items()]
        head = "\r\n".join(["POST /webhook HTTP/1.1", "Host: localhost", *given, *lines])
        attacker._writer.write(head.encode() + b"\r\n\r\n")
        return attacker

    async def send(self, piece: bytes, *, times: int) -> None:
        """Send a piece again and again, until it is answered."""
        for _ in range(times):
            if self._answer.done():
                return
            with contextlib.suppress(ConnectionError):
                self._writer.write(piece)
                await self._writer.drain()

    async def status(self) -> int:
        """The status of the answer."""
        return int((await self._answer).split(b" ", 2)[1])

    def leave(self) -> None:
        """Cut the connection."""
        self._answer.cancel()
        self._writer.transport.abort()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def _genuine(service: Service, name: str, count: int) -> None:
    """GitHub's own deliveries are taken, and soon."""
    for number in range(count):
        async with asyncio.timeout(10):
            answer = await service.post(recorded.resigned(recorded.load("push"), guid=f"{name}-{number}"))
        assert answer.status == 202


async def test_t3_a_declared_length_beyond_the_limit_is_refused_before_its_body(service: Service) -> None:
    attacker = await Attacker.begin(service.port, f"Content-Length: {4 * 1024 * MIB}")
    assert await attacker.status() == 413
    attacker.leave()


async def test_t3_endless_bodies_from_fifty_senders_fit_into_the_budget(open_service: Open) -> None:
    budget = 64 * MIB
    service = await open_service(door={"bodies": doorway.Bodies(max_bytes_in_flight=budget)})
    piece = _chunk(bytes(MIB // 4))

    async def attack() -> int:
        attacker = await Attacker.begin(service.port, "Transfer-Encoding: chunked")
        await attacker.send(piece, times=4096)
        status = await attacker.status()
        attacker.leave()
        return status

    async with _watched_memory() as grown:
        attacks = asyncio.gather(*(attack() for _ in range(50)))
        await _genuine(service, "while", 20)
        assert set(await attacks) <= {413, 503}
        # What the sockets and the framework buffer for each connection comes on top.
        assert grown() < budget + 64 * MIB
    await _genuine(service, "after", 5)
    assert await service.rows() == 25


async def test_t3_a_few_large_bodies_that_stall_do_not_shut_the_door(open_service: Open) -> None:
    service = await open_service(door={"bodies": doorway.Bodies(max_bytes_in_flight=8 * MIB)})
    stalled = [await Attacker.begin(service.port, f"Content-Length: {25 * MIB}") for _ in range(2)]
    # Together they hold just what large bodies may hold.
    await asyncio.gather(*(one.send(bytes(MIB // 4), times=12) for one in stalled))
    for _ in range(1000):
        # Each turn of the loop reads some of it.
        await asyncio.sleep(0)
    large = recorded.resigned(PING, body=b'{"zen":"' + b"x" * (MIB // 2) + b'"}')
    assert (await service.post(large)).status == 503
    await _genuine(service, "small", 10)
    for one in stalled:
        one.leave()
    async with asyncio.timeout(10):
        while (await service.post(large)).status != 202:
            await asyncio.sleep(0.01)


async def test_t3_what_was_read_is_given_back_however_it_ended(open_service: Open) -> None:
    service = await open_service(door={"bodies": doorway.Bodies(max_bytes_in_flight=2 * MIB)})
    large = b'{"zen":"' + b"x" * MIB + b'"}'
    for number in range(8):
        good = recorded.resigned(PING, body=large, guid=f"good-{number}")
        assert (await service.post(good)).status == 202
        assert (await service.post(good, headers=PING.headers)).status == 401
        assert (await service.post(recorded.resigned(PING, body=large[:-1]))).status == 400
        gone = await Attacker.begin(service.port, f"Content-Length: {MIB}")
        await gone.send(bytes(MIB // 2), times=1)
        gone.leave()
    assert await service.rows() == 8


def _bomb(*, size_bytes: int, wbits: int) -> list[bytes]:
    """Compressed zeros: the same flushed block again and again is one valid stream."""
    block_bytes = 64 * MIB
    squeezed = zlib.compressobj(9, zlib.DEFLATED, wbits)
    first = squeezed.compress(bytes(block_bytes)) + squeezed.flush(zlib.Z_FULL_FLUSH)
    again = squeezed.compress(bytes(block_bytes)) + squeezed.flush(zlib.Z_FULL_FLUSH)
    return [first] + [again] * (size_bytes // block_bytes - 1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity", "gzip, gzip", "x"])
async def test_t4_a_compressed_body_is_refused_and_never_unpacked(service: Service, encoding: str) -> None:
    pieces = _bomb(size_bytes=10 * 1024 * MIB, wbits=31 if "gzip" in encoding else 15)
    size_bytes = sum(map(len, pieces))
    async with _watched_memory() as grown:
        attacker = await Attacker.begin(service.port, f"Content-Encoding: {encoding}", f"Content-Length: {size_bytes}")
        for piece in pieces:
            await attacker.send(piece, times=1)
        assert await attacker.status() == 415
        await _genuine(service, encoding.replace(", ", "-"), 1)
        attacker.leave()
        assert grown() < 32 * MIB
    assert await service.rows() == 1


FORGED = 'x\n{"action":"forged","event":"forged line","level":"info"}\r\n\x1b[2K\u2028'


async def test_t19_no_name_makes_a_log_line(service: Service, log: io.StringIO) -> None:
    hostile = recorded.resigned(
        recorded.load("push"),
        changes={
            "ref": f"refs/heads/{FORGED}",
            "repository.full_name": FORGED,
            "sender.login": FORGED,
            "action": FORGED,
        },
    )
    assert (await service.post(hostile)).status == 202
    assert (await service.post(recorded.resigned(hostile, changes={"after": FORGED}))).result == "conflict"
    assert (await service.post(hostile, headers={**hostile.headers, "X-GitHub-Event": "%0aforged"})).status == 400
    assert (await service.post(hostile, headers={**hostile.headers, "X-GitHub-Delivery": "forged line"})).status == 400
    assert (await service.post(hostile, headers={**hostile.headers, "Content-Type": "forged/line"})).status == 415
    written = log.getvalue()
    lines = [json.loads(line) for line in written.splitlines()]
    assert sorted(line["action"] for line in lines) == ["delivery_conflict", "refuse_delivery", "refuse_delivery"]
    assert "forged" not in written
    assert "\x1b" not in written


async def test_t20_names_make_no_time_series(service: Service) -> None:
    def delivery(number: int) -> recorded.Recorded:
        name = f"name-{number}"
        one = recorded.resigned(
            PING,
            guid=f"g-{number}",
            body=json.dumps(
                {
                    "action": name,
                    "ref": f"refs/heads/{name}",
                    "repository": {"id": number + 1, "full_name": f"octo/{name}"},
                    "sender": {"login": name},
                }
            ).encode(),
        )
        return recorded.Recorded(
            event=name, action=name, body=one.body, headers={**one.headers, "X-GitHub-Event": f"event_{number}"}
        )

    await service.post(PING)
    await service.post(delivery(0))
    before = service.series()
    for start in range(1, 3001, 250):
        answers = await asyncio.gather(*(service.post(delivery(number)) for number in range(start, start + 250)))
        assert {one.status for one in answers} == {202}
    assert service.series() == before
    labels = [sample.labels for family in service.metrics.registry.collect() for sample in family.samples]
    assert {one["event"] for one in labels if "event" in one} <= KNOWN_EVENTS | {"other"}
    assert {one["outcome"] for one in labels if "outcome" in one} <= set(deliveries.Put)
    assert {one["secret"] for one in labels if "secret" in one} <= {"current", "previous"}


async def test_t124_a_storm_of_hostile_requests_writes_little_and_no_stack_trace(
    service: Service, log: io.StringIO
) -> None:
    kinds: list[dict[str, str]] = [
        {"X-Hub-Signature-256": "sha256=é"},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": recorded.sign(PING.body, b"octo")},
        {"X-GitHub-Event": "?"},
        {"X-GitHub-Delivery": "é" * 100},
        {"X-GitHub-Hook-ID": "9" * 400},
        {"X-GitHub-Hook-Installation-Target-ID": "-1"},
        {"Content-Type": "application/json; charset=nope"},
        {"Content-Type": "\t"},
        {"Content-Encoding": "gzip"},
        {"X-Forwarded-For": "' OR 1=1"},
    ]
    count = 3000
    statuses: set[int] = set()
    for start in range(0, count, 100):
        batch = (
            service.post(PING, headers={**PING.headers, **kinds[n % len(kinds)]}) for n in range(start, start + 100)
        )
        statuses |= {one.status for one in await asyncio.gather(*batch)}
    assert statuses == {202, 400, 401, 403, 415} <= CLOSED_SET
    written = log.getvalue()
    # 10 MB for a million.
    assert len(written) < 10 * count
    assert "Traceback" not in written
    lines = [json.loads(line) for line in written.splitlines()]
    assert {line["action"] for line in lines} == {"refuse_delivery"}
    assert await service.rows() == 1


async def test_t124_the_log_says_how_many_were_refused(
    service: Service, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "LOG_INTERVAL_SECONDS", 0.1)
    sent = 0
    async with asyncio.timeout(10):
        while log.getvalue().count("\n") < 2:
            await service.post(PING, headers={**PING.headers, "X-Hub-Signature-256": "sha256="})
            sent += 1
    first, second = (json.loads(line)["count"] for line in log.getvalue().splitlines())
    assert (first, first + second) == (1, sent)
