"""Why a job waits, in a sentence for people. Pure; why a whole build waits is for `explaining` to say."""

from __future__ import annotations

from collections.abc import Sequence

from bot.model import build, job

#: So many names are told.
_SHOWN = 5


def why(one: job.Job, *, of: build.Build, of_build: Sequence[job.Job]) -> str | None:
    """Why it has not begun; None where it has, or never will.

    :param of_build: all jobs of its build.
    """
    if one.state not in (job.State.WAITING, job.State.QUEUED):
        return None
    if one.cancel_requested_at is not None:
        return "It is being cancelled."
    if one.reason:
        return one.reason
    if of.state == build.State.QUEUED and of.reason:
        return of.reason
    if of.state == build.State.WAITING:
        return "Its build waits until somebody lets it run."
    open_needs = _open_needs(one, of_build)
    if open_needs:
        more = f" and {len(open_needs) - _SHOWN} more" if len(open_needs) > _SHOWN else ""
        return (
            f"It waits until {', '.join(open_needs[:_SHOWN])}{more} {'has' if len(open_needs) == 1 else 'have'} ended."
        )
    if one.state == job.State.WAITING:
        return "It waits until it is its turn in its build."
    return f"It waits for a free place on the engine {one.engine}."


def _open_needs(one: job.Job, of_build: Sequence[job.Job]) -> list[str]:
    return [
        other.plan.name
        for other in of_build
        if other.plan.id in one.plan.needs and other.state not in job.FINAL and other.id != one.id
    ]
