"""The answering loop: brings our one comment on each pull request to tell what became of commands, and of its builds.

As the reporter does with checks: changes that pile up become one edit, and a comment whose answer was lost is found
again by its marker before another one is made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, failpoint, telemetry
from bot.checks import board, comment, commenting, outbox, sending, tails, writing
from bot.github import GitHub
from bot.logs import LogStore
from bot.model import answer
from bot.store import Store, answers, builds, jobs, patience

#: How many comments are written side by side.
MAX_SIDE_BY_SIDE = 4
LEASE = timedelta(minutes=5)
_log = telemetry.log("checks")


class Answering:
    """Sends stale answers."""

    def __init__(
        self,
        store: Store,
        *,
        github: GitHub,
        logs: LogStore,
        details_url: Callable[[str, str], str],
        owner: str,
        now: Callable[[], datetime],
        visible_after: timedelta = writing.VISIBLE_AFTER,
    ) -> None:
        """:param details_url: gives the page of a `jobs` or `builds` id.
        :param visible_after: how long GitHub's reads may lag behind its writes.
        """
        self._store = store
        self._github = github
        self._logs = logs
        self._details_url = details_url
        self._owner = owner
        self._now = now
        self._visible_after = visible_after
        self._outbox = outbox.Outbox(
            what="answers",
            most=MAX_SIDE_BY_SIDE,
            claim=self._claim,
            send=lambda one, at: self.tell(one, claimed_at=at),
            now=now,
        )

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._outbox.wake()

    async def run(self) -> None:
        """Send for ever, see `Outbox.run`."""
        await self._outbox.run()

    async def _claim(self, now: datetime, limit: int) -> tuple[list[answer.Answer], datetime | None]:
        return await self._store.write(_claim, now=now, owner=self._owner, limit=limit)

    async def tell(self, claimed: answer.Answer, *, claimed_at: datetime) -> None:
        """Send one claimed answer and write what GitHub acknowledged."""
        with telemetry.bound(repository=claimed.repository, pull_number=str(claimed.pull_number)):
            try:
                await self._send(claimed, claimed_at=claimed_at)
            except errors.LeaseLost as error:
                _log.info("An answer was taken over.", action="save_answer", error=str(error))
            except errors.StoreUnavailable as error:
                # The lease runs out; then the comment is looked for before anything is sent.
                _log.error("An acknowledged answer could not be written.", action="save_answer", error=str(error))
            except Exception as error:
                _log.error("What became of an answer could not be written.", action="save_answer", exc_info=error)

    async def _send(self, claimed: answer.Answer, *, claimed_at: datetime) -> None:
        newest, shown = await self._store.read(_find, claimed)
        if newest is None or newest.epoch != claimed.epoch:
            raise errors.LeaseLost(f"The answer on #{claimed.pull_number} is another process's by now.")
        attempt = commenting.Attempt(
            claimed=claimed, claimed_at=claimed_at, now=self._now, visible_after=self._visible_after
        )
        try:
            body = comment.body(newest, page=self._details_url, shown=await self._with_tails(shown))
            repository = self._github.repository(
                installation_id=newest.installation_id,
                repository_id=newest.repository_id,
                full_name=newest.repository,
            )
            await failpoint.pause("answer.before_http")
            github_id = await commenting.write(repository, attempt, body)
            await failpoint.pause("answer.after_http_before_mark")
        except Exception as error:
            await self._after(claimed, error, shows_builds=shown is not None)
            return
        self._outbox.ramp.went_well()
        await patience.write(self._store, answers.acknowledge, newest, github_id=github_id, now=self._now())

    async def _with_tails(self, shown: board.Board | None) -> board.Board | None:
        if shown is None:
            return None
        found = {one.id: await tails.find(self._store, self._logs, one) for one in board.failures(shown.jobs)}
        return replace(shown, tails=found)

    async def _after(self, claimed: answer.Answer, error: Exception, *, shows_builds: bool) -> None:
        now = self._now()
        if isinstance(error, sending.CommentGone):
            _log.warning("A comment of ours was deleted.", action="send_answer", error=str(error))
            if shows_builds:
                # Who deletes it does not want to see them; a command is answered all the same.
                is_wanted = any(claimed.sent_at is None or one.at > claimed.sent_at for one in claimed.entries)
                await patience.write(self._store, answers.hide, claimed, is_wanted=is_wanted, now=now)
            else:
                await patience.write(self._store, answers.forget, claimed, now=now)
            return
        if isinstance(error, errors.RateLimited | errors.GitHubUnavailable):
            self._outbox.ramp.went_badly()
        verdict = sending.decide(error, claimed, now=now)
        if verdict.is_unexpected:
            _log.error("An answer could not be sent.", action="send_answer", exc_info=error)
        else:
            _log.warning("An answer could not be sent.", action="send_answer", error=verdict.text)
        # What an earlier attempt may have left behind is still there.
        begun_at = claimed.create_begun_at if verdict.is_unmade or claimed.github_id is not None else now
        if verdict.again_at is None:
            await patience.write(self._store, answers.give_up, claimed, error=verdict.text, begun_at=begun_at)
            return
        await patience.write(
            self._store,
            answers.fail,
            claimed,
            error=verdict.text,
            next_attempt_at=verdict.again_at,
            begun_at=begun_at,
            is_counted=verdict.is_counted,
        )


def _find(connection: Connection, claimed: answer.Answer) -> tuple[answer.Answer | None, board.Board | None]:
    """The answer as it is now, and the build that it shows."""
    newest = answers.find(connection, repository_id=claimed.repository_id, pull_number=claimed.pull_number)
    build_id = None if newest is None else answers.find_build(connection, newest)
    if build_id is None:
        return newest, None
    its_jobs = jobs.list_of_builds(connection, [build_id])
    return newest, board.Board(made=builds.get(connection, build_id), jobs=its_jobs)


def _claim(
    connection: Connection, *, now: datetime, owner: str, limit: int
) -> tuple[list[answer.Answer], datetime | None]:
    claimed = answers.claim_stale(connection, now=now, owner=owner, lease=LEASE, limit=limit)
    return claimed, answers.next_due_at(connection, now=now)
