"""`check_run`: somebody pressed "Re-run", or a button of ours, beside one of our check runs.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_run
"""

from __future__ import annotations

import msgspec
from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot.builds import commands, rerun
from bot.events import approving, payloads, rerunning
from bot.events.context import Context
from bot.events.router import Router
from bot.model import approval, build, check, job, outcome
from bot.store import builds, checks, jobs

router = Router()


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    run: check.Check
    of_build: build.Build
    jobs: tuple[job.Job, ...]
    latest: build.Build | None


@router.register("check_run", action="rerequested")
async def rerequested(event: sansio.Event, context: Context) -> outcome.Outcome:
    """One check run is to run again: its job, or all jobs where it stands for the build."""
    asked = payloads.read(event, payloads.CheckRunEvent)
    if asked.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    context.note(
        f"`{asked.sender.login}` (id {asked.sender.id}) asked to run check run {asked.check_run.id} again, of commit"
        f" {asked.check_run.head_sha} in {asked.repository.full_name} (id {asked.repository.id})."
    )
    known = await context.store.read(_find, asked)
    if known is not None:
        context.note(f"That is `{known.run.name}` of build {known.of_build.id}, {known.of_build.state}.")
    if known is None:
        return outcome.ignored(f"Check run {asked.check_run.id} is none of ours.")
    own = next((one for one in known.jobs if one.id == known.run.job_id), None)
    which = rerun.ALL if own is None else rerun.Which(names=(own.plan.key,))
    wish = rerunning.wish(asked.sender, context, cause=f"check_run:{asked.check_run.id}")
    made = commands.again(known.of_build, known.jobs, latest=known.latest, which=which, wish=wish)
    if isinstance(made, str):
        return outcome.Outcome(trail=(made,))
    refusal = await rerunning.why_not_allowed(
        asked.sender, context, asked.repository, known.of_build, installation_id=asked.installation.id
    )
    if refusal is not None:
        return outcome.Outcome(trail=(refusal,))
    return outcome.Outcome(
        trail=(f"Build {made.build.id} runs {which} again.",),
        builds=(made,),
        audit=(rerunning.entry(asked.sender, made, what=str(which)),),
    )


@router.register("check_run", action="requested_action")
async def pressed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A button was pressed: somebody lets a build run that waits."""
    asked = payloads.read(event, payloads.PressedEvent)
    if asked.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    try:
        consent = approval.Consent(asked.requested_action.identifier)
    except ValueError:
        return outcome.ignored(f"There is no button {asked.requested_action.identifier!a}.")
    known = await context.store.read(_find, asked)
    if known is None:
        return outcome.ignored(f"Check run {asked.check_run.id} is none of ours.")
    return await approving.approve(
        approving.Asked(
            build=known.of_build,
            sender=asked.sender,
            repository=asked.repository,
            installation_id=asked.installation.id,
            head_sha=asked.check_run.head_sha,
            via="button",
            consent=consent,
        ),
        context,
    )


def _find(connection: Connection, asked: payloads.CheckRunEvent) -> _Known | None:
    repository_id = asked.repository.id
    found = checks.find_by_github_id(connection, repository_id=repository_id, github_id=asked.check_run.id)
    if found is None or found.head_sha != asked.check_run.head_sha:
        return None
    return _Known(
        run=found,
        of_build=builds.get(connection, found.build_id),
        jobs=tuple(jobs.list_of_builds(connection, [found.build_id])),
        latest=builds.find_latest(connection, repository_id=repository_id, head_sha=found.head_sha),
    )
