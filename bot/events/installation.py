"""`installation` and `installation_repositories`: where the App may work changed.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation
"""

from __future__ import annotations

from datetime import timedelta

from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import resume
from bot.events import payloads, resuming
from bot.events.context import Context
from bot.events.router import Router
from bot.model import build, outcome
from bot.store import builds, installations

router = Router()

#: A repository that is given to another account comes as two deliveries: it went here, and came there.
TRANSFER_PATIENCE = timedelta(seconds=5)
_DELETED = "deleted"


@router.register("installation", action="created")
@router.register("installation", action="new_permissions_accepted")
@router.register("installation", action="suspend")
@router.register("installation", action="unsuspend")
@router.register("installation", action="deleted")
async def changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """The App may work for an account, may do more, or may no longer do anything."""
    told = payloads.read(event, payloads.InstallationEvent)
    seen = _seen(told)
    context.github.forget(seen.id)
    context.note(
        f"`{told.sender.login}` (id {told.sender.id}): installation {seen.id} of {seen.account} is {seen.state} as of"
        f" {seen.updated_at:%Y-%m-%d %H:%M:%S} UTC ({told.action})."
    )
    late = await _why_late(seen, context)
    if late is not None:
        return outcome.Outcome(trail=(late,))
    if seen.state == "active":
        return await _allowed(seen, told.repositories or [], context)
    suspended = seen.state == "suspended"
    text = f"The App was {'suspended' if suspended else 'uninstalled'} for {seen.account}."
    reason = resume.SUSPENDED if suspended else text
    stop = outcome.Cancellation(reason=reason, installation_id=seen.id, spares_waiting=suspended)
    return outcome.Outcome(trail=(text,), installations=(seen,), cancellations=(stop,))


async def _allowed(seen: build.Installation, came: list[payloads.Repository], context: Context) -> outcome.Outcome:
    again = await resuming.stopped(context, reason=resume.SUSPENDED, installation_id=seen.id)
    return outcome.Outcome(
        trail=(f"The App may work for {seen.account}.{resuming.told(again)}",),
        installations=(seen,),
        builds=again,
        moves=await resuming.moves(came, context, installation_id=seen.id),
        revivals=(outcome.Revival(installation_id=seen.id),),
    )


async def _why_late(seen: build.Installation, context: Context) -> str | None:
    """Why the event tells nothing new, if it came behind a newer one; GitHub does not promise any order."""
    known = await context.store.read(installations.find, seen.id)
    if known is None or seen.state == _DELETED:
        return None
    if known.state == _DELETED:
        return f"The App was uninstalled for {seen.account} since."
    if known.updated_at > seen.updated_at:
        return f"This is older than what is known of the App for {seen.account}."
    if known.updated_at < seen.updated_at or known.state == seen.state:
        return None
    # Both happened within one second, which is as fine as the times are: only GitHub knows which was last.
    try:
        now = await context.github.get_installation(seen.id)
    except errors.NotReachable:
        return f"The App was uninstalled for {seen.account} since."
    text = f"The App for {seen.account} changed again within the same second: this is not how it stands now."
    return None if now.state == seen.state else text


def _seen(told: payloads.InstallationEvent) -> build.Installation:
    installation = told.installation
    is_suspended = told.action == "suspend" or installation.suspended_at is not None
    return build.Installation(
        id=installation.id,
        account=installation.account.login,
        state=_DELETED if told.action == _DELETED else "suspended" if is_suspended else "active",
        updated_at=payloads.utc(installation.updated_at),
        permissions=installation.permissions or {},
    )


@router.register("installation_repositories", action="added")
@router.register("installation_repositories", action="removed")
async def repositories_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Repositories came or went: builds of those that went end."""
    told = payloads.read(event, payloads.InstallationRepositoriesEvent)
    installation_id, account = told.installation.id, told.installation.account.login
    busy_ids = await context.store.read(_busy, told)
    due_at = context.delivery.received_at + TRANSFER_PATIENCE
    if busy_ids and context.now() < due_at:
        reason = f"The App for {account} lost repositories: whether they were transferred is waited for."
        return outcome.Outcome(trail=(reason,), look_again_at=due_at)
    gone = [
        one
        for one in told.repositories_removed
        # Asked: it may have been given back, and that was told before.
        if one.id in busy_ids and await resuming.described(one, context, installation_id=installation_id) is None
    ]
    stops = tuple(
        outcome.Cancellation(
            reason=resume.UNSEEN, repository_id=one.id, installation_id=installation_id, spares_waiting=True
        )
        for one in gone
    )
    moves = await resuming.moves(told.repositories_added, context, installation_id=installation_id)
    back = [one.repository_id for one in moves]
    again = await resuming.stopped(context, reason=resume.UNSEEN, repository_ids=back)
    added, removed = len(told.repositories_added), len(told.repositories_removed)
    text = f"The App for {account} was given {added} and lost {removed} repositories."
    return outcome.Outcome(
        trail=(text + resuming.told(again),),
        cancellations=stops,
        builds=again,
        moves=moves,
        revivals=tuple(outcome.Revival(installation_id=installation_id, repository_id=one) for one in back),
    )


def _busy(connection: Connection, told: payloads.InstallationRepositoriesEvent) -> set[int]:
    """Those of the repositories that went whose builds go on in this installation."""
    gone = {one.id for one in told.repositories_removed}
    unfinished = builds.list_unfinished(connection, installation_id=told.installation.id) if gone else []
    return gone & {one.repository_id for one in unfinished}
