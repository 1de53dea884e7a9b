"""The disk below the service: full, broken, locked by somebody else, or not to be written at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest

from bot import errors
from bot.engines import contract
from bot.engines.local import stream
from bot.simulator import Simulator
from tests.acceptance import disk, failing_sync, process, raw
from tests.acceptance.conftest import pipeline

#: Long enough that a few of them need pages that the database does not have yet.
BODY = b'{"zen":"' + b"a" * 60_000 + b'"}'


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as opened:
        yield opened


@pytest.fixture
def data(environment: Mapping[str, str]) -> Path:
    """The service's data folder."""
    return Path(environment["BUILDHOOK_DATA_DIR"])


class Sender:
    """Sends signed deliveries that nothing follows from, and knows what was answered."""

    def __init__(self, github: Simulator, session: aiohttp.ClientSession) -> None:
        self._github = github
        self._session = session
        self.answers: dict[str, int] = {}

    async def send(self, service: process.Process) -> int:
        """Send one more, as patient as GitHub; gives the status."""
        guid = f"sent-{len(self.answers)}"
        headers = self._github.hooks.headers(BODY, event="star", guid=guid)
        async with self._session.post(service.webhook_url, data=BODY, headers=headers) as answer:
            self.answers[guid] = answer.status
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) > 0
            return answer.status

    async def until(self, status: int, service: process.Process) -> None:
        """Send until one is answered so; all are answered with 202 or 503."""
        while await self.send(service) != status:
            assert set(self.answers.values()) <= {202, 503}

    def taken(self) -> set[str]:
        """What was answered 202."""
        return {guid for guid, status in self.answers.items() if status == 202}


@pytest.fixture
def sender(github: Simulator, session: aiohttp.ClientSession) -> Sender:
    return Sender(github, session)


