"""`repository`: it was renamed, given away, archived or deleted. Its id stays; names and installations are labels.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository
"""

from __future__ import annotations

from gidgethub import sansio

from bot.builds import resume
from bot.events import payloads, resuming
from bot.events.context import Context
from bot.events.router import Router
from bot.model import outcome

router = Router()

_ARCHIVED = "The repository was archived: GitHub takes no checks for it."


@router.register("repository", action="renamed")
@router.register("repository", action="transferred")
async def moved(event: sansio.Event, context: Context) -> outcome.Outcome:
    """It has another name, perhaps of another owner and in another installation: its builds go on there."""
    told = payloads.read(event, payloads.RepositoryEvent)
    if told.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    # Asked by its id: a payload may be old, and another repository may bear the name in it by now.
    now = await _described(told, context, installation_id=told.installation.id)
    move = outcome.Move(
        repository_id=told.repository.id, repository=now.full_name, installation_id=told.installation.id
    )
    again = await resuming.stopped(context, reason=resume.UNSEEN, repository_ids=[told.repository.id])
    return outcome.Outcome(
        trail=(f"Repository {told.repository.id} is {now.full_name} now.{resuming.told(again)}",),
        moves=(move,),
        builds=again,
        revivals=(outcome.Revival(installation_id=told.installation.id, repository_id=told.repository.id),),
    )


@router.register("repository", action="archived")
@router.register("repository", action="unarchived")
async def archived_or_back(event: sansio.Event, context: Context) -> outcome.Outcome:
    """It can only be read, or is written to again."""
    told = payloads.read(event, payloads.RepositoryEvent)
    if told.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    installation_id, repository_id = told.installation.id, told.repository.id
    # Asked, not read from the payload: GitHub does not promise any order.
    if (await _described(told, context, installation_id=installation_id)).archived:
        stop = outcome.Cancellation(reason=_ARCHIVED, repository_id=repository_id, spares_waiting=True)
        return outcome.Outcome(trail=(_ARCHIVED,), cancellations=(stop,))
    again = await resuming.stopped(context, reason=_ARCHIVED, repository_ids=[repository_id])
    return outcome.Outcome(
        trail=(f"{told.repository.full_name} can be written to.{resuming.told(again)}",),
        builds=again,
        revivals=(outcome.Revival(installation_id=installation_id, repository_id=repository_id),),
    )


@router.register("repository", action="deleted")
async def deleted(event: sansio.Event, context: Context) -> outcome.Outcome:
    """It is gone, and never comes back under this id: nothing of it runs, and nothing can be shown."""
    told = payloads.read(event, payloads.RepositoryEvent)
    if told.installation is not None:
        context.github.forget(told.installation.id)
    reason = f"{told.repository.full_name} was deleted."
    stop = outcome.Cancellation(reason=reason, repository_id=told.repository.id)
    farewell = outcome.Farewell(reason=reason, repository_id=told.repository.id)
    return outcome.Outcome(trail=(reason,), cancellations=(stop,), farewells=(farewell,))


@router.register("repository", action="publicized")
async def publicized(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Everybody may see it; or could, for GitHub does not promise any order."""
    told = payloads.read(event, payloads.RepositoryEvent)
    if told.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    now = await _described(told, context, installation_id=told.installation.id)
    seen = outcome.Visibility(repository_id=told.repository.id, is_public=not now.private, is_asked=True)
    word = "private" if now.private else "public"
    return outcome.Outcome(trail=(f"{now.full_name} is {word}.",), visibilities=(seen,))


@router.register("repository", action="edited")
@router.register("repository", action="privatized")
async def nothing_follows(event: sansio.Event, context: Context) -> outcome.Outcome:
    """Its default branch, visibility or description changed: whatever depends on that is asked when it is needed."""
    told = payloads.read(event, payloads.RepositoryEvent)
    return outcome.ignored(f"{told.repository.full_name} was {told.action}: what depends on it is asked each time.")


async def _described(told: payloads.RepositoryEvent, context: Context, *, installation_id: int) -> payloads.Described:
    seen = context.repository(
        installation_id=installation_id, repository_id=told.repository.id, full_name=told.repository.full_name
    )
    seen.forget()
    return payloads.described(await seen.get_raw())
