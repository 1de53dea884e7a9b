"""Requests for an engine with defaults, and what became of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.conformance import Told as Told
from bot.conformance import follow as follow
from bot.conformance import run as run
from bot.conformance import until as until
from bot.conformance import until_output as until_output
from bot.engines import contract
from bot.engines.local.supervisor import frames
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

    @property
    def name(self) -> str:
        """The repository's name on the server."""
        return str(self.repository.path.relative_to(self.server.root)).removesuffix(".git")

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
        name = self.name
        return contract.Source(
            repository_id=repository_id,
            url=url or self.server.address(name),
            head_sha=sha or self.sha,
            base_sha=base_sha,
            trust=trust,
            token=token,
            locate=locate,
        )


async def until_true(is_true: Callable[[], bool]) -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.01)


def stream_path(data_dir: Path, job_id: str) -> Path:
    """Where a job's stream lies."""
    return data_dir / "engine" / "jobs" / job_id / "stream"


def launched_pid(data_dir: Path, job_id: str) -> int:
    """The supervisor's process id, as it wrote it down itself."""
    (first, *_) = frames.decode(stream_path(data_dir, job_id).read_bytes())
    assert first.kind == frames.LAUNCHED
    return int(frames.parse(first.payload)["pid"])
