"""Far more deliveries than can be handled at once: all are answered and kept, and nobody else has to wait for them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from bot.model import delivery
from bot.simulator import Repository, Simulator
from bot.store import Store, deliveries, inbox_list
from tests.acceptance import process, raw
from tests.acceptance.conftest import pipeline
from tests.databases import long_on_postgresql

CONNECTIONS = 64
PUSHES = 50
#: Deliveries of the noisy repository that each need an answer of GitHub which does not come.
HANGING = 200
MIB = 1024 * 1024
#: What the service may use beyond what it has when idle, however many deliveries come.
GROWTH_BYTES = 192 * MIB


@dataclass
class Burst:
    """Answers to many requests."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    took_seconds: float = 0.0

    @property
    def p99_ms(self) -> float:
        """99 of 100 answers came as fast."""
        return sorted(self.seconds)[len(self.seconds) * 99 // 100] * 1000


def signed(github: Simulator, event: str, payload: Mapping[str, object], guid: str) -> bytes:
    """A delivery as the bytes of its request."""
    body = json.dumps(payload).encode()
    return raw.request("/webhook", headers=github.hooks.headers(body, event=event, guid=guid), body=body)


def noise(github: Simulator, noisy: Repository, count: int) -> list[bytes]:
    """Deliveries of one repository: some of them wait for GitHub, most need nothing."""
    installation = github.installation_for(noisy)
    assert installation is not None
    common = {
        "repository": github.shapes.repository(noisy),
        "sender": github.shapes.user(github.user("mona")),
        "installation": {"id": installation.id},
    }
    made = []
    for number in range(count):
        if number < HANGING:
            payload = {"ref": f"v{number}", "ref_type": "tag", "pusher_type": "user", **common}
            made.append(signed(github, "create", payload, f"noise-{number}"))
        else:
            made.append(signed(github, "star", {"action": "created", "starred_at": None, **common}, f"noise-{number}"))
    return made


async def post_all(port: int, requests: Sequence[bytes]) -> Burst:
    """Send the requests over many connections, each the next as soon as its last one was answered."""
    burst, left = Burst(), iter(requests)

    async def send() -> None:
        async with raw.connected(port) as connection:
            for one in left:
                began = time.perf_counter()
                await connection.send(one)
                head = await connection.head()
                length = re.search(r"(?i)content-length: (\d+)", head)
                await connection.reader.readexactly(int(length[1]) if length else 0)
                burst.seconds.append(time.perf_counter() - began)
                burst.statuses.append(int(head.split(" ", 2)[1]))

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(send())
    burst.took_seconds = time.perf_counter() - began
    return burst


def memory_bytes(pid: int, what: str) -> int:
    """What the kernel says of a process: `VmRSS` now, `VmHWM` at most so far."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@pytest.fixture
async def loaded(
    github: Simulator, environment: Mapping[str, str], database_url: str, tmp_path: Path
) -> AsyncIterator[process.Process]:
    """A service on either database."""
    settings = {**environment, "BUILDHOOK_DATABASE_URL": database_url, "BUILDHOOK_LOG_LEVEL": "warning"}
    async with process.serving(settings, log=tmp_path / "service.log") as running:
        github.webhook_url = running.webhook_url
        yield running
        assert "Traceback" not in (tmp_path / "service.log").read_text()


async def stay_ready(service: process.Process) -> None:
    """Ask for ever whether the service is ready."""
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{service.url}/readyz") as answer:
                assert answer.status == 200, await answer.text()
            await asyncio.sleep(0.2)


@long_on_postgresql
@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_f55_f62_a_burst_is_answered_and_kept_while_others_are_built(
    github: Simulator, loaded: process.Process, database_url: str, count: int
) -> None:
    noisy = await github.create_repository("noisy/hello", files=pipeline("true"))
    quiet = await github.create_repository("octo/hello", files=pipeline("true"))
    await github.hooks.settle()
    idle_bytes = memory_bytes(loaded.process.pid, "VmRSS")
    github.faults.add(path=f"/repos/{noisy.full_name}/commits/", delay_seconds=20.0, times=None)
    requests = noise(github, noisy, count)
    ready = asyncio.create_task(stay_ready(loaded))
    store = await Store(database_url).open(upgrade=False)

    async def left() -> int:
        return (await store.read(deliveries.backlog)).rows

    try:
        burst_task = asyncio.create_task(post_all(loaded.port, requests))
        branches = [f"topic-{number}" for number in range(PUSHES)]
        began = time.perf_counter()
        await github.push_many(quiet, branches)
        heads = [quiet.heads[branch] for branch in branches]
        await asyncio.gather(
            *(github.wait_for_check(quiet, head, conclusion="success", timeout_seconds=300) for head in heads)
        )
        built_seconds = time.perf_counter() - began
        # The noisy one's deliveries wait in line still, and have not kept anybody waiting.
        assert await left() >= 32
        burst = await burst_task
        burst_ended = time.perf_counter()
        assert burst.statuses == [202] * count
        while await left() > HANGING:
            await asyncio.sleep(0.05)
        drained_seconds = time.perf_counter() - burst_ended + burst.took_seconds
        github.faults.clear()
        while await left() > 0:
            await asyncio.sleep(0.05)
        states = await store.read(deliveries.count_by_state)
        assert set(states) <= {delivery.State.HANDLED, delivery.State.IGNORED}
        kept = {one.id for one in await store.read(inbox_list.list_newest, limit=count * 2, repository=noisy.full_name)}
        assert {f"noise-{number}" for number in range(count)} <= kept
    finally:
        await store.close()
        assert not ready.done(), ready.exception()
        ready.cancel()
    peak_bytes = memory_bytes(loaded.process.pid, "VmHWM")
    assert peak_bytes - idle_bytes < GROWTH_BYTES
    print(  # noqa: T201
        f"{count} deliveries: {count / burst.took_seconds:.0f} answers/s, p99 {burst.p99_ms:.0f} ms; "
        f"{(count - HANGING) / drained_seconds:.0f} handled/s; {PUSHES} builds of another repository in "
        f"{built_seconds:.1f} s meanwhile; memory {idle_bytes / MIB:.0f} MiB idle, {peak_bytes / MIB:.0f} MiB at most"
    )


def large(github: Simulator, size_bytes: int, guid: str) -> bytes:
    """A delivery of this size that nobody handles."""
    payload = {"action": "created", "repository": {"id": 1, "full_name": "octo/large"}, "text": ""}
    payload["text"] = "x" * (size_bytes - len(json.dumps(payload)))
    return signed(github, "star", payload, guid)


async def answered(port: int, request: bytes) -> int:
    """The status that a request is answered with."""
    async with raw.connected(port) as connection:
        await connection.send(request)
        return int((await connection.head()).split(" ", 2)[1])


async def test_f59_a_small_delivery_is_answered_while_a_large_one_is_read(
    github: Simulator, service: process.Process
) -> None:
    order: list[str] = []

    async def send(name: str, request: bytes) -> None:
        assert await answered(service.port, request) == 202
        order.append(name)

    whole = large(github, 25 * MIB, "large")
    lags: list[float] = []

    async def probe() -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                began = time.perf_counter()
                async with session.get(f"{service.url}/livez") as answer:
                    assert answer.status == 200
                lags.append(time.perf_counter() - began)

    async with raw.connected(service.port) as connection:
        # All but its last byte is there, so that what follows comes while it is read, parsed and stored.
        await connection.send(whole[:-1])
        probing = asyncio.create_task(probe())
        await connection.send(whole[-1:])
        await send("small", large(github, 1024, "small"))
        assert (await connection.head()).startswith("HTTP/1.1 202")
        order.append("large")
        probing.cancel()
    assert order == ["small", "large"]
    lags.sort()
    print(f"longest wait for an answer beside a delivery of 25 MiB: {lags[-1] * 1000:.0f} ms")  # noqa: T201


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_f57_twenty_large_bodies_at_once_are_bounded_and_small_ones_are_answered(
    github: Simulator, service: process.Process
) -> None:
    bodies = [large(github, 25 * MIB, f"large-{number}") for number in range(20)]
    idle_bytes = memory_bytes(service.process.pid, "VmRSS")
    sending = [asyncio.create_task(answered(service.port, body)) for body in bodies]
    small = Burst()
    while not all(one.done() for one in sending):
        began = time.perf_counter()
        small.statuses.append(await answered(service.port, large(github, 1024, f"small-{len(small.statuses)}")))
        small.seconds.append(time.perf_counter() - began)
    statuses = [await one for one in sending]
    # What would not fit into memory is to be sent again later.
    assert set(statuses) <= {202, 503}
    assert 202 in statuses
    assert set(small.statuses) == {202}
    peak_bytes = memory_bytes(service.process.pid, "VmHWM")
    print(  # noqa: T201
        f"20 bodies of 25 MiB at once: {statuses.count(202)} taken, {statuses.count(503)} put off; small ones beside "
        f"them p99 {small.p99_ms:.0f} ms; memory {idle_bytes / MIB:.0f} MiB idle, {peak_bytes / MIB:.0f} MiB at most"
    )
    assert peak_bytes - idle_bytes < 1024 * MIB
    # The door is as wide as before.
    assert await answered(service.port, large(github, 25 * MIB, "afterwards")) == 202


@long_on_postgresql
async def test_f47_a_thousand_copies_at_once_have_one_effect(
    github: Simulator, loaded: process.Process, database_url: str
) -> None:
    repository = await github.create_repository("octo/hello", files=pipeline("true"))
    await github.hooks.settle()
    github.webhook_url = None
    head = await github.push(repository, "main", {"a.txt": "a"})
    (pushed,) = [one for one in github.deliveries if one.event == "push"]
    github.webhook_url = loaded.webhook_url
    copies = [
        raw.request(
            "/webhook",
            headers={**pushed.headers, "X-GitHub-Delivery": pushed.guid if number % 2 else f"copy-{number}"},
            body=pushed.body,
        )
        for number in range(1_000)
    ]
    burst = await post_all(loaded.port, copies)
    assert set(burst.statuses) == {202}
    run = await github.wait_for_check(repository, head, conclusion="success")
    store = await Store(database_url).open(upgrade=False)
    try:
        while (await store.read(deliveries.backlog)).rows:
            await asyncio.sleep(0.05)
        states = await store.read(deliveries.count_by_state)
    finally:
        await store.close()
    assert delivery.State.PARKED not in states
    assert sum(states.values()) >= 501
    assert len(await loaded.command("builds", "list")) == 1
    assert [one.id for one in github.check_runs(repository, head)] == [run.id]
