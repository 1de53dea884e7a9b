"""Where a build's time went: the bars of its jobs, and the path of jobs that decided when it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from bot.model import job


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One job on the line of time, in seconds since the build was made."""

    job: job.Job
    #: When all that it needs had ended.
    ready_seconds: float
    started_seconds: float
    ended_seconds: float
    #: Whether the build would have ended earlier if this job had.
    is_critical: bool = False

    @property
    def waited_seconds(self) -> float:
        """How long it could have run and did not, for want of a place."""
        return self.started_seconds - self.ready_seconds

    @property
    def ran_seconds(self) -> float:
        """How long it ran."""
        return self.ended_seconds - self.started_seconds


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of all jobs that began, in the order of the build."""

    bars: tuple[Bar, ...] = ()
    #: From the build's making to the last end.
    total_seconds: float = 0.0

    @property
    def critical(self) -> tuple[Bar, ...]:
        """The path that decided when the build ended, the first one first."""
        return tuple(sorted((one for one in self.bars if one.is_critical), key=lambda one: one.started_seconds))

    @property
    def waited_seconds(self) -> float:
        """How much of the path was waiting for places."""
        return sum(one.waited_seconds for one in self.critical)


def of(of_build: Sequence[job.Job], *, made_at: datetime, now: datetime) -> Timing:
    """The timing of a build; what still runs ends now.

    :param of_build: the jobs in order.
    """
    bars: dict[str, Bar] = {}
    ends = {one.id: _since(made_at, one.finished_at or now) for one in of_build if one.started_at is not None}
    needed = _needed(of_build, ends)
    for one in of_build:
        if one.started_at is None:
            continue
        started = _since(made_at, one.started_at)
        ready = max((ends[need] for need in needed[one.id]), default=0.0)
        # Clocks may disagree, and a job that is run again may have begun before its need.
        bars[one.id] = Bar(
            job=one,
            ready_seconds=min(ready, started),
            started_seconds=started,
            ended_seconds=max(started, ends[one.id]),
        )
    path = _path(bars, needed)
    return Timing(
        bars=tuple(
            Bar(
                job=one.job,
                ready_seconds=one.ready_seconds,
                started_seconds=one.started_seconds,
                ended_seconds=one.ended_seconds,
                is_critical=one.job.id in path,
            )
            for one in bars.values()
        ),
        total_seconds=max((one.ended_seconds for one in bars.values()), default=0.0),
    )


def _path(bars: Mapping[str, Bar], needed: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """From the job that ended last back to what it waited for longest, and so on."""
    path: set[str] = set()
    left = list(bars)
    while left:
        last = max(left, key=lambda of: bars[of].ended_seconds)
        path.add(last)
        # A circle, which no plan has, ends here too.
        left = [need for need in needed[last] if need not in path]
    return frozenset(path)


def _needed(of_build: Sequence[job.Job], ends: Mapping[str, float]) -> dict[str, list[str]]:
    """The jobs that began and that each needs, be it by way of others that never began."""
    by_key: dict[str, list[job.Job]] = {}
    for one in of_build:
        by_key.setdefault(one.plan.id, []).append(one)
    found: dict[str, list[str]] = {}
    for one in of_build:
        began: dict[str, None] = {}
        seen, left = {one.id}, list(one.plan.needs)
        while left:
            for need in by_key.get(left.pop(), ()):
                if need.id in seen:
                    continue
                seen.add(need.id)
                if need.id in ends:
                    began[need.id] = None
                else:
                    left += need.plan.needs
        found[one.id] = list(began)
    return found


def _since(made_at: datetime, at: datetime) -> float:
    return max(0.0, (at - made_at).total_seconds())
