"""What was stopped because the App lost sight of it begins again when it sees it: suspended, removed, given away."""

from __future__ import annotations

from collections.abc import Collection

from bot import errors
from bot.builds import resume
from bot.events import payloads
from bot.events.context import Context
from bot.model import outcome
from bot.store import builds


async def stopped(
    context: Context,
    *,
    reason: str,
    installation_id: int | None = None,
    repository_ids: Collection[int] | None = None,
) -> tuple[outcome.NewBuild, ...]:
    """See `resume.stopped`: the builds to make anew, now that this delivery tells that the App sees them."""
    return await context.store.read(
        resume.stopped,
        reason=reason,
        now=context.now(),
        new_id=context.new_id,
        delivery_id=context.delivery.id,
        installation_id=installation_id,
        repository_ids=repository_ids,
    )


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
