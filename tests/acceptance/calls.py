"""Counts how often GitHub's API is asked for one build, by kind: from what happens on GitHub until all is at rest."""

from __future__ import annotations

import collections
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.simulator import Repository, Simulator
from bot.store import Store
from tests.acceptance import process
from tests.crash import judge

SETTLE_SECONDS = 300.0
_TOKENS = "POST /app/installations/{installation_id}/access_tokens"
#: What is asked every few minutes, whether there are builds or not: for deliveries, and how the repository stands.
_ROUTINE = re.compile(r"/app[/?]|/installation/|/repos/[^/]+/[^/]+(/(pulls|tags|branches/main))?(\?.*)?$")
KINDS = {
    "GET /repos/{owner}/{repo}/contents/{path}": "pipeline file",
    "GET /repos/{owner}/{repo}/branches/{branch}": "branch",
    "GET /repos/{owner}/{repo}/collaborators/{username}/permission": "permission",
    "GET /repos/{owner}/{repo}/commits/{ref}/check-runs": "look-up",
    "POST /repos/{owner}/{repo}/check-runs": "check made",
    "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}": "check changed",
    "POST /graphql": "checks together",
}
Act = Callable[[Simulator, Repository, str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What one build cost."""

    #: By method and route; requests for tokens apart.
    by_route: Mapping[str, int]
    #: Requests for tokens: each serves all builds of its repository for 50 minutes.
    tokens: int

    @property
    def calls(self) -> int:
        """How many in all, without those for tokens."""
        return sum(self.by_route.values())

    def told(self) -> str:
        """Each kind with its number."""
        found = {KINDS.get(route, route): number for route, number in self.by_route.items()}
        return ", ".join(f"{number} {kind}" for kind, number in sorted(found.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A simulator, and a service that it delivers to."""

    github: Simulator
    store: Store

    async def count(self, act: Act, repository: Repository, name: str) -> Count:
        """What follows from an act, which gets a name of its own."""
        await judge.settle(self.store, self.github, timeout_seconds=SETTLE_SECONDS)
        before = len(self.github.requests)
        await act(self.github, repository, name)
        await judge.settle(self.store, self.github, timeout_seconds=SETTLE_SECONDS)
        made = [one for one in self.github.requests[before:] if one.template]
        built = repository.heads["main"]
        by_route = collections.Counter(
            f"{one.method} {one.template}" for one in made if not _ROUTINE.match(one.path) and built not in one.path
        )
        tokens = [one for one in made if f"{one.method} {one.template}" == _TOKENS]
        return Count(by_route=dict(by_route), tokens=len(tokens))


def pipeline(command: str, *, jobs: int = 1) -> dict[str, str]:
    """The files of a repository with one job, or a matrix of them."""
    strategy = f"    strategy:\n      fail-fast: false\n      matrix:\n        n: {list(range(jobs))}\n"
    matrix = strategy if jobs > 1 else ""
    text = f"on: [push, pull_request]\njobs:\n  test:\n{matrix}    steps:\n      - run: {json.dumps(command)}\n"
    return {".buildhook.yml": text, "README.md": "# hello\n"}


async def push(github: Simulator, repository: Repository, branch: str) -> str:
    """A push to a branch of its own; gives its head."""
    return await github.push(repository, branch, {f"{branch}.txt": branch})


async def pull_request(github: Simulator, repository: Repository, branch: str) -> str:
    """A pull request whose push was not told, as where the file names only pull requests; gives its head."""
    await github.commit(repository, branch=branch, files={f"{branch}.txt": branch})
    return (await github.open_pull_request(repository, head_branch=branch)).head_sha


@contextlib.asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """A new one, on SQLite."""
    async with Simulator(folder=folder / "github") as github:
        environment = process.for_github(
            github,
            folder / "data",
            log_level="warning",
        )
        async with process.serving(environment, log=folder / "service.log") as service:
            github.webhook_url = service.webhook_url
            store = await Store(f"sqlite:///{folder / 'data' / 'buildhook.db'}").open(upgrade=False)
            try:
                yield Stage(github=github, store=store)
            finally:
                await store.close()
