"""The facts that trust in a pull request depends on: asked from GitHub whenever its head is decided on."""

from __future__ import annotations

import msgspec

from bot import trust
from bot.events import payloads
from bot.events.context import Context
from bot.github import Repository
from bot.model import build


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a pull request's head may cause."""

    verdict: trust.Verdict
    #: The head's message, where it was told on the way.
    message: str | None


async def judge(
    changed: payloads.PullRequest, context: Context, repository: Repository, before: build.Pull | None
) -> Judged:
    """What a pull request's head may cause.

    :param before: what was known of the pull request before this event.
    """
    pull = changed.pull_request
    head_id = pull.head.repo.id if pull.head.repo is not None else None
    base_id = pull.base.repo.id if pull.base.repo is not None else 0
    is_bot = pull.user.type == "Bot"
    permission, branch = None, None
    if head_id == base_id:
        branch = await repository.get_branch(pull.head.ref)
        if not is_bot:
            permission = await repository.get_permission(pull.user.login, user_id=pull.user.id)
    facts = trust.pull_request(
        head_repository_id=head_id,
        base_repository_id=base_id,
        author=trust.Author(id=pull.user.id, is_bot=is_bot, permission=permission),
        is_head_of_branch=branch is not None and branch.sha == pull.head.sha,
        is_only_authors=is_only_authors(changed, before),
    )
    is_told = branch is not None and branch.sha == pull.head.sha
    verdict = trust.decide(facts, context.policy.trust)
    return Judged(verdict=verdict, message=branch.message if branch is not None and is_told else None)


def is_only_authors(changed: payloads.PullRequest, before: build.Pull | None) -> bool:
    """Whether the author pushed every head that was heard of; where one may have been missed, it is not known."""
    pull = changed.pull_request
    if before is not None and before.head_sha == pull.head.sha:
        return before.is_only_authors
    is_first = before is None and changed.action == "opened"
    return changed.sender.id == pull.user.id and (is_first or (before is not None and before.is_only_authors))
