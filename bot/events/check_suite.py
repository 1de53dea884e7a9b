"""`check_suite`: somebody pressed "Re-run all checks".

https://docs.github.com/en/webhooks/webhook-events-and-payloads#check_suite
"""

from __future__ import annotations

from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot.builds import commands
from bot.events import payloads, rerunning
from bot.events.context import Context
from bot.events.router import Router
from bot.model import build, job, outcome
from bot.store import builds, jobs

router = Router()


@router.register("check_suite", action="rerequested")
async def rerequested(event: sansio.Event, context: Context) -> outcome.Outcome:
    """All checks of a commit are to run again."""
    asked = payloads.read(event, payloads.CheckSuiteEvent)
    if asked.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    context.note(
        f"`{asked.sender.login}` (id {asked.sender.id}) asked to run all checks of commit {asked.check_suite.head_sha}"
        f" again, in {asked.repository.full_name} (id {asked.repository.id})."
    )
    known = await context.store.read(_find, asked)
    if isinstance(known, str):
        return outcome.Outcome(trail=(known,))
    latest, latest_jobs = known
    wish = rerunning.wish(asked.sender, context, cause=_cause(asked))
    made = commands.again(latest, latest_jobs, latest=latest, wish=wish)
    if isinstance(made, str):
        return outcome.Outcome(trail=(made,))
    refusal = await rerunning.why_not_allowed(
        asked.sender, context, asked.repository, latest, installation_id=asked.installation.id
    )
    if refusal is not None:
        return outcome.Outcome(trail=(refusal,))
    return outcome.Outcome(
        trail=(f"Build {made.build.id} runs all jobs again.",),
        builds=(made,),
        audit=(rerunning.entry(asked.sender, made, what="all jobs"),),
    )


def _find(connection: Connection, asked: payloads.CheckSuiteEvent) -> tuple[build.Build, tuple[job.Job, ...]] | str:
    repository_id, suite = asked.repository.id, asked.check_suite
    answered = builds.find_by_cause(connection, repository_id=repository_id, cause=_cause(asked))
    if answered is not None:
        return f"Build {answered.id} already answers this wish."
    latest = builds.find_latest(connection, repository_id=repository_id, head_sha=suite.head_sha)
    if latest is None:
        return f"There is no build of commit {suite.head_sha}."
    return latest, tuple(jobs.list_of_builds(connection, [latest.id]))


def _cause(asked: payloads.CheckSuiteEvent) -> str:
    # A new press comes with another time, or with more runs in the suite.
    suite = asked.check_suite
    return f"check_suite:{suite.id}:{str(suite.updated_at or '')[:64]}:{suite.latest_check_runs_count or 0}"
