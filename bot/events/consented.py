"""`consent`: somebody who is signed in let a build run on its page. It means what the button on GitHub means.

It is a delivery of our own making, written by `bot.builds.commands.consent`.
"""

from __future__ import annotations

import msgspec
from gidgethub import sansio

from bot.events import approving, payloads
from bot.events.context import Context
from bot.events.router import Router
from bot.model import approval, delivery, outcome
from bot.store import builds

router = Router()


class _Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What was written down."""

    build: str
    head_sha: payloads.Sha
    consent: approval.Consent
    sender: payloads.Account
    repository: payloads.Repository
    installation: payloads.Numbered


@router.register(delivery.CONSENT)
async def consented(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A build that waits is to run."""
    if not delivery.is_own(context.delivery.headers):
        return outcome.ignored("It is not of our making, so nobody here asked for it.")
    told = payloads.read(event, _Consent)
    waiting = await context.store.read(builds.find, told.build)
    if waiting is None or waiting.repository_id != told.repository.id:
        return outcome.ignored(f"There is no build {told.build} any more.")
    return await approving.approve(
        approving.Asked(
            build=waiting,
            sender=told.sender,
            repository=told.repository,
            installation_id=waiting.installation_id,
            head_sha=told.head_sha,
            via="page",
            consent=told.consent,
        ),
        context,
    )
