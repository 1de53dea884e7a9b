"""The follower: turns what an engine tells about one job into its log, its steps and its transitions.

Bytes come first, then the place where to go on reading: a crash between the two reads some events again, which
changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint, telemetry
from bot.builds import hearing, ingest, lifecycle, transitions
from bot.engines import contract
from bot.logs import ArtifactStore, LogStore, failure
from bot.model import artifact, build, job, report, storage
from bot.store import Store, artifacts, builds, jobs, kept, locks, results

#: How much may be read again after a crash.
_SAVE_EVERY_BYTES = 1024 * 1024
_SAVE_EVERY = timedelta(seconds=1)
#: When nothing came for so long, what came before is written down.
PAUSE_SECONDS = 0.05
_log = telemetry.log("builds")


class Follower:
    """Follows jobs on one engine."""

    def __init__(
        self,
        store: Store,
        *,
        engine: contract.Engine,
        logs: LogStore,
        kept: ArtifactStore,
        new_id: Callable[[], str],
        metrics: telemetry.Metrics,
        on_change: Callable[[], None],
        now: Callable[[], datetime],
        most_bytes: int = storage.USUAL_BYTES,
    ) -> None:
        """:param most_bytes: how much each repository may keep."""
        self._store = store
        self._engine = engine
        self._logs = logs
        self._artifacts = kept
        self._new_id = new_id
        self._metrics = metrics
        self._on_change = on_change
        self._now = now
        self._most_bytes = most_bytes

    async def follow(self, started: job.Job) -> job.Job:
        """Follow a job to its end; gives it as it ended.

        :raises errors.LeaseLost: if another process took it over.
        :raises errors.NotFound: if the engine does not know it.
        :raises errors.EngineBroken: if the engine told what cannot be true.
        """
        one = saved = started
        saved_at = self._now()
        files: list[contract.ResultFile] = []
        async with contextlib.aclosing(_with_pauses(self._engine.events(one.id, offset=one.engine_offset))) as events:
            async for told in events:
                event = None if told is None else hearing.heard(told, of=one, files=len(files))
                if isinstance(event, contract.ResultFile):
                    files.append(event)
                one = one if event is None else await self._take(one, event)
                if one.state in job.FINAL:
                    break
                # What follows at once is written together: most jobs are short.
                is_due = event is None or self._now() - saved_at >= _SAVE_EVERY
                if one != saved and (is_due or one.log_size_bytes - saved.log_size_bytes >= _SAVE_EVERY_BYTES):
                    await self._save_progress(one, saved)
                    saved, saved_at = one, self._now()
        if one.state not in job.FINAL:
            raise RuntimeError("the engine stopped telling before the job had ended")
        await self._save(one, made=await self._ingest(one, files))
        # Not before its end is written: what is told of a job is read from its log.
        self._logs.let_go(one.id)
        await failpoint.pause("result.after_commit")
        # What is left over when this fails is freed at the next start.
        with contextlib.suppress(errors.EngineError):
            await self._engine.remove(one.id)
        return one

    async def _save_progress(self, one: job.Job, saved: job.Job) -> None:
        await self._logs.sync(one.id)
        if one.state != saved.state or one.tested_sha != saved.tested_sha:
            await self._save(one)
        else:
            await self._store.write(jobs.save_progress, one)
        await failpoint.pause("engine.after_record")

    async def _take(self, one: job.Job, event: contract.Event) -> job.Job:
        match event:
            case contract.Output():
                await self._logs.append(one.id, offset_bytes=event.log_offset_bytes, data=event.data)
                await failpoint.pause("log.after_append_before_offset")
                self._metrics.log_bytes.inc(len(event.data))
                size_bytes = max(one.log_size_bytes, event.log_offset_bytes + len(event.data))
                return replace(one, engine_offset=event.offset, log_size_bytes=size_bytes)
            case contract.Prepared():
                return replace(
                    one,
                    engine_offset=event.offset,
                    state=lifecycle.transition(one.state, lifecycle.Signal.PREPARED),
                    tested_sha=event.tested_sha,
                    tested_tree=event.tested_tree,
                    images=event.images,
                )
            case contract.StepChanged():
                return replace(one, engine_offset=event.offset, steps=_with_step(one.steps, event.step))
            case contract.ResultFile():
                # The place where to go on stays before them: they count together with the end, or not at all.
                return one
            case contract.Finished():
                await self._logs.seal(one.id)
                return replace(
                    one,
                    engine_offset=event.offset,
                    state=lifecycle.transition(one.state, lifecycle.Signal(event.result.value)),
                    reason=event.reason,
                    exit_code=event.exit_code,
                    outputs=event.outputs,
                    finished_at=event.at,
                )

    async def _ingest(self, one: job.Job, files: Sequence[contract.ResultFile]) -> ingest.Taken | None:
        """Take in what the job left behind; None where that is nothing."""
        if not files:
            return None
        repository_id, room = await self._store.read(_look, one, most_bytes=self._most_bytes)
        taken = await ingest.take(
            files, of=one, logs=self._logs, kept=self._artifacts, room=room, new_id=self._new_id, now=self._now()
        )
        if not taken.results.is_empty:
            await ingest.write(self._store, taken.results, of=one, repository_id=repository_id)
        return taken

    async def _save(self, one: job.Job, *, made: ingest.Taken | None = None) -> None:
        tail = None
        if (self._store.is_shared or self._logs.goes_away) and one.state in job.BAD:
            # Another replica may tell GitHub of it, and the log is not there; or the store that has it is away.
            tail = await failure.tail(self._logs, one)
        saved, dropped = await self._store.write(
            _save, one, now=self._now(), tail=tail, made=made, most_bytes=self._most_bytes
        )
        self._on_change()
        with contextlib.suppress(errors.StoreUnavailable):
            # What stays when this fails is found by the sweep.
            await self._artifacts.delete(*(of.id for of in dropped))
        if saved.job.state in job.FINAL:
            self._measure(saved.job, saved.of_build)

    def _measure(self, one: job.Job, of: build.Build) -> None:
        self._metrics.builds.labels(one.engine, one.state).inc()
        if one.state == job.State.ERRORED:
            self._metrics.system_errors.labels("agent", "job_errored").inc()
        if one.started_at is not None and one.finished_at is not None:
            seconds = (one.finished_at - one.started_at).total_seconds()
            self._metrics.job_seconds.observe(max(0.0, seconds))
        _log.info(
            "A job ended.",
            action="finish_job",
            job_id=one.id,
            build_id=of.id,
            repository_id=of.repository_id,
            state=one.state,
            reason=one.reason,
        )


def _save(
    connection: Connection,
    one: job.Job,
    *,
    now: datetime,
    tail: bytes | None,
    made: ingest.Taken | None,
    most_bytes: int,
) -> tuple[transitions.Saved, Sequence[artifact.Artifact]]:
    """Write it; gives what was written, and the artifacts that there is no room for any more."""
    if made is not None:
        found, left, dropped = _fit(connection, one, made, most_bytes=most_bytes)
    else:
        found, left, dropped = _without_files(connection, one, most_bytes=most_bytes)
    saved = transitions.save(connection, one, now=now)
    if not found.is_empty:
        results.insert(connection, one.id, found)
    if left:
        artifacts.replace_of_job(connection, one.id, left)
    if made is not None or not found.is_empty:
        kept.note_left(
            connection,
            one,
            repository_id=saved.of_build.repository_id,
            report_bytes=0 if found.is_empty else storage.report_bytes(found),
            artifacts_made=left,
        )
    if tail is not None:
        jobs.save_log_tail(connection, one.id, tail)
    if one.state in job.FINAL:
        failpoint.reach("result.before_commit")
    return saved, dropped


_Fitted = tuple[report.Results, Sequence[artifact.Artifact], Sequence[artifact.Artifact]]


def _without_files(connection: Connection, one: job.Job, *, most_bytes: int) -> _Fitted:
    """What is told of a job that left nothing but its log: where there was no room that is shorter."""
    if one.state not in job.FINAL:
        return report.Results(), (), ()
    _, room = _look(connection, one, most_bytes=most_bytes)
    return report.Results(problems=(storage.why_lean(room),) if room.is_full else ()), (), ()


def _fit(connection: Connection, one: job.Job, made: ingest.Taken, *, most_bytes: int) -> _Fitted:
    """What a job leaves, the artifacts that there is room for, and the others; jobs of one repository go in turn."""
    if not made.artifacts:
        return made.results, (), ()
    locks.repositories(connection, [builds.get(connection, one.build_id).repository_id])
    _, room = _look(connection, one, most_bytes=most_bytes)
    fits, too_much = storage.fitting(made.artifacts, room=room)
    if not too_much:
        return made.results, fits, ()
    told = storage.why_not_kept(room, [of.name for of in too_much])
    return replace(made.results, problems=(*made.results.problems, told)), fits, too_much


def _look(connection: Connection, one: job.Job, *, most_bytes: int) -> tuple[int, storage.Room]:
    """The repository of a job, and how much that may keep."""
    repository_id = builds.get(connection, one.build_id).repository_id
    return repository_id, storage.Room(kept=kept.of_repository(connection, repository_id), most_bytes=most_bytes)


async def _with_pauses(events: AsyncIterator[contract.Event]) -> AsyncGenerator[contract.Event | None, None]:
    """The events, and None whenever nothing came for a moment behind one."""
    following = asyncio.ensure_future(anext(events))
    try:
        has_said_none = True
        while True:
            await asyncio.wait({following}, timeout=None if has_said_none else PAUSE_SECONDS)
            if not following.done():
                has_said_none = True
                yield None
                continue
            try:
                event = following.result()
            except StopAsyncIteration:
                return
            has_said_none = False
            following = asyncio.ensure_future(anext(events))
            yield event
    finally:
        following.cancel()
        await asyncio.wait({following})
        if not following.cancelled():
            following.exception()
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _with_step(steps: tuple[job.StepResult, ...], changed: job.StepResult) -> tuple[job.StepResult, ...]:
    others = [one for one in steps if one.index != changed.index]
    return tuple(sorted([*others, changed], key=lambda one: one.index))


def given_up(one: job.Job, *, now: datetime, error: errors.BuildhookError) -> job.Job:
    """The job as it ends when its engine no longer knows it, or cannot be believed."""
    if isinstance(error, errors.EngineBroken):
        reason = f"The engine `{one.engine}` cannot be believed: it told {error}. Whoever runs it has to mend it."
    else:
        reason = f"The engine lost the job: {error}"
    state = lifecycle.transition(one.state, lifecycle.Signal.ERRORED)
    return replace(one, state=state, reason=reason, finished_at=now)
