"""From a job taken over to its supervisor: decide how it may run, have its code, lay it out, launch it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from bot import errors, telemetry
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import (
    boxes,
    containers,
    disk,
    extras,
    folder,
    git,
    images,
    launch,
    mirrors,
    parts,
    probe,
    reach,
    sandbox,
    spawn,
    submodules,
    threads,
    trouble,
)
from bot.model import build

T = TypeVar("T")
_log = telemetry.log("engines")


class Preparer:
    """Prepares jobs whose lock it is given, and keeps what is known about sandboxes here."""

    def __init__(
        self,
        *,
        place: disk.Disk,
        manner: launch.Manner,
        program: git.Git,
        sources: mirrors.Mirrors,
        more: parts.Parts,
        workers: threads.Threads,
        boxer: boxes.Boxer,
        supervisors: spawn.Supervisors,
    ) -> None:
        self._disk = place
        self._manner = manner
        self._git = program
        self._mirrors = sources
        self._parts = more
        self._workers = workers
        self._boxer = boxer
        self._supervisors = supervisors
        self._findings: dict[Network, probe.Finding] = {}
        # So that a job that comes while it is found out waits for that.
        self._looking = asyncio.Lock()

    async def look(self, found: Network) -> probe.Finding:
        """Whether a sandbox can be made: asked once, and again after it was not so or seemed not so."""
        async with self._looking:
            return await self._look(found)

    async def _look(self, found: Network) -> probe.Finding:
        if found not in self._findings:
            manner = replace(self._manner, reach=found)
            if manner.is_in_containers:
                self._findings[found] = probe.Finding(problem=(await self._boxer.look()).problem)
            else:
                self._findings[found] = await self._workers.run(
                    partial(probe.probe, self._disk.probes, manner, by=self._supervisors)
                )
        finding = self._findings[found]
        if finding.problem is not None:
            # It may be mended while we run.
            del self._findings[found]
        return finding

    def doubt(self) -> None:
        """A job's sandbox broke: look anew before the next one."""
        self._findings.clear()

    async def try_to_escape(self) -> tuple[contract.Probed, ...]:
        """Try to get out of the sandbox of untrusted code.

        :raises errors.EngineError: if none can be made.
        """
        if not self._manner.is_sandboxed:
            raise errors.EngineError("SANDBOX=none: there is no sandbox to try, and untrusted code does not run.")
        found = self._reach(build.Trust.UNTRUSTED)
        finding = await self.look(found)
        if finding.problem is not None:
            raise errors.EngineError(finding.problem)
        manner = replace(self._manner, reach=found, can_nest=finding.can_nest)
        place, inside = self._disk, None
        if manner.is_in_containers:
            try:
                inside = await self._boxer.ours()
            except trouble.Ended as error:
                raise errors.EngineError(f"{error.reason}\n{error.log}".strip()) from None
        # With the first `buildhook engines test`.
        from bot.engines.local import escapes

        return await self._workers.run(
            lambda: escapes.run(place.probes, manner, data_dir=place.data_dir, boxes=inside, by=self._supervisors)
        )

    def expect(self, source: contract.Source) -> None:
        """Begin to fetch the code of a job that will be prepared, if it is one that may run."""
        if self._manner.is_sandboxed or source.trust is build.Trust.TRUSTED:
            self._mirrors.expect(source)

    async def prepare(
        self, place: folder.Folder, claim: folder.Claim, request: contract.JobRequest, cancelled: asyncio.Event
    ) -> None:
        """Launch the job, or write its end where it cannot be launched."""
        try:
            await self._launch(place, claim, request, cancelled)
        except trouble.Ended as error:
            reason = await self._workers.run(place.cancel_reason) if cancelled.is_set() else None
            ended = error if reason is None else trouble.Ended(reason, result=contract.Result.CANCELLED)
            await self._end(claim, ended)
        except (errors.BuildhookError, OSError) as error:
            await self._end(claim, trouble.Ended(f"The job could not be prepared: {telemetry.redact(str(error))}"))
        except Exception:
            _log.exception("preparing a job failed", action="prepare_failed", job=place.job_id)
            await self._end(
                claim, trouble.Ended("The job could not be prepared: a mistake of ours, see the service's log.")
            )

    async def _end(self, claim: folder.Claim, error: trouble.Ended) -> None:
        await self._workers.run(lambda: claim.finish(error.result, error.reason, log=error.log))

    async def _launch(
        self, place: folder.Folder, claim: folder.Claim, request: contract.JobRequest, cancelled: asyncio.Event
    ) -> None:
        manner = await self._decide(request.source)
        request = dataclasses.replace(request, plan=containers.planned(request.plan))
        steps = launch.steps(request)
        code = await self._provide(request.source, cancelled)
        if self._parts.is_wanted:
            code = await self._workers.run(lambda: self._lay_out(place, request, manner, code))
            code = replace(code, more=await self._complete(place, request, code, cancelled))
        found = await self._boxes(request, manner, cancelled)
        secrets = await _secrets(request, cancelled)
        told = images.note(found.pinned, images.names(request.plan)) if found is not None else None

        def launch_it() -> None:
            laid = code if self._parts.is_wanted else self._lay_out(place, request, manner, code)
            self._write(place, request, manner, steps, laid, found)
            with self._supervisors.start(place, claim) as supervisor:
                supervisor.go(secrets, note="\n".join(one for one in (told, secrets.note) if one))

        await self._workers.run(launch_it)

    def _lay_out(
        self, place: folder.Folder, request: contract.JobRequest, manner: launch.Manner, code: launch.Code
    ) -> launch.Code:
        _expect_wanted(place)
        launch.clean(place)
        objects = sandbox.OBJECTS if manner.is_sandboxed else str(code.found.objects)
        return launch.lay_out(place, request.source, code=code, program=self._git, objects=objects)

    async def _complete(
        self, place: folder.Folder, request: contract.JobRequest, code: launch.Code, cancelled: asyncio.Event
    ) -> extras.Extras:
        """What is checked out besides, unless the job is cancelled first."""
        room = await self._workers.run(lambda: launch.room(place.path, self._manner.job_limits)["disk_bytes"])
        objects = launch.own_objects(place)
        making = self._parts.complete(request.source, code.found, code.tested, objects=objects, most_bytes=room)
        return await _unless(cancelled, making)

    def _write(
        self,
        place: folder.Folder,
        request: contract.JobRequest,
        manner: launch.Manner,
        steps: list[launch.Step],
        code: launch.Code,
        found: containers.Boxes | None,
    ) -> None:
        _expect_wanted(place)
        launch.write(
            place,
            steps,
            manner=manner,
            code=code,
            timeout_seconds=request.timeout_seconds,
            request=request,
            boxes=found,
        )

    async def _boxes(
        self, request: contract.JobRequest, manner: launch.Manner, cancelled: asyncio.Event
    ) -> containers.Boxes | None:
        """The images of the job, unless it is cancelled first; None where it runs in no container and has none."""
        if not manner.is_in_containers and not images.names(request.plan):
            return None
        providing = self._boxer.provide(request, is_sandboxed=manner.is_sandboxed, reach=manner.reach)
        return await _unless(cancelled, providing)

    async def _decide(self, source: contract.Source) -> launch.Manner:
        """How the code may run, by whose it is.

        :raises trouble.Ended: if it may not run here.
        """
        is_trusted = source.trust is build.Trust.TRUSTED
        if not self._manner.is_sandboxed:
            if not is_trusted:
                raise trouble.Ended(
                    "Untrusted code runs in a sandbox only, and SANDBOX=none switches it off: set SANDBOX=auto and "
                    "install bubblewrap (apt-get install bubblewrap)."
                )
            return self._manner
        found = self._reach(source.trust)
        finding = await self.look(found)
        if finding.problem is not None:
            raise trouble.Ended(finding.problem)
        return replace(self._manner, reach=found, can_nest=finding.can_nest)

    def _reach(self, trust: build.Trust) -> Network:
        return reach.of(trust, setting=self._manner.reach, egress=self._manner.egress)

    async def _provide(self, source: contract.Source, cancelled: asyncio.Event) -> launch.Code:
        """The code, unless the job is cancelled first."""
        try:
            found, commits = await _unless(cancelled, self._mirrors.provide(source))
        except trouble.Fetching as error:
            raise trouble.during(f"Fetching {submodules.full_name(source.url)}", error) from error
        return launch.Code(found=found, tested=commits[0], base=commits[-1] if source.base_sha else None)


