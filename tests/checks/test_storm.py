"""A day when everything goes wrong: every check is right in the end, none is there twice, no call inside a wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import clock, events, telemetry
from bot.builds import transitions
from bot.checks import reporter
from bot.events import context, dispatcher
from bot.github import GitHub, Patience
from bot.identity import Ids
from bot.ledger import Ledger
from bot.logs import LogStore
from bot.model import job
from bot.simulator import Repository, Simulator
from bot.store import Store, builds, deliveries, hints, jobs
from bot.webhooks import parse
from tests.databases import long_on_sqlite

PUSHES = 60
PIPELINE = {".buildhook.yml": "on: push\njobs:\n  test:\n    steps:\n      - run: echo ok\n"}
#: Short, so that the test is; GitHub's are an hour and a minute.
WINDOW_SECONDS = 6
VISIBLE_AFTER = timedelta(seconds=2)


class _Replica:
    """A dispatcher and a reporter with a client, a memory and a ledger of their own; no engine: the test moves jobs."""

    def __init__(self, name: str, *, store: Store, simulator: Simulator, logs: LogStore) -> None:
        metrics, new_id = telemetry.Metrics(), Ids()
        self._store = store
        self.ledger = Ledger(store, now=clock.now)
        self.github = GitHub(
            api_url=simulator.api_url,
            app_id=simulator.app_id,
            private_key=simulator.private_key,
            metrics=metrics,
            patience=Patience(pause_seconds=0.01),
            ledger=self.ledger,
        )
        self.dispatcher = dispatcher.Dispatcher(
            store,
            router=events.make_router(),
            context=lambda one: context.Context(
                delivery=one, github=self.github, store=store, now=clock.now, new_id=new_id
            ),
            metrics=metrics,
            owner=name,
            on_applied=lambda: None,
            now=clock.now,
        )
        self.reporter = reporter.Reporter(
            store,
            github=self.github,
            logs=logs,
            details_url=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}",
            metrics=metrics,
            owner=name,
            now=clock.now,
            visible_after=VISIBLE_AFTER,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The loops while the block runs."""
        async with self.github:
            loops = (self.dispatcher.run(), self.reporter.run(), self.ledger.run(), self._store.listen(self._take_hint))
            tasks = [asyncio.create_task(one) for one in loops]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(end, asyncio.CancelledError) for end in ends), ends

    def _take_hint(self, word: str) -> None:
        for known, wake in (
            (hints.Word.DELIVERIES, self.dispatcher.wake),
            (hints.Word.CHECKS, self.reporter.wake),
            (hints.Word.BUDGETS, self.ledger.wake),
        ):
            if word in (known, "*"):
                wake()


# A check that meets everything at once waits up to half a minute between two attempts.
@long_on_sqlite
@pytest.mark.timeout(150)
async def test_f6_f32_f34_60_pushes_through_lost_answers_failing_calls_and_two_limits(
    store: Store, tmp_path: Path
) -> None:
    logs = LogStore(tmp_path / "logs")
    async with Simulator(folder=tmp_path / "github") as simulator, contextlib.AsyncExitStack() as stack:
        repository = await simulator.create_repository("octo/hello", files=PIPELINE)
        branches = [f"topic-{number}" for number in range(PUSHES)]
        await simulator.push_many(repository, branches)
        heads = [repository.heads[branch] for branch in branches]
        simulator.rates.window_seconds = WINDOW_SECONDS
        # A quarter of the answers to writes get lost, and half of the calls fail once.
        simulator.faults.add(
            method=("POST", "PATCH"),
            path="/check-runs|^/graphql$",
            times=None,
            probability=0.25,
            drop_response_after_applying=True,
        )
        simulator.faults.add(path="/repos/|^/graphql$", times=None, once_each=True, probability=0.5, status=500)
        names = ["a", "b"] if store.is_shared else ["a"]
        replicas = [_Replica(name, store=store, simulator=simulator, logs=logs) for name in names]
        if store.is_shared:
            # A call that was on its way when another replica was told may take so long on a busy machine.
            simulator.waits.grace_seconds = 1.0
        await _receive(store, simulator)
        for one in replicas:
            await stack.enter_async_context(one.running())
        async with asyncio.timeout(120):
            await _limited_twice(simulator)
            await _play_engine(store, heads)
            wanted = {head: ["success"] for head in heads}
            await simulator.wait_until(lambda: _shown(simulator, repository) == wanted, timeout_seconds=90)
        assert simulator.calls_inside_waits == []
        assert {len(await store.read(builds.list_unfinished, repository_id=repository.id))} == {0}
    await logs.close()


async def _receive(store: Store, simulator: Simulator) -> None:
    """Put what GitHub would have sent into the inbox."""
    proved = []
    for sent in simulator.deliveries:
        if sent.event == "push":
            headers = {name.lower(): value for name, value in sent.headers.items()}
            secret = (simulator.webhook_secret or "").encode()
            one, _ = parse.delivery(
                headers, body=sent.body, received_at=clock.now(), secrets=(secret,), app_id=simulator.app_id
            )
            proved.append(one)
    await store.write(deliveries.insert_many, proved)
    assert len(proved) == PUSHES


async def _limited_twice(simulator: Simulator) -> None:
    """Use up the installation's limit, and once more after it was full again."""
    installation = simulator.installation_of("octo")
    assert installation is not None
    for _ in range(2):
        enough = len(simulator.requests) + 20
        await simulator.wait_until(partial(_has_asked, simulator, enough))
        simulator.rates.use_up(installation)
        await asyncio.sleep(WINDOW_SECONDS)


def _has_asked(simulator: Simulator, enough: int) -> bool:
    return len(simulator.requests) > enough


async def _play_engine(store: Store, heads: list[str]) -> None:
    """Let every job start and pass."""
    done: set[str] = set()
    while len(done) < len(heads):
        found = await store.read(builds.list_newest, limit=2 * PUSHES)
        for one in await store.read(jobs.list_of_builds, [made.id for made in found]):
            if one.id not in done:
                for state in (job.State.STARTING, job.State.PASSED):
                    at = clock.now()
                    finished_at = at if state in job.FINAL else None
                    moved = replace(one, state=state, started_at=at, finished_at=finished_at)
                    await store.write(transitions.save, moved, now=at)
                done.add(one.id)
        await asyncio.sleep(0.05)


def _shown(simulator: Simulator, repository: Repository) -> dict[str, list[str | None]]:
    found: dict[str, list[str | None]] = {}
    for run in simulator.check_runs(repository):
        found.setdefault(run.head_sha, []).append(run.conclusion)
    return found
