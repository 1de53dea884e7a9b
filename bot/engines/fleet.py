"""Several engines as one: a job starts on the one that was chosen for it, and whoever has it is asked about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime

from bot import errors
from bot.engines import contract


class Fleet:
    """Keeps the engine contract over the engines that it is made of."""

    def __init__(self, engines: Mapping[str, contract.Engine]) -> None:
        """:param engines: by the names that jobs are given them by; at least one."""
        self._engines = dict(engines)

    @property
    def name(self) -> str:
        """The names of all."""
        return ", ".join(self._engines)

    async def open(self) -> None:
        """Make all ready; the first that cannot run here is told of, and those before it are let go of.

        :raises errors.EngineError: if one cannot run here.
        """
        opened: list[contract.Engine] = []
        try:
            for engine in self._engines.values():
                await engine.open()
                opened.append(engine)
        except BaseException:
            for engine in opened:
                await engine.close()
            raise

    async def close(self) -> None:
        """Let go of all. Jobs that run go on."""
        for engine in self._engines.values():
            await engine.close()

    async def start(self, request: contract.JobRequest) -> None:
        """Start the job on its engine, once.

        :raises errors.EngineError: if the engine did not take it, or is none of these any more.
        """
        engine = self._engines.get(request.engine)
        if engine is None:
            raise errors.EngineError(f"There is no engine `{request.engine}` here.")
        await engine.start(request)

    async def find(self, job_id: str) -> bool:
        """Whether one of them knows the job."""
        return await self._holder(job_id) is not None

    async def events(self, job_id: str, *, offset: int = 0) -> AsyncIterator[contract.Event]:
        """What happened since `offset` on the engine that has the job.

        :raises errors.NotFound: if none has it.
        """
        holder = await self._holder(job_id)
        if holder is None:
            raise errors.NotFound(f"No engine knows the job {job_id}.")
        async for event in holder.events(job_id, offset=offset):
            yield event

    async def cancel(self, job_id: str, *, reason: str) -> None:
        """Ask the job to end; where none has it yet, each remembers that it was cancelled."""
        holder = await self._holder(job_id)
        for engine in self._engines.values() if holder is None else (holder,):
            await engine.cancel(job_id, reason=reason)

    async def remove(self, job_id: str) -> None:
        """Forget an ended job wherever something of it is left, such as a cancellation that came first."""
        for engine in self._engines.values():
            await engine.remove(job_id)

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Free what each keeps of repositories for their next job.

        :raises errors.EngineError: if one cannot do it now; the others have done it.
        """
        failed: list[str] = []
        for engine in self._engines.values():
            try:
                await engine.sweep(keep=keep, before=before)
            except errors.EngineError as error:
                failed.append(str(error))
        if failed:
            raise errors.EngineError(" ".join(failed))

    async def _holder(self, job_id: str) -> contract.Engine | None:
        for engine in self._engines.values():
            if await engine.find(job_id):
                return engine
        return None
