"""The live log loses nothing and repeats nothing, is bounded, and ends when the service does."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from pytest_aiohttp import AiohttpClient
from ulid import ULID

from bot.model import job
from bot.web import fanout, stream
from tests import factories
from tests.web.conftest import Client
from tests.web.house import House, build_house, close_house


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    data: Any
    #: The last id that was sent, as a browser remembers it.
    id: str | None


async def events(answer: ClientResponse) -> AsyncIterator[Event]:
    """What a browser would hand to the page."""
    assert answer.status == 200
    assert answer.content_type == "text/event-stream"
    kind, data, last_id = "message", "", None
    async for raw in answer.content:
        line = raw.decode().rstrip("\r\n")
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value
        elif name == "id":
            last_id = value
        elif not line and data:
            yield Event(kind, json.loads(data), last_id)
            kind, data = "message", ""


class Screen:
    """The rows as a page keeps them: a known number is replaced."""

    def __init__(self) -> None:
        self.rows: dict[int, str] = {}
        self.last_id = "0"

    def take(self, event: Event) -> None:
        self.last_id = event.id or self.last_id
        for position, row in enumerate(event.data):
            assert position == 0 or row["number"] not in self.rows, "only the first row of an event can be known"
            found = re.search(r'<span class="t">(.*)</span></div>$', row["html"])
            assert found is not None
            self.rows[row["number"]] = found.group(1)

    def lines(self) -> list[str]:
        assert list(self.rows) == list(range(1, len(self.rows) + 1))
        return list(self.rows.values())


async def until_done(client: Client, one: job.Job) -> tuple[Screen, list[Event]]:
    screen, others = Screen(), []
    async with client.get(f"/jobs/{one.id}/events") as answer:
        async for event in events(answer):
            if event.kind == "lines":
                screen.take(event)
            else:
                others.append(event)
            if event.kind == "done":
                break
    return screen, others


async def test_an_ended_job_is_sent_whole_and_then_done(house: House, client: Client) -> None:
    one = await house.add_job(log=b"one\n\x1b[31mtwo\x1b[0m\nthree", state=job.State.PASSED)
    screen, others = await until_done(client, one)
    assert screen.lines() == ["one", '<span class="f1">two</span>', "three"]
    assert [event.kind for event in others] == ["head", "done"]
    assert "Passed" in others[0].data["html"]


async def test_what_is_appended_arrives_and_an_unfinished_line_grows(house: House, client: Client) -> None:
    one = await house.add_job(log=b"first\n")
    screen = Screen()
    async with asyncio.timeout(20), client.get(f"/jobs/{one.id}/events") as answer:
        stream_of = events(answer)
        grow = [b"dots .", b"..", b". done\n", b"last\n"]
        async for event in stream_of:
            if event.kind == "lines":
                screen.take(event)
                if grow:
                    await house.append(one, grow.pop(0))
                elif screen.lines()[-1] == "last":
                    break
    assert screen.lines() == ["first", "dots .... done", "last"]


async def test_a_change_of_the_job_arrives_with_its_steps(house: House, client: Client) -> None:
    one = await house.add_job(log=b"a\nb\n")
    seen = []
    async with asyncio.timeout(20), client.get(f"/jobs/{one.id}/events") as answer:
        async for event in events(answer):
            if event.kind == "head":
                seen.append(event.data)
                if len(seen) == 1:
                    assert "Running" in event.data["html"]
                    steps = (
                        factories.make_step_result(log_start_bytes=2, log_end_bytes=4, state="failed", exit_code=9),
                    )
                    one = await house.save_job(one, state=job.State.FAILED, steps=steps, reason="exit status 9")
            if event.kind == "done":
                break
    assert seen[1]["steps"] == [{"line": 2, "name": "test"}]
    assert "failed with exit status 9" in seen[1]["html"]


@pytest.mark.parametrize("seed", range(6))
async def test_reconnects_at_any_moment_leave_no_gap_and_repeat_no_line(
    house: House, client: Client, seed: int
) -> None:
    dice = random.Random(seed)
    pieces = [bytes(dice.choice(b"ab\n\xc3\xa4<") for _ in range(dice.randint(1, 40))) for _ in range(60)]
    one = await house.add_job()
    screen = Screen()

    async def write() -> None:
        for piece in pieces:
            await house.append(one, piece)
            await asyncio.sleep(0)
        await house.save_job(one, state=job.State.PASSED)

    async def read() -> None:
        is_done = False
        while not is_done:
            headers = {"Last-Event-ID": screen.last_id}
            patience = dice.randint(1, 3)
            async with client.get(f"/jobs/{one.id}/events", headers=headers) as answer:
                async for event in events(answer):
                    if event.kind == "lines":
                        screen.take(event)
                    is_done = event.kind == "done"
                    patience -= 1
                    if is_done or patience == 0:
                        break

    async with asyncio.timeout(50):
        await asyncio.gather(write(), read())
    whole, _ = await until_done(client, one)
    assert screen.lines() == whole.lines()
    assert len(screen.lines()) == len(b"".join(pieces).removesuffix(b"\n").split(b"\n"))


async def test_the_browsers_memory_wins_over_the_address(house: House, client: Client) -> None:
    one = await house.add_job(log=b"a\nb\nc\n", state=job.State.PASSED)
    async with client.get(f"/jobs/{one.id}/events?from=2", headers={"Last-Event-ID": "4"}) as answer:
        first = await anext(aiter(events(answer)))
    assert [(row["number"]) for row in first.data] == [3]


async def test_an_offset_behind_the_end_is_the_end(house: House, client: Client) -> None:
    one = await house.add_job(log=b"a\n", state=job.State.PASSED)
    async with client.get(f"/jobs/{one.id}/events?from=999999") as answer:
        assert [event.kind async for event in events(answer)] == ["head", "done"]


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 40, "１"])
async def test_an_offset_that_is_none_is_refused(house: House, client: Client, given: str) -> None:
    one = await house.add_job()
    assert (await client.get(f"/jobs/{one.id}/events", params={"from": given})).status == 400


async def test_a_stream_of_no_job_is_404(client: Client) -> None:
    assert (await client.get(f"/jobs/{factories.new_id()}/events")).status == 404


async def test_t101_f60_streams_are_bounded_and_places_come_free(tmp_path: Path, aiohttp_client: AiohttpClient) -> None:
    house = await build_house(tmp_path, max_streams=2)
    client = await aiohttp_client(house.app)
    one = await house.add_job(log=b"x\n")
    path = f"/jobs/{one.id}/events"
    async with asyncio.timeout(20):
        async with client.get(path) as first, client.get(path) as second:
            for answer in (first, second):
                await anext(aiter(events(answer)))
            refused = await client.get(path)
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "10"
            assert len(house.streams) == 2
        # A reader that left gives its place back as soon as something is to be sent.
        while len(house.streams):
            await house.append(one, b"more\n")
            await asyncio.sleep(0)
        async with client.get(path) as again:
            assert again.status == 200
    await client.close()
    await close_house(house)


async def test_streams_end_with_the_service_at_once_and_without_saying_done(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LOOK_SECONDS", 3600)
    one = await house.add_job()
    kinds = []
    async with asyncio.timeout(20), client.get(f"/jobs/{one.id}/events") as answer:
        async for event in events(answer):
            kinds.append(event.kind)
            # Nothing is left to be sent: from here on the stream waits.
            house.streams.close()
    assert kinds == ["head"]
    assert (await client.get(f"/jobs/{one.id}/events")).status == 503


async def test_a_quiet_stream_is_kept_open_by_heartbeats(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.05)
    one = await house.add_job()
    async with asyncio.timeout(20), client.get(f"/jobs/{one.id}/events") as answer:
        async for raw in answer.content:
            if raw.startswith(b": ping"):
                break


async def test_t84_rows_and_head_are_escaped_by_the_server(house: House, client: Client) -> None:
    text = "<img src=x onerror=alert(1)>"
    one = await house.add_job(log=text.encode(), state=job.State.FAILED, reason=text)
    screen, others = await until_done(client, one)
    assert screen.lines() == ["&lt;img src=x onerror=alert(1)&gt;"]
    assert "<img" not in others[0].data["html"]


async def test_a_job_that_is_deleted_meanwhile_ends_the_stream(house: House, client: Client) -> None:
    one = await house.add_job(log=b"x\n")
    async with asyncio.timeout(20), client.get(f"/jobs/{one.id}/events") as answer:
        kinds = []
        async for event in events(answer):
            kinds.append(event.kind)
            if event.kind == "head":
                await house.store.write(lambda connection: connection.exec_driver_sql("DELETE FROM builds"))
    assert "done" not in kinds
    assert kinds[-1] == "gone"


async def test_f24_a_reader_of_a_log_that_is_deleted_gets_all_of_it_or_a_clear_end(
    tmp_path: Path, aiohttp_client: AiohttpClient
) -> None:
    house = await build_house(tmp_path, retention=timedelta(days=90))
    client = await aiohttp_client(house.app)
    data = b"".join(b"%07d %s\n" % (number, b"x" * 8000) for number in range(400))
    one = await house.add_job(log=data, state=job.State.PASSED, log_size_bytes=len(data))
    async with asyncio.timeout(50):
        async with client.get(f"/jobs/{one.id}/log") as copy, client.get(f"/jobs/{one.id}/events?from=0") as live:
            screen = Screen()
            found = b""
            async for event in events(live):
                if event.kind == "lines":
                    screen.take(event)
                    # Both have begun.
                    if not found:
                        found = await copy.content.readexactly(100)
                        await house.logs.delete(one.id)
                if event.kind == "done":
                    break
            found += await copy.read()
    assert len(screen.lines()) == 400
    assert found == data
    # The row is still there: the log alone is told to be gone.
    for path in (f"/jobs/{one.id}/log", f"/jobs/{one.id}/events"):
        assert (await client.get(path)).status == 410
    await house.store.write(lambda connection: connection.exec_driver_sql("DELETE FROM builds"))
    for path in (f"/jobs/{one.id}", f"/builds/{one.build_id}", f"/jobs/{one.id}/log", f"/jobs/{one.id}/events"):
        answer = await client.get(path)
        assert answer.status == 410
        assert "kept for 90 days" in await answer.text()
    young = str(ULID.from_datetime(house.now))
    assert (await client.get(f"/jobs/{young}")).status == 404
    await client.close()
    await close_house(house)


async def test_f60_what_all_followers_are_sent_is_read_and_made_once(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    plain = fanout._piece

    def counted(place: fanout.Place, data: bytes) -> fanout.Piece:
        pieces.append(len(data))
        return plain(place, data)

    monkeypatch.setattr(fanout, "_piece", counted)
    one = await house.add_job(log=b"first\n")
    followers = [asyncio.create_task(until_done(client, one)) for _ in range(40)]
    async with asyncio.timeout(20):
        while len(house.streams) < len(followers):
            await asyncio.sleep(0)
        for number in range(10):
            await house.append(one, b"line %d\n" % number)
            await asyncio.sleep(0.02)
        await house.save_job(one, state=job.State.PASSED)
        seen = await asyncio.gather(*followers)
    assert {tuple(screen.lines()) for screen, _ in seen} == {("first", *(f"line {number}" for number in range(10)))}
    # Not once for each of them: those who stand at one place share what comes next.
    assert len(pieces) <= 40


@pytest.mark.long
async def test_f60_a_reader_that_takes_nothing_is_cut_and_the_others_are_not(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "SEND_TIMEOUT_SECONDS", 0.2)
    text = b"".join(b"%07d %s\n" % (number, b"x" * 8000) for number in range(800))
    one = await house.add_job(log=text)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((client.host, client.port))
        lazy.sendall(f"GET /jobs/{one.id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        async with asyncio.timeout(30):
            follower = asyncio.create_task(until_done(client, one))
            while len(house.streams) < 2:
                await asyncio.sleep(0)
            while len(house.streams) > 1:
                await asyncio.sleep(0.01)
            assert not follower.done()
            await house.save_job(one, state=job.State.PASSED)
            screen, _ = await follower
    assert len(screen.lines()) == 800


def test_f60_there_are_as_many_places_as_files_may_be_opened_and_200_in_any_case() -> None:
    assert [stream.room(files) for files in (1_024, 4_096, 8_000, 1 << 20)] == [200, 200, 4_000, 10_000]
