"""Builds that ended because the App lost sight of their repository, and what makes them anew when it sees it again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot.builds import rerun
from bot.model import build, outcome
from bot.store import builds, jobs, locks, outcomes, pulls

#: Why builds of a repository end that an installation lost.
UNSEEN = "The App may no longer see this repository."
#: Why builds end while an installation is suspended. It names no account, which may be renamed meanwhile.
SUSPENDED = "The App was suspended for this account."
#: What was stopped longer ago is left as it ended: whoever still wants it runs it again.
_PATIENCE = timedelta(hours=24)


def stopped(
    connection: Connection,
    *,
    reason: str,
    now: datetime,
    new_id: Callable[[], str],
    delivery_id: str | None = None,
    installation_id: int | None = None,
    repository_ids: Collection[int] | None = None,
) -> tuple[outcome.NewBuild, ...]:
    """The builds to make anew of those that were stopped for this reason a while ago.

    :param delivery_id: the delivery that told that the App sees them again; None where no delivery did.
    :param installation_id: the installation that they were made in; None for any.
    :param repository_ids: None for all repositories.
    """
    found = builds.list_stopped(
        connection,
        reason=reason,
        since=now - _PATIENCE,
        installation_id=installation_id,
        repository_ids=repository_ids,
    )
    return tuple(
        _make(connection, one, now=now, new_id=new_id, delivery_id=delivery_id)
        for one in found
        if _is_wanted(connection, one)
    )


def again(
    connection: Connection, of: build.Build, *, reason: str, now: datetime, new_id: Callable[[], str]
) -> build.Build | None:
    """Make one stopped build anew, unless that was done already; gives the new one, None where there is none."""
    locks.repositories(connection, [of.repository_id])
    for new in stopped(connection, reason=reason, now=now, new_id=new_id, repository_ids=[of.repository_id]):
        if new.build.origin_id == of.id:
            return outcomes.create(connection, new, now=now)
    return None


def _is_wanted(connection: Connection, one: build.Build) -> bool:
    if one.pull_number is None:
        return True
    pull = pulls.find(connection, repository_id=one.repository_id, number=one.pull_number)
    return pull is not None and (pull.state, pull.head_sha, pull.base_ref) == ("open", one.head_sha, one.base_ref)


def _make(
    connection: Connection, one: build.Build, *, now: datetime, new_id: Callable[[], str], delivery_id: str | None
) -> outcome.NewBuild:
    wish = rerun.Wish(now=now, new_id=new_id, cause=f"resume:{one.id}", delivery_id=delivery_id)
    made = rerun.make(one, jobs.list_of_builds(connection, [one.id]), wish)
    return replace(made, follows=one.generation)
