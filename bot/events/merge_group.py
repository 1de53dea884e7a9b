"""`merge_group`: a merge queue wants to know whether a group of pull requests may be merged, or no longer does.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#merge_group
"""

from __future__ import annotations

from gidgethub import sansio
from sqlalchemy.engine import Connection

from bot import failpoint, trust
from bot.events import excerpt, payloads, planning
from bot.events.context import Context
from bot.events.push import told
from bot.events.router import Router
from bot.model import build, outcome
from bot.pipelines import parse, plan
from bot.store import builds

router = Router()

_BRANCHES = "refs/heads/"
_ENDS = {
    "merged": "The merge group was merged.",
    "invalidated": "The merge group was made anew, because something ahead of it changed.",
    "dequeued": "The merge group was taken out of the queue.",
}


@router.register("merge_group", action="checks_requested")
async def checks_requested(event: sansio.Event, context: Context) -> outcome.Outcome:
    """GitHub made a commit of a group and waits for its checks."""
    asked = payloads.read(event, payloads.MergeGroupEvent)
    if asked.installation is None:
        return outcome.ignored("The delivery names no installation of the App.")
    group = asked.merge_group
    verdict = trust.decide(trust.merge_group(group.head_ref))
    if verdict.action != trust.Action.RUN:
        return outcome.ignored(verdict.reason)
    known = await context.store.read(_find, asked)
    if known is not None:
        return outcome.Outcome(trail=(f"Build {known.id} already tests this merge group.",))
    repository = context.repository(
        installation_id=asked.installation.id,
        repository_id=asked.repository.id,
        full_name=asked.repository.full_name,
    )
    branch = group.head_ref.removeprefix(_BRANCHES)
    if await repository.get_branch_head(branch) != group.head_sha:
        return outcome.Outcome(trail=(f"The merge group's branch `{branch}` does not stand at this commit any more.",))
    content = await repository.get_file(planning.PIPELINE_PATH, ref=group.head_sha)
    await failpoint.pause("plan.after_config_fetch")
    maker = _maker(asked, context, repository=await repository.get_name(), trusted=verdict.trust)
    if content is None:
        if await repository.get_file(planning.PIPELINE_PATH, ref=group.base_sha) is None:
            return outcome.ignored(f"There is no `{planning.PIPELINE_PATH}`, neither in the base nor in the group.")
        made = maker.deleted()
    else:
        made = _made(maker, content)
    return outcome.Outcome(trail=(told(made),), builds=(made,))


@router.register("merge_group", action="destroyed")
async def destroyed(event: sansio.Event, context: Context) -> outcome.Outcome:
    """A group is no more: nobody waits for its builds."""
    ended = payloads.read(event, payloads.MergeGroupEvent)
    group = ended.merge_group
    reason = _ENDS.get(ended.reason or "", "The merge group is no more.")
    if not group.head_ref.startswith(trust.QUEUE_PREFIX):
        return outcome.ignored("The payload is not about a merge queue's branch.")
    if ended.reason == "merged":
        # The base stands at this very commit now, and its push is covered by what was built for the group.
        return outcome.Outcome(trail=(reason,))
    stop = outcome.Cancellation(
        reason=reason, repository_id=ended.repository.id, ref=group.head_ref, head_sha=group.head_sha
    )
    return outcome.Outcome(trail=(reason,), cancellations=(stop,))


def _made(maker: planning.Maker, content: bytes) -> outcome.NewBuild:
    parsed = parse.parse(content, path=planning.PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    # Where the file does not name merge groups, what it asks of a pull request into this branch is asked here as well.
    event = "merge_group" if "merge_group" in parsed.pipeline.on else "pull_request"
    facts = plan.Facts(event=event, ref=maker.template.ref, base_ref=maker.template.base_ref)
    made = maker.make(parsed.pipeline, facts)
    if made.problem is not None:
        return maker.impossible(made.problem)
    # The queue waits for a check that it requires, so it is told where nothing runs.
    return maker.planned(made) if made.verdict == plan.Verdict.RUNS else maker.left_out(made)


def _cause(asked: payloads.MergeGroupEvent) -> str:
    return f"merge_group:{asked.merge_group.head_sha}:{asked.merge_group.head_ref}"[:512]


def _find(connection: Connection, asked: payloads.MergeGroupEvent) -> build.Build | None:
    return builds.find_by_cause(connection, repository_id=asked.repository.id, cause=_cause(asked))


def _maker(
    asked: payloads.MergeGroupEvent, context: Context, *, repository: str, trusted: build.Trust
) -> planning.Maker:
    assert asked.installation is not None
    group, sender = asked.merge_group, asked.sender
    head = group.head_commit
    template = build.Build(
        id=context.new_id(),
        repository_id=asked.repository.id,
        installation_id=asked.installation.id,
        repository=repository,
        event="merge_group",
        ref=group.head_ref,
        head_sha=group.head_sha,
        base_ref=group.base_ref.removeprefix(_BRANCHES),
        title=((head.message if head is not None else None) or "").partition("\n")[0][:255],
        sender=sender.login if sender is not None else "",
        sender_id=sender.id if sender is not None else 0,
        trust=trusted,
        payload=excerpt.of_group(asked),
        delivery_id=context.delivery.id,
        cause=_cause(asked),
        created_at=context.now(),
    )
    return planning.Maker(template=template, new_id=context.new_id, now=context.now())
