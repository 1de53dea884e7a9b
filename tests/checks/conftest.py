"""The reporter before a simulator of GitHub: checks are made stale in the store, and are seen as people see them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bot import clock, telemetry
from bot.builds import transitions
from bot.checks import reporter
from bot.github import GitHub
from bot.logs import LogStore
from bot.model import build, check, job
from bot.simulator import CheckRun, Repository, Simulator
from bot.store import Store, checks, jobs, outcomes
from tests import factories


@dataclass
class Desk:
    """A build whose checks are reported."""

    store: Store
    simulator: Simulator
    repository: Repository
    reporter: reporter.Reporter
    logs: LogStore
    head_sha: str
    #: Whether checks are sent one by one, as where GraphQL is away.
    has_gone_alone: bool = False
    #: By how much time was moved on, for the reporter and on GitHub.
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        """The reporter's time."""
        return clock.now() + self.ahead

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(seconds=seconds)
        self.simulator.clock.advance(seconds)

    async def create(
        self, *plans: job.Plan, created_at: datetime = factories.NOW, head_sha: str | None = None
    ) -> build.Build:
        """A new build of the head, as the next generation."""
        installation = self.simulator.installation_of("octo")
        assert installation is not None
        made = factories.make_build(
            repository_id=self.repository.id,
            installation_id=installation.id,
            repository=self.repository.full_name,
            head_sha=head_sha or self.head_sha,
            created_at=created_at,
        )
        new = factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))
        return await self.store.write(outcomes.create, new, now=self.now())

    async def move(self, of: build.Build, state: job.State, *, reason: str | None = None) -> None:
        """Let the build's first job come to a state."""
        one = (await self.store.read(jobs.list_of_builds, [of.id]))[0]
        finished_at = self.now() if state in job.FINAL else None
        started_at = one.started_at or self.now()
        moved = replace(one, state=state, reason=reason, started_at=started_at, finished_at=finished_at)
        await self.store.write(transitions.save, moved, now=self.now())

    async def claim(self) -> list[check.Check]:
        """What is stale now."""
        return await self.store.write(checks.claim_stale, now=self.now(), owner="test", lease=reporter.LEASE, limit=100)

    async def report(self) -> None:
        """Send what is stale now, once."""
        claimed_at = self.now()
        for one in await self.claim():
            await self.reporter.report([one], claimed_at=claimed_at)

    async def report_together(self) -> None:
        """Send what is stale now with as few requests as go, once."""
        claimed_at = self.now()
        claimed = await self.store.write(
            checks.claim_stale,
            now=claimed_at,
            owner="test",
            lease=reporter.LEASE,
            limit=100,
            together=0 if self.has_gone_alone else reporter.MAX_TOGETHER,
        )
        if self.has_gone_alone:
            for one in claimed:
                await self.reporter.report([one], claimed_at=claimed_at)
        elif claimed:
            await self.reporter.report(claimed, claimed_at=claimed_at)

    async def settle_together(self, *of: build.Build, within_seconds: int = 600) -> None:
        """Send what is stale together, and let time pass, until nothing of the builds is."""
        for _ in range(within_seconds):
            await self.report_together()
            stored = [one for made in of for one in await self.stored(made)]
            if not any(one.is_stale for one in stored):
                return
            self.advance(1)
        raise AssertionError(f"not settled within {within_seconds} seconds: {stored}")

    async def move_all(self, of: build.Build, state: job.State, *, reason: str | None = None) -> None:
        """Let all jobs of a build come to a state."""
        for one in await self.store.read(jobs.list_of_builds, [of.id]):
            finished_at = self.now() if state in job.FINAL else None
            started_at = one.started_at or self.now()
            moved = replace(one, state=state, reason=reason, started_at=started_at, finished_at=finished_at)
            await self.store.write(transitions.save, moved, now=self.now())

    async def settle(self, of: build.Build, *, within_seconds: int = 600) -> None:
        """Send what is stale, and let time pass, until nothing of a build is."""
        for _ in range(within_seconds):
            await self.report()
            if not any(one.is_stale for one in await self.stored(of)):
                return
            self.advance(1)
        raise AssertionError(f"not settled within {within_seconds} seconds: {await self.stored(of)}")

    def calls(self, *, part: str = "check-runs") -> list[str]:
        """The methods of the calls about check runs, oldest first."""
        return [one.method for one in self.simulator.requests if part in one.path]

    async def stored(self, of: build.Build) -> list[check.Check]:
        """The checks of a build as stored."""
        return await self.store.read(checks.list_of_build, of.id)

    def shown(self) -> list[CheckRun]:
        """The check runs on GitHub, oldest first."""
        return self.simulator.check_runs(self.repository, self.head_sha)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The reporter's loop while the block runs."""
        task = asyncio.create_task(self.reporter.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def desk(store: Store, metrics: telemetry.Metrics, tmp_path: Path) -> AsyncIterator[Desk]:
    """Nothing to report yet."""
    logs = LogStore(tmp_path / "logs")
    async with (
        Simulator(folder=tmp_path / "github") as simulator,
        GitHub(
            api_url=simulator.api_url,
            app_id=simulator.app_id,
            private_key=simulator.private_key,
            metrics=metrics,
        ) as github,
    ):
        repository = await simulator.create_repository("octo/hello")
        reporting = reporter.Reporter(
            store,
            github=github,
            logs=logs,
            details_url=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}",
            metrics=metrics,
            owner="test",
            now=lambda: made.now(),
        )
        made = Desk(store, simulator, repository, reporting, logs, repository.heads["main"])
        yield made
    await logs.close()
