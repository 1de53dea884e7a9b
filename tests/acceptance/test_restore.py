"""A service that was restored from a backup posts nothing old, repeats nothing, and then goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from bot import clock, identity
from bot.builds import commands
from bot.model import build, delivery
from bot.simulator import Simulator
from bot.store import Store, builds, inbox_list
from tests import factories, postgresql
from tests.acceptance import process
from tests.acceptance.conftest import pipeline
from tests.databases import long_on_postgresql

Runs = dict[int, tuple[str, str | None, str, str | None]]


@contextlib.contextmanager
def database(kind: str, data_dir: Path) -> Iterator[str]:
    """A new database without tables; gives its URL."""
    if kind == "sqlite":
        yield f"sqlite:///{data_dir / 'buildhook.db'}"
        return
    with postgresql.empty(is_migrated=False) as url:
        yield url


def runs(github: Simulator) -> Runs:
    """All check runs, as GitHub shows them."""
    found = [run for name in ("octo/hello", "octo/silent") for run in github.check_runs(name)]
    return {run.id: (run.status, run.conclusion, run.external_id, run.title) for run in found}


async def get(service: process.Process, path: str) -> str:
    async with aiohttp.ClientSession() as client, client.get(f"{service.url}{path}") as answer:
        return await answer.text()


@contextlib.asynccontextmanager
async def beside(url: str) -> AsyncIterator[Store]:
    """The database of a service, as another process sees it."""
    store = await Store(url).open(upgrade=False)
    try:
        yield store
    finally:
        await store.close()


async def pushes(store: Store) -> list[delivery.Delivery]:
    """All pushes, newest first."""
    return await store.read(inbox_list.list_newest, limit=99, event="push")


async def made(store: Store, *states: build.State) -> dict[str, build.Build]:
    """The newest build of each commit."""
    found = await store.read(builds.list_newest, limit=99, states=states)
    return {one.head_sha: one for one in reversed(found)}


async def cancel(store: Store, build_id: str) -> None:
    """What a person does on its page."""
    await store.write(commands.cancel, build_id, now=clock.now(), reason="Somebody cancelled it.", by=factories.ACTOR)


@pytest.mark.timeout(180)
@long_on_postgresql
async def test_f21_t118_a_restored_service_posts_nothing_old_and_nothing_twice_and_builds_what_is_new(
    github: Simulator, tmp_path: Path, database_kind: str
) -> None:
    before, after, file = tmp_path / "before", tmp_path / "after", tmp_path / "backup.tar"
    settings = {
        "github_api_url": github.api_url,
        "app_id": github.app_id,
        "private_key": github.private_key,
        "webhook_secret": github.webhook_secret,
        # More than are held by the jobs that stay.
        "max_jobs": 8,
    }
    with database(database_kind, before) as first_url, database(database_kind, after) as second_url:
        first = process.environment(before, database_url=first_url, **settings)
        second = process.environment(after, database_url=second_url, **settings)
        hello = await github.create_repository("octo/hello", files=pipeline("sh ./test.sh"))
        silent = await github.create_repository("octo/silent", files=pipeline("true"))
        async with process.serving(first, log=tmp_path / "first.log") as service, beside(first_url) as store:
            github.webhook_url = service.webhook_url

            async def push(branch: str, command: str) -> str:
                return await github.push(hello, branch, {"test.sh": f"{command}\n", branch: branch})

            done = await push("done", "true")
            await github.wait_for_check(hello, done, conclusion="success")
            # Of these two the backup thinks that they run.
            cancelled, repeated = [await push(branch, "sleep 600") for branch in ("cancelled", "repeated")]
            for head in (cancelled, repeated):
                await github.wait_until(partial(is_running, github, head))
            # What is said together would go another way.
            github.has_graphql = False
            # Of these, that GitHub has to be told: of one it will be told after the backup, of two never.
            unwritable = github.faults.add(method="POST", path="/octo/hello/check-runs$", status=502, times=None)
            github.faults.add(method="POST", path="/octo/silent/check-runs$", status=502, times=None)
            told_later = await push("told-later", "true")
            never_told = await github.push(silent, "never-told", {"d": "d"})
            of_default_branch = await github.push(silent, "main", {"e": "e"})
            untold = {told_later, never_told, of_default_branch}
            while not untold <= (await made(store, build.State.PASSED)).keys():
                pass
            # And of this one, that it was not even looked at.
            unreadable = github.faults.add(path="/contents/", status=502, times=None)
            unhandled = await push("unhandled", "true")
            while delivery.State.RETRYING not in {one.state for one in await pushes(store)}:
                pass

            await service.command("backup", str(file))

            unreadable.times = unwritable.times = 0
            # What the inbox will not know, and GitHub be asked for: all that it lists and we lack.
            sent = pushed(github)
            lost = [await push(branch, "true") for branch in ("lost", "main")]
            for head in (unhandled, told_later, *lost):
                await github.wait_for_check(hello, head, conclusion="success", timeout_seconds=60)
            lost_ids = pushed(github) - sent
            ids = {head: one.id for head, one in (await made(store)).items()}
            for head in (cancelled, repeated):
                await cancel(store, ids[head])
                await github.wait_for_check(hello, head, conclusion="cancelled")
            # A newer generation, which the backup does not know.
            again = await store.write(
                commands.retry, ids[repeated], now=clock.now(), new_id=identity.Ids(), by=factories.ACTOR
            )
            await github.wait_until(partial(is_running, github, repeated))
            await cancel(store, again.id)
            await github.wait_until(lambda: not is_running(github, repeated))
            await service.kill()
        github.faults.clear()
        shown = runs(github)
        assert len(shown) == 8

        status, _, err = await process.run("restore", str(file), environment=second)
        assert status == 0, err
        # As long as GitHub cannot be asked the work stands still, whatever happens to the process.
        unasked = github.faults.add(path="/commits/[0-9a-f]+/check-runs", status=502, times=None)
        new: list[str] = []
        for number in (1, 2):
            async with process.serving(second, log=tmp_path / "second.log") as service, beside(second_url) as store:
                github.webhook_url = service.webhook_url
                assert "paused: restored from the backup of" in await get(service, "/readyz")
                new.append(await push("new", f"true {number}"))
                await github.hooks.settle()
                while not unasked.hits:
                    await asyncio.sleep(0)
                assert (await pushes(store))[0].state == delivery.State.RECEIVED
                assert not {*new} & (await made(store)).keys()
                assert runs(github) == shown
                await service.kill()
                unasked.hits = 0
        unasked.times = 0
        async with process.serving(second, log=tmp_path / "second.log") as service, beside(second_url) as store:
            github.webhook_url = service.webhook_url
            for head in new:
                await github.wait_for_check(hello, head, conclusion="success", timeout_seconds=60)
            await github.wait_for_check(silent, of_default_branch, conclusion="success", timeout_seconds=60)
            while not lost_ids <= {one.id for one in await pushes(store) if one.state == delivery.State.IGNORED}:
                await asyncio.sleep(0)
            while "buildhook_outbox_depth 0.0" not in await get(service, "/metrics"):
                pass
            assert await get(service, "/readyz") == "ok\n"
            told = runs(github)
            assert {run_id: run for run_id, run in told.items() if run_id in shown} == shown
            heads = [run.head_sha for run in github.check_runs_by_id.values() if run.id not in shown]
            assert sorted(heads) == sorted([*new, of_default_branch])
            # What is told on the pages is why.
            found = await made(store)
            assert "GitHub shows its end: cancelled" in (found[cancelled].reason or "")
            assert "GitHub shows a newer run" in (found[repeated].reason or "")
            assert unhandled not in found
            ignored = [one.reason for one in await pushes(store) if one.state == delivery.State.IGNORED]
            assert [reason for reason in ignored if reason and "behind the backup" in reason]
            assert not {*lost} & found.keys()
        assert "Traceback" not in (tmp_path / "second.log").read_text()


def is_running(github: Simulator, head: str) -> bool:
    return any(run.status == "in_progress" for run in github.check_runs("octo/hello", head))


def pushed(github: Simulator) -> set[str]:
    """The ids of all pushes that were delivered."""
    return {one.guid for one in github.deliveries if one.event == "push"}
