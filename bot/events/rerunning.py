"""What re-runs that come from GitHub have in common: who may ask for one, and how the wish is written down."""

from __future__ import annotations

from bot import trust
from bot.builds import commands, rerun
from bot.events import payloads
from bot.events.context import Context
from bot.github import Repository
from bot.model import audit, build, outcome
from bot.store import approvals


async def why_not_allowed(
    sender: payloads.Account,
    context: Context,
    repository: payloads.Repository,
    of_build: build.Build,
    *,
    installation_id: int,
) -> str | None:
    """Why this person may not run the build again, asked from GitHub now; None if they may."""
    seen = context.repository(
        installation_id=installation_id, repository_id=repository.id, full_name=repository.full_name
    )
    permission = await seen.get_permission(sender.login, user_id=sender.id)
    if not trust.may_write(permission):
        return f"{sender.login} has no write permission in {repository.full_name}: nothing is run again."
    return await why_not_consented(of_build, context, seen)


async def why_not_consented(of_build: build.Build, context: Context, repository: Repository) -> str | None:
    """Why code that is not trusted may not run again: the consent to it ended, or whoever gave it may no longer."""
    if of_build.trust == build.Trust.TRUSTED:
        return None
    given = await context.store.read(approvals.find_of_build, of_build)
    if given is None:
        return f"Nobody's consent to {of_build.head_sha} holds any more: it has to be approved again."
    permission = await repository.get_permission(given.approver, user_id=given.approver_id)
    if trust.may_write(permission):
        return None
    return f"{given.approver}, who approved {of_build.head_sha}, may not push any more: it has to be approved again."


def wish(sender: payloads.Account, context: Context, *, cause: str) -> rerun.Wish:
    """The wish of a person on GitHub."""
    return rerun.Wish(
        now=context.now(),
        new_id=context.new_id,
        cause=cause,
        sender=sender.login,
        sender_id=sender.id,
        delivery_id=context.delivery.id,
    )


def entry(sender: payloads.Account, made: outcome.NewBuild, *, what: str) -> outcome.Entry:
    """The entry of a re-run for the audit.

    :param what: what runs again, e.g. `all jobs`.
    """
    by = audit.Actor(via=audit.Via.BUTTON, id=sender.id, name=sender.login)
    detail = f"Of build {made.build.origin_id}: {what}."
    return commands.about_build(made.build, audit.Action.RETRY, by=by, detail=detail)
