"""What people ask of a build: cancel it, run it again. One meaning for the page, the command line and GitHub."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import rerun
from bot.model import build
from bot.store import approvals, builds, jobs, outcomes


def cancel(connection: Connection, build_id: str, *, now: datetime, reason: str) -> None:
    """Ask a build to end; the scheduler finds the wish.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it has ended.
    """
    if not outcomes.cancel_build(connection, build_id, now=now, reason=reason):
        raise errors.Conflict(f"Build {build_id} has ended.")


def retry(connection: Connection, build_id: str, *, now: datetime, new_id: Callable[[], str]) -> build.Build:
    """Run all jobs of an ended build again, as the next generation.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it cannot be run again; the text says why.
    """
    asked = builds.get(connection, build_id)
    latest = builds.find_latest(connection, repository_id=asked.repository_id, head_sha=asked.head_sha)
    refusal = rerun.why_not(asked, latest=latest)
    if refusal is not None:
        raise errors.Conflict(refusal)
    if asked.trust == build.Trust.UNTRUSTED and approvals.find_of_build(connection, asked) is None:
        raise errors.Conflict(f"Nobody's consent to {asked.head_sha} holds any more: it has to be approved again.")
    wish = rerun.Wish(now=now, new_id=new_id, cause=f"retry:{asked.id}")
    made = rerun.make(asked, jobs.list_of_builds(connection, [asked.id]), wish)
    return outcomes.create(connection, made, now=now)
