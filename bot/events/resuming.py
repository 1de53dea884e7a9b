"""What was stopped because the App lost sight of it begins again when it sees it: suspended, removed, given away."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import rerun
from bot.events import payloads
from bot.events.context import Context
from bot.model import build, outcome
from bot.store import builds, jobs, pulls

#: Why builds of a repository end that an installation lost.
UNSEEN = "The App may no longer see this repository."
#: What was stopped longer ago is left as it ended: whoever still wants it runs it again.
_PATIENCE = timedelta(hours=24)


async def stopped(
    context: Context,
    *,
    reason: str,
    installation_id: int | None = None,
    repository_ids: Collection[int] | None = None,
) -> tuple[outcome.NewBuild, ...]:
    """The builds to make anew of those that were stopped for this reason a while ago.

    :param installation_id: the installation that they were made in; None for any.
    """
    return await context.store.read(
        _again, context, reason=reason, installation_id=installation_id, repository_ids=repository_ids
    )


def _again(
    connection: Connection,
    context: Context,
    *,
    reason: str,
    installation_id: int | None,
    repository_ids: Collection[int] | None,
) -> tuple[outcome.NewBuild, ...]:
    found = builds.list_stopped(
        connection,
        reason=reason,
        since=context.now() - _PATIENCE,
        installation_id=installation_id,
        repository_ids=repository_ids,
    )
    return tuple(_make(connection, context, one) for one in found if _is_wanted(connection, one))


def _is_wanted(connection: Connection, one: build.Build) -> bool:
    if one.pull_number is None:
        return True
    pull = pulls.find(connection, repository_id=one.repository_id, number=one.pull_number)
    return pull is not None and (pull.state, pull.head_sha, pull.base_ref) == ("open", one.head_sha, one.base_ref)


def _make(connection: Connection, context: Context, one: build.Build) -> outcome.NewBuild:
    wish = rerun.Wish(
        now=context.now(),
        new_id=context.new_id,
        cause=f"resume:{one.id}",
        delivery_id=context.delivery.id,
    )
    made = rerun.make(one, jobs.list_of_builds(connection, [one.id]), wish)
    return replace(made, follows=one.generation)


async def described(one: payloads.Repository, context: Context, *, installation_id: int) -> payloads.Described | None:
    """The repository as GitHub has it now, None where this installation does not have it."""
    seen = context.repository(installation_id=installation_id, repository_id=one.id, full_name=one.full_name)
    seen.forget()
    try:
        return payloads.described(await seen.get_raw())
    except (errors.NotReachable, errors.Suspended):
        return None


async def moves(
    came: Collection[payloads.Repository], context: Context, *, installation_id: int
) -> tuple[outcome.Move, ...]:
    """The repositories that we built before and that this installation has now, perhaps after another one."""
    known = await context.store.read(builds.repositories_of, [one.id for one in came])
    found = [await described(one, context, installation_id=installation_id) for one in came if one.id in known]
    return tuple(
        outcome.Move(repository_id=one.id, repository=one.full_name, installation_id=installation_id)
        for one in found
        if one is not None
    )


def told(again: tuple[outcome.NewBuild, ...]) -> str:
    """What is added to the sentence of a decision that resumes builds."""
    if not again:
        return ""
    if len(again) == 1:
        return " 1 build that this had stopped begins again."
    return f" {len(again)} builds that this had stopped begin again."
