"""The recovery of deliveries: what GitHub could not deliver is asked for again, or fetched, until it is in the inbox.

It runs while the door is open, because a redelivery comes back at once; one replica at a time does it for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.allowance import Allowance
from bot.github import GitHub, deliveries
from bot.store import Store, bookmarks, known, leases
from bot.store.deliveries import Put
from bot.webhooks import missed
from bot.webhooks.intake import Intake

#: How often GitHub's list is read.
LOOK_SECONDS = 120.0
#: How often the inbox is looked at while something is under way.
SOON_SECONDS = 5.0
#: What was asked for and is not there by then may have failed again: GitHub's list tells.
DOUBT_SECONDS = 15.0
#: GitHub takes 180 writes in a minute; others are made besides these.
#: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
BURST, PER_MINUTE = 60, 90
#: So many payloads are fetched in one pass.
MOST_FETCHED = 100
#: After so many fetches in vain, one after the other, the fault is not theirs.
_MOST_FAILED = 3
#: 100,000 attempts: older ones are left to the comparison of states.
MAX_PAGES = 1_000
#: A pass that does not get on loses its lease; each of its writes holds it for longer.
LEASE = timedelta(minutes=2)
NAME = "deliveries.recovery"
#: What `x-buildhook-source` says of a payload that was fetched.
SOURCE = "api"
_log = telemetry.log("webhooks")


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about one delivery."""

    guid: str
    event: str
    #: The metric's label: `asked`, `arrived`, `fetched`, `refused`, `gone` or `failed`.
    outcome: str
    #: A sentence for people.
    text: str


def arrived(one: missed.Missed | Done) -> Done:
    """It is not missing any more."""
    return Done(guid=one.guid, event=one.event, outcome="arrived", text="It is in the inbox.")


class _Pass(msgspec.Struct, kw_only=True):
    """What one pass knows."""

    progress: missed.Progress
    #: As it is stored.
    stored: missed.Progress | None
    done: list[Done] = msgspec.field(default_factory=list)

    def note(self, one: missed.Missed, outcome: str, text: str) -> None:
        self.done.append(Done(guid=one.guid, event=one.event, outcome=outcome, text=text))


