"""Where a job's code comes from: asked anew whenever it is fetched, for its repository may be renamed or given away."""

from __future__ import annotations

import asyncio

from bot import errors
from bot.engines import contract
from bot.github import GitHub, Repository
from bot.model import build
from bot.store import Store, builds

#: That a repository was given away is told a moment later than it is done.
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)


class Sources:
    """Makes the sources of jobs."""

    def __init__(self, store: Store, *, github: GitHub) -> None:
        self._store = store
        self._github = github

    def of(self, one: build.Build) -> contract.Source:
        """The source of a build's jobs."""

        async def token() -> str:
            return await self._token(one.id)

        async def locate() -> str:
            return await self._locate(one.id)

        return contract.Source(
            repository_id=one.repository_id,
            url=self._github.git_url(one.repository),
            head_sha=one.head_sha,
            base_sha=one.base_sha,
            trust=one.trust,
            token=token,
            locate=locate,
        )

    async def _token(self, build_id: str) -> str:
        for pause_seconds in _PAUSES_SECONDS:
            repository = await self._repository(build_id)
            try:
                return await repository.git_token()
            except (errors.NotReachable, errors.Invalid):
                await asyncio.sleep(pause_seconds)
        return await (await self._repository(build_id)).git_token()

    async def _locate(self, build_id: str) -> str:
        repository = await self._repository(build_id)
        repository.forget()
        return self._github.git_url(await repository.get_name())

    async def _repository(self, build_id: str) -> Repository:
        current = await self._store.read(builds.get, build_id)
        return self._github.repository(
            installation_id=current.installation_id,
            repository_id=current.repository_id,
            full_name=current.repository,
        )
