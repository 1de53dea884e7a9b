"""The reconciler of states: what GitHub shows is compared with what we were told of, and what lacks is made up for.

A head that nobody told us of comes in as a delivery made of what GitHub's API shows, so that trail, order and trust are
those of any other. A check run that does not agree is sent again; one of ours that nobody knows is concluded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.events import lacking
from bot.github import GitHub, Repository, checks, repositories
from bot.model import check
from bot.store import Store, bookmarks, known, leases, pulls
from bot.store import checks as stored_checks
from bot.store import repositories as visible

#: How often all repositories get a look.
LOOK_SECONDS = 600.0
#: How long a head may lack its event before it is made up for.
GRACE = timedelta(seconds=60)
#: So long is waited at the start for deliveries that can still be had.
PATIENCE_SECONDS = 300.0
#: So many calls are made in one pass; the next one goes on where it stopped.
MOST_CALLS = 1_500
#: So many heads of one repository are made up for in one pass: another one's are not kept waiting.
MOST_MADE = 50
#: A pass that does not get on loses its lease; each repository holds it for longer.
LEASE = timedelta(minutes=5)
#: How far back a first look searches for events.
_FIRST_LOOK = timedelta(minutes=10)
#: Two clocks, and lists that lag behind.
_SLACK = timedelta(minutes=1)
#: A look at which nothing changed is written down this often.
_KEPT = timedelta(hours=1)
NAME = "state.reconciliation"
_log = telemetry.log("events")

#: Takes headers and payload of a delivery in, by the door's checks.
Take = Callable[[Mapping[str, str], bytes], Awaitable[object]]


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """A repository through an installation."""

    installation_id: int
    ref: repositories.RepositoryRef


class _Pass(msgspec.Struct):
    """What one pass did, by the labels of the metric, and what calls it has left."""

    calls_left: int
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    #: Installations that cannot be asked in this pass.
    shut: set[int] = msgspec.field(default_factory=set)


class Reconciler:
    """Compares GitHub's state with ours, repository by repository."""

    def __init__(
        self,
        store: Store,
        *,
        github: GitHub,
        take: Take,
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
        after: asyncio.Event | None = None,
        look_seconds: float = LOOK_SECONDS,
        grace: timedelta = GRACE,
        most_calls: int = MOST_CALLS,
    ) -> None:
        """:param after: set when the deliveries that can still be had are there: they tell more than a state."""
        self._store = store
        self._github = github
        self._take = take
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._after = after
        self._look_seconds = look_seconds
        self._grace = grace
        self._most_calls = most_calls
        #: Where something waits for its event.
        self._waiting: dict[int, _Place] = {}

    async def run(self) -> None:
        """Reconcile for ever."""
        if self._after is not None:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._after.wait()
            except TimeoutError:
                _log.warning("Some deliveries are still missing.", action="reconcile_state")
        next_round_at = time.monotonic()
        while True:
            is_round = time.monotonic() >= next_round_at
            try:
                await self.reconcile(only=None if is_round else self._waiting.values())
            except errors.BuildhookError as error:
                _log.warning("GitHub's state cannot be compared.", action="reconcile_state", error=str(error))
            except Exception as error:
                # Everything else goes on, and so does this with its next round.
                _log.error("Comparing GitHub's state failed.", action="reconcile_state", exc_info=error)
            if is_round:
                next_round_at = time.monotonic() + self._look_seconds
            left_seconds = max(0.0, next_round_at - time.monotonic())
            soon_seconds = self._grace.total_seconds() if self._waiting else left_seconds
            await asyncio.sleep(min(left_seconds, soon_seconds))

    async def reconcile(self, *, only: Iterable[_Place] | None = None) -> Counter[str] | None:
        """One pass: as many repositories as its calls allow. Gives what was done, or None: another replica is at it.

        :raises errors.GitHubError: if GitHub does not say which repositories there are.
        :raises errors.StoreUnavailable: if the database cannot be used.
        """
        if not await self._store.write(_go_on, None, owner=self._owner, now=self._now()):
            return None
        this = _Pass(calls_left=self._most_calls)
        try:
            places = list(only) if only is not None else await self._places(this)
            for place in places:
                await self._visit_safely(place, this)
                is_ours = await self._store.write(
                    _go_on, None if only else place.ref.id, owner=self._owner, now=self._now()
                )
                if not is_ours or this.calls_left <= 0:
                    break
        finally:
            # It ends by itself otherwise; whatever ended the pass goes on.
            with contextlib.suppress(errors.StoreUnavailable):
                await self._store.write(leases.release, NAME, owner=self._owner)
        self._tell(this)
        return this.counts

    def _tell(self, this: _Pass) -> None:
        for word, count in this.counts.items():
            self._metrics.reconciled.labels(word).inc(count)
        if this.counts:
            text = "GitHub's state was compared, and what differed made up for."
            _log.info(text, action="reconcile_state", **this.counts)

    async def _places(self, this: _Pass) -> list[_Place]:
        """All repositories, those first whose turn comes after the last one's of the pass before."""
        found: dict[int, _Place] = {}
        public: dict[int, bool] = {}
        is_whole = True
        for installation in await self._github.list_installations():
            if installation.state != "active":
                continue
            this.calls_left -= 1
            try:
                refs = await self._github.list_repositories(installation.id)
            except errors.GitHubError as error:
                _note(error, installation=installation.id)
                is_whole = False
                continue
            public |= {ref.id: not ref.is_private for ref in refs}
            is_whole &= len(refs) < repositories.MOST
            found |= {ref.id: _Place(installation_id=installation.id, ref=ref) for ref in refs if not ref.is_archived}
        if differed := await self._store.write(visible.compare, public, is_whole=is_whole, now=self._now()):
            this.counts["visibility"] += differed
        last = int(await self._store.read(bookmarks.find, NAME) or 0)
        self._waiting = {at: place for at, place in self._waiting.items() if at in found}
        return [found[at] for at in sorted(found, key=lambda at: (at <= last, at))]

    async def _visit_safely(self, place: _Place, this: _Pass) -> None:
        if place.installation_id in this.shut:
            return
        try:
            await self._visit(place, this)
        except (errors.RateLimited, errors.Suspended, errors.Unauthorized) as error:
            # It holds for all of the installation.
            this.shut.add(place.installation_id)
            _note(error, installation=place.installation_id)
        except errors.GitHubError as error:
            _note(error, repository=place.ref.full_name)
        except errors.InboxFull as error:
            this.calls_left = 0
            _note(error, repository=place.ref.full_name)

    async def _visit(self, place: _Place, this: _Pass) -> None:
        repository = self._github.repository(
            installation_id=place.installation_id, repository_id=place.ref.id, full_name=place.ref.full_name
        )
        began_at = self._now() - _SLACK
        this.calls_left -= 3
        shown = lacking.Shown(
            repository_id=place.ref.id,
            default_branch=place.ref.default_branch,
            branch_sha=await repository.get_branch_head(place.ref.default_branch),
            pulls=await repository.list_open_pulls(),
            tags=await repository.list_tags(),
        )
        await self._make_up(place, repository, shown, this, began_at=began_at)
        shas = {one.pull.head_sha for one in shown.pulls} | ({shown.branch_sha} if shown.branch_sha else set())
        for sha in sorted(shas):
            await self._compare(repository, sha, this)

    async def _make_up(
        self, place: _Place, repository: Repository, shown: lacking.Shown, this: _Pass, *, began_at: datetime
    ) -> None:
        visit = await self._store.read(_find_visit, place.ref.id)
        found = await self._store.read(_find, shown, visit, since=visit.visited_at if visit else began_at - _FIRST_LOOK)
        if found is None:
            # What is being handled right now may be just what is lacking.
            self._waiting[place.ref.id] = place
            return
        due, since = lacking.due(found, visit, now=self._now(), grace=self._grace)
        taken = await self._take_all(place, repository, due[:MOST_MADE], this)
        still = {one: since[one.guid] for one in found if one not in taken}
        after = lacking.visited(shown, visit, still=still, now=began_at)
        if (
            visit is None
            or replace(after, visited_at=visit.visited_at) != visit
            or visit.visited_at + _KEPT <= began_at
        ):
            await self._store.write(_save_visit, place.ref.id, after, now=self._now())
        if still:
            self._waiting[place.ref.id] = place
        else:
            self._waiting.pop(place.ref.id, None)

    async def _take_all(
        self, place: _Place, repository: Repository, due: Sequence[lacking.Lacking], this: _Pass
    ) -> frozenset[lacking.Lacking]:
        if not due:
            return frozenset()
        this.calls_left -= 1
        described = await repository.get_raw()
        for one in due:
            headers = {"x-github-event": one.event, "x-github-delivery": one.guid}
            body = lacking.payload(one, repository=described, installation_id=place.installation_id)
            try:
                await self._take(headers, body)
                this.counts[one.event] += 1
            except errors.DeliveryRefused as error:
                _note(error, repository=place.ref.full_name)
        return frozenset(due)

    async def _compare(self, repository: Repository, sha: str, this: _Pass) -> None:
        stored = await self._store.read(stored_checks.list_of_head, repository_id=repository.id, head_sha=sha)
        if this.calls_left <= 0:
            return
        this.calls_left -= 1
        shown = await repository.list_check_runs(head_sha=sha)
        differing = lacking.compare(stored, shown, now=self._now())
        for word, those in (("check_unfinished", differing.unfinished), ("check_gone", differing.gone)):
            for one in those:
                # Where its run is gone, the reporter finds that out and makes another one.
                if await self._store.write(stored_checks.send_again, one):
                    this.counts[word] += 1
        for run in differing.orphaned:
            this.calls_left -= 1
            await repository.put_check_run(self._concluded(repository, sha, run), github_id=run.id)
            this.counts["check_orphaned"] += 1

    def _concluded(self, repository: Repository, sha: str, run: checks.Found) -> check.CheckRun:
        assert run.external_id is not None
        return check.CheckRun(
            name=run.name,
            head_sha=sha,
            external_id=run.external_id,
            details_url=f"{self._github.urls.web}/{repository.full_name}/commit/{sha}",
            status="completed",
            conclusion="cancelled",
            started_at=None,
            completed_at=self._now(),
            title="Nobody knows of this run any more",
            summary=(
                "The service that began it has no record of it, as when its database was put back to an earlier state."
                " Run it again to have a result."
            ),
        )


