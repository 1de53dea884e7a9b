"""The reporter: compares each check as it should be with what GitHub acknowledged, and sends the difference.

Changes that pile up while a request is under way become one, and what is stale of one repository goes together. An
answer that was lost is found again by the check's external id before anything is created, so there is one check run,
whatever happened in between.
"""

from __future__ import annotations

import asyncio
import collections
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.engine import Connection

from bot import errors, failpoint, telemetry
from bot.checks import outbox, render, sending, tails, together, writing
from bot.github import GitHub, Repository
from bot.logs import LogStore
from bot.model import build, check, job, report
from bot.store import Store, builds, checks, history, jobs, patience, results

#: How many requests are made side by side.
MAX_SIDE_BY_SIDE = 16
#: How many checks of one repository are sent together, with as few requests as hold them.
MAX_TOGETHER = 100
LEASE = timedelta(minutes=5)
_log = telemetry.log("checks")


class _Subject(msgspec.Struct, frozen=True):
    """What a check tells about."""

    #: The version of the check that this is.
    version: int
    of_build: build.Build
    jobs: Sequence[job.Job]
    #: None where the check stands for the whole build.
    of_job: job.Job | None
    #: What the job left behind, once it has ended.
    told: report.Told | None
    #: Of a check for the whole build: what its jobs left behind, by the id of each.
    sums: Mapping[str, report.Results]


