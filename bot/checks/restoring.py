"""After a restore: compares what the backup tells with what GitHub shows, so that nothing old is posted over newer.

While that lasts deliveries are taken in, and nothing else happens. GitHub's word counts: what it shows to have ended
stays as it is there, and what it never heard of is told only where it still matters.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.github import GitHub, Repository
from bot.github.checks import Found
from bot.model import check, delivery
from bot.store import Store, checks, deliveries, leases, pauses, restored

T = TypeVar("T")

#: How long after a failure it is tried again, and how often the other replicas look.
PAUSE_SECONDS = 2.0
_LEASE_NAME = "restoring"
_LEASE = timedelta(minutes=10)
_log = telemetry.log("checks")


class Action(enum.StrEnum):
    """What is done with a check."""

    #: It is told like any other.
    KEEP = "keep"
    #: GitHub shows its end, which stays.
    TAKE = "take"
    #: It is never told.
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the comparison says of one check."""

    check: check.Check
    action: Action
    #: The check run on GitHub that it is.
    found: Found | None
    #: Why, for people.
    text: str

    @property
    def ends_build(self) -> bool:
        """Whether its whole build is over, and not only its job."""
        return self.action == Action.DROP or (self.action == Action.TAKE and self.check.name == checks.AGGREGATE)


def judge(own: Sequence[check.Check], found: Sequence[Found], *, is_wanted: bool) -> list[Verdict]:
    """The verdicts on the checks of one commit that may have to be told. Pure.

    :param own: all checks of the commit, also those that were told to their end.
    :param found: all our check runs that GitHub has of it, newest first.
    :param is_wanted: whether the commit is the head of an open pull request or of the default branch.
    """
    # A generation of which any check has a newer run is over as a whole.
    superseded = {one.build_id for one in own if _is_superseded(one, own, found)}
    return [_judge(one, _own_run(one, found), one.build_id in superseded, is_wanted) for one in own if is_open(one)]


def is_open(one: check.Check) -> bool:
    """Whether a check may have to be told."""
    return one.is_stale or one.reported_status != "completed"


def _judge(one: check.Check, run: Found | None, is_superseded: bool, is_wanted: bool) -> Verdict:
    if is_superseded:
        action, text = Action.DROP, "GitHub shows a newer run of it."
    elif run is not None and run.status == "completed":
        action, text = Action.TAKE, f"GitHub shows its end: {run.conclusion}."
    elif run is not None or is_wanted:
        action, text = Action.KEEP, "It goes on."
    else:
        action, text = Action.DROP, "GitHub has no run of it, and its commit is the head of nothing that is open."
    return Verdict(check=one, action=action, found=run, text=text)


def _own_run(one: check.Check, found: Sequence[Found]) -> Found | None:
    return next((run for run in found if (run.external_id, run.name) == (one.external_id, one.name)), None)


def _is_superseded(one: check.Check, own: Sequence[check.Check], found: Sequence[Found]) -> bool:
    generations = {other.external_id: other.generation for other in own}
    run = _own_run(one, found)
    for other in found:
        if other.name != one.name or other.external_id == one.external_id:
            continue
        known = generations.get(other.external_id or "")
        # One that the backup does not know came after it, or at least after this one.
        if (known is None and (run is None or other.id > run.id)) or (known is not None and known > one.generation):
            return True
    return False


class _Head(msgspec.Struct):
    sha: str


class _Pull(msgspec.Struct):
    head: _Head
    state: str = "open"


class _Checked(msgspec.Struct):
    head_sha: str


class _Payload(msgspec.Struct):
    action: str | None = None
    after: str | None = None
    pull_request: _Pull | None = None
    check_run: _Checked | None = None
    check_suite: _Checked | None = None


def head_of(event: str, payload: bytes) -> str | None:
    """The commit that a delivery may have had built; None where nothing is built for it. Pure."""
    try:
        read = msgspec.json.decode(payload, type=_Payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    match event:
        case "push" if read.after is not None and read.after.strip("0"):
            return read.after
        case "pull_request" if read.pull_request is not None and read.pull_request.state == "open":
            return read.pull_request.head.sha
        case "check_run" if read.check_run is not None and read.action == "rerequested":
            return read.check_run.head_sha
        case "check_suite" if read.check_suite is not None and read.action == "rerequested":
            return read.check_suite.head_sha
    return None


def why_done(own: Sequence[check.Check], found: Sequence[Found], *, is_wanted: bool) -> str | None:
    """Why nothing follows any more from a delivery about this commit; None where it has to be handled. Pure."""
    known = {one.external_id for one in own}
    if any(run.external_id not in known for run in found):
        return "It was handled behind the backup: GitHub shows check runs that the backup does not know."
    if not found and not is_wanted:
        return "It is from before the backup, and its commit is the head of no open pull request or default branch."
    return None


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

    async def wait(self) -> None:
        """Return when the work may go on: at once, where nothing was restored."""
        while True:
            try:
                pause = await self._store.read(pauses.find)
                if pause is None:
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
        await self._store.write(_resume, owner=self._owner)
        told = {f"checks_{action}": number for action, number in counts.items()}
        _log.info("What was restored is compared; the work goes on.", action="resume", deliveries_done=settled, **told)

    async def _compare_head(self, head: restored.Head, reason: str) -> list[Verdict]:
        own = await self._store.read(restored.list_checks, repository_id=head.repository_id, head_sha=head.head_sha)
        seen = await self._look(
            head, is_needed=lambda found: any(is_open(one) and _own_run(one, found) is None for one in own)
        )
        verdicts = judge(own, seen.found, is_wanted=seen.is_wanted)
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
                restored.settle_check(
                    connection, one.check.id, github_id=github_id, status=status, now=now, error=one.text
                )

    async def _compare_delivery(self, delivery_id: str) -> bool:
        one = await self._store.read(deliveries.find, delivery_id)
        if one is None or one.repository_id is None or one.installation_id is None or one.repository is None:
            return False
        head_sha = head_of(one.event, delivery.payload(headers=one.headers, body=one.body))
        if head_sha is None:
            return False
        head = restored.Head(
            repository_id=one.repository_id,
            head_sha=head_sha,
            installation_id=one.installation_id,
            repository=one.repository,
        )
        own = await self._store.read(restored.list_checks, repository_id=one.repository_id, head_sha=head_sha)
        seen = await self._look(head, is_needed=lambda found: not found)
        reason = why_done(own, seen.found, is_wanted=seen.is_wanted)
        if reason is None:
            return False
        await self._store.write(restored.settle_delivery, delivery_id, reason=reason, now=self._now())
        return True

    async def _look(self, head: restored.Head, *, is_needed: Callable[[Sequence[Found]], bool]) -> _Seen:
        """What GitHub shows of a commit; where it shows us nothing of the repository there is nothing to tell."""
        try:
            repository = self._github.repository(
                installation_id=head.installation_id, repository_id=head.repository_id, full_name=head.repository
            )
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


class _Described(msgspec.Struct):
    default_branch: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What GitHub shows of a commit."""

    found: Sequence[Found]
    is_wanted: bool


def _take_lease(connection: Connection, *, owner: str, now: datetime) -> bool:
    return leases.take(connection, _LEASE_NAME, owner=owner, now=now, lease=_LEASE)


def _resume(connection: Connection, *, owner: str) -> None:
    pauses.end(connection)
    leases.release(connection, _LEASE_NAME, owner=owner)
