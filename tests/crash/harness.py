"""One case of the sweep: a service with one failpoint armed, started anew when it dies, judged when all is done."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.engine import Connection

from bot import clock, identity
from bot.failpoint import Action
from bot.logs import LogStore
from bot.model import build, delivery, job, outcome
from bot.simulator import Simulator
from bot.store import Store, checks, deliveries, outcomes
from tests import factories
from tests.acceptance import process
from tests.crash import judge

#: What signs webhooks: recognised wherever it shows up.
WEBHOOK_SECRET = "sweep-0f1e2d3c4b5a69788796"
#: Everything of a case has come to rest by then, at the latest. A check run that may have been made before a crash, and
#: is not found, is not made again before half a minute is over.
SETTLE_SECONDS = 90.0
#: A service sweeps when it starts.
SWEEP_SECONDS = 5.0
#: GitHub repeats nothing by itself: how often what failed is delivered again while a scenario goes on.
REDELIVER_SECONDS = 0.1
_new_id = identity.Ids()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of the sweep."""

    point: str
    #: `kill`, `exception`, `delay` or `delay=SECONDS`.
    does: str
    database: str
    scenario: str
    nth: int = 1

    @property
    def action(self) -> Action:
        """What happens."""
        return Action(self.does.partition("=")[0])

    @property
    def failpoint(self) -> str:
        """The setting."""
        return f"{self.point}:{self.does}:{self.nth}"

    def __str__(self) -> str:
        place = self.point if self.nth == 1 else f"{self.point}:{self.nth}"
        return f"{self.scenario}-{place}-{self.does}-{self.database}"