class Reporter:
    """Sends stale checks."""

    def __init__(
        self,
        store: Store,
        *,
        github: GitHub,
        logs: LogStore,
        details_url: Callable[[str, str], str],
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
        visible_after: timedelta = writing.VISIBLE_AFTER,
        decided_url: Callable[[build.Build], str | None] = lambda _: None,
    ) -> None:
        """:param details_url: gives the page of a `jobs` or `builds` id.
        :param decided_url: gives the page that tells how a build was decided, if people on GitHub can open it.
        :param visible_after: how long GitHub's reads may lag behind its writes.
        """
        self._store = store
        self._github = github
        self._logs = logs
        self._details_url = details_url
        self._decided_url = decided_url
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._visible_after = visible_after
        self._outbox = outbox.Outbox(
            what="checks",
            most=MAX_SIDE_BY_SIDE,
            claim=self._claim,
            send=lambda some, at: self.report(some, claimed_at=at),
            now=now,
        )
        #: The builds of which requests are under way, and how many.
        self._busy: collections.Counter[str] = collections.Counter()

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._outbox.wake()

    async def run(self) -> None:
        """Send for ever, see `Outbox.run`."""
        await self._outbox.run()

    async def _claim(self, now: datetime, limit: int) -> tuple[list[tuple[check.Check, ...]], datetime | None]:
        alone = self._github.list_without_graphql()
        claimed, due_at = await self._store.write(
            _claim,
            now=now,
            owner=self._owner,
            limit=limit,
            busy=list(self._busy),
            together=MAX_TOGETHER if alone is not None else 0,
            alone=alone or (),
        )
        groups: dict[tuple[int, int], list[check.Check]] = {}
        for one in claimed:
            is_alone = alone is None or one.installation_id in alone
            key = (-one.id, 0) if is_alone else (one.installation_id, one.repository_id)
            groups.setdefault(key, []).append(one)
        self._busy.update(one.build_id for one in claimed)
        return [tuple(group) for group in groups.values()], due_at

    async def report(self, claimed: Sequence[check.Check], *, claimed_at: datetime) -> None:
        """Send claimed checks of one repository and write what GitHub acknowledged."""
        attempts = [
            writing.Attempt(claimed=one, claimed_at=claimed_at, now=self._now, visible_after=self._visible_after)
            for one in claimed
        ]
        first = claimed[0]
        names = {"check_name": first.name} if len(claimed) == 1 else {"checks": len(claimed)}
        with telemetry.bound(build_id=first.build_id, **names):
            try:
                outcomes = await self._send(attempts)
            except Exception as error:
                # The leases run out; then the check runs are looked up before anything is sent.
                is_away = isinstance(error, errors.StoreUnavailable)
                shown = {"error": str(error)} if is_away else {"exc_info": error}
                _log.error("What became of checks could not be written.", action="save_check", **shown)
                outcomes = ["not_written"] * len(claimed)
                self._metrics.system_errors.labels("controller", "check_not_written").inc()
            finally:
                self._busy.subtract(one.build_id for one in claimed)
                self._busy += collections.Counter()
        for outcome in outcomes:
            self._metrics.check_attempts.labels(outcome).inc()

    async def _send(self, attempts: Sequence[writing.Attempt]) -> list[str]:
        """What became of each, in a word."""
        subjects = await self._store.read(_subjects, [one.claimed for one in attempts])
        with telemetry.bound(**_cause(subjects.get(attempts[0].claimed.id))):
            return await self._send_about(attempts, subjects)

    async def _send_about(self, attempts: Sequence[writing.Attempt], subjects: Mapping[int, _Subject]) -> list[str]:
        told: dict[int, Exception | int] = {}
        items: list[together.Item] = []
        try:
            await failpoint.pause("outbox.after_claim")
            for attempt in attempts:
                subject = subjects.get(attempt.claimed.id)
                if subject is None:
                    continue
                try:
                    items.append(together.Item(attempt=attempt, wanted=await self._render(attempt.claimed, subject)))
                except Exception as error:
                    told[attempt.claimed.id] = error
            await failpoint.pause("outbox.before_http")
            for item, outcome in zip(items, await self._write(items), strict=True):
                told[item.attempt.claimed.id] = outcome
            await failpoint.pause("outbox.after_http_before_mark")
        except Exception as error:
            told = {one.claimed.id: error for one in attempts}
        return await self._note(attempts, subjects, {one.attempt.claimed.id: one.wanted.status for one in items}, told)

    async def _write(self, items: Sequence[together.Item]) -> list[int | Exception]:
        if len(items) == 1:
            try:
                return [await self._put(items[0])]
            except Exception as error:
                return [error]
        repository = self._repository(items[0].attempt.claimed) if items else None
        return [] if repository is None else await together.write(repository, items, alone=self._put)

    async def _note(
        self,
        attempts: Sequence[writing.Attempt],
        subjects: Mapping[int, _Subject],
        statuses: Mapping[int, str],
        told: Mapping[int, Exception | int],
    ) -> list[str]:
        done = [
            _Sent(one.claimed, subjects[one.claimed.id].version, github_id, statuses[one.claimed.id])
            for one in attempts
            if isinstance(github_id := told.get(one.claimed.id), int)
        ]
        if done:
            self._outbox.ramp.went_well()
        lost = await patience.write(self._store, _acknowledge, done, now=self._now()) if done else set()
        failed = [one for one in told.values() if isinstance(one, errors.RateLimited | errors.GitHubUnavailable)]
        if failed:
            self._outbox.ramp.went_badly()
        # What went together comes back together.
        now = self._now()
        known: set[int] = set()
        outcomes = []
        for one in attempts:
            became = told.get(one.claimed.id)
            if became is None or one.claimed.id in lost:
                outcomes.append("lease_lost")
            elif isinstance(became, int):
                outcomes.append("sent")
            else:
                facts = {"build_id": one.claimed.build_id, **_cause(subjects.get(one.claimed.id))}
                with telemetry.bound(check_name=one.claimed.name, **facts):
                    verdict = sending.decide(became, one.claimed, now=now, number=attempts[0].claimed.id)
                    # What became of many at once is traced once.
                    self._tell(verdict, became, is_traced=id(became) not in known)
                    known.add(id(became))
                    outcomes.append(await self._after(one.claimed, became, verdict, now=now))
        if done:
            await failpoint.pause("outbox.after_mark")
        return outcomes

    async def _put(self, item: together.Item) -> int:
        attempt, wanted = item.attempt, item.wanted
        repository = self._repository(attempt.claimed)
        try:
            return await writing.write(repository, attempt, wanted)
        except errors.CommitUnknown:
            raise
        except errors.Invalid as error:
            _log.error("GitHub refused a check run.", action="send_check", error=str(error))
            # Something is better than a check that hangs for ever.
            return await writing.write(repository, attempt, render.minimal(wanted))

    def _repository(self, claimed: check.Check) -> Repository:
        return self._github.repository(
            installation_id=claimed.installation_id,
            repository_id=claimed.repository_id,
            full_name=claimed.repository,
        )

    async def _render(self, claimed: check.Check, subject: _Subject) -> check.CheckRun:
        failed = render.first_failure(subject.jobs if subject.of_job is None else [subject.of_job])
        kind, of_id = ("builds", claimed.build_id) if subject.of_job is None else ("jobs", subject.of_job.id)
        make = functools.partial(
            render.check_run,
            claimed,
            build=subject.of_build,
            jobs=subject.jobs,
            job=subject.of_job,
            log_tail=await tails.find(self._store, self._logs, failed) if failed is not None else None,
            details_url=self._details_url(kind, of_id),
            decided_url=self._decided_url(subject.of_build),
            told=subject.told,
            sums=subject.sums,
        )
        # Cleaning the texts of many tests takes longer than the loop may stand still.
        wanted = make() if subject.told is None else await asyncio.to_thread(make)
        if len(wanted.annotations) <= writing.MAX_ANNOTATIONS or subject.of_build.pull_number is None:
            return wanted
        # Only here the order matters enough for a call.
        changed = await self._changed(claimed, subject.of_build, subject.of_build.pull_number)
        return await asyncio.to_thread(make, changed=changed)

    async def _changed(self, claimed: check.Check, of: build.Build, pull_number: int) -> Collection[str]:
        """The files that a pull request changes; none where GitHub does not let us know.

        :raises errors.GitHubError: if it may do so later: the order shall be the same in each attempt.
        """
        if of.base_sha is None:
            return ()
        try:
            found = await self._repository(claimed).changed_files_of_pull(
                pull_number, base=of.base_sha, head=of.head_sha
            )
        except (errors.NotReachable, errors.Forbidden, errors.Invalid) as error:
            _log.info("The changed files are not known.", action="list_changed_files", error=str(error))
            return ()
        return frozenset(found.names)

    def _tell(self, verdict: sending.Verdict, error: Exception, *, is_traced: bool) -> None:
        if isinstance(error, sending.RunGone):
            _log.warning("A check run is gone.", action="send_check", error=str(error))
        elif verdict.is_unexpected and is_traced:
            _log.error("A check could not be sent.", action="send_check", exc_info=error)
        else:
            _log.warning("A check could not be sent.", action="send_check", error=verdict.text)

    async def _after(self, claimed: check.Check, error: Exception, verdict: sending.Verdict, *, now: datetime) -> str:
        try:
            return await self._settle(claimed, error, verdict, now=now)
        except errors.LeaseLost:
            return "lease_lost"

    async def _settle(self, claimed: check.Check, error: Exception, verdict: sending.Verdict, *, now: datetime) -> str:
        if isinstance(error, sending.RunGone):
            await patience.write(self._store, checks.forget, claimed, now=now)
            return "gone"
        # What an earlier attempt may have left behind is still there.
        begun_at = claimed.create_begun_at if verdict.is_unmade or claimed.github_id is not None else now
        if verdict.again_at is None:
            await patience.write(self._store, checks.give_up, claimed, error=verdict.text, begun_at=begun_at)
            return "given_up"
        await patience.write(
            self._store,
            checks.fail,
            claimed,
            error=verdict.text,
            next_attempt_at=verdict.again_at,
            begun_at=begun_at,
            is_counted=verdict.is_counted,
        )
        return "failed"


