"""What is decided about deliveries that GitHub could not deliver: pure, so it is tried against many a GitHub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bot.github.deliveries import Attempt
from bot.webhooks import missed
from tests.factories import NOW

MINUTE = timedelta(minutes=1)
FRESH = missed.begin(None, now=NOW)


def attempt(guid: str, number: int = 1, *, status_code: int = 502, ago: timedelta = MINUTE) -> Attempt:
    """An attempt; larger numbers are newer."""
    return Attempt(
        id=number,
        guid=guid,
        delivered_at=NOW - ago + timedelta(seconds=number),
        is_redelivery=number > 1,
        status="whatever",
        status_code=status_code,
        event="push",
        action=None,
        installation_id=1,
        repository_id=1,
    )


def noted(
    progress: missed.Progress, *attempts: Attempt, known: Sequence[str] = (), answered_since: timedelta | None = None
) -> missed.Progress:
    """The progress after these attempts; `answered_since` is how long ago."""
    since = None if answered_since is None else NOW - answered_since
    return missed.note(progress, attempts, known=set(known), answered_since=since)


def guids(those: Sequence[missed.Missed]) -> list[str]:
    return [one.guid for one in those]


def decided(progress: missed.Progress, *, most: int = 99, may_redeliver: bool = True) -> tuple[list[str], list[str]]:
    """The guids to be asked for, and to be fetched, now."""
    plan = missed.decide(progress, now=NOW, most_redelivered=most, may_redeliver=may_redeliver)
    return guids(plan.redeliver), guids(plan.fetch)


def test_what_failed_and_is_not_in_the_inbox_is_asked_for_oldest_first() -> None:
    attempts = [attempt("new", 3), attempt("old", 1), attempt("good", 2, status_code=202), attempt("known", 4)]
    progress = noted(FRESH, *attempts, known=["known"])
    assert decided(progress) == (["old", "new"], [])
    assert progress.read_until == attempt("known", 4).delivered_at


def test_one_attempt_that_was_answered_well_is_enough() -> None:
    assert noted(FRESH, attempt("a", 1), attempt("a", 2, status_code=202)).missed == ()
    assert noted(FRESH, attempt("a", 1, status_code=202), attempt("a", 2)).missed == ()


def test_f21_what_was_answered_well_since_the_bookmark_and_is_not_there_was_lost() -> None:
    kept = timedelta(days=90)
    progress = replace(FRESH, read_until=NOW - 10 * MINUTE)
    before, since = attempt("before", 1, status_code=202, ago=11 * MINUTE), attempt("since", 2, status_code=202)
    assert guids(noted(progress, before, since, answered_since=kept).missed) == ["since"]
    # What is older than the retention was deleted on purpose; without any bookmark another database had it.
    assert noted(progress, before, since, answered_since=timedelta(0)).missed == ()
    assert noted(progress, before, since, answered_since=None).missed == ()


def test_what_is_under_way_is_not_asked_for_again() -> None:
    progress = noted(FRESH, attempt("a"))
    progress = missed.asked(progress, progress.missed, now=NOW - missed.PATIENCE + MINUTE)
    assert decided(progress) == ([], [])
    # Read again by an overlapping look: the same attempt tells nothing new.
    assert decided(noted(progress, attempt("a"))) == ([], [])
    progress = missed.asked(progress, progress.missed, now=NOW - missed.PATIENCE)
    assert decided(progress) == (["a"], [])


def test_no_more_is_asked_for_than_may_be() -> None:
    progress = noted(FRESH, *(attempt(f"g{number}", number) for number in range(1, 6)))
    assert decided(progress, most=2) == (["g1", "g2"], [])
    assert decided(progress, most=0) == ([], [])


def test_after_some_redeliveries_in_vain_it_is_fetched() -> None:
    progress = noted(FRESH, attempt("a"))
    for number in range(2, missed.MAX_REDELIVERIES + 2):
        assert decided(progress) == (["a"], [])
        progress = missed.asked(progress, progress.missed, now=NOW)
        progress = noted(progress, attempt("a", number, status_code=503))
    assert decided(progress) == ([], ["a"])
    assert progress.missed[0].attempt_id == missed.MAX_REDELIVERIES + 1


def test_f50_a_redelivery_that_came_unsigned_is_fetched() -> None:
    progress = noted(FRESH, attempt("a", 1, status_code=401))
    assert decided(progress) == (["a"], [])
    progress = missed.asked(progress, progress.missed, now=NOW)
    assert decided(noted(progress, attempt("a", 2, status_code=401))) == ([], ["a"])


@pytest.mark.parametrize("status_code", [400, 403, 413, 415])
def test_what_was_refused_for_good_is_not_asked_for_again(status_code: int) -> None:
    progress = noted(FRESH, attempt("a", status_code=status_code))
    assert decided(progress) == ([], ["a"])
    progress = missed.closed(progress, progress.missed[0])
    assert decided(noted(progress, attempt("a", status_code=status_code))) == ([], [])
    # An operator may want it all the same.
    again = noted(missed.rewound(progress, since=NOW - 5 * MINUTE), attempt("a", status_code=status_code))
    assert decided(again) == ([], ["a"])


def test_what_is_closed_is_remembered_as_long_as_the_list_shows_it() -> None:
    progress = noted(FRESH, attempt("a", 1))
    progress = missed.closed(progress, progress.missed[0])
    soon = noted(progress, attempt("a", 1), attempt("b", 2, status_code=202))
    assert (soon.missed, set(soon.closed)) == ((), {"a"})
    late = noted(soon, attempt("c", 3, status_code=202, ago=-missed.OVERLAP))
    assert late.closed == {}
    assert late.since > attempt("a", 1).delivered_at


def test_what_github_does_not_send_again_is_fetched() -> None:
    progress = noted(FRESH, attempt("a"), attempt("b", 2))
    progress = missed.asked(progress, progress.missed, now=NOW)
    first, second = progress.missed
    progress = missed.not_asked(progress, [first], is_too_old=True)
    progress = missed.not_asked(progress, [second])
    assert decided(progress) == (["b"], ["a"])


def test_without_a_door_everything_is_fetched_and_what_failed_goes_last() -> None:
    progress = noted(FRESH, attempt("a"), attempt("b", 2))
    progress = missed.asked(progress, progress.missed[:1], now=NOW)
    assert decided(progress, may_redeliver=False) == ([], ["a", "b"])
    progress = missed.not_fetched(progress, progress.missed[0])
    assert decided(progress, may_redeliver=False) == ([], ["b", "a"])
    (one, _) = progress.missed
    assert not missed.is_hopeless(one, now=NOW)
    assert missed.is_hopeless(one, now=one.delivered_at + missed.FETCH_WINDOW + MINUTE)


def test_no_more_is_kept_in_mind_than_fits_and_the_rest_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "MAX_MISSED", 2)
    attempts = [attempt(f"g{number}", number * 1200, ago=timedelta(days=1)) for number in range(1, 6)]
    seen: list[str] = []
    progress = FRESH
    for _ in range(3):
        progress = noted(progress, *(one for one in attempts if one.delivered_at >= progress.since), known=seen)
        seen += guids(progress.missed)
        progress = missed.arrived(progress, seen)
    assert seen == ["g1", "g2", "g3", "g4", "g5"]


def test_the_bookmark_is_no_older_than_what_github_still_tells() -> None:
    assert FRESH.read_until == NOW - missed.WINDOW
    old = replace(FRESH, read_until=NOW - timedelta(days=30))
    assert missed.begin(old, now=NOW).read_until == NOW - missed.WINDOW
    new = replace(FRESH, read_until=NOW - MINUTE)
    assert missed.begin(new, now=NOW) == new


def test_progress_is_the_same_after_it_was_written_down() -> None:
    progress = missed.closed(noted(FRESH, attempt("a"), attempt("b", 2)), noted(FRESH, attempt("a")).missed[0])
    assert msgspec.json.decode(msgspec.json.encode(progress), type=missed.Progress) == progress


@dataclass
class World:
    """A GitHub and a door that answers as a list of codes says; what it answers well is in the inbox."""

    codes: dict[str, list[int]]
    attempts: list[Attempt] = field(default_factory=list)
    inbox: set[str] = field(default_factory=set)
    under_way: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def deliver(self, guid: str, at: int) -> None:
        """One attempt, at this minute."""
        codes = self.codes[guid]
        code = codes.pop(0) if len(codes) > 1 else codes[0]
        number = len(self.attempts) + 1
        made = replace(attempt(guid, number, status_code=code), delivered_at=NOW + at * MINUTE)
        self.attempts.append(made)
        if made.is_ok:
            self.inbox.add(guid)


codes = st.lists(st.sampled_from([202, 400, 401, 403, 413, 502, 503, 504, 0]), min_size=1, max_size=6)


@given(
    st.lists(st.tuples(codes, st.integers(0, 5)), min_size=1, max_size=8),
    st.lists(st.integers(0, 3), min_size=60, max_size=60),
)
def test_f45_everything_is_in_the_inbox_or_closed_in_the_end(
    sent: list[tuple[list[int], int]], lags: list[int]
) -> None:
    world = World({f"g{number}": list(answers) for number, (answers, _) in enumerate(sent)})
    progress = missed.begin(None, now=NOW - MINUTE)
    for minute in range(60):
        for number, (_, at) in enumerate(sent):
            if at == minute:
                world.deliver(f"g{number}", minute)
        now = NOW + minute * MINUTE
        before = progress
        listed = [one for one in world.attempts if one.delivered_at >= progress.since]
        progress = missed.note(progress, listed, known=world.inbox, answered_since=None)
        assert progress.read_until >= before.read_until
        # Whatever was delivered before the bookmark is settled or written down.
        settled = world.inbox | set(progress.closed) | set(guids(progress.missed))
        assert {one.guid for one in world.attempts if one.delivered_at <= progress.read_until} <= settled
        plan = missed.decide(progress, now=now, most_redelivered=3, may_redeliver=True)
        assert not set(guids(plan.redeliver)) & set(guids(plan.fetch))
        assert not set(guids(plan.redeliver)) & set(world.under_way)
        progress = missed.asked(progress, plan.redeliver, now=now)
        world.asked += guids(plan.redeliver)
        world.under_way += guids(plan.redeliver)
        # A redelivery takes up to two minutes, less than it is waited for.
        for guid in [guid for guid in world.under_way if lags[minute] < 2 or minute % 2]:
            world.under_way.remove(guid)
            world.deliver(guid, minute)
        for one in plan.fetch:
            world.fetched.append(one.guid)
            if one.status_code == 400:
                progress = missed.closed(progress, one)
            else:
                world.inbox.add(one.guid)
                progress = missed.arrived(progress, world.inbox)
    assert world.inbox | {one.guid for one in world.attempts if one.guid in world.fetched} == set(world.codes)
    assert progress.missed == ()
    assert len(world.fetched) == len(set(world.fetched))
    assert all(world.asked.count(guid) <= missed.MAX_REDELIVERIES for guid in world.codes)


@given(st.lists(codes, min_size=1, max_size=6))
def test_nothing_that_is_in_the_inbox_is_ever_touched(answers: list[list[int]]) -> None:
    attempts = [
        attempt(f"g{number}", 10 * number + place, status_code=code)
        for number, some in enumerate(answers)
        for place, code in enumerate(some)
    ]
    known = {one.guid for one in attempts}
    progress = missed.note(FRESH, attempts, known=known, answered_since=NOW - timedelta(days=9))
    assert (progress.missed, progress.closed) == ((), {})
