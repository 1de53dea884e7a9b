"""`installation` and `installation_repositories`: where the App may work changed.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation
"""

from __future__ import annotations

from datetime import UTC, datetime

from gidgethub import sansio

from bot.events import payloads
from bot.events.context import Context
from bot.events.router import Router
from bot.model import build, outcome

router = Router()

_STATES = {
    "created": "active",
    "new_permissions_accepted": "active",
    "unsuspend": "active",
    "suspend": "suspended",
    "deleted": "deleted",
}


@router.register("installation", action="created")
@router.register("installation", action="new_permissions_accepted")
@router.register("installation", action="unsuspend")
async def allowed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """The App may work for an account, or may do more."""
    changed = payloads.read(event, payloads.InstallationEvent)
    text = f"The App may work for {changed.installation.account.login}."
    return outcome.Outcome(trail=(text,), installations=(_seen(changed),))


@router.register("installation", action="suspend")
@router.register("installation", action="deleted")
async def forbidden(event: sansio.Event, context: Context) -> outcome.Outcome:
    """The App may no longer work for an account: its builds end."""
    changed = payloads.read(event, payloads.InstallationEvent)
    did = "suspended" if changed.action == "suspend" else "uninstalled"
    text = f"The App was {did} for {changed.installation.account.login}."
    stop = outcome.Cancellation(reason=text, installation_id=changed.installation.id)
    return outcome.Outcome(trail=(text,), installations=(_seen(changed),), cancellations=(stop,))


@router.register("installation_repositories", action="added")
@router.register("installation_repositories", action="removed")
async def repositories_changed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Repositories came or went: builds of those that went end."""
    changed = payloads.read(event, payloads.InstallationRepositoriesEvent)
    added, removed = len(changed.repositories_added), len(changed.repositories_removed)
    reason = "The App may no longer see this repository."
    stops = tuple(
        outcome.Cancellation(reason=reason, repository_id=one.id, installation_id=changed.installation.id)
        for one in changed.repositories_removed
    )
    account = changed.installation.account.login
    text = f"The App for {account} was given {added} and lost {removed} repositories."
    return outcome.Outcome(trail=(text,), cancellations=stops)


def _seen(changed: payloads.InstallationEvent) -> build.Installation:
    at = changed.installation.updated_at
    return build.Installation(
        id=changed.installation.id,
        account=changed.installation.account.login,
        state=_STATES[changed.action],
        updated_at=at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC),
        permissions=changed.installation.permissions,
    )
