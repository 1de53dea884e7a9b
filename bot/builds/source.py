"""Where a job's code comes from: asked anew whenever it is fetched, for its repository may be renamed or given away.

Where the App may not read it any more, its build is to end, for the same reason as if the event that tells of it had
come first. So it begins again with whatever gives the App its sight back, in whichever order all of that comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.builds import resume
from bot.engines import contract
from bot.github import GitHub, Repository
from bot.model import build
from bot.store import Store, builds, jobs, locks, outcomes, patience

#: That a repository was given away is told a moment later than it is done.
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
_log = telemetry.log("builds")
_Ask = Callable[[Repository], Awaitable[str]]


class Sources:
    """Makes the sources of jobs."""

    def __init__(self, store: Store, *, github: GitHub, now: Callable[[], datetime], new_id: Callable[[], str]) -> None:
        self._store = store
        self._github = github
        self._now = now
        self._new_id = new_id

    def of(self, one: build.Build) -> contract.Source:
        """The source of a build's jobs."""

        async def token() -> str:
            return await self._ask(one.id, _token)

        async def locate() -> str:
            return self._github.git_url(await self._ask(one.id, _name))

        return contract.Source(
            repository_id=one.repository_id,
            url=self._github.git_url(one.repository),
            head_sha=one.head_sha,
            base_sha=one.base_sha,
            trust=one.trust,
            token=token,
            locate=locate,
        )

    async def _ask(self, build_id: str, ask: _Ask) -> str:
        """What GitHub answers about the repository of a build, wherever that is by now.

        :raises errors.GitHubError: if the App may not see it, and then somebody wants the build cancelled; or if GitHub
            cannot be asked.
        """
        pauses_seconds = iter(_PAUSES_SECONDS)
        while True:
            asked = await self._store.read(builds.get, build_id)
            try:
                return await ask(self._repository(asked))
            except errors.Suspended:
                # It is certain at once.
                if await self._stop(asked, ask, reason=resume.SUSPENDED):
                    raise
            except (errors.NotReachable, errors.Invalid):
                if await self._store.read(_is_ending, build_id):
                    raise
                pause_seconds = next(pauses_seconds, None)
                if pause_seconds is not None:
                    await asyncio.sleep(pause_seconds)
                elif await self._stop(asked, ask, reason=resume.UNSEEN):
                    raise

    async def _stop(self, asked: build.Build, ask: _Ask, *, reason: str) -> bool:
        """Have a build end; False if its repository went to another installation since this one was asked."""
        if await self._store.read(_is_ending, asked.id):
            return True
        if not await patience.write(self._store, _end, asked, reason=reason, now=self._now()):
            return False
        _log.info("The code of a build cannot be read.", action="stop_build", build_id=asked.id, reason=reason)
        # What gives the sight back may have been handled before this was written, and then found nothing to resume. If
        # it is still to come, so is whatever tells of it.
        current = await self._store.read(builds.get, asked.id)
        try:
            await ask(self._repository(current))
        except errors.GitHubError:
            return True
        await patience.write(self._store, resume.again, current, reason=reason, now=self._now(), new_id=self._new_id)
        return True

    def _repository(self, of: build.Build) -> Repository:
        return self._github.repository(
            installation_id=of.installation_id, repository_id=of.repository_id, full_name=of.repository
        )


async def _token(repository: Repository) -> str:
    return await repository.git_token()


async def _name(repository: Repository) -> str:
    repository.forget()
    return await repository.get_name()


def _is_ending(connection: Connection, build_id: str) -> bool:
    return builds.get(connection, build_id).state in build.FINAL or jobs.is_ending(connection, build_id)


def _end(connection: Connection, asked: build.Build, *, reason: str, now: datetime) -> bool:
    # Nobody gives the repository to another installation meanwhile.
    locks.repositories(connection, [asked.repository_id])
    if builds.get(connection, asked.id).installation_id != asked.installation_id:
        return False
    outcomes.cancel_build(connection, asked.id, now=now, reason=reason)
    return True
