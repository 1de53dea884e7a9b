"""After a restore: compares what the backup tells with what GitHub shows, so that nothing old is posted over newer.

While that lasts deliveries are taken in, and nothing else happens. GitHub's word counts: what it shows to have ended
stays as it is there, and what it never heard of is told only where it still matters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.checks import comparing
from bot.checks.comparing import Action, Verdict
from bot.github import GitHub, Repository
from bot.github.checks import Found
from bot.model import delivery
from bot.store import Store, checks, deliveries, leases, pauses, restored

T = TypeVar("T")

#: How long after a failure it is tried again, and how often the other replicas look.
PAUSE_SECONDS = 2.0
_LEASE_NAME = "restoring"
_LEASE = timedelta(minutes=10)
#: For so long GitHub, asked for what is missing, may send again what the lost database knew: three days, and some.
_COMES_AGAIN = timedelta(days=4)
_log = telemetry.log("checks")


class EndJobs(Protocol):
    """Ends jobs of a build with a reason; see `bot.builds.restored.end_jobs`."""

    def __call__(
        self,
        connection: Connection,
        build_id: str,
        /,
        *,
        reason: str,
        now: datetime,
        job_ids: frozenset[str] | None,
    ) -> None:
        """Within the caller's transaction."""


class Restoring:
    """Holds the work back after a restore until the comparison is done."""

    def __init__(
        self,
        store: Store,
        *,
        github: GitHub,
        end_running: Callable[[str], Awaitable[object]],
        end_jobs: EndJobs,
        owner: str,
        now: Callable[[], datetime],
    ) -> None:
        """:param end_running: ends the jobs that an engine had, with a reason."""
        self._store = store
        self._github = github
        self._end_running = end_running
        self._end_jobs = end_jobs
        self._owner = owner
        self._now = now
        self._wanted: dict[int, frozenset[str]] = {}
        self._resumed_at: datetime | None = None

    async def wait(self) -> None:
        """Return when the work may go on: at once, where nothing was restored."""
        while True:
            try:
                pause = await self._store.read(pauses.find)
                if pause is None:
                    self._resumed_at = await self._store.read(pauses.find_end)
                    return
                if await self._store.write(_take_lease, owner=self._owner, now=self._now()):
                    await self._compare(pause)
                    continue
            except errors.StoreUnavailable as error:
                _log.error("What was restored cannot be compared.", action="compare_restored", error=str(error))
            await asyncio.sleep(PAUSE_SECONDS)

    async def _compare(self, pause: pauses.Pause) -> None:
        _log.warning("Paused: the database was restored. It is compared with GitHub.", action="pause", why=pause.reason)
        reason = f"The service was {pause.reason}, when this was not over. Run it again if it is still needed."
        self._wanted.clear()
        await self._end_running(reason)
        counts = dict.fromkeys(Action, 0)
        for head in await self._store.read(restored.list_open_heads):
            for verdict in await self._compare_head(head, reason):
                counts[verdict.action] += 1
        settled = 0
        for delivery_id in await self._store.read(restored.list_deliveries, until=pause.at):
            settled += await self._compare_delivery(delivery_id)
        await self._store.write(_resume, owner=self._owner, now=self._now())
        told = {f"checks_{action}": number for action, number in counts.items()}
        _log.info("What was restored is compared; the work goes on.", action="resume", deliveries_done=settled, **told)

    async def _compare_head(self, head: restored.Head, reason: str) -> list[Verdict]:
        own = await self._store.read(checks.list_of_head, repository_id=head.repository_id, head_sha=head.head_sha)
        seen = await self._look(head, is_needed=partial(comparing.is_lacking, own))
        verdicts = comparing.judge(own, seen.found, is_wanted=seen.is_wanted)
        await self._store.write(self._apply, verdicts, reason=reason, owner=self._owner, now=self._now())
        return verdicts

    def _apply(
        self, connection: Connection, verdicts: Sequence[Verdict], *, reason: str, owner: str, now: datetime
    ) -> None:
        _take_lease(connection, owner=owner, now=now)
        for one in verdicts:
            text = f"{reason} {one.text}"
            if one.ends_build:
                self._end_jobs(connection, one.check.build_id, reason=text, now=now, job_ids=None)
            elif one.action == Action.TAKE and one.check.job_id is not None:
                job_ids = frozenset({one.check.job_id})
                self._end_jobs(connection, one.check.build_id, reason=text, now=now, job_ids=job_ids)
        # Afterwards: whatever ended is not told either.
        for one in verdicts:
            github_id = one.found.id if one.found is not None else None
            if one.action == Action.KEEP:
                restored.adopt_check(connection, one.check.id, github_id=github_id)
            else:
                status = one.found.status if one.found is not None else None
                error = one.text if one.action == Action.DROP else None
                restored.settle_check(
                    connection, one.check.id, github_id=github_id, status=status, now=now, error=error
                )

    async def _compare_delivery(self, delivery_id: str) -> bool:
        one = await self._store.read(deliveries.find, delivery_id)
        found = None if one is None else _told(one)
        if found is None:
            return False
        head, _ = found
        own = await self._store.read(checks.list_of_head, repository_id=head.repository_id, head_sha=head.head_sha)
        seen = await self._look(head, is_needed=lambda runs: not runs)
        reason = comparing.why_done(own, seen.found, is_wanted=seen.is_wanted)
        if reason is None:
            return False
        await self._store.write(restored.settle_delivery, delivery_id, reason=reason, now=self._now())
        return True

    async def why_done(self, one: delivery.Delivery) -> str | None:
        """Why nothing follows from a delivery that comes again because the inbox that knew it is lost, or None.

        :raises errors.GitHubError: if GitHub does not show the commit.
        """
        if self._resumed_at is None or self._now() > self._resumed_at + _COMES_AGAIN:
            return None
        found = _told(one)
        if found is None:
            return None
        head, at = found
        if at is not None and at > self._resumed_at:
            return None
        own = await self._store.read(checks.list_of_head, repository_id=head.repository_id, head_sha=head.head_sha)
        runs = await self._repository(head).list_check_runs(head_sha=head.head_sha)
        return comparing.HANDLED if comparing.is_unknown(own, runs) else None

    def _repository(self, head: restored.Head) -> Repository:
        return self._github.repository(
            installation_id=head.installation_id, repository_id=head.repository_id, full_name=head.repository
        )

    async def _look(self, head: restored.Head, *, is_needed: Callable[[Sequence[Found]], bool]) -> _Seen:
        """What GitHub shows of a commit; where it shows us nothing of the repository there is nothing to tell."""
        try:
            repository = self._repository(head)
            found = await self._ask(partial(repository.list_check_runs, head_sha=head.head_sha))
            is_wanted = is_needed(found) and head.head_sha in await self._list_wanted(repository)
            return _Seen(found, is_wanted)
        except (errors.NotReachable, errors.Suspended, errors.Forbidden, errors.Invalid, errors.ShapeUnknown) as error:
            _log.warning(
                "GitHub does not show a commit that was restored.", action="compare_restored", error=str(error)
            )
            return _Seen((), False)

    async def _list_wanted(self, repository: Repository) -> frozenset[str]:
        if repository.id not in self._wanted:
            branch = msgspec.json.decode(await self._ask(repository.get_raw), type=_Described).default_branch
            head = await self._ask(partial(repository.get_branch_head, branch))
            pulls = await self._ask(repository.list_open_pulls)
            heads = {one.pull.head_sha for one in pulls} | ({head} if head is not None else set())
            self._wanted[repository.id] = frozenset(heads)
        return self._wanted[repository.id]

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """GitHub's answer, however long it takes: it is away, or asks us to wait, or does not take our key yet."""
        while True:
            try:
                return await question()
            except errors.RateLimited as error:
                seconds = max(PAUSE_SECONDS, (error.retry_at - self._now()).total_seconds())
                why: errors.GitHubError = error
            except (errors.GitHubUnavailable, errors.Unauthorized) as error:
                seconds, why = PAUSE_SECONDS, error
            _log.warning("GitHub cannot be asked yet.", action="compare_restored", error=str(why))
            await self._store.write(_take_lease, owner=self._owner, now=self._now())
            await asyncio.sleep(seconds)


def _told(one: delivery.Delivery) -> tuple[restored.Head, datetime | None] | None:
    """The commit that a delivery is about, and when it happened."""
    found = comparing.told(one.event, delivery.payload(headers=one.headers, body=one.body))
    if found is None or one.repository_id is None or one.installation_id is None or one.repository is None:
        return None
    head = restored.Head(
        repository_id=one.repository_id,
        head_sha=found.head_sha,
        installation_id=one.installation_id,
        repository=one.repository,
    )
    return head, found.at


class _Described(msgspec.Struct):
    default_branch: str


class _Seen(msgspec.Struct, frozen=True):
    """What GitHub shows of a commit."""

    found: Sequence[Found]
    is_wanted: bool


def _take_lease(connection: Connection, *, owner: str, now: datetime) -> bool:
    return leases.take(connection, _LEASE_NAME, owner=owner, now=now, lease=_LEASE)


def _resume(connection: Connection, *, owner: str, now: datetime) -> None:
    pauses.end(connection, now=now)
    leases.release(connection, _LEASE_NAME, owner=owner)
