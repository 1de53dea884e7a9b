"""What re-runs that come from GitHub have in common: who may ask for one, and how the wish is written down."""

from __future__ import annotations

from bot import trust
from bot.builds import rerun
from bot.events import payloads
from bot.events.context import Context


async def why_not_allowed(
    sender: payloads.Account, context: Context, repository: payloads.Repository, *, installation_id: int
) -> str | None:
    """Why this person may not run builds again, asked from GitHub now; None if they may."""
    seen = context.repository(
        installation_id=installation_id, repository_id=repository.id, full_name=repository.full_name
    )
    permission = await seen.get_permission(sender.login, user_id=sender.id)
    if trust.may_write(permission):
        return None
    return f"{sender.login} has no write permission in {repository.full_name}: nothing is run again."


def wish(sender: payloads.Account, context: Context, *, cause: str, only_key: str | None = None) -> rerun.Wish:
    """The wish of a person on GitHub."""
    return rerun.Wish(
        now=context.now(),
        new_id=context.new_id,
        cause=cause,
        sender=sender.login,
        sender_id=sender.id,
        delivery_id=context.delivery.id,
        only_key=only_key,
    )