def _cause(subject: _Subject | None) -> dict[str, str]:
    """The delivery that a check's build is of, for the log; nothing where nobody sent one."""
    of = None if subject is None else subject.of_build.delivery_id
    return {} if of is None else {"delivery_id": of}


class _Sent(msgspec.Struct, frozen=True):
    """A check that GitHub acknowledged."""

    claimed: check.Check
    version: int
    github_id: int
    status: str


def _claim(
    connection: Connection,
    *,
    now: datetime,
    owner: str,
    limit: int,
    busy: Collection[str],
    together: int,
    alone: Collection[int],
) -> tuple[list[check.Check], datetime | None]:
    claimed = checks.claim_stale(
        connection, now=now, owner=owner, lease=LEASE, limit=limit, busy=busy, together=together, alone=alone
    )
    return claimed, checks.next_due_at(connection, now=now)


def _acknowledge(connection: Connection, sent: Sequence[_Sent], *, now: datetime) -> set[int]:
    """Write what GitHub acknowledged; gives those that another process took over."""
    lost = set()
    for one in sent:
        try:
            checks.acknowledge(
                connection, one.claimed, version=one.version, github_id=one.github_id, status=one.status, now=now
            )
        except errors.LeaseLost:
            lost.add(one.claimed.id)
    return lost


def _subjects(connection: Connection, claimed: Sequence[check.Check]) -> dict[int, _Subject]:
    """What each tells about, by its number; nothing of one that was deleted."""
    found: dict[int, _Subject] = {}
    for build_id in dict.fromkeys(one.build_id for one in claimed):
        all_jobs = jobs.list_of_builds(connection, [build_id])
        sums: Mapping[str, report.Results] | None = None
        for one in claimed:
            if one.build_id != build_id:
                continue
            own = next((other for other in all_jobs if other.id == one.job_id), None)
            try:
                version = checks.get_version(connection, one.id)
                of_build = builds.get(connection, build_id)
            except errors.NotFound:
                continue
            told = history.find(connection, own, of_build) if own is not None and own.state in job.FINAL else None
            if own is None and sums is None:
                ids = {other.origin_id or other.id for other in all_jobs if other.state in job.FINAL}
                sums = results.list_totals(connection, ids) if ids else {}
            found[one.id] = _Subject(version, of_build, all_jobs, own, told, (sums or {}) if own is None else {})
    return found
