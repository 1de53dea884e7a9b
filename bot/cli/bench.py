"""The bench of `buildhook engines test --contract`: a live engine, and jobs for it from a repository of its own."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence

from bot import conformance, identity
from bot.engines import contract
from bot.model import build, job
from bot.simulator import Simulator

#: No promise takes so long on an engine that keeps it.
PATIENCE_SECONDS = 120.0
_OVERRUN_SECONDS = 0.4


class Bench:
    """See `conformance.Bench`."""

    def __init__(self, make: Callable[[], contract.Engine], source: contract.Source, absent_sha: str) -> None:
        """:param make: makes the engine anew, as a service that starts does."""
        self._make = make
        self._engine = make()
        self._source = source
        self._absent_sha = absent_sha
        self._new_id = identity.Ids()

    @property
    def engine(self) -> contract.Engine:
        """The engine of now."""
        return self._engine

    def request(self, way: conformance.Way) -> contract.JobRequest:
        """A job whose steps run the commands of that way."""
        source = self._source
        if way is conformance.Way.LACKS:
            source = dataclasses.replace(source, head_sha=self._absent_sha)
        steps = tuple(job.Step(name=way.name.lower(), run=script) for script in conformance.SCRIPTS[way])
        return contract.JobRequest(
            job_id=self._new_id(),
            engine=self._engine.name,
            source=source,
            plan=job.Plan(key="contract", name="contract", steps=steps),
            env={},
            timeout_seconds=_OVERRUN_SECONDS if way is conformance.Way.OVERRUNS else PATIENCE_SECONDS,
        )

    async def restart(self) -> None:
        """Let go of the engine and make it anew."""
        await self._engine.close()
        self._engine = self._make()
        await self._engine.open()

    async def lose(self, job_id: str) -> None:
        """:raises conformance.Untried: always: what runs a job is the engine's own secret."""
        raise conformance.Untried("only the engine's own tests know how to take away what runs a job")


@contextlib.asynccontextmanager
async def opened(make: Callable[[], contract.Engine]) -> AsyncIterator[Bench]:
    """A bench whose repository is served on this machine's loopback.

    :raises bot.errors.EngineError: if the engine cannot run here.
    """
    async with Simulator() as github:
        repository = await github.create_repository("buildhook/contract", {"README.md": "# Jobs of a test\n"})
        source = contract.Source(
            repository_id=repository.id,
            url=repository.clone_url,
            head_sha=await github.push(repository, repository.default_branch, {"a.txt": "a\n"}),
            base_sha=None,
            trust=build.Trust.UNTRUSTED,
        )
        made = Bench(make, source, absent_sha="f" * 40)
        await made.engine.open()
        try:
            yield made
        finally:
            await made.engine.close()


async def keep(bench: conformance.Bench, promises: Sequence[conformance.Promise]) -> list[contract.Probed]:
    """Which of the promises the engine keeps, and what was seen instead of the others."""
    found = []
    for promise in promises:
        is_held, said = await _try(bench, promise)
        found.append(contract.Probed(name=conformance.name(promise), is_held=is_held, said=said))
    return found


async def _try(bench: conformance.Bench, promise: conformance.Promise) -> tuple[bool | None, str]:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await promise(bench)
    except conformance.Untried as error:
        return None, f"{error}"
    except conformance.Broken as error:
        return False, str(error)
    except TimeoutError:
        return False, f"Nothing came for {PATIENCE_SECONDS:.0f} seconds."
    except Exception as error:
        return False, f"It raised {type(error).__name__}: {error}"
    return True, ""
