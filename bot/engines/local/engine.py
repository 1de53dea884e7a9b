"""The local engine: takes jobs over durably, starts each once, and tells what happens however often it is asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bot import errors, telemetry
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import (
    boxes,
    caches,
    cgroups,
    containers,
    disk,
    folder,
    git,
    launch,
    lfs,
    mirrors,
    orphans,
    parts,
    prepare,
    reach,
    spawn,
    stream,
    threads,
    watch,
)
from bot.engines.local import sandbox as sandboxes
from bot.engines.local.limits import Limits as Limits

_log = telemetry.log("engines")
#: How often a follower looks by itself.
_LOOK_SECONDS = 2.0
#: How soon it looks again after a wake-up with nothing new: a dead supervisor's lock is let go a moment later.
_AGAIN_SECONDS = 0.02
#: Waits before each attempt to get a job's lock: somebody who only looks, or a supervisor that never got the word of
#: the service that is gone, may have it for a moment.
_CLAIM_SECONDS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
_Read = Callable[[int], tuple[list[contract.Event], bool]]


class _Preparation(msgspec.Struct, eq=False):
    """A job between being taken over and its launch."""

    cancelled: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Local:
    """Runs jobs on this machine; the package's description says how.

    :param data_dir: a folder that the service alone may read.
    :param sandbox: `auto`, `bubblewrap`, `podman` or `none`.
    :param network: what trusted jobs reach: `none`, `list` or `full`.
    :param egress: the hosts of the list.
    :param job_limits: what each job may use of this machine.
    :param checkout: what is checked out besides a commit's own files.
    :param git_env: variables for git when it fetches, e.g. `https_proxy` or `SSL_CERT_FILE`; for Podman too.
    :param image: with git and sh, for all jobs that name none where the sandbox is `podman`.
    :param images_dir: the data folder of another engine, which runs, to use the images of.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        sandbox: str = "auto",
        network: str = "none",
        egress: contract.Egress | None = None,
        job_limits: contract.JobLimits | None = None,
        limits: Limits | None = None,
        git_env: Mapping[str, str] | None = None,
        checkout: contract.Checkout | None = None,
        image: str = "",
        images_dir: Path | None = None,
    ) -> None:
        if sandbox not in {"auto", "bubblewrap", "podman", "none"}:
            raise errors.SettingsError("SANDBOX is auto, bubblewrap, podman or none.")
        self._egress = egress or contract.Egress()
        self._reach = reach.of_setting(network, self._egress)
        self._disk = disk.Disk(data_dir)
        self._is_sandboxed, self._is_in_containers = sandbox != "none", sandbox == "podman"
        self._job_limits = job_limits or contract.JobLimits()
        self._limits = limits or Limits()
        self._git_env = dict(git_env or {})
        self._checkout = checkout or contract.Checkout()
        self._given = boxes.Given(image=image, images_dir=images_dir, env=self._git_env)
        self._watch = watch.Watch()
        self._preparing: dict[str, _Preparation] = {}
        self._supervisors = spawn.Supervisors()
        self._tasks: set[asyncio.Task[None]] = set()
        # So that a look at a job's lock is never taken for somebody working on it.
        self._claiming = asyncio.Lock()

    @property
    def name(self) -> str:
        """The engine's name in settings and pages."""
        return "local"

    async def open(self) -> None:
        """Make ready: folders, git, and a first look whether a sandbox can be made.

        :raises bot.errors.EngineError: if git is missing or too old, or the data folder cannot be written.
        """
        self._files = threads.Threads("engine-files", most=8)
        self._workers = threads.Threads("engine-work", most=8)
        # Of their own, because fetching an image may take minutes.
        self._fetchers = threads.Threads("engine-images", most=8)
        try:
            await self._files.run(self._disk.make)
        except OSError as error:
            raise errors.EngineError(f"The data folder {self._disk.data_dir} cannot be written: {error}.") from error
        tools = await self._files.run(sandboxes.find_tools)
        if tools.git is None:
            raise errors.EngineError("git is not installed: install it (apt-get install git).")
        self._git = git.Git(tools.git, extra_env=self._git_env)
        await self._files.run(self._git.check)
        self._mirrors = mirrors.Mirrors(
            self._disk.mirrors,
            program=self._git,
            trash=self._disk.trash,
            pool=self._workers,
            fetch_seconds=self._limits.fetch_seconds,
        )
        self._large = lfs.Store(self._disk.large, pool=self._workers, seconds=self._limits.fetch_seconds)
        self._held = await self._files.run(lambda: cgroups.find(self._disk.data_dir, self._job_limits))
        if self._held.problem is not None:
            _log.warning(self._held.problem, action="limits_missing")
        manner = launch.Manner(
            tools=tools,
            etc=self._disk.etc,
            is_sandboxed=self._is_sandboxed,
            reach=self._reach,
            egress=self._egress,
            can_nest=False,
            job_limits=self._job_limits,
            held=self._held,
            grace_seconds=self._limits.grace_seconds,
            log_limit_bytes=self._limits.log_bytes,
            caches=self._disk.caches,
            is_in_containers=self._is_in_containers,
        )
        boxer = await self._files.run(lambda: boxes.make(self._disk, manner, self._given, pool=self._fetchers))
        self._podman = boxer.podman
        self._preparer = prepare.Preparer(
            place=self._disk,
            manner=manner,
            program=self._git,
            sources=self._mirrors,
            more=parts.Parts(
                self._checkout, program=self._git, sources=self._mirrors, store=self._large, workers=self._workers
            ),
            workers=self._workers,
            boxer=boxer,
            supervisors=self._supervisors,
        )
        self._watch.open()
        self._begin(self._files.run(self._disk.empty))
        await self._files.run(lambda: self._held.sweep(lambda job_id: self._disk.job(job_id).exists()))
        self._begin(self._workers.run(lambda: self._podman.sweep(lambda job_id: self._disk.job(job_id).exists())))
        if self._is_sandboxed:
            # Beside all else: the first job waits for its answer, and a service is ready to take jobs without it.
            self._begin(self._look())

    async def _look(self) -> None:
        """Look whether sandboxes can be made, and tell the operator where not."""
        for found in {Network.NONE, self._reach}:
            try:
                problem = (await self._preparer.look(found)).problem
            except errors.EngineError as error:
                # The first job looks again.
                problem = str(error)
            if problem is not None:
                _log.warning(problem, action="sandbox_missing", network=found.value)

    async def close(self) -> None:
        """Let go: jobs that run go on; one that is being prepared is gone on with by the next `start` of it."""
        self._git.close()
        for preparation in self._preparing.values():
            if preparation.task is not None:
                preparation.task.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._mirrors.close()
        await self._watch.close()
        await self._fetchers.close()
        await self._workers.close()
        await asyncio.to_thread(self._supervisors.close)
        await asyncio.to_thread(self._held.close)
        await asyncio.to_thread(containers.close, self._held)
        await self._files.close()

    async def start(self, request: contract.JobRequest) -> None:
        """Start the job, once; returns when it is written down. To be called again after a restart.

        :raises bot.errors.EngineError: if it cannot be written down, or its id is not possible.
        """
        place = self._disk.job(request.job_id)
        self._preparer.expect(request.source)
        await self._files.run(lambda: self._accept(place, request))
        self._prepare(place, request)

    async def mirror(self, source: contract.Source) -> Path:
        """The bare repository here that jobs of a source have their code from; what is put into it is not fetched.

        :raises bot.errors.EngineError: if it cannot be made.
        """
        place = self._mirrors.place(source)
        await self._workers.run(lambda: place.make(is_sha256=len(source.head_sha) == 64))
        return place.folder

    async def find(self, job_id: str) -> bool:
        """Whether the job was taken over."""
        try:
            place = self._disk.job(job_id)
        except errors.EngineError:
            return False
        return await self._files.run(place.exists)

    async def events(self, job_id: str, *, offset: int = 0) -> AsyncIterator[contract.Event]:
        """What happened since `offset`, and what happens, until and including the end.

        :raises bot.errors.NotFound: if the job was never taken over, or is removed.
        """
        if not await self.find(job_id):
            raise errors.NotFound(f"There is no job {job_id[:80]!r} on this machine.")
        place = self._disk.job(job_id)
        read = partial(stream.read, place.path / "stream")
        is_first = is_woken = True
        late_at = asyncio.get_running_loop().time() + self._limits.patience_seconds
        with self._watch.changes(place.path / "stream") as changed:
            while True:
                changed.clear()
                found, is_more = await self._files.run(partial(read, offset))
                for event in found:
                    offset = event.offset
                    yield event
                    if isinstance(event, contract.Finished):
                        if event.result is contract.Result.ERRORED:
                            self._preparer.doubt()
                        return
                if is_more:
                    continue
                wait_seconds = _LOOK_SECONDS
                if not found or is_first:
                    # A wake-up with nothing new: it was closed, or nobody writes.
                    wait_seconds = _AGAIN_SECONDS if is_woken else _LOOK_SECONDS
                    is_first = False
                    is_late = asyncio.get_running_loop().time() > late_at
                    if await self._tend(place, is_late=is_late):
                        await self._check_end(place, read, offset)
                        continue
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_seconds):
                        await changed.wait()
                is_woken = changed.is_set()

    async def cancel(self, job_id: str, *, reason: str) -> None:
        """Ask the job to end, whatever its state is; of an unknown one it is remembered.

        :raises bot.errors.EngineError: if it cannot be written down.
        """
        place = self._disk.job(job_id)
        await self._files.run(lambda: self._note(place, reason))
        if (preparation := self._preparing.get(job_id)) is not None:
            preparation.cancelled.set()
        elif await self.find(job_id):
            # It may have ended by itself, and be removed in this moment.
            with contextlib.suppress(errors.NotFound):
                await self._tend(place, is_late=False)

    async def remove(self, job_id: str) -> None:
        """Forget an ended job and free its disk.

        :raises bot.errors.EngineError: if the job still runs.
        """
        if not await self.find(job_id):
            return
        if job_id in self._preparing:
            raise errors.EngineError(f"The job {job_id} still runs: cancel it first.")
        place = self._disk.job(job_id)
        async with self._claiming:
            await self._files.run(lambda: self._throw(place))
        await self._files.run(self._disk.empty)

    async def test(self) -> tuple[contract.Probed, ...]:
        """Try to get out of the sandbox of a stranger's job.

        :raises bot.errors.EngineError: if no sandbox can be made here.
        """
        return await self._preparer.try_to_escape()

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Delete the mirrors of other repositories than these that no job used since an instant, and old images.

        :raises bot.errors.EngineError: if one cannot be put away.
        """
        try:
            await self._mirrors.sweep(keep=keep, before=before)
            await self._workers.run(lambda: self._large.sweep(keep=keep, before=before))
            await self._workers.run(lambda: caches.sweep(self._disk.caches, keep=keep, now=datetime.now(UTC)))
            await self._workers.run(self._podman.sweep_images)
        except OSError as error:
            raise errors.EngineError(f"A mirror or cache cannot be put away: {error}.") from error
        await self._files.run(self._disk.empty)

    def _accept(self, place: folder.Folder, request: contract.JobRequest) -> None:
        place.accept(request)
        mark = self._disk.mark(place.job_id)
        if (reason := folder.read_reason(mark)) is not None:
            place.cancel(reason)
            mark.unlink(missing_ok=True)

    def _throw(self, place: folder.Folder) -> None:
        claim = place.claim(waits_for_ended=True)
        if claim is None:
            raise errors.EngineError(f"The job {place.job_id} still runs: cancel it first.")
        with claim:
            self._held.clear(place.job_id)
            self._disk.throw(place.path)

    def _note(self, place: folder.Folder, reason: str) -> None:
        try:
            if not place.exists():
                folder.cancel_in(self._disk.mark(place.job_id), reason)
            # It may have come meanwhile.
            if place.exists():
                place.cancel(reason)
        except FileNotFoundError:
            # It ended and was removed meanwhile: there is nothing left to cancel.
            if place.exists():
                raise errors.EngineError("The cancellation cannot be written: its folder is gone.") from None
        except OSError as error:
            raise errors.EngineError(f"The cancellation cannot be written: {error.strerror}.") from error

    async def _tend(self, place: folder.Folder, *, is_late: bool) -> bool:
        """Look after a job that nobody works on; returns whether it is over and was so before."""
        if place.job_id in self._preparing:
            return False
        async with self._claiming:
            request = await self._files.run(
                lambda: orphans.look_after(place, is_late=is_late, held=self._held, program=self._podman)
            )
        if isinstance(request, contract.JobRequest):
            self._prepare(place, request)
            return False
        return request

    async def _check_end(self, place: folder.Folder, read: _Read, offset: int) -> None:
        found, _ = await self._files.run(partial(read, offset))
        if not found:
            raise errors.EngineError(f"The job {place.job_id} is over, and offset {offset} is none of its events.")

    def _prepare(self, place: folder.Folder, request: contract.JobRequest) -> None:
        if place.job_id not in self._preparing:
            preparation = self._preparing[place.job_id] = _Preparation()
            preparation.task = self._begin(self._prepare_once(place, request, preparation))

    async def _prepare_once(
        self, place: folder.Folder, request: contract.JobRequest, preparation: _Preparation
    ) -> None:
        # A list, so that a claim is not lost where this is cancelled while a thread makes it.
        claims: list[folder.Claim] = []
        try:
            for wait_seconds in _CLAIM_SECONDS:
                await asyncio.sleep(wait_seconds)
                async with self._claiming:
                    is_settled = await self._files.run(lambda: orphans.claim(place, claims))
                if is_settled:
                    break
            if claims and claims[0].is_fresh:
                await self._preparer.prepare(place, claims[0], request, preparation.cancelled)
        except (errors.BuildhookError, OSError) as error:
            _log.warning("a job was not prepared", action="prepare_failed", job=place.job_id, error=str(error))
        finally:
            for claim in claims:
                claim.close()
            del self._preparing[place.job_id]

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
