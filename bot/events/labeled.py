"""`pull_request`, `labeled`: where the policy names a label, setting it consents to the commit that it was set at.

GitHub lets people set labels who may not push; their consent counts for nothing.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#pull_request
"""

from __future__ import annotations

from gidgethub import sansio

from bot.events import approving, payloads
from bot.events.context import Context
from bot.events.router import Router
from bot.model import outcome
from bot.store import builds

router = Router()


@router.register("pull_request", action="labeled")
async def labeled(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Somebody set a label."""
    told = payloads.read(event, payloads.LabeledEvent)
    if context.policy.trust.label is None or told.label.name != context.policy.trust.label:
        return outcome.ignored("The policy gives this label no meaning.")
    if told.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    # The payload is of the moment at which the label was set, so this is the commit that was there.
    head_sha = told.pull_request.head.sha
    found = await context.store.read(builds.find_latest, repository_id=told.repository.id, head_sha=head_sha)
    if found is None or found.pull_number != told.number:
        return outcome.Outcome(trail=(f"No build of {head_sha} waits for pull request #{told.number}.",))
    return await approving.approve(
        approving.Asked(
            build=found,
            sender=told.sender,
            repository=told.repository,
            installation_id=told.installation.id,
            head_sha=head_sha,
            via="label",
        ),
        context,
    )
