"""`push`: a branch or tag moved. Its head is built, unless a build of the same commit already does that.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#push
"""

from __future__ import annotations

from datetime import timedelta

from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot import failpoint, trust
from bot.events import payloads, planning
from bot.events.context import Context
from bot.events.router import Router
from bot.model import build, outcome
from bot.pipelines import plan
from bot.store import builds, pulls

router = Router()

_NO_COMMIT = frozenset("0")
#: A push to a pull request's branch comes as two deliveries; the pull request's is the one to build.
PULL_PATIENCE = timedelta(seconds=5)


@router.register("push")
async def ref_moved(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A branch or tag was pushed or deleted."""
    push = payloads.read(event, payloads.Push)
    label = f"`{push.ref}`"
    if push.deleted or set(push.after) == _NO_COMMIT:
        return outcome.ignored(f"{label} was deleted: there is nothing to build.")
    if push.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    covering = await context.store.read(_find_covering, push)
    if covering is not None:
        return outcome.Outcome(trail=(f"Build {covering.id} ({covering.event}) already covers {push.after}.",))
    again = await _wait_for_pull(push, context)
    return again or await _build(push, context, installation_id=push.installation.id)


def _find_covering(connection: Connection, push: payloads.Push) -> build.Build | None:
    own = builds.find_by_cause(connection, repository_id=push.repository.id, cause=_cause(push))
    if own is not None:
        return own
    latest = builds.find_latest(connection, repository_id=push.repository.id, head_sha=push.after)
    if latest is None or latest.trust != build.Trust.TRUSTED:
        return None
    # One that was stopped, because its pull request was closed by this very push for instance, tells nothing.
    return None if latest.state in {build.State.CANCELLED, build.State.SKIPPED} else latest


def _cause(push: payloads.Push) -> str:
    return f"push:{push.after}:{push.ref}"[:512]


async def _wait_for_pull(push: payloads.Push, context: Context) -> outcome.Outcome | None:
    branch = push.ref.removeprefix("refs/heads/")
    due_at = context.delivery.received_at + PULL_PATIENCE
    if branch == push.ref or context.now() >= due_at:
        return None
    pull = await context.store.read(pulls.find_open_of_branch, repository_id=push.repository.id, branch=branch)
    if pull is None:
        return None
    reason = f"The delivery of pull request #{pull.number} for the same push is waited for."
    return outcome.Outcome(trail=(reason,), look_again_at=due_at)


async def _build(push: payloads.Push, context: Context, *, installation_id: int) -> outcome.Outcome:
    repository = context.repository(
        installation_id=installation_id, repository_id=push.repository.id, full_name=push.repository.full_name
    )
    content = await repository.get_file(planning.PIPELINE_PATH, ref=push.after)
    await failpoint.pause("plan.after_config_fetch")
    maker = _maker(push, context, installation_id=installation_id)
    if content is None:
        had_file = set(push.before) != _NO_COMMIT and await repository.get_file(planning.PIPELINE_PATH, ref=push.before)
        if not had_file:
            return outcome.ignored(f"There is no `{planning.PIPELINE_PATH}` at {push.after}.")
        return outcome.Outcome(trail=(f"The push deleted `{planning.PIPELINE_PATH}`.",), builds=(maker.deleted(),))
    made = planning.from_file(maker, content, plan.Facts(event="push", ref=push.ref, base_ref=None))
    if isinstance(made, str):
        return outcome.ignored(made)
    return outcome.Outcome(trail=(told(made),), builds=(made,))


def _maker(push: payloads.Push, context: Context, *, installation_id: int) -> planning.Maker:
    verdict = trust.decide(trust.push())
    message = push.head_commit.message if push.head_commit is not None else ""
    template = build.Build(
        id=context.new_id(),
        repository_id=push.repository.id,
        installation_id=installation_id,
        repository=push.repository.full_name,
        event="push",
        ref=push.ref,
        head_sha=push.after,
        title=message.partition("\n")[0][:255],
        sender=push.sender.login,
        sender_id=push.sender.id,
        trust=verdict.trust,
        delivery_id=context.delivery.id,
        cause=_cause(push),
        created_at=context.now(),
    )
    return planning.Maker(template=template, new_id=context.new_id, now=context.now())


def told(made: outcome.NewBuild) -> str:
    """The sentence of a decision to build."""
    if made.build.state == build.State.QUEUED:
        count = "1 job" if len(made.jobs) == 1 else f"{len(made.jobs)} jobs"
        return f"Build {made.build.id} starts with {count}."
    return f"Build {made.build.id}: {made.build.reason}"
