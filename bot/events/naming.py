"""`create` and `delete`: a branch or tag came or went.

Nearly all of it was told by a push already. A tag whose push never came is built all the same, once for both.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#create
https://docs.github.com/en/webhooks/webhook-events-and-payloads#delete
"""

from __future__ import annotations

from gidgethub import sansio

from bot.events import payloads, push
from bot.events.context import Context
from bot.events.router import Router
from bot.model import outcome

router = Router()


@router.register("create")
async def came(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A branch or tag was made."""
    named = payloads.read(event, payloads.Named)
    if named.ref_type != "tag":
        return outcome.ignored(f"The {named.ref_type} `{named.ref}` was made: its push tells what there is to build.")
    if named.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    context.note(
        f"`{named.sender.login}` (id {named.sender.id}) made the tag `{named.ref}` of {named.repository.full_name}"
        f" (id {named.repository.id}, installation {named.installation.id})."
    )
    repository = context.repository(
        installation_id=named.installation.id,
        repository_id=named.repository.id,
        full_name=named.repository.full_name,
    )
    head_sha = await repository.get_tag(named.ref)
    if head_sha is None:
        return outcome.ignored(f"The tag `{named.ref}` is gone already, or is none of a commit.")
    moved = push.Moved(
        ref=f"refs/tags/{named.ref}",
        head_sha=head_sha,
        before=None,
        title="",
        sender=named.sender,
        repository=named.repository,
        installation_id=named.installation.id,
    )
    return await push.decide(moved, context)


@router.register("delete")
async def went(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A branch or tag was deleted."""
    named = payloads.read(event, payloads.Named)
    text = f"The {named.ref_type} `{named.ref}` was deleted: there is nothing to build. What is under way of it ends."
    return outcome.ignored(text)
