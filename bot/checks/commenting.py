"""Writes our comment on a pull request so that it is there once, whatever became of earlier attempts.

GitHub makes another comment at each create, so one that may be there is looked for by its marker first.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from bot import errors
from bot.checks import comment, sending
from bot.github import Repository
from bot.model import answer

#: So much earlier than we began GitHub's clock may say that a comment was written.
_SKEW = timedelta(minutes=10)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One claimed answer on its way."""

    claimed: answer.Answer
    claimed_at: datetime
    #: Gives the time that all replicas go by.
    now: Callable[[], datetime]
    #: How long GitHub's reads may lag behind its writes.
    visible_after: timedelta


async def write(repository: Repository, attempt: Attempt, body: str) -> int:
    """Bring GitHub to show the comment; GitHub's id of it.

    :raises sending.NotYet: if one may be there that GitHub does not show yet; nothing was written.
    :raises sending.CommentGone: if somebody deleted the comment.
    :raises errors.AnswerLost: if it may have been written all the same.
    :raises errors.GitHubError: if GitHub did not do it; the class says why.
    """
    github_id = attempt.claimed.github_id
    if github_id is None:
        return await _make(repository, attempt, body)
    try:
        await repository.update_comment(github_id, body)
    except errors.NotReachable as error:
        await _look_for(repository, attempt, github_id)
        raise sending.NotYet(str(error), until=attempt.now() + attempt.visible_after) from error
    return github_id


async def _make(repository: Repository, attempt: Attempt, body: str) -> int:
    begun_at = attempt.claimed.create_begun_at
    # Also where none was begun: a database that was restored, or forgot an old pull request, does not know of it.
    since = begun_at - _SKEW if begun_at is not None else None
    found = await repository.find_comment(attempt.claimed.pull_number, marker=comment.MARKER, since=since)
    if found is not None:
        await repository.update_comment(found.id, body)
        return found.id
    if begun_at is not None and attempt.now() < begun_at + attempt.visible_after:
        raise sending.NotYet(
            "GitHub may have the comment and not show it yet: it is looked for again.",
            until=begun_at + attempt.visible_after,
        )
    # Whoever takes the answer over, should this process stand still, makes one only when ours would be shown.
    if attempt.now() > attempt.claimed_at + attempt.visible_after / 2:
        raise sending.NotYet("It took too long to come to the comment: it is begun anew.", until=attempt.now())
    return await repository.create_comment(attempt.claimed.pull_number, body)


async def _look_for(repository: Repository, attempt: Attempt, github_id: int) -> None:
    """Find out what it is that was not there: nothing where the comment is, or may be without being shown.

    :raises sending.CommentGone: if it is the comment alone.
    :raises errors.NotReachable: if it is the repository.
    """
    if await repository.get_comment(github_id) is not None:
        return
    sent_at = attempt.claimed.sent_at
    if sent_at is None or attempt.now() > sent_at + attempt.visible_after:
        raise sending.CommentGone(f"GitHub has comment {github_id} no more: another one is made.")
