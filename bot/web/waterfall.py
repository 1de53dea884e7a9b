"""The times of a build's jobs as bars: where each begins and ends, in percent of the whole. Pure."""

from __future__ import annotations

import msgspec

from bot.builds import timing
from bot.model import job
from bot.web import phrases

#: A shorter bar could not be seen.
_LEAST_PERCENT = 0.4


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    job: job.Job
    #: Of what it waited for a place; the bar of its run follows on it.
    wait_x: float
    wait_width: float
    run_x: float
    run_width: float
    is_critical: bool
    #: What the bars show, in words.
    text: str


class Waterfall(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs that began."""

    rows: tuple[Row, ...]
    #: What decided when the build ended, in words.
    text: str


def draw(found: timing.Timing) -> Waterfall | None:
    """The bars; None where one job says it all."""
    if len(found.bars) < 2:
        return None
    return Waterfall(rows=tuple(_row(one, found.total_seconds) for one in found.bars), text=_told(found))


def _row(one: timing.Bar, total_seconds: float) -> Row:
    def percent(seconds: float) -> float:
        return round(100 * seconds / total_seconds, 2) if total_seconds else 0.0

    run_x = min(percent(one.started_seconds), 100 - _LEAST_PERCENT)
    waited = f", waited {phrases.duration(one.waited_seconds)}" if one.waited_seconds >= 1 else ""
    return Row(
        job=one.job,
        wait_x=percent(one.ready_seconds),
        wait_width=percent(one.waited_seconds),
        run_x=run_x,
        run_width=max(_LEAST_PERCENT, percent(one.ran_seconds)),
        is_critical=one.is_critical,
        text=f"{phrases.duration(one.ran_seconds)}{waited}",
    )


def _told(found: timing.Timing) -> str:
    path = found.critical
    names = " → ".join(one.job.plan.name for one in path)
    waited = f", {phrases.duration(found.waited_seconds)} of it waiting for places" if found.waited_seconds >= 1 else ""
    return f"{names}: {phrases.duration(found.total_seconds)} from its making to the last end{waited}."
