"""What people ask of a build: cancel it, run it again. One meaning for the page, the command line and GitHub."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import rerun
from bot.model import build, job, outcome
from bot.store import approvals, builds, jobs, outcomes


def cancel(connection: Connection, build_id: str, *, now: datetime, reason: str) -> None:
    """Ask a build to end; the scheduler finds the wish.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it has ended.
    """
    if not outcomes.cancel_build(connection, build_id, now=now, reason=reason):
        raise errors.Conflict(f"Build {build_id} has ended.")


def again(
    asked: build.Build,
    its_jobs: Sequence[job.Job],
    *,
    latest: build.Build | None,
    which: rerun.Which = rerun.ALL,
    wish: rerun.Wish,
) -> outcome.NewBuild | str:
    """The next generation of a build that has ended, or why there can be none. Pure.

    Whoever asks and by whichever way (a check's button, a comment, a page, the command line), this is what it means.

    :param latest: the newest generation for the same commit.
    """
    refusal = rerun.why_not(asked, latest=latest)
    if refusal is not None:
        return refusal
    wanted = rerun.keys(asked, its_jobs, which)
    if isinstance(wanted, str):
        return wanted
    made = rerun.make(asked, its_jobs, replace(wish, only_keys=None if which == rerun.ALL else wanted))
    # Two who ask at once get one build: the second is decided anew, when the first has begun.
    return replace(made, follows=asked.generation)


def retry(
    connection: Connection,
    build_id: str,
    *,
    now: datetime,
    new_id: Callable[[], str],
    which: rerun.Which = rerun.ALL,
) -> build.Build:
    """Run jobs of an ended build again, as the next generation.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it cannot be run again; the text says why.
    """
    asked = builds.get(connection, build_id)
    latest = builds.find_latest(connection, repository_id=asked.repository_id, head_sha=asked.head_sha)
    if (
        asked.plan_digest
        and asked.trust == build.Trust.UNTRUSTED
        and approvals.find_of_build(connection, asked) is None
    ):
        raise errors.Conflict(f"Nobody's consent to {asked.head_sha} holds any more: it has to be approved again.")
    wish = rerun.Wish(now=now, new_id=new_id, cause=f"retry:{asked.id}")
    its_jobs = jobs.list_of_builds(connection, [asked.id])
    made = again(asked, its_jobs, latest=latest, which=which, wish=wish)
    if isinstance(made, str):
        raise errors.Conflict(made)
    return outcomes.create(connection, made, now=now)
