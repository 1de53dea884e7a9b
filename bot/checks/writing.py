"""Writes one check run so that it is there once, and each annotation once, whatever became of earlier attempts.

GitHub makes another run at each create and adds annotations at each update, so neither is repeated blindly: a run that
may be there is looked for by our external id, and what reads do not show yet is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.checks import sending
from bot.github import Repository
from bot.model import check

#: Of one request. https://docs.github.com/en/rest/checks/runs
MAX_ANNOTATIONS = 50
#: GitHub's reads lag behind its writes; after so long they show what was written.
VISIBLE_AFTER = timedelta(seconds=30)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One claimed check on its way."""

    claimed: check.Check
    claimed_at: datetime
    #: Gives the time that all replicas go by.
    now: Callable[[], datetime]
    visible_after: timedelta = VISIBLE_AFTER

    @property
    def may_be_repetition(self) -> bool:
        """Whether GitHub may have these annotations already."""
        return self.claimed.attempts > 1 or self.claimed.reported_status == "completed"

    def wait_for_lost(self) -> None:
        """Do nothing where a run that was begun and is not found will not come to be shown any more.

        :raises sending.NotYet: if it may.
        """
        begun_at = self.claimed.create_begun_at
        if begun_at is not None and self.now() < begun_at + self.visible_after:
            raise sending.NotYet(
                "GitHub may have made the check run and not show it yet: it is looked for again.",
                until=begun_at + self.visible_after,
            )

    def make_haste(self) -> None:
        """Do nothing where a run may still be made.

        Whoever takes the check over, should this process stand still, makes one only when ours would be shown.

        :raises sending.NotYet: if it is too late for that.
        """
        if self.now() > self.claimed_at + self.visible_after / 2:
            raise sending.NotYet("It took too long to come to the check run: it is begun anew.", until=self.now())


async def write(repository: Repository, attempt: Attempt, wanted: check.CheckRun) -> int:
    """Bring GitHub to show the check run; GitHub's id of it.

    :raises sending.NotYet: if one may be there that GitHub does not show yet; nothing was written.
    :raises sending.RunGone: if GitHub has the run no more that it acknowledged.
    :raises errors.AnswerLost: if it may have been written all the same.
    :raises errors.GitHubError: if GitHub did not do it; the class says why.
    """
    if attempt.claimed.github_id is None:
        return await _make(repository, attempt, wanted)
    try:
        await _update(repository, attempt.claimed.github_id, wanted, is_repetition=attempt.may_be_repetition)
    except errors.NotReachable as error:
        await _look_for(repository, attempt, attempt.claimed.github_id)
        raise sending.NotYet(str(error), until=attempt.now() + attempt.visible_after) from error
    return attempt.claimed.github_id


async def _make(repository: Repository, attempt: Attempt, wanted: check.CheckRun) -> int:
    begun_at = attempt.claimed.create_begun_at
    if begun_at is not None:
        found = await repository.find_check_run(
            head_sha=wanted.head_sha, name=wanted.name, external_id=wanted.external_id
        )
        if found is not None:
            await _update(repository, found.id, wanted, is_repetition=True)
            return found.id
        attempt.wait_for_lost()
    attempt.make_haste()
    github_id = await repository.put_check_run(part(wanted, 0))
    await add(repository, github_id, wanted, start=MAX_ANNOTATIONS)
    return github_id


async def _update(repository: Repository, github_id: int, wanted: check.CheckRun, *, is_repetition: bool) -> None:
    if not (is_repetition and wanted.annotations):
        await repository.update_check_run(part(wanted, 0), github_id=github_id)
        await add(repository, github_id, wanted, start=MAX_ANNOTATIONS)
        return
    # An attempt that was cut off has added whole requests of them, in this order.
    count = await repository.update_check_run(replace(wanted, annotations=()), github_id=github_id)
    if count is not None:
        await add(repository, github_id, wanted, start=count)


def part(wanted: check.CheckRun, start: int) -> check.CheckRun:
    """What one request may hold of it, its annotations from one on."""
    return replace(wanted, annotations=wanted.annotations[start : start + MAX_ANNOTATIONS])


async def add(repository: Repository, github_id: int, wanted: check.CheckRun, *, start: int) -> None:
    """Add the annotations from one on: each update adds to those that are there."""
    for at in range(start, len(wanted.annotations), MAX_ANNOTATIONS):
        await repository.update_check_run(part(wanted, at), github_id=github_id)


async def _look_for(repository: Repository, attempt: Attempt, github_id: int) -> None:
    """Find out what it is that was not there: nothing where the run is, or may be without being shown.

    :raises sending.RunGone: if it is the run alone.
    :raises errors.NotReachable: if it is the repository.
    """
    if await repository.get_check_run(github_id) is not None:
        return
    sent_at = attempt.claimed.sent_at
    if sent_at is None or attempt.now() > sent_at + attempt.visible_after:
        raise sending.RunGone(f"GitHub has check run {github_id} no more: another one is made.")
