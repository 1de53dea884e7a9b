"""The follower: turns what an engine tells about one job into its log, its steps and its transitions.

Bytes come first, then the place where to go on reading: a crash between the two reads some events again, which
changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from bot import errors, telemetry
from bot.builds import lifecycle, transitions
from bot.engines import contract
from bot.logs import LogStore
from bot.model import build, job
from bot.store import Store, jobs

#: How much may be read again after a crash.
_SAVE_EVERY_BYTES = 1024 * 1024
_SAVE_EVERY = timedelta(seconds=1)
_log = telemetry.log("builds")


class Follower:
    """Follows jobs on one engine."""

    def __init__(
        self,
        store: Store,
        *,
        engine: contract.Engine,
        logs: LogStore,
        metrics: telemetry.Metrics,
        on_change: Callable[[], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._engine = engine
        self._logs = logs
        self._metrics = metrics
        self._on_change = on_change
        self._now = now

    async def follow(self, started: job.Job) -> job.Job:
        """Follow a job to its end; gives it as it ended.

        :raises errors.LeaseLost: if another process took it over.
        :raises errors.NotFound: if the engine does not know it.
        """
        one = started
        saved, saved_at = one, self._now()
        async for event in self._engine.events(one.id, offset=one.engine_offset):
            one = await self._take(one, event)
            is_moved = one.state != saved.state or one.tested_sha != saved.tested_sha
            if is_moved:
                await self._save(one)
            elif self._is_worth_saving(one, saved, saved_at):
                await self._store.write(jobs.save_progress, one)
            else:
                continue
            saved, saved_at = one, self._now()
            if one.state in job.FINAL:
                break
        # What is left over when this fails is freed at the next start.
        with contextlib.suppress(errors.EngineError):
            await self._engine.remove(one.id)
        return one

    async def _take(self, one: job.Job, event: contract.Event) -> job.Job:
        match event:
            case contract.Output():
                await self._logs.append(one.id, offset_bytes=event.log_offset_bytes, data=event.data)
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
                )
            case contract.StepChanged():
                return replace(one, engine_offset=event.offset, steps=_with_step(one.steps, event.step))
            case contract.Finished():
                await self._logs.seal(one.id)
                return replace(
                    one,
                    engine_offset=event.offset,
                    state=lifecycle.transition(one.state, lifecycle.Signal(event.result.value)),
                    reason=event.reason,
                    exit_code=event.exit_code,
                    finished_at=event.at,
                )

    def _is_worth_saving(self, one: job.Job, saved: job.Job, saved_at: datetime) -> bool:
        return (
            one.steps != saved.steps
            or one.log_size_bytes - saved.log_size_bytes >= _SAVE_EVERY_BYTES
            or self._now() - saved_at >= _SAVE_EVERY
        )

    async def _save(self, one: job.Job) -> None:
        of = await self._store.write(transitions.save, one, now=self._now())
        self._on_change()
        if one.state in job.FINAL:
            self._measure(one, of)

    def _measure(self, one: job.Job, of: build.Build) -> None:
        self._metrics.builds.labels(one.engine, one.state).inc()
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


def _with_step(steps: tuple[job.StepResult, ...], changed: job.StepResult) -> tuple[job.StepResult, ...]:
    others = [one for one in steps if one.index != changed.index]
    return tuple(sorted([*others, changed], key=lambda one: one.index))


def lost(one: job.Job, *, now: datetime, error: errors.BuildhookError) -> job.Job:
    """The job as it ends when its engine no longer knows it."""
    return replace(
        one,
        state=lifecycle.transition(one.state, lifecycle.Signal.ERRORED),
        reason=f"The engine lost the job: {error}",
        finished_at=now,
    )