def stored(data: Path) -> set[str]:
    """What is in the inbox, of a database without a fault."""
    with contextlib.closing(sqlite3.connect(data / "buildhook.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {guid for (guid,) in database.execute("SELECT id FROM deliveries")}


def has_ended(jobs: Path) -> bool:
    """Whether the engine's only job is over, whoever knows it already."""
    for path in jobs.glob("*/stream"):
        with contextlib.suppress(errors.NotFound):
            return any(isinstance(event, contract.Finished) for event in stream.read(path, 0)[0])
    return True


@pytest.mark.timeout(120)
@pytest.mark.parametrize("is_running", [False, True], ids=["being-prepared", "running"])
async def test_f15_a_full_disk_is_answered_503_builds_end_and_it_recovers_by_itself(
    github: Simulator, environment: Mapping[str, str], data: Path, sender: Sender, tmp_path: Path, is_running: bool
) -> None:
    loud = "for i in $(seq 40); do head -c 3000 /dev/zero | tr '\\0' x; echo; sleep 0.05; done; echo ends"
    repository = await github.create_repository("octo/hello", files=pipeline(loud))
    with disk.small(data, options="size=24m"):
        async with process.serving(environment, log=tmp_path / "service.log") as service:
            github.webhook_url = service.webhook_url
            head = await github.push(repository, "main", {"a.txt": "a"})
            await github.wait_until(
                lambda: any(one.status == "in_progress" for one in github.check_runs(repository, head))
            )
            while is_running and not any(path.stat().st_size for path in data.glob("logs/*/*.log")):
                await asyncio.sleep(0.01)
            with disk.filled(data):
                await sender.until(503, service)
                while not has_ended(data / "engine" / "jobs"):
                    assert await sender.send(service) in {202, 503}
                    await asyncio.sleep(0.05)
            await sender.until(202, service)
            await github.wait_for_check(repository, head, timeout_seconds=30)
            (made,) = await service.command("builds", "list")
            (job,) = (await service.command("builds", "show", made["id"]))["jobs"]
            # What ran goes on without its output; what could not begin says why.
            says = ("No space left", "he disk is full")
            assert job["state"] == "passed" or (not is_running and any(word in job["reason"] for word in says)), job
            later = await github.push(repository, "main", {"b.txt": "b"})
            await github.wait_for_check(repository, later, conclusion="success", timeout_seconds=30)
            assert await service.stop() == 0
        assert sender.taken() <= stored(data)
    assert "Traceback" not in (tmp_path / "service.log").read_text()


@pytest.mark.skipif(platform.machine() not in failing_sync.CALLS, reason="the filter knows no such machine")
async def test_f16_a_sync_that_fails_ends_the_service_and_all_that_waits_is_answered_503(
    github: Simulator, environment: Mapping[str, str], data: Path, sender: Sender, tmp_path: Path
) -> None:
    log = tmp_path / "service.log"
    program = [failing_sync.__file__]
    async with contextlib.AsyncExitStack() as closing:
        service = await closing.enter_async_context(process.serving(environment, log=log, program=program))
        await sender.until(202, service)
        halves = []
        for number in range(20):
            half = await closing.enter_async_context(raw.connected(service.port))
            headers = github.hooks.headers(BODY, event="star", guid=f"half-{number}")
            whole = raw.request("/webhook", headers=headers, body=BODY)
            await half.send(whole[:-1])
            halves.append(half)
        os.kill(service.process.pid, signal.SIGUSR1)
        while failing_sync.SAYS not in log.read_text():
            await asyncio.sleep(0.01)
        for half in halves:
            await half.send(BODY[-1:])
        for half in halves:
            head = await half.head()
            assert " 503 " in head
            assert "Retry-After: " in head
        assert await service.end() == 1
    (line,) = (one for one in log.read_text().splitlines() if one.startswith("error:"))
    assert "disk I/O error" in line
    assert str(data / "buildhook.db") in line
    assert "Traceback" not in log.read_text()
    async with process.serving(environment, log=log) as service:
        await sender.until(202, service)
        assert await service.stop() == 0
    assert sender.taken() <= stored(data)


async def test_f17_a_database_that_somebody_else_locks_is_answered_503_in_time(
    service: process.Process, session: aiohttp.ClientSession, data: Path, sender: Sender
) -> None:
    with contextlib.closing(sqlite3.connect(data / "buildhook.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        async def readiness() -> str:
            async with session.get(f"{service.url}/readyz") as answer:
                assert answer.status == 503
                return await answer.text()

        # The second one comes while the first one's commit waits: it is told in time all the same.
        first = asyncio.create_task(sender.send(service))
        assert "[-]database no answer" in await readiness()
        assert list(await asyncio.gather(first, sender.send(service))) == [503, 503]
        other.execute("ROLLBACK")
    await sender.until(202, service)
    while True:
        async with session.get(f"{service.url}/readyz") as answer:
            if answer.status == 200:
                break
    assert await service.stop() == 0
    assert sender.taken() <= stored(data)


@contextlib.contextmanager
def a_file(data: Path) -> Iterator[Path]:
    data.write_text("no folder")
    yield data


@contextlib.contextmanager
def below_a_file(data: Path) -> Iterator[Path]:
    (data.parent / "file").write_text("no folder")
    yield data.parent / "file" / "data"


@contextlib.contextmanager
def a_long_name(data: Path) -> Iterator[Path]:
    yield data / ("n" * 300)


@contextlib.contextmanager
def a_folder_as_database(data: Path) -> Iterator[Path]:
    (data / "buildhook.db").mkdir(parents=True)
    yield data


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (a_file, "File exists"),
        (below_a_file, "Not a directory"),
        (a_long_name, "File name too long"),
        (a_folder_as_database, "unable to open database file"),
        (disk.read_only, "Read-only file system"),
        (lambda data: disk.small(data, options="size=4k"), "full"),
        (lambda data: disk.small(data, options="nr_inodes=3"), "unable to open database file"),
    ],
    ids=["file", "below-file", "long-name", "folder", "read-only", "no-space", "no-inodes"],
)
async def test_f23_a_data_folder_that_cannot_be_used_stops_the_start_with_one_line(
    github: Simulator,
    environment: Mapping[str, str],
    data: Path,
    made: Callable[[Path], contextlib.AbstractContextManager[Path]],
    says: str,
) -> None:
    with made(data) as folder:
        status, out, err = await process.run("serve", environment={**environment, "BUILDHOOK_DATA_DIR": str(folder)})
    assert status == 1
    assert out == ""
    (line,) = (one for one in err.splitlines() if one.startswith("error:"))
    assert says in line
    assert str(folder) in line
    assert "Traceback" not in err
