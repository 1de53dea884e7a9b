"""The reporter before a simulator of GitHub: checks are made stale in the store, and are seen as people see them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest

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

    async def create(self, *plans: job.Plan, created_at: datetime = factories.NOW) -> build.Build:
        """A new build of the head, as the next generation."""
        installation = self.simulator.installation_of("octo")
        assert installation is not None
        made = factories.make_build(
            repository_id=self.repository.id,
            installation_id=installation.id,
            repository=self.repository.full_name,
            head_sha=self.head_sha,
            created_at=created_at,
        )
        new = factories.make_new_build(made, *(factories.make_job(plan=plan) for plan in plans))
        return await self.store.write(outcomes.create, new, now=clock.now())

    async def move(self, of: build.Build, state: job.State, *, reason: str | None = None) -> None:
        """Let the build's first job come to a state."""
        one = (await self.store.read(jobs.list_of_builds, [of.id]))[0]
        finished_at = clock.now() if state in job.FINAL else None
        started_at = one.started_at or clock.now()
        moved = replace(one, state=state, reason=reason, started_at=started_at, finished_at=finished_at)
        await self.store.write(transitions.save, moved, now=clock.now())

    async def claim(self) -> list[check.Check]:
        """What is stale now."""
        return await self.store.write(
            checks.claim_stale, now=clock.now(), owner="test", lease=reporter.LEASE, limit=100
        )

    async def report(self) -> None:
        """Send what is stale now, once."""
        for one in await self.claim():
            await self.reporter.report(one)

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
        made = reporter.Reporter(
            store,
            github=github,
            logs=logs,
            details_url=lambda kind, of_id: f"https://builds.example/{kind}/{of_id}",
            metrics=metrics,
            owner="test",
            now=clock.now,
        )
        yield Desk(store, simulator, repository, made, logs, repository.heads["main"])
    await logs.close()
