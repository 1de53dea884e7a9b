"""An engine whose events a test writes down: it keeps the contract and runs nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.engines import contract
from bot.model import job


class _Told(msgspec.Struct, eq=False):
    """What happened to one job so far."""

    events: list[contract.Event] = msgspec.field(default_factory=list)
    changed: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    log_size_bytes: int = 0

    @property
    def is_over(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], contract.Finished)


class Scripted:
    """Tells what it is given by `tell`, before a job is started or while it is followed.

    Jobs and what was told of them outlive `close` and `open`, as on a real engine. A cancellation ends a job at once,
    unless `heeds_cancel` is taken away.
    """

    def __init__(self) -> None:
        #: Requests in the order of `start`, repeated ones included.
        self.started: list[contract.JobRequest] = []
        #: Ids and reasons in the order of `cancel`.
        self.cancelled: list[tuple[str, str]] = []
        #: Ids in the order of `remove`.
        self.removed: list[str] = []
        #: The repositories that were to be kept, in the order of `sweep`.
        self.kept: list[frozenset[int]] = []
        #: When set, `start` raises it and takes nothing.
        self.refusal: errors.EngineError | None = None
        self.heeds_cancel = True
        self._requests: dict[str, contract.JobRequest] = {}
        self._told: dict[str, _Told] = {}
        self._marks: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The engine's name in settings and pages."""
        return "scripted"

    async def open(self) -> None:
        """Make ready."""

    async def close(self) -> None:
        """Let go; everything is kept."""

    def tell(self, job_id: str, *events: contract.Event) -> None:
        """Let these happen. Offsets are filled in here, an output's place in the log as well."""
        told = self._of(job_id)
        for event in events:
            if told.is_over:
                raise errors.Conflict(f"The job {job_id} has ended: nothing can happen to it.")
            change: Any = dataclasses.replace if isinstance(event, contract.ResultFile) else replace
            placed = change(event, offset=len(told.events) + 1)
            if isinstance(placed, contract.Output):
                placed = replace(placed, log_offset_bytes=told.log_size_bytes)
                told.log_size_bytes += len(placed.data)
            told.events.append(placed)
        told.changed.set()

    def forget(self, job_id: str) -> None:
        """Lose the job, and let whoever follows it hear of that."""
        self._requests.pop(job_id, None)
        self._of(job_id).changed.set()

    async def start(self, request: contract.JobRequest) -> None:
        """Note the request; the first one of an id counts.

        :raises bot.errors.EngineError: `refusal`, while it is set.
        """
        if self.refusal is not None:
            raise self.refusal
        self.started.append(request)
        self._requests.setdefault(request.job_id, request)
        told = self._of(request.job_id)
        if request.job_id in self._marks and not told.events:
            self.tell(request.job_id, finished(contract.Result.CANCELLED, reason=self._marks[request.job_id]))

    async def find(self, job_id: str) -> bool:
        """Whether it was started."""
        return job_id in self._requests

    async def events(self, job_id: str, *, offset: int = 0) -> AsyncIterator[contract.Event]:
        """What was told since `offset`, and what is told.

        :raises bot.errors.NotFound: if it was never started, or is removed.
        """
        while True:
            if job_id not in self._requests:
                raise errors.NotFound(f"There is no job {job_id!r} on this engine.")
            told = self._of(job_id)
            told.changed.clear()
            for event in told.events[offset:]:
                offset = event.offset
                yield event
                if isinstance(event, contract.Finished):
                    return
            if offset == len(told.events):
                await told.changed.wait()

    async def cancel(self, job_id: str, *, reason: str) -> None:
        """Note it, and end the job if it has begun."""
        self.cancelled.append((job_id, reason))
        self._marks.setdefault(job_id, reason)
        if job_id in self._requests and self.heeds_cancel and not self._of(job_id).is_over:
            self.tell(job_id, finished(contract.Result.CANCELLED, reason=reason))

    async def remove(self, job_id: str) -> None:
        """Forget the job.

        :raises bot.errors.EngineError: if it has not ended.
        """
        if job_id in self._requests and not self._of(job_id).is_over:
            raise errors.EngineError(f"The job {job_id} still runs: cancel it first.")
        self.removed.append(job_id)
        for kept in (self._requests, self._told, self._marks):
            kept.pop(job_id, None)

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Note it; nothing is kept of any repository."""
        self.kept.append(frozenset(keep))

    def _of(self, job_id: str) -> _Told:
        # Several followers wait for one event: each clears it only after it has looked.
        return self._told.setdefault(job_id, _Told())


def _now() -> datetime:
    return datetime.now(UTC)


def prepared(
    *, sha: str = "a" * 40, tree: str = "b" * 40, images: Mapping[str, str] | None = None
) -> contract.Prepared:
    """The code is checked out."""
    return contract.Prepared(offset=0, at=_now(), tested_sha=sha, tested_tree=tree, images=images or {})


def output(data: bytes) -> contract.Output:
    """Bytes of the log."""
    return contract.Output(offset=0, log_offset_bytes=0, data=data)


def step(
    index: int, state: str, *, exit_code: int | None = None, start_bytes: int = 0, end_bytes: int | None = None
) -> contract.StepChanged:
    """A step is in this state now."""
    is_over = state != "running"
    result = job.StepResult(
        index=index,
        state=state,
        started_at=None if state == "skipped" else _now(),
        finished_at=_now() if is_over and state != "skipped" else None,
        exit_code=exit_code,
        log_start_bytes=start_bytes,
        log_end_bytes=end_bytes,
    )
    return contract.StepChanged(offset=0, step=result)


def result_file(kind: str, path: str, data: bytes = b"", *, problem: str | None = None) -> contract.ResultFile:
    """A file that the job leaves behind."""

    async def read() -> bytes:
        return data

    return contract.ResultFile(
        offset=0,
        kind=kind,
        path=path,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        problem=problem,
        read=None if problem is not None else read,
    )


def finished(result: contract.Result, *, reason: str | None = None, exit_code: int | None = None) -> contract.Finished:
    """The job ended."""
    return contract.Finished(offset=0, at=_now(), result=result, reason=reason, exit_code=exit_code)
