"""The reporter: compares each check as it should be with what GitHub acknowledged, and sends the difference.

Changes that pile up while a request is under way become one. An answer that was lost is found again by the check's
external id before anything is created, so there is one check run, whatever happened in between.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bot import errors, failpoint, telemetry
from bot.checks import outbox, render, sending, writing
from bot.github import GitHub, Repository
from bot.logs import LogStore, failure
from bot.model import build, check, job, report
from bot.store import Store, builds, checks, history, jobs, patience, results

#: How many checks are sent side by side.
MAX_SIDE_BY_SIDE = 16
LEASE = timedelta(minutes=5)
_log = telemetry.log("checks")


@dataclass(frozen=True, slots=True)
class _Subject:
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
            send=lambda one, at: self.report(one, claimed_at=at),
            now=now,
        )

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._outbox.wake()

    async def run(self) -> None:
        """Send for ever, see `Outbox.run`."""
        await self._outbox.run()

    async def _claim(self, now: datetime, limit: int) -> tuple[list[check.Check], datetime | None]:
        return await self._store.write(_claim, now=now, owner=self._owner, limit=limit)

    async def report(self, claimed: check.Check, *, claimed_at: datetime) -> None:
        """Send one claimed check and write what GitHub acknowledged."""
        attempt = writing.Attempt(
            claimed=claimed, claimed_at=claimed_at, now=self._now, visible_after=self._visible_after
        )
        with telemetry.bound(build_id=claimed.build_id, check_name=claimed.name):
            try:
                outcome = await self._send(attempt)
            except (errors.LeaseLost, errors.NotFound):
                outcome = "lease_lost"
            except errors.StoreUnavailable as error:
                # The lease runs out; then the check run is looked up before anything is sent.
                _log.error("An acknowledged check could not be written.", action="save_check", error=str(error))
                outcome = "not_written"
            except Exception as error:
                _log.error("What became of a check could not be written.", action="save_check", exc_info=error)
                outcome = "not_written"
            self._metrics.check_attempts.labels(outcome).inc()

    async def _send(self, attempt: writing.Attempt) -> str:
        claimed = attempt.claimed
        subject = await self._store.read(_subject, claimed)
        try:
            await failpoint.pause("outbox.after_claim")
            wanted = await self._render(claimed, subject)
            await failpoint.pause("outbox.before_http")
            github_id = await self._put(attempt, wanted)
            await failpoint.pause("outbox.after_http_before_mark")
        except Exception as error:
            return await self._after(claimed, error)
        self._outbox.ramp.went_well()
        await patience.write(
            self._store,
            checks.acknowledge,
            claimed,
            version=subject.version,
            github_id=github_id,
            status=wanted.status,
            now=self._now(),
        )
        await failpoint.pause("outbox.after_mark")
        return "sent"

    async def _put(self, attempt: writing.Attempt, wanted: check.CheckRun) -> int:
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
            log_tail=await self._tail(failed) if failed is not None else None,
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

    async def _tail(self, failed: job.Job) -> str:
        # Several replicas: the log lies where the job ran, and its end with the job.
        kept = await self._store.read(jobs.find_log_tail, failed.origin_id or failed.id)
        data = kept if kept is not None else await failure.tail(self._logs, failed)
        return data.decode("utf-8", "replace")

    async def _after(self, claimed: check.Check, error: Exception) -> str:
        now = self._now()
        if isinstance(error, sending.RunGone):
            _log.warning("A check run is gone.", action="send_check", error=str(error))
            await patience.write(self._store, checks.forget, claimed, now=now)
            return "gone"
        if isinstance(error, errors.RateLimited | errors.GitHubUnavailable):
            self._outbox.ramp.went_badly()
        verdict = sending.decide(error, claimed, now=now)
        if verdict.is_unexpected:
            _log.error("A check could not be sent.", action="send_check", exc_info=error)
        else:
            _log.warning("A check could not be sent.", action="send_check", error=verdict.text)
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


def _claim(
    connection: Connection, *, now: datetime, owner: str, limit: int
) -> tuple[list[check.Check], datetime | None]:
    claimed = checks.claim_stale(connection, now=now, owner=owner, lease=LEASE, limit=limit)
    return claimed, checks.next_due_at(connection, now=now)


def _subject(connection: Connection, claimed: check.Check) -> _Subject:
    all_jobs = jobs.list_of_builds(connection, [claimed.build_id])
    own = next((one for one in all_jobs if one.id == claimed.job_id), None)
    version = checks.get_version(connection, claimed.id)
    of_build = builds.get(connection, claimed.build_id)
    told = history.find(connection, own, of_build) if own is not None and own.state in job.FINAL else None
    ids = {one.origin_id or one.id for one in all_jobs if one.state in job.FINAL} if own is None else set()
    sums = results.list_totals(connection, ids) if ids else {}
    return _Subject(version, of_build, all_jobs, own, told, sums)
