"""The dispatcher in this process, before a simulator of GitHub: deliveries go in, effects are in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bot import clock, events, policy, telemetry
from bot.events import context, dispatcher
from bot.github import GitHub
from bot.identity import Ids
from bot.model import build, delivery, job
from bot.simulator import Simulator
from bot.store import Store, builds, deliveries, jobs
from bot.webhooks import parse

PIPELINE = {".buildhook.yml": "on: [push, pull_request]\njobs:\n  test:\n    steps:\n      - run: echo ok\n"}


@dataclass
class House:
    """What a test of handlers needs."""

    store: Store
    simulator: Simulator
    dispatcher: dispatcher.Dispatcher
    github: GitHub
    new_id: Ids
    #: How much later it is here than on this machine's clock.
    ahead: timedelta = timedelta(0)
    policy: policy.Policy = field(default_factory=policy.Policy)

    def now(self) -> datetime:
        """The time, here."""
        return clock.now() + self.ahead

    async def receive(self, sent: Any, *, guid: str | None = None, received_at: datetime | None = None) -> str:
        """Put a delivery of the simulator (or a recorded one) into the inbox; gives its id."""
        headers = {name.lower(): value for name, value in sent.headers.items()}
        if guid is not None:
            headers["x-github-delivery"] = guid
        proved, _ = parse.delivery(
            headers,
            body=sent.body,
            received_at=received_at or self.now(),
            secrets=((self.simulator.webhook_secret or "").encode(),),
            app_id=self.simulator.app_id,
        )
        await self.store.write(deliveries.insert_many, [proved])
        return proved.guid

    async def dispatch(self) -> None:
        """Handle everything that is due, in order."""
        while claimed := await self.store.write(
            deliveries.claim_next, now=self.now(), owner="test", lease=dispatcher.LEASE, limit=1
        ):
            await self.dispatcher.dispatch(claimed[0])

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, here and on GitHub, and handle what is due then."""
        self.ahead += timedelta(seconds=seconds)
        self.simulator.clock.advance(seconds)
        await self.dispatch()

    async def deliver(self, sent: Any, *, guid: str | None = None) -> delivery.Delivery:
        """Receive and handle one delivery; gives what became of it."""
        known = await self.receive(sent, guid=guid)
        await self.dispatch()
        found = await self.store.read(deliveries.find, known)
        assert found is not None
        return found

    def sent(self, event: str, action: str | None = None) -> Any:
        """The last delivery of this event that the simulator made."""
        return [one for one in self.simulator.deliveries if (one.event, one.action) == (event, action)][-1]

    async def builds(self) -> list[build.Build]:
        """All builds, newest first."""
        return await self.store.read(builds.list_newest, limit=100)

    async def jobs(self) -> list[job.Job]:
        """The jobs of all builds."""
        return await self.store.read(jobs.list_of_builds, [one.id for one in await self.builds()])

    async def end_build(self, state: build.State, job_state: job.State) -> build.Build:
        """Let the newest build end, as the scheduler would."""
        newest = (await self.builds())[0]
        for one in await self.store.read(jobs.list_of_builds, [newest.id]):
            ended = replace(one, state=job_state, finished_at=clock.now())
            await self.store.write(jobs.save, ended)
        at = datetime.now(UTC)
        await self.store.write(builds.save_state, newest.id, state=state, started_at=at, finished_at=at)
        return newest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on.

    What is decided is decided alike, over queries that `tests/store` runs on both in `make test`: here PostgreSQL has
    its turn in `make test-all`.
    """
    kind: str = request.param
    return kind


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """A simulator that delivers nothing by itself."""
    async with Simulator(folder=tmp_path / "github") as running:
        yield running


@pytest.fixture
async def house(store: Store, simulator: Simulator, metrics: telemetry.Metrics) -> AsyncIterator[House]:
    """The dispatcher with all handlers."""
    new_id = Ids()
    async with GitHub(
        api_url=simulator.api_url,
        app_id=simulator.app_id,
        private_key=simulator.private_key,
        metrics=metrics,
    ) as github:

        def now() -> datetime:
            return made_house.now()

        def make_context(one: delivery.Delivery) -> context.Context:
            return context.Context(
                delivery=one, github=github, store=store, now=now, new_id=new_id, policy=made_house.policy
            )

        made = dispatcher.Dispatcher(
            store,
            router=events.make_router(),
            context=make_context,
            metrics=metrics,
            owner="test",
            on_applied=lambda: None,
            now=now,
        )
        made_house = House(store=store, simulator=simulator, dispatcher=made, github=github, new_id=new_id)
        yield made_house
