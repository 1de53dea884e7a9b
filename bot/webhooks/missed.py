"""Which deliveries GitHub could not deliver, and what to do about each: pure. Asked for again, fetched, or closed.

GitHub tries once and repeats nothing by itself.
https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bot.github import deliveries

#: For so long GitHub sends an event again, and keeps what it sent.
#: https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
WINDOW = timedelta(days=3)
#: An attempt appears in GitHub's list when it is over, so a little behind newer ones.
OVERLAP = timedelta(minutes=10)
#: A redelivery that did not come by then is not waited for.
PATIENCE = timedelta(minutes=3)
#: After so many redeliveries in vain the payload is fetched.
MAX_REDELIVERIES = 3
#: What could not be fetched until then is given up: only GitHub's state can tell what it was about.
FETCH_WINDOW = WINDOW + timedelta(days=1)
#: So many are kept in mind at once; the others' turn comes when these are settled.
MAX_MISSED = 5_000
#: What our door refuses for good says nothing else the second time; a proxy in front of it may have said it too, so
#: the payload is looked at once.
_REFUSALS = frozenset({400, 403, 413, 415})
_UNSIGNED = 401


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that should be in the inbox and is not."""

    guid: str
    event: str
    #: The newest attempt: the one that GitHub is asked to repeat, or whose payload is fetched.
    attempt_id: int
    #: When the first known attempt was made.
    delivered_at: datetime
    #: When the newest one was made.
    attempted_at: datetime
    #: How the newest one was answered.
    status_code: int
    #: Since when a redelivery is under way.
    asked_at: datetime | None = None
    #: How many redeliveries came to nothing.
    failures: int = 0
    #: How many fetches came to nothing.
    fetches: int = 0
    #: Whether GitHub does not send it again.
    is_too_old: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far GitHub's list was read. What was delivered until then is in the inbox, or stands here."""

    #: By GitHub's clock.
    read_until: datetime
    #: In the order of their first attempts.
    missed: tuple[Missed, ...] = ()
    #: What is settled without being in the inbox, with the time of its newest attempt: it is not asked for again.
    closed: Mapping[str, datetime] = msgspec.field(default_factory=dict)

    @property
    def since(self) -> datetime:
        """How far back the list has to be read."""
        return self.read_until - OVERLAP


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done now."""

    redeliver: tuple[Missed, ...] = ()
    fetch: tuple[Missed, ...] = ()


def begin(stored: Progress | None, *, now: datetime) -> Progress:
    """Where to go on: at the bookmark, or as far back as GitHub can still tell."""
    oldest = now - WINDOW
    if stored is None:
        return Progress(read_until=oldest)
    return replace(stored, read_until=max(stored.read_until, oldest))


def rewound(progress: Progress, *, since: datetime) -> Progress:
    """Read again what was delivered since then, also what was closed."""
    return replace(progress, read_until=min(progress.read_until, since), closed={})


def note(
    progress: Progress,
    attempts: Iterable[deliveries.Attempt],
    *,
    known: Collection[str],
    answered_since: datetime | None,
) -> Progress:
    """The progress after these attempts were read: all of GitHub's list from `progress.since` on.

    :param known: those of the attempts' and of the missed deliveries' guids that are in the inbox; looked up after the
        list was read, so that what was answered meanwhile is among them.
    :param answered_since: what was answered well after this (and after the bookmark) and is not in the inbox was lost
        by us, as when an older copy of the database is restored; None: what was answered well is believed to be there.
    """
    by_guid = _grouped(attempts)
    missed = {one.guid: one for one in progress.missed if one.guid not in known}
    lost_since = max(progress.read_until, answered_since) if answered_since is not None else None
    read_until = max((group[-1].delivered_at for group in by_guid.values()), default=progress.read_until)
    for guid, group in by_guid.items():
        if guid in known or guid in progress.closed:
            continue
        before = missed.get(guid)
        if before is not None:
            missed[guid] = _seen_again(before, group[-1])
        elif not _was_taken(group, lost_since=lost_since):
            if len(missed) >= MAX_MISSED:
                # The groups come oldest first: all that is left out is read again, and nothing before it is.
                read_until = min(read_until, group[0].delivered_at)
                break
            missed[guid] = _first_seen(group)
    moved = replace(progress, read_until=max(progress.read_until, read_until), missed=_in_order(missed.values()))
    return replace(moved, closed={guid: at for guid, at in progress.closed.items() if at >= moved.since})


def arrived(progress: Progress, known: Collection[str]) -> Progress:
    """The progress after these came into the inbox."""
    return replace(progress, missed=tuple(one for one in progress.missed if one.guid not in known))


def decide(progress: Progress, *, now: datetime, most_redelivered: int, may_redeliver: bool) -> Plan:
    """What to do now about what is missed.

    :param most_redelivered: how many redeliveries may be asked for now.
    :param may_redeliver: False where nothing listens for them; then all is fetched.
    """
    redeliver: list[Missed] = []
    fetch: list[Missed] = []
    for one in progress.missed:
        waits = one.asked_at is not None and now < one.asked_at + PATIENCE
        if waits and may_redeliver:
            continue
        if not may_redeliver or _must_be_fetched(_given_up_on(one)):
            fetch.append(_given_up_on(one))
        elif len(redeliver) < most_redelivered:
            redeliver.append(_given_up_on(one))
    # One that cannot be fetched lets the others go first.
    return Plan(redeliver=tuple(redeliver), fetch=tuple(sorted(fetch, key=lambda one: one.fetches)))


def asked(progress: Progress, those: Sequence[Missed], *, now: datetime) -> Progress:
    """The progress while these redeliveries are under way."""
    return _replaced(progress, [replace(one, asked_at=now) for one in those])


def not_asked(progress: Progress, those: Sequence[Missed], *, is_too_old: bool = False) -> Progress:
    """The progress after GitHub was not asked for these after all, or said that it does not send them again."""
    return _replaced(progress, [replace(one, asked_at=None, is_too_old=one.is_too_old or is_too_old) for one in those])


def not_fetched(progress: Progress, one: Missed) -> Progress:
    """The progress after a fetch came to nothing; it is tried again."""
    return _replaced(progress, [replace(one, fetches=one.fetches + 1)])


def is_hopeless(one: Missed, *, now: datetime) -> bool:
    """Whether a fetch that fails now was the last one."""
    return now > one.delivered_at + FETCH_WINDOW


def closed(progress: Progress, one: Missed) -> Progress:
    """The progress after a delivery was settled: nothing is done about it any more."""
    without = arrived(progress, {one.guid})
    return replace(without, closed={**progress.closed, one.guid: one.attempted_at})


def _grouped(attempts: Iterable[deliveries.Attempt]) -> dict[str, list[deliveries.Attempt]]:
    """The attempts of each guid, oldest first; the guids in the order of their first ones."""
    unique = {one.id: one for one in attempts}
    by_guid: dict[str, list[deliveries.Attempt]] = {}
    for one in sorted(unique.values(), key=lambda one: (one.delivered_at, one.id)):
        by_guid.setdefault(one.guid, []).append(one)
    return by_guid


def _was_taken(group: Sequence[deliveries.Attempt], *, lost_since: datetime | None) -> bool:
    good = [one for one in group if one.is_ok]
    return bool(good) and (lost_since is None or min(one.delivered_at for one in good) <= lost_since)


def _first_seen(group: Sequence[deliveries.Attempt]) -> Missed:
    newest = group[-1]
    return Missed(
        guid=newest.guid,
        event=newest.event,
        attempt_id=newest.id,
        delivered_at=group[0].delivered_at,
        attempted_at=newest.delivered_at,
        status_code=newest.status_code,
    )


def _seen_again(before: Missed, newest: deliveries.Attempt) -> Missed:
    if (newest.delivered_at, newest.id) <= (before.attempted_at, before.attempt_id):
        return before
    # Whoever asked for it: it came, and came to nothing.
    return replace(
        before,
        attempt_id=newest.id,
        attempted_at=newest.delivered_at,
        status_code=newest.status_code,
        asked_at=None,
        failures=before.failures + 1,
    )


def _given_up_on(one: Missed) -> Missed:
    """Without the redelivery that is no longer waited for."""
    return one if one.asked_at is None else replace(one, asked_at=None, failures=one.failures + 1)


def _must_be_fetched(one: Missed) -> bool:
    is_unsigned = one.status_code == _UNSIGNED and one.failures > 0
    return one.is_too_old or is_unsigned or one.status_code in _REFUSALS or one.failures >= MAX_REDELIVERIES


def _replaced(progress: Progress, those: Sequence[Missed]) -> Progress:
    by_guid = {one.guid: one for one in those}
    return replace(progress, missed=tuple(by_guid.get(one.guid, one) for one in progress.missed))


def _in_order(missed: Iterable[Missed]) -> tuple[Missed, ...]:
    return tuple(sorted(missed, key=lambda one: (one.delivered_at, one.attempt_id)))