def _go_on(connection: Connection, visited_id: int | None, *, owner: str, now: datetime) -> bool:
    """Hold the lease for longer, and write how far the round came; False where another replica took it over."""
    if not leases.take(connection, NAME, owner=owner, now=now, lease=LEASE):
        return False
    if visited_id is not None:
        bookmarks.save(connection, NAME, str(visited_id), now=now)
    return True


def _find(
    connection: Connection, shown: lacking.Shown, visit: lacking.Visit | None, *, since: datetime
) -> list[lacking.Lacking] | None:
    """What is lacking; None where deliveries about the repository have still to be handled."""
    repository_id, sha = shown.repository_id, shown.branch_sha
    if known.has_unfinished(connection, repository_id=repository_id):
        return None
    numbers = [one.pull.number for one in shown.pulls]
    rows = (pulls.find(connection, repository_id=repository_id, number=number) for number in numbers)
    told = lacking.Told(
        pulls={row.number: row for row in rows if row is not None},
        heads=known.heads(connection, repository_id=repository_id, head_sha=sha) if sha is not None else (),
    )
    found = lacking.find(shown, told, visit)
    if any(one.ref is not None for one in found):
        # Payloads are looked into only where that may tell something.
        pushes = known.pushes(connection, repository_id=repository_id, since=since)
        found = lacking.find(shown, replace(told, pushes=pushes), visit)
    there = known.guids(connection, {one.guid for one in found})
    return [one for one in found if one.guid not in there]


def _is_news(after: lacking.Visit, before: lacking.Visit | None) -> bool:
    if before is None or before.visited_at + _KEPT <= after.visited_at:
        return True
    return replace(after, visited_at=before.visited_at) != before


def _find_visit(connection: Connection, repository_id: int) -> lacking.Visit | None:
    found = bookmarks.find(connection, f"{NAME}.{repository_id}")
    try:
        return None if found is None else msgspec.json.decode(found, type=lacking.Visit)
    except msgspec.MsgspecError:
        # Another version wrote it: this is a first look.
        return None


def _save_visit(connection: Connection, repository_id: int, visit: lacking.Visit, *, now: datetime) -> None:
    bookmarks.save(connection, f"{NAME}.{repository_id}", msgspec.json.encode(visit).decode(), now=now)


def _note(error: errors.BuildhookError, **about: object) -> None:
    _log.info("A part of GitHub's state cannot be compared.", action="reconcile_state", error=str(error), **about)