def _expect_wanted(place: folder.Folder) -> None:
    """:raises trouble.Ended: if the job is to be cancelled."""
    if (reason := place.cancel_reason()) is not None:
        raise trouble.Ended(reason, result=contract.Result.CANCELLED)


async def _secrets(request: contract.JobRequest, cancelled: asyncio.Event) -> contract.Secrets:
    """The values of the job's secrets, unless it is cancelled first.

    :raises trouble.Ended: if they may not be given to it, or a value cannot be.
    """
    if request.secrets is None:
        return contract.Secrets()
    found = await _unless(cancelled, request.secrets())
    if found and request.source.trust is not build.Trust.TRUSTED:
        # Decided already by whoever gives them; here nothing of that can be got wrong.
        raise trouble.Ended("The job has code that is not trusted, and was to get secrets: that is never done.")
    wrong = sorted(name for name, value in found.items() if "\0" in value)
    if wrong:
        raise trouble.Ended(f"The secret {wrong[0]} has a byte that no variable can hold: set it again.")
    return found


async def _unless(cancelled: asyncio.Event, work: Awaitable[T]) -> T:
    """What the work gives.

    :raises trouble.Ended: if the job is cancelled first.
    """
    working = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise trouble.Ended("It was cancelled.", result=contract.Result.CANCELLED)
        return working.result()
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
