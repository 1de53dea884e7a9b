"""Facts about commits that only some pipeline files need: GitHub is asked for them where they decide something."""

from __future__ import annotations

from msgspec.structs import replace

from bot.events import payloads
from bot.github import Repository
from bot.model import build
from bot.pipelines import filters, plan
from bot.pipelines.document import Pipeline


async def of_push(
    pipeline: Pipeline, facts: plan.Facts, repository: Repository, *, before: str | None, head: str
) -> plan.Facts:
    """The facts of a push with the files that it changed, where the file filters by them.

    :param before: the commit before; None where that is not known, so that what changed is not either.
    """
    if before is None or not filters.wants_files(pipeline, facts):
        return facts
    return replace(facts, changed_files=await repository.changed_files(base=before, head=head))


def facts_of_pull(changed: payloads.PullRequest, *, is_known: bool) -> plan.Facts:
    """The facts that the event itself tells.

    :param is_known: whether we heard of the pull request before.
    """
    # That it was opened may never have been told: what we hear of first is new, whatever happened to it.
    is_new = not is_known and changed.action == "synchronize"
    return plan.Facts(
        event="pull_request",
        ref=f"refs/pull/{changed.number}/merge",
        base_ref=changed.pull_request.base.ref,
        action=None if is_new else changed.action,
        is_draft=changed.pull_request.draft is True,
    )


async def of_pull(pipeline: Pipeline, facts: plan.Facts, repository: Repository, pull: payloads.Pull) -> plan.Facts:
    """The facts of a pull request with the files that it changes, where the file filters by them."""
    if not filters.wants_files(pipeline, facts):
        return facts
    files = await repository.changed_files_of_pull(pull.number, base=pull.base.sha, head=pull.head.sha)
    return replace(facts, changed_files=files)


async def is_proved_equal(
    made: plan.Plan, changed: payloads.PullRequest, repository: Repository, latest: build.Build | None
) -> bool:
    """Whether the newest build of this head passed, with equal jobs, on the very tree that the merge would give."""
    if latest is None or latest.state != build.State.PASSED or latest.base_sha is not None:
        return False
    if latest.trust != build.Trust.TRUSTED or latest.plan_digest != plan.digest(made):
        return False
    # Where the head contains the base, merging them gives the head's own tree.
    return await repository.is_ahead_only(base=changed.pull_request.base.sha, head=changed.pull_request.head.sha)