class Recovery:
    """Finds what is missing in the inbox and gets it."""

    def __init__(
        self,
        store: Store,
        *,
        github: GitHub,
        intake: Intake,
        metrics: telemetry.Metrics,
        owner: str,
        now: Callable[[], datetime],
        retention: timedelta,
        may_redeliver: bool = True,
        look_seconds: float = LOOK_SECONDS,
        soon_seconds: float = SOON_SECONDS,
        doubt_seconds: float = DOUBT_SECONDS,
    ) -> None:
        """:param retention: what was received longer ago may have been deleted, so it is not missing.
        :param may_redeliver: False where no door is open; then all payloads are fetched.
        """
        self._store = store
        self._github = github
        self._intake = intake
        self._metrics = metrics
        self._owner = owner
        self._now = now
        self._retention = retention
        self._may_redeliver = may_redeliver
        self._look_seconds = look_seconds
        self._soon_seconds = soon_seconds
        self._doubt_seconds = doubt_seconds
        self._allowance = Allowance(burst=BURST, per_minute=PER_MINUTE)
        self._read_at: float | None = None
        #: How many deliveries are known to be missing.
        self.missing = 0
        #: Set when it was looked once, and nothing was missing any more or another replica looks after it.
        self.settled = asyncio.Event()
        self._is_soon = False

    async def run(self) -> None:
        """Recover for ever."""
        while True:
            pause_seconds = self._look_seconds
            try:
                await self.recover(reads_list=self._is_due(self._look_seconds))
                pause_seconds = self._soon_seconds if self._is_soon else self._look_seconds
            except errors.RateLimited as error:
                pause_seconds = max((error.retry_at - self._now()).total_seconds(), self._soon_seconds)
                _log.warning("Missing deliveries wait for GitHub.", action="recover_deliveries", error=str(error))
            except errors.BuildhookError as error:
                _log.warning("Missing deliveries cannot be had.", action="recover_deliveries", error=str(error))
            except Exception as error:
                # Deliveries that do come are handled meanwhile.
                _log.error("Recovering deliveries failed.", action="recover_deliveries", exc_info=error)
            await asyncio.sleep(pause_seconds)

    async def recover(self, *, reads_list: bool = True, since: datetime | None = None) -> tuple[Done, ...] | None:
        """One pass; gives what was done, or None where another replica is at it.

        :param reads_list: False: look only whether what is under way has come, and ask GitHub where that is in doubt.
        :param since: begin again there, also with what was closed.
        :raises errors.GitHubError: if GitHub cannot be asked; what was done until then is kept.
        :raises errors.InboxFull: if too many deliveries wait to be handled.
        :raises errors.StoreUnavailable: if the database cannot be used.
        """
        self._is_soon = False
        if not await self._store.write(leases.take, NAME, owner=self._owner, now=self._now(), lease=LEASE):
            self.settled.set()
            return None
        try:
            return await self._recover(reads_list=reads_list, since=since)
        except errors.LeaseLost:
            return None
        finally:
            # It ends by itself otherwise; whatever ended the pass goes on.
            with contextlib.suppress(errors.StoreUnavailable):
                await self._store.write(leases.release, NAME, owner=self._owner)

    async def _recover(self, *, reads_list: bool, since: datetime | None) -> tuple[Done, ...]:
        stored = await self._store.read(_find)
        progress = missed.begin(stored, now=self._now())
        if since is not None:
            progress = missed.rewound(progress, since=since)
        this = _Pass(progress=progress, stored=stored)
        try:
            await self._see_what_came(this)
            if reads_list or self._is_in_doubt(this.progress):
                is_first = stored is None and since is None
                await self._read_list(this, answered_since=None if is_first else self._now() - self._retention)
            await self._act(this)
        except (errors.GitHubError, errors.InboxFull):
            await self._keep(this)
            raise
        await self._keep(this)
        return tuple(this.done)

    async def _see_what_came(self, this: _Pass) -> None:
        guids = {one.guid for one in this.progress.missed}
        self._settle_arrived(this, await self._store.read(known.guids, guids) if guids else frozenset())

    def _settle_arrived(self, this: _Pass, there: frozenset[str]) -> None:
        for one in this.progress.missed:
            if one.guid in there:
                this.done.append(arrived(one))
        this.progress = missed.arrived(this.progress, there)

    async def _read_list(self, this: _Pass, *, answered_since: datetime | None) -> None:
        attempts = await self._attempts(this.progress.since)
        self._read_at = time.monotonic()
        guids = {one.guid for one in attempts} | {one.guid for one in this.progress.missed}
        # Looked up after the list was read: what was answered well before that is there by now.
        there = await self._store.read(known.guids, guids)
        self._settle_arrived(this, there)
        this.progress = missed.note(this.progress, attempts, known=there, answered_since=answered_since)

    async def _attempts(self, since: datetime) -> list[deliveries.Attempt]:
        found: list[deliveries.Attempt] = []
        cursor: str | None = None
        for _ in range(MAX_PAGES):
            page = await self._github.list_deliveries(cursor=cursor)
            found += [one for one in page.attempts if one.delivered_at >= since]
            cursor = page.next_cursor
            is_past = any(one.delivered_at < since for one in page.attempts)
            if cursor is None or is_past:
                return found
        _log.warning("GitHub's list of deliveries is longer than what is read of it.", action="recover_deliveries")
        return found

    async def _act(self, this: _Pass) -> None:
        plan = missed.decide(
            this.progress,
            now=self._now(),
            most_redelivered=self._allowance.left(),
            may_redeliver=self._may_redeliver,
        )
        too_old = await self._ask(this, plan.redeliver)
        await self._fetch_all(this, [*plan.fetch, *too_old][:MOST_FETCHED])

    async def _ask(self, this: _Pass, those: Sequence[missed.Missed]) -> list[missed.Missed]:
        """Ask for redeliveries; gives those that GitHub does not make any more."""
        too_old: list[missed.Missed] = []
        if not those:
            return too_old
        # Written before it is done: whoever goes on after us asks for none of them a second time.
        this.progress = missed.asked(this.progress, those, now=self._now())
        await self._save(this)
        for position, one in enumerate(those):
            self._allowance.spend(1)
            try:
                await self._github.redeliver(one.attempt_id)
            except (errors.Invalid, errors.NotReachable):
                this.progress = missed.not_asked(this.progress, [one], is_too_old=True)
                too_old.append(one)
            except errors.GitHubError:
                this.progress = missed.not_asked(this.progress, those[position:])
                raise
            else:
                this.note(one, "asked", "GitHub was asked to deliver it again.")
        return too_old

    async def _fetch_all(self, this: _Pass, those: Sequence[missed.Missed]) -> None:
        failed = 0
        for one in those:
            try:
                await self._fetch(this, one)
            except errors.RateLimited:
                raise
            except errors.GitHubUnavailable as error:
                failed += 1
                if missed.is_hopeless(one, now=self._now()):
                    this.progress = missed.closed(this.progress, one)
                    this.note(one, "failed", f"It is given up: {error}")
                else:
                    this.progress = missed.not_fetched(this.progress, one)
                if failed >= _MOST_FAILED:
                    raise
            else:
                failed = 0

    async def _fetch(self, this: _Pass, one: missed.Missed) -> None:
        try:
            found = await self._github.get_delivery(one.attempt_id)
            headers = {**found.request_headers, "x-github-delivery": one.guid, "x-github-event": one.event}
            put = await self._intake.take(headers, found.payload_json, source=SOURCE)
        except errors.NotReachable as error:
            this.progress = missed.closed(this.progress, one)
            this.note(one, "gone", str(error))
        except errors.DeliveryRefused as error:
            this.progress = missed.closed(this.progress, one)
            this.note(one, "refused", str(error))
        else:
            this.progress = missed.arrived(this.progress, {one.guid})
            if put == Put.STORED:
                this.note(one, "fetched", "Its payload was fetched from GitHub's API.")
            else:
                this.done.append(arrived(one))

    def _is_due(self, seconds: float) -> bool:
        return self._read_at is None or time.monotonic() >= self._read_at + seconds

    def _is_in_doubt(self, progress: missed.Progress) -> bool:
        doubtful = self._now() - timedelta(seconds=self._doubt_seconds)
        is_waiting = any(one.asked_at is not None and one.asked_at <= doubtful for one in progress.missed)
        return is_waiting and self._is_due(self._doubt_seconds)

    async def _keep(self, this: _Pass) -> None:
        await self._save(this)
        self.missing = len(this.progress.missed)
        if not self.missing:
            self.settled.set()
        self._is_soon = any(one.fetches == 0 for one in this.progress.missed)
        self._metrics.missed.set(self.missing)
        counts = Counter(one.outcome for one in this.done)
        for outcome, count in counts.items():
            self._metrics.recovered.labels(outcome).inc(count)
        if counts:
            _log.info(
                "Deliveries that GitHub could not deliver were looked after.",
                action="recover_deliveries",
                missing=self.missing,
                **counts,
            )

    async def _save(self, this: _Pass) -> None:
        if this.progress != this.stored:
            value = msgspec.json.encode(this.progress).decode()
            await self._store.write(_save, value, owner=self._owner, now=self._now())
            this.stored = this.progress


def _find(connection: Connection) -> missed.Progress | None:
    found = bookmarks.find(connection, NAME)
    try:
        return None if found is None else msgspec.json.decode(found, type=missed.Progress)
    except msgspec.MsgspecError:
        # Another version wrote it; the list tells it all anew.
        return None


def _save(connection: Connection, value: str, *, owner: str, now: datetime) -> None:
    """:raises errors.LeaseLost: if another replica went on instead of us: what we know is old."""
    if not leases.take(connection, NAME, owner=owner, now=now, lease=LEASE):
        raise errors.LeaseLost("Another replica looks after missing deliveries.")
    bookmarks.save(connection, NAME, value, now=now)