class Harness:
    """A simulator, a service that is kept running, and a store to look into."""

    def __init__(self, case: Case, *, github: Simulator, database_url: str, folder: Path) -> None:
        self.github = github
        self.log = folder / "service.log"
        self.data_dir = folder / "data"
        self._case = case
        self._database_url = database_url
        self._environment = process.for_github(
            github,
            self.data_dir,
            database_url=database_url,
            # The same before and after a crash.
            public_url="http://builds.example",
            retention_days=1,
        )
        self._old: build.Build | None = None
        #: How the armed service ended; None if it went on to the end.
        self.status: int | None = None
        #: Whether it ended before it listened.
        self.has_failed_to_start = False

    @contextlib.asynccontextmanager
    async def serving(self, *, is_armed: bool) -> AsyncIterator[None]:
        """A service that runs while the block does: started anew, without a failpoint, when it dies of the first."""
        extra = {"BUILDHOOK_FAILPOINT": self._case.failpoint} if is_armed else {}
        async with asyncio.TaskGroup() as group:
            is_up = asyncio.Event()
            keeper = group.create_task(self._keep({**self._environment, **extra}, is_up))
            redeliverer = group.create_task(self._redeliver())
            await is_up.wait()
            yield
            redeliverer.cancel()
            keeper.cancel()

    async def _keep(self, environment: Mapping[str, str], is_up: asyncio.Event) -> None:
        while True:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    service = await stack.enter_async_context(process.serving(environment, log=self.log))
                except AssertionError:
                    # It ended before it listened: only one that was armed may.
                    if environment is self._environment:
                        raise
                    self.has_failed_to_start = True
                    environment = self._environment
                    continue
                try:
                    self.github.webhook_url = service.webhook_url
                    is_up.set()
                    status = await service.process.wait()
                except asyncio.CancelledError:
                    # What would go on after a stop goes on after a kill, but a stop has to work as well.
                    self.github.webhook_url = None
                    assert await service.stop() == 0
                    raise
            assert environment is not self._environment, f"the service ended with {status}:\n{self.log.read_text()}"
            self.status = status
            environment = self._environment

    async def _redeliver(self) -> None:
        while True:
            for number in judge.undelivered(self.github):
                await self.github.redeliver(number).done.wait()
            await asyncio.sleep(REDELIVER_SECONDS)

    async def settle(self) -> judge.State:
        """Wait until everything has come to rest."""
        async with self.store() as store:
            state = await judge.settle(store, self.github, timeout_seconds=SETTLE_SECONDS)
            return await self._swept(store, state)

    async def sweep(self, state: judge.State) -> judge.State:
        """Start once more where something past its retention is left: one that found no job at all trusts no log."""
        if not self._unswept(state):
            return state
        async with self.serving(is_armed=False), self.store() as store:
            return await self._swept(store, state)

    async def _swept(self, store: Store, state: judge.State) -> judge.State:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                while self._unswept(state):
                    await asyncio.sleep(judge.LOOK_SECONDS)
                    state = await store.read(judge.read)
        return state

    @contextlib.asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """The service's database, opened beside it."""
        store = await Store(self._database_url).open(upgrade=False)
        try:
            yield store
        finally:
            await store.close()

    async def prepare(self) -> None:
        """Make what the failpoint needs to be met: for the sweeper a build that is past its retention."""
        if self._case.point != "gc.mid_delete":
            return
        at = clock.now() - timedelta(days=2)
        made = factories.make_build(id=_new_id(), created_at=at, state=build.State.PASSED, finished_at=at)
        ran = factories.make_job(id=_new_id(), created_at=at, state=job.State.PASSED, finished_at=at)
        async with self.store() as store:
            await store.write(_write_old, factories.make_new_build(made, ran), at=at)
        logs = LogStore(self.data_dir / "logs")
        await logs.append(ran.id, offset_bytes=0, data=b"long ago\n")
        await logs.seal(ran.id)
        await logs.close()
        self._old = made

    def verdict(self, state: judge.State, expected: judge.Expected) -> list[str]:
        """What is wrong with the world at rest, and with how the failpoint was met."""
        evidence = judge.Evidence(job_logs=[self.data_dir / "logs"], service_logs=[self.log])
        found = judge.violations(state, self.github, expected=expected, evidence=evidence)
        found += [
            f"delivery {one.id} is parked: {one.error}"
            for one in state.deliveries
            if one.state == delivery.State.PARKED
        ]
        return [*found, *self._unmet(), *self._unswept(state)]

    def _unmet(self) -> list[str]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        met = [one for one in lines if one.get("action") == "failpoint" and one.get("name") == self._case.point]
        found = [] if len(met) == 1 else [f"the failpoint was met {len(met)} times"]
        if self.has_failed_to_start:
            # A migration that fails keeps the service from starting, and says why at length.
            return found if self._case.point == "migrate.each_step" else [*found, "the service did not start"]
        traces = sum("Traceback" in line for line in self.log.read_text().splitlines())
        if traces > (1 if self._case.action == Action.EXCEPTION else 0):
            found.append(f"{traces} stack traces are in the service's log")
        wanted = -signal.SIGKILL if self._case.action == Action.KILL else None
        if self.status != wanted:
            found.append(f"the service ended with {self.status}, not {wanted}")
        return found

    def _unswept(self, state: judge.State) -> list[str]:
        if self._old is None:
            return []
        found = ["a build is there past its retention"] if self._old.id in {one.id for one in state.builds} else []
        known = {one.id for one in state.jobs}
        left = [path.name for path in (self.data_dir / "logs").rglob("*") if path.is_file() and path.stem not in known]
        return [*found, *(f"{name} is a log of nobody" for name in left)]


def _write_old(connection: Connection, new: outcome.NewBuild, *, at: datetime) -> None:
    lease = timedelta(minutes=1)
    deliveries.insert_many(connection, [factories.make_verified_delivery(received_at=at)])
    (claimed,) = deliveries.claim_next(connection, now=at, owner="past", lease=lease, limit=1)
    outcomes.apply(connection, claimed, factories.make_outcome(builds=(new,)), now=at)
    for one in checks.claim_stale(connection, now=at, owner="past", lease=lease, limit=9):
        checks.acknowledge(connection, one, version=one.desired_version, github_id=1, status="completed", now=at)
