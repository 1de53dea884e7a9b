"""`buildhook builds watch`: a tree on a terminal, lines for everything else, here and at a service elsewhere."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from bot.app import running
from bot.cli import tree, watching
from bot.logs import LogStore
from bot.model import build, job
from bot.settings import Settings
from bot.shapes import built, changed
from bot.store import Store, builds, checks, jobs, outcomes, results
from tests import factories
from tests.acceptance import process, starter
from tests.cli import terminal
from tests.cli.conftest import HOSTILE

LATER = factories.NOW + timedelta(seconds=3)
STEPS = (factories.make_step(name="Install"), factories.make_step(name=HOSTILE))


@dataclass
class Watched:
    """A build of two jobs, and what becomes of it."""

    data_dir: Path
    store: Store
    made: build.Build
    jobs: list[job.Job]

    @property
    def environment(self) -> dict[str, str]:
        """For commands on its database."""
        return process.environment(self.data_dir)

    async def move(self, number: int, **changes: Any) -> None:
        """One of its jobs goes on."""
        self.jobs[number] = replace(self.jobs[number], **changes)
        await self.store.write(jobs.save, self.jobs[number])

    async def end(self, number: int, state: job.State, *, reason: str | None = None) -> None:
        """One of its jobs ends after its steps."""
        steps = tuple(
            factories.make_step_result(index=index, state=state, started_at=factories.NOW, finished_at=LATER)
            for index in range(len(STEPS))
        )
        await self.move(number, state=state, reason=reason, steps=steps, started_at=factories.NOW, finished_at=LATER)

    async def stand(self, state: build.State) -> None:
        """The build itself goes on."""
        await self.store.write(
            builds.save_state, self.made.id, state=state, started_at=factories.NOW, finished_at=LATER
        )


@pytest.fixture
async def watched(tmp_path: Path, empty_database: Path) -> AsyncIterator[Watched]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "buildhook.db").write_bytes(empty_database.read_bytes())
    store = await Store(f"sqlite:///{data / 'buildhook.db'}").open()
    plans = [factories.make_plan(key=name, name=name, steps=STEPS) for name in ("lint", "test")]
    # No engine of a service takes them up.
    new = factories.make_new_build(
        factories.make_build(title=HOSTILE, ref=f"refs/heads/{HOSTILE}", state=build.State.RUNNING),
        *(factories.make_job(plan=plan, state=job.State.WAITING, reason=HOSTILE) for plan in plans),
    )
    await store.write(outcomes.create, new, now=factories.NOW)
    found = await store.read(jobs.list_of_builds, [new.build.id])
    yield Watched(data, store, new.build, list(found))
    await store.close()


@asynccontextmanager
async def piped(
    *arguments: str, watched: Watched, **more: str
) -> AsyncIterator[tuple[asyncio.StreamReader, starter.Child]]:
    """Run one command into a pipe; its errors go there, too."""
    hearing, said = os.pipe()
    with open(os.devnull, "rb") as nothing, open(said, "wb") as out:
        fds = (nothing.fileno(), out.fileno(), out.fileno())
        child = starter.start(arguments, env={**watched.environment, **more}, cwd=Path.cwd(), fds=fds)
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    pipe = os.fdopen(hearing, "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    try:
        yield reader, child
    finally:
        child.kill()
        transport.close()


async def test_t86_a_terminal_shows_a_tree_that_is_drawn_in_place_and_stays_whole(watched: Watched) -> None:
    command = ("builds", "watch", watched.made.id, "--exit-status")
    async with terminal.running(*command, environment=watched.environment) as shown:
        await shown.until("test waiting")
        await watched.move(1, state=job.State.RUNNING, reason=None, started_at=factories.NOW)
        await shown.until("test running")
        await watched.end(1, job.State.FAILED, reason="exit status 1")
        await shown.until(f"buildhook logs {watched.jobs[1].id}")
        await watched.end(0, job.State.PASSED)
        await watched.stand(build.State.FAILED)
        assert await shown.end() == 3
    assert terminal.DRAWN.fullmatch(shown.text)
    # It was drawn over, and the cursor is there again.
    assert shown.text.count("\x1b[1A") > 0
    assert shown.text.count("\x1b[?25l") == shown.text.count("\x1b[?25h") == 1
    last = shown.text.rpartition("\x1b[2K")[2]
    rows = [line.split()[1:3] for line in terminal.SEQUENCE.sub("", last).splitlines()]
    assert ["lint", "passed"] in rows
    assert ["test", "failed"] in rows
    assert "✓ Install passed 3.0s" in terminal.SEQUENCE.sub("", last)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_watch_leaves_a_clean_terminal(watched: Watched, number: signal.Signals) -> None:
    async with terminal.running("builds", "watch", watched.made.id, environment=watched.environment) as shown:
        await shown.until("test waiting")
        shown.child.send_signal(number)
        assert await shown.end() == 130
    assert shown.text.rstrip().endswith("\x1b[?25h")
    assert "Traceback" not in shown.text
    assert "Aborted" not in shown.text
    assert terminal.DRAWN.fullmatch(shown.text)


async def test_a_pipe_gets_a_line_for_each_change(watched: Watched) -> None:
    async with piped("builds", "watch", watched.made.id, watched=watched) as (reader, child):
        first = [(await reader.readline()).decode() for _ in range(3)]
        assert first[0].startswith(f"Build {watched.made.id} of octo/hello running")
        assert [line.split()[:2] for line in first[1:]] == [["lint", "waiting:"], ["test", "waiting:"]]
        assert all("\x1b" not in line and "\u202e" not in line for line in first)
        await watched.move(1, state=job.State.RUNNING, reason=None, started_at=factories.NOW)
        assert await reader.readline() == b"test running\n"
        await watched.end(1, job.State.PASSED)
        lines = [(await reader.readline()).decode() for _ in range(3)]
        assert lines[0] == "test ▸ Install passed 3.0s\n"
        assert lines[2] == "test passed 3.0s\n"
        await watched.end(0, job.State.CANCELLED)
        await watched.stand(build.State.CANCELLED)
        rest = (await reader.read()).decode()
        assert rest.endswith(f"Build {watched.made.id} of octo/hello cancelled 3.0s\n")
        assert await child.wait() == 0


async def test_programs_get_a_line_of_json_for_each_change_and_a_status(watched: Watched) -> None:
    command = ("builds", "watch", watched.made.id, "--json", "--exit-status")
    async with piped(*command, watched=watched) as (reader, child):
        first = [json.loads(await reader.readline()) for _ in range(3)]
        assert [(one["job"], one["state"]) for one in first] == [
            (None, "running"),
            *((one.id, "waiting") for one in watched.jobs),
        ]
        assert first[1]["reason"] == HOSTILE
        for number in (0, 1):
            await watched.end(number, job.State.TIMED_OUT)
        await watched.stand(build.State.TIMED_OUT)
        rest = [json.loads(line) for line in (await reader.read()).splitlines()]
        assert [one["step_name"] for one in rest if one["step"] is not None] == ["Install", HOSTILE] * 2
        assert (rest[-1]["job"], rest[-1]["state"]) == (None, "timed_out")
        assert await child.wait() == 5


async def test_a_lost_connection_is_taken_up_again(watched: Watched) -> None:
    command = ("builds", "watch", watched.made.id, "--exit-status")
    async with running(Settings(data_dir=watched.data_dir, port=0)) as service:
        port = int(service.url.rpartition(":")[2])
        opened = piped(*command, watched=watched, BUILDHOOK_SERVER=service.url)
        reader, child = await opened.__aenter__()
        assert b"running" in await reader.readline()
        await reader.readline()
        await reader.readline()
    try:
        assert b"cannot be reached" in await reader.readline()
        for number in (0, 1):
            await watched.end(number, job.State.PASSED)
        await watched.stand(build.State.PASSED)
        async with running(Settings(data_dir=watched.data_dir, port=port)):
            rest = (await reader.read()).decode()
        assert rest.splitlines()[-1] == f"Build {watched.made.id} of octo/hello passed 3.0s"
        assert await child.wait() == 0
    finally:
        await opened.__aexit__(None, None, None)


@pytest.mark.long
async def test_a_log_that_is_followed_is_whole_after_a_lost_connection(watched: Watched) -> None:
    logs, one = LogStore(watched.data_dir / "logs"), watched.jobs[0]
    await logs.append(one.id, offset_bytes=0, data=b"first\n")
    async with running(Settings(data_dir=watched.data_dir, port=0)) as service:
        port = int(service.url.rpartition(":")[2])
        opened = piped("logs", one.id, "--follow", watched=watched, BUILDHOOK_SERVER=service.url)
        reader, child = await opened.__aenter__()
        assert await reader.readline() == b"first\n"
    try:
        assert b"Asking again." in await reader.readline()
        await logs.append(one.id, offset_bytes=6, data=b"second\n")
        await watched.end(0, job.State.PASSED)
        async with running(Settings(data_dir=watched.data_dir, port=port)):
            assert await reader.read() == b"second\n"
        assert await child.wait() == 0
    finally:
        await opened.__aexit__(None, None, None)
        await logs.close()


async def test_a_service_that_never_answered_is_not_waited_for(watched: Watched) -> None:
    status, _, err = await process.run(
        *("builds", "watch", watched.made.id, "--server", "http://127.0.0.1:1"), environment=watched.environment
    )
    assert (status, "cannot be reached" in err) == (1, True)
    status, _, err = await process.run("builds", "watch", "01JAAAAAAAAAAAAAAAAAAAAAAA", environment=watched.environment)
    assert (status, "There is no build" in err) == (1, True)


async def test_every_end_has_its_status() -> None:
    assert set(watching._STATUS) == build.FINAL


async def whole(watched: Watched) -> built.WholeBuild:
    """The build as programs see it."""
    its_jobs = await watched.store.read(jobs.list_of_builds, [watched.made.id])
    return built.of_whole(
        await watched.store.read(builds.get, watched.made.id),
        its_jobs=its_jobs,
        its_checks=await watched.store.read(checks.list_of_build, watched.made.id),
        made=await watched.store.read(results.list_totals, [one.id for one in its_jobs]),
    )


async def test_what_did_not_change_is_not_told(watched: Watched) -> None:
    before = await whole(watched)
    assert len(list(changed.between(None, before, at=LATER))) == 3
    assert list(changed.between(before, before, at=LATER)) == []
    await watched.end(1, job.State.PASSED)
    after = await whole(watched)
    told = list(changed.between(before, after, at=LATER))
    assert [(one.job, one.step) for one in told] == [
        (watched.jobs[1].id, 0),
        (watched.jobs[1].id, 1),
        (watched.jobs[1].id, None),
    ]
    other = changed_to(after, id="01JBBBBBBBBBBBBBBBBBBBBBBB")
    # A build that another one took the place of is told from its beginning.
    assert len(list(changed.between(after, other, at=LATER))) == 5


def changed_to(one: built.WholeBuild, **changes: Any) -> built.WholeBuild:
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    return built.WholeBuild(**{**fields, **changes})


@pytest.mark.parametrize("rows", [3, 5, 8, 12, 40, 200])
async def test_a_large_build_fits_the_window_and_hides_nothing_that_matters(watched: Watched, rows: int) -> None:
    found = await whole(watched)
    await watched.end(1, job.State.FAILED)
    failed = (await whole(watched)).jobs[1]
    many = changed_to(found, jobs=(*[found.jobs[0]] * 30, failed))
    drawn = tree.drawn(many, rows=rows)
    console = Console(width=60, file=io.StringIO())
    with console.capture() as capture:
        console.print(drawn)
    lines = capture.get().splitlines()
    assert len(lines) <= rows
    assert any(line.split()[1:3] == ["test", "failed"] for line in lines)
    assert any("30 waiting" in line for line in lines) == (rows < 32)
