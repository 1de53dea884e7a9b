"""Requests for an engine with defaults, and what became of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.engines import contract
from bot.model import build, job
from tests.engines import gitserver

TRUSTED, UNTRUSTED = build.Trust.TRUSTED, build.Trust.UNTRUSTED
_numbers = itertools.count(1)


def new_id() -> str:
    """An id that no other job of this test has."""
    return f"01J{next(_numbers):023d}"


def make(
    source: contract.Source,
    *runs: str | job.Step,
    job_id: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_seconds: float = 60.0,
    variables: Mapping[str, str] | None = None,
    secrets: Callable[[], Awaitable[contract.Secrets]] | None = None,
) -> contract.JobRequest:
    """A request whose steps run these scripts.

    :param variables: variable -> name of the secret in it.
    """
    steps = tuple(run if isinstance(run, job.Step) else job.Step(name=f"step {run[:20]}", run=run) for run in runs)
    return contract.JobRequest(
        job_id=job_id or new_id(),
        source=source,
        plan=job.Plan(
            key="test",
            name="test",
            steps=steps,
            secrets=variables or {},
            secret_names=tuple((variables or {}).values()),
        ),
        env=env or {},
        timeout_seconds=timeout_seconds,
        secrets=secrets,
    )


@dataclass(frozen=True)
class Code:
    """A repository on a server with a commit to build."""

    server: gitserver.Server
    repository: gitserver.Repository
    sha: str

    def source(
        self,
        sha: str | None = None,
        *,
        base_sha: str | None = None,
        trust: build.Trust = UNTRUSTED,
        token: Callable[[], Awaitable[str]] | None = None,
        locate: Callable[[], Awaitable[str]] | None = None,
        url: str | None = None,
        repository_id: int = 1,
    ) -> contract.Source:
        """The source of a job."""
        name = str(self.repository.path.relative_to(self.server.root)).removesuffix(".git")
        return contract.Source(
            repository_id=repository_id,
            url=url or self.server.address(name),
            head_sha=sha or self.sha,
            base_sha=base_sha,
            trust=trust,
            token=token,
            locate=locate,
        )


@dataclass(frozen=True)
class Told:
    """All that an engine told of a job."""

    events: list[contract.Event]

    @property
    def log(self) -> str:
        """The whole log."""
        return self.log_bytes.decode("utf-8", "replace")

    @property
    def log_bytes(self) -> bytes:
        """The whole log; each piece has to join on to the one before."""
        log = b""
        for event in self.events:
            if isinstance(event, contract.Output):
                assert event.log_offset_bytes == len(log)
                log += event.data
        return log

    @property
    def end(self) -> contract.Finished:
        """How it ended."""
        assert isinstance(self.events[-1], contract.Finished)
        return self.events[-1]

    @property
    def result(self) -> str:
        """How it ended, in a word."""
        return self.end.result.value

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self.end.reason or ""

    @property
    def prepared(self) -> contract.Prepared:
        """What was tested."""
        (found,) = (event for event in self.events if isinstance(event, contract.Prepared))
        return found

    @property
    def steps(self) -> list[tuple[int, str]]:
        """Which step came into which state, in order."""
        return [
            (event.step.index, event.step.state) for event in self.events if isinstance(event, contract.StepChanged)
        ]


async def follow(engine: contract.Engine, job_id: str, *, offset: int = 0) -> Told:
    """Everything until the job's end."""
    return Told([event async for event in engine.events(job_id, offset=offset)])


async def run(engine: contract.Engine, request: contract.JobRequest) -> Told:
    """Start a job and follow it to its end."""
    await engine.start(request)
    return await follow(engine, request.job_id)


async def until(events: AsyncIterator[contract.Event], is_it: Callable[[contract.Event], bool]) -> contract.Event:
    """The first event that is it."""
    async for event in events:
        if is_it(event):
            return event
    raise AssertionError("the job ended before that")


async def until_output(engine: contract.Engine, job_id: str, text: bytes) -> None:
    """Wait until the log holds the text."""
    log = b""
    async for event in engine.events(job_id):
        if isinstance(event, contract.Output):
            log += event.data
            if text in log:
                return
    raise AssertionError(f"the job ended without saying {text!r}; it said {log!r}")


async def until_true(is_true: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.01)


def stream_path(data_dir: Path, job_id: str) -> Path:
    """Where a job's stream lies."""
    return data_dir / "engine" / "jobs" / job_id / "stream"
