"""The scheduler and the follower on an engine whose events a test writes down."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bot import clock, policy, telemetry
from bot.builds import follower, quotas, request, scheduler
from bot.engines import choice, contract, scripted
from bot.identity import Ids
from bot.logs import ArtifactStore, LogStore, Storage
from bot.model import build, check, job, outcome
from bot.store import Store, builds, checks, jobs, outcomes


@dataclass
class Yard:
    """Jobs, an engine, and the loop between them."""

    store: Store
    engine: scripted.Scripted
    storage: Storage
    metrics: telemetry.Metrics
    new_id: Ids = field(default_factory=Ids)
    max_jobs: int = 2
    #: What one repository may use.
    quotas: policy.Quotas = field(default_factory=policy.Quotas)
    #: Which engine a job comes to.
    choose: Callable[[job.Plan], str] = choice.Choice(default="local", labels={}).of
    #: How often the reporter was woken.
    changes: list[None] = field(default_factory=list)

    @property
    def logs(self) -> LogStore:
        """The logs."""
        return self.storage.logs

    @property
    def artifacts(self) -> ArtifactStore:
        """The artifacts."""
        return self.storage.artifacts

    def make_scheduler(self) -> scheduler.Scheduler:
        """A new one, as after a restart."""

        def make_request(one: job.Job, of: build.Build, needs: Mapping[str, Any]) -> contract.JobRequest:
            source = contract.Source(
                repository_id=of.repository_id,
                url="http://127.0.0.1/octo/hello.git",
                head_sha=of.head_sha,
                base_sha=of.base_sha,
                trust=of.trust,
            )
            own = "http://127.0.0.1"
            return request.make(one, of, needs=needs, source=source, server_url=own, api_url=own)

        following = follower.Follower(
            self.store,
            engine=self.engine,
            logs=self.logs,
            kept=self.artifacts,
            new_id=self.new_id,
            metrics=self.metrics,
            on_change=lambda: self.changes.append(None),
            now=clock.now,
            most_bytes=self.quotas.storage_bytes,
        )
        return scheduler.Scheduler(
            self.store,
            engine=self.engine,
            following=following,
            choose=self.choose,
            request=make_request,
            max_jobs=self.max_jobs,
            quota=quotas.Quotas(self.quotas),
            metrics=self.metrics,
            owner="test",
            on_change=lambda: self.changes.append(None),
            now=clock.now,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[scheduler.Scheduler]:
        """The scheduler's loop while the block runs."""
        made = self.make_scheduler()
        task = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def create(self, new: outcome.NewBuild) -> build.Build:
        """Store a build with its jobs and checks."""
        return await self.store.write(outcomes.create, new, now=clock.now())

    async def get_job(self, job_id: str) -> job.Job:
        """The job as stored."""
        return await self.store.read(jobs.get, job_id)

    async def get_build(self, build_id: str) -> build.Build:
        """The build as stored."""
        return await self.store.read(builds.get, build_id)

    async def list_checks(self, build_id: str) -> list[check.Check]:
        """The checks of a build."""
        return await self.store.read(checks.list_of_build, build_id)

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(10):
            while not is_true():
                await asyncio.sleep(0)

    async def until_job(self, job_id: str, *states: job.State) -> job.Job:
        """The job, as soon as it is in one of these states."""
        async with asyncio.timeout(10):
            while True:
                found = await self.get_job(job_id)
                if found.state in states:
                    return found
                await asyncio.sleep(0)


@pytest.fixture
async def yard(store: Store, metrics: telemetry.Metrics, tmp_path: Path) -> AsyncIterator[Yard]:
    """Nothing to do yet."""
    storage = Storage(tmp_path)
    yield Yard(store=store, engine=scripted.Scripted(), storage=storage, metrics=metrics)
    await storage.close()
