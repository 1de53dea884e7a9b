"""The service's life: it starts with GitHub away, stops without losing an answer, and outlives clients that go away."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import signal
import socket
import sqlite3
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot.simulator import Simulator
from tests.acceptance import process, raw
from tests.acceptance.conftest import pipeline

BODY = b'{"zen":"Keep it logically awesome."}'


def request(github: Simulator, guid: str) -> bytes:
    """A signed delivery of an event that nothing follows from, as its bytes."""
    return raw.request("/webhook", headers=github.hooks.headers(BODY, event="star", guid=guid), body=BODY)


def stored(environment: Mapping[str, str]) -> dict[str, str]:
    """The deliveries in the inbox and their states, read as nobody else does."""
    path = Path(environment["BUILDHOOK_DATA_DIR"]) / "buildhook.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(database.execute("SELECT id, state FROM deliveries").fetchall())


async def running_job(github: Simulator, service: process.Process, command: str) -> str:
    """Push, and wait until the build's only job runs; gives its id."""
    repository = await github.create_repository("octo/hello", files=pipeline(command))
    head = await github.push(repository, "main", {"a.txt": "a"})
    await github.wait_until(lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head)))
    (made,) = await service.command("builds", "list")
    (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
    return str(job["id"])


async def get(port: int, path: str) -> tuple[int, str]:
    """One request on a connection of its own; gives status and the whole answer."""
    async with raw.connected(port) as connection:
        await connection.send(raw.request(path, headers={"Connection": "close"}))
        answer = (await connection.rest()).decode()
        return int(answer.split()[1]), answer


async def until_draining(service: process.Process) -> None:
    """Wait until the service says that it is about to stop."""
    while "[-]draining" not in (await get(service.port, "/readyz"))[1]:
        pass


# Stopping.


async def test_f80_it_is_not_ready_first_then_accepts_nothing_and_answers_what_is_under_way(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        idle, slow = await raw.connect(service.port), await raw.connect(service.port)
        await idle.send(raw.request("/livez"))
        assert "200 OK" in await idle.head()
        whole = request(github, "slow")
        await slow.send(whole[:-5])
        service.process.terminate()
        await until_draining(service)
        assert (await get(service.port, "/livez"))[0] == 200
        async with raw.connected(service.port) as late:
            await late.send(request(github, "late"))
            head = await late.head()
            assert " 202 " in head
            assert "Connection: close" in head
            assert await late.rest()
        # An idle connection is closed at once, although a request is under way on another one.
        assert await idle.rest() == b"ok\n"
        with pytest.raises(ConnectionRefusedError):
            await raw.connect(service.port)
        await slow.send(whole[-5:])
        head = await slow.head()
        assert " 202 " in head
        assert "Connection: close" in head
        assert await service.end() == 0
        for one in (idle, slow):
            one.writer.close()
    assert set(stored(environment)) == {"late", "slow"}
    assert "Traceback" not in (tmp_path / "service.log").read_text()


async def test_f80_a_connection_that_has_just_been_made_may_send_its_request(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        async with raw.connected(service.port) as young:
            await young.send(b"P")
            service.process.terminate()
            await until_draining(service)
            await young.send(request(github, "young")[1:])
            assert " 202 " in await young.head()
        assert await service.end() == 0
    assert set(stored(environment)) == {"young"}


@pytest.mark.parametrize(
    "restarts", [pytest.param(5, marks=pytest.mark.timeout(180)), pytest.param(100, marks=pytest.mark.long)]
)
async def test_f80_rolling_restarts_under_load_lose_nothing(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path, restarts: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**environment, "BUILDHOOK_PORT": str(port)}
    answered: dict[str, int] = {}
    broken: Counter[str] = Counter()
    numbers = itertools.count()

    async def send(session: aiohttp.ClientSession) -> None:
        while True:
            guid = f"load-{next(numbers)}"
            headers = github.hooks.headers(BODY, event="star", guid=guid)
            try:
                async with session.post(f"http://127.0.0.1:{port}/webhook", data=BODY, headers=headers) as answer:
                    answered[guid] = answer.status
            except aiohttp.ClientError as error:
                broken[type(error).__name__] += 1
                await asyncio.sleep(0.01)

    async with (
        # As GitHub does it, and as a proxy does.
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as fresh,
        aiohttp.ClientSession() as kept,
    ):
        senders = [asyncio.create_task(send(session)) for session in (fresh, kept) for _ in range(4)]
        for _ in range(restarts):
            async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
                wanted = len(answered) + 100
                while len(answered) < wanted:
                    await asyncio.sleep(0.01)
                assert await service.stop() == 0
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
    statuses = Counter(answered.values())
    print(f"{restarts} restarts: answered {dict(statuses)}, not answered {dict(broken)}")  # noqa: T201
    assert set(statuses) <= {202, 503}
    assert {guid for guid, status in answered.items() if status == 202} <= set(stored(environment))
    assert "Traceback" not in (tmp_path / "service.log").read_text()


@pytest.mark.timeout(120)
async def test_f99_idle_connections_and_live_logs_do_not_hold_the_stop(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        github.webhook_url = service.webhook_url
        job = await running_job(github, service, "sleep 40")

        async def ask(path: str) -> tuple[raw.Connection, str]:
            connection = await raw.connect(service.port)
            await connection.send(raw.request(path))
            return connection, await connection.head()

        followers, heads = zip(*await asyncio.gather(*(ask(f"/jobs/{job}/events") for _ in range(400))), strict=True)
        idle, said = zip(*await asyncio.gather(*(ask("/livez") for _ in range(1000))), strict=True)
        assert all("200 OK" in head for head in said)
        assert await asyncio.gather(*(one.reader.readexactly(3) for one in idle)) == [b"ok\n"] * 1000
        assert all("200 OK" in head for head in heads)
        await asyncio.gather(*(one.reader.readuntil(b"event: head") for one in followers))
        assert await service.stop() == 0
        assert await asyncio.gather(*(one.rest() for one in idle)) == [b""] * 1000
        for rest in await asyncio.gather(*(one.rest() for one in followers)):
            # Ended as a whole answer ends, and not as a log ends.
            assert rest.endswith(b"0\r\n\r\n")
            assert b"event: done" not in rest
        for one in (*idle, *followers):
            one.writer.close()
    assert "Traceback" not in (tmp_path / "service.log").read_text()


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
async def test_f81_a_second_signal_ends_at_once_and_loses_nothing(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path, numbers: tuple[signal.Signals, signal.Signals]
) -> None:
    async with (
        process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service,
        raw.connected(service.port) as slow,
        raw.connected(service.port) as whole,
    ):
        await slow.send(request(github, "slow")[:-5])
        await whole.send(request(github, "whole"))
        assert " 202 " in await whole.head()
        service.process.send_signal(numbers[0])
        await until_draining(service)
        service.process.send_signal(numbers[1])
        # The body that is still awaited would hold it for seconds more.
        assert await service.end() == 1
        assert await slow.rest() == b""
    assert set(stored(environment)) == {"whole"}


async def test_f81_sigint_stops_as_sigterm_does_and_a_reload_on_the_way_changes_nothing(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        async with raw.connected(service.port) as slow:
            await slow.send(raw.request("/webhook", body=BODY)[:-5])
            service.process.send_signal(signal.SIGINT)
            await until_draining(service)
            service.process.send_signal(signal.SIGHUP)
        assert await service.end() == 0
    assert "Traceback" not in (tmp_path / "service.log").read_text()


async def test_an_answer_of_github_that_is_on_its_way_is_waited_for(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    slow = github.faults.add(method="POST", path="/check-runs$", delay_seconds=1.0)
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        while not slow.hits:
            await asyncio.sleep(0.01)
        assert await service.stop() == 0
        searches = [one for one in github.requests if one.method == "GET" and "check-runs" in one.path]
    async with process.serving(environment, log=tmp_path / "service.log"):
        await github.wait_for_check(repository, head, conclusion="success")
    # Its number was written down, so that nothing had to be searched for.
    assert [one for one in github.requests if one.method == "GET" and "check-runs" in one.path] == searches
    assert len(github.check_runs(repository, head)) == 1


# Starting.


@contextlib.asynccontextmanager
async def relayed(port: int, *, to: int) -> AsyncIterator[None]:
    """Whoever connects to `port` talks to the other one."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await raw.connect(to)
        await asyncio.gather(copy(reader, there.writer), copy(there.reader, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", port):
        yield


async def test_f88_it_starts_with_github_away_and_builds_when_github_is_back(
    github: Simulator, environment: Mapping[str, str], tmp_path: Path
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("echo ok"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    true_port = int(github.url.rpartition(":")[2])
    environment = {**environment, "BUILDHOOK_GITHUB_API_URL": github.api_url.replace(f":{true_port}", f":{port}")}
    async with process.serving(environment, log=tmp_path / "service.log", program=process.PROGRAM) as service:
        assert (await get(service.port, "/readyz"))[0] == 200
        github.webhook_url = service.webhook_url
        head = await github.push(repository, "main", {"a.txt": "a"})
        await github.hooks.settle()
        assert [one.status_code for one in github.deliveries if one.event == "push"] == [202]
        while not any(one["state"] == "retrying" for one in await service.command("deliveries", "list")):
            pass
        async with relayed(port, to=true_port):
            await github.wait_for_check(repository, head, conclusion="success", timeout_seconds=40)
            assert await service.stop() == 0
    assert len(github.check_runs(repository, head)) == 1
    assert "Traceback" not in (tmp_path / "service.log").read_text()


# Clients and their number.


async def test_f90_without_file_descriptors_it_refuses_and_recovers(
    github: Simulator, service: process.Process, tmp_path: Path
) -> None:
    pid = service.process.pid
    async with raw.connected(service.port) as kept:
        await kept.send(request(github, "before"))
        assert " 202 " in await kept.head()
        used = len(os.listdir(f"/proc/{pid}/fd"))
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 10, hard))
        crowd = []
        for number in range(100):
            with contextlib.suppress(ConnectionError):
                one = await raw.connect(service.port)
                crowd.append(one)
                await one.send(request(github, f"crowd-{number}"))
        # Who got in is answered; who did not is closed, or waits until there is room.
        await crowd[0].head()
        await kept.send(request(github, "meanwhile"))
        # The body of the first answer still stands before the head of the second.
        assert (await kept.head()).rpartition("HTTP/1.1 ")[2][:3] in {"202", "503"}
        for one in crowd:
            one.writer.transport.abort()
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                async with raw.connected(service.port) as again:
                    await again.send(request(github, "after"))
                    if " 202 " in await again.head():
                        break
            await asyncio.sleep(0.01)
    while "[+]" not in (await get(service.port, "/readyz?verbose"))[1]:
        pass
    assert service.process.returncode is None
    known = {one["id"] for one in await service.command("deliveries", "list", "--limit", "1000")}
    assert {"before", "after"} <= known


async def test_f100_a_client_that_goes_away_at_any_moment_leaves_all_or_nothing(
    github: Simulator, service: process.Process
) -> None:
    length = len(request(github, "cut-000-x"))
    cuts = [*range(1, length, 37), length - 1, *([length] * 40)]
    whole = set()
    for number, cut in enumerate(cuts):
        for way in ("f", "r"):
            guid = f"cut-{number:03d}-{way}"
            connection = await raw.connect(service.port)
            if way == "r":
                linger = struct.pack("ii", 1, 0)
                connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await connection.send(request(github, guid)[:cut])
            connection.writer.transport.abort()
            if cut == length:
                whole.add(guid)
    async with raw.connected(service.port) as healthy:
        await healthy.send(request(github, "healthy"))
        assert " 202 " in await healthy.head()
    while True:
        listed = await service.command("deliveries", "list", "--limit", "1000")
        if all(one["state"] == "ignored" for one in listed):
            break
    known = {one["id"] for one in listed}
    assert "healthy" in known
    assert known <= whole | {"healthy"}
    # A client that merely closes has sent everything; one that resets may take it back.
    assert {guid for guid in whole if guid.endswith("f")} <= known
