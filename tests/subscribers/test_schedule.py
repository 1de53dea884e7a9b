"""When what failed is sent again: the specification's schedule, with jitter, and its ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import policy
from bot.model import build, notification
from bot.subscribers import payload, schedule
from bot.subscribers.schedule import PAUSES, Action
from tests import factories
from tests.factories import NOW


def test_the_pauses_are_those_of_the_specification() -> None:
    seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert [one.total_seconds() for one in PAUSES] == seconds
    assert sum(PAUSES, timedelta()) < schedule.DISABLE_AFTER


def test_each_attempt_waits_for_its_pause_and_some_then_it_is_given_up() -> None:
    for attempts, pause in enumerate(PAUSES, 1):
        for seq in range(1, 50):
            claimed = factories.make_notification(attempts=attempts, seq=seq)
            verdict = schedule.decide(claimed, status=503, reason="", now=NOW)
            assert verdict.action == Action.RETRY
            assert verdict.again_at is not None
            assert pause <= verdict.again_at - NOW <= pause * 1.25
    again = {
        schedule.decide(factories.make_notification(attempts=1, seq=seq), status=500, reason="", now=NOW).again_at
        for seq in range(50)
    }
    assert len(again) == 50
    last = schedule.decide(factories.make_notification(attempts=len(PAUSES) + 1), status=503, reason="", now=NOW)
    assert (last.action, last.again_at) == (Action.GIVE_UP, None)


@pytest.mark.parametrize(
    ("status", "action", "text"),
    [
        (200, Action.SENT, ""),
        (204, Action.SENT, ""),
        (299, Action.SENT, ""),
        (302, Action.RETRY, "It answered 302. Redirects are not followed: write where it leads into the policy file."),
        (400, Action.RETRY, "It answered 400."),
        (404, Action.RETRY, "It answered 404."),
        (410, Action.DISABLE, "It answered 410: it wants nothing any more."),
        (429, Action.RETRY, "It answered 429."),
        (500, Action.RETRY, "It answered 500."),
        (None, Action.RETRY, "The connection broke."),
    ],
)
def test_what_follows_from_an_answer(status: int | None, action: Action, text: str) -> None:
    verdict = schedule.decide(
        factories.make_notification(attempts=1), status=status, reason="The connection broke.", now=NOW
    )
    assert (verdict.action, verdict.text) == (action, text)


def test_days_of_failure_end_it() -> None:
    since = NOW - schedule.DISABLE_AFTER
    assert schedule.why_disabled(since + timedelta(seconds=1), now=NOW) is None
    assert schedule.why_disabled(since, now=NOW) == "Nothing reached it since 2026-02-27 05:06 UTC."


def test_what_a_subscriber_reads_holds_ids_names_and_states_only() -> None:
    made = factories.make_build(
        title="the title: hunter2", sender="mona", reason="why: hunter2", state=build.State.PASSED
    )
    one = factories.make_notification(event="build.finished", data=notification.data_of(made), build_id=made.id)
    body = payload.render(one, url=f"https://builds.example.org/builds/{made.id}")
    assert b"hunter2" not in body
    assert b"mona" not in body
    assert body == payload.render(one, url=f"https://builds.example.org/builds/{made.id}")
    assert body.startswith(b'{"type":"build.finished","timestamp":"2026-03-04T05:06:07Z","data":{"build":{"id":"')
    assert b'"state":"passed"' in body


def test_of_a_url_only_where_it_leads_is_kept() -> None:
    one = policy.Subscriber(name="chat", url="https://example.org:8443/hooks/hunter2?key=hunter3", secrets=())
    wanted = payload.wanted(one)
    assert wanted.origin == "https://example.org:8443"
    assert "hunter" not in repr(wanted)


def test_the_events_of_the_policy_are_those_that_are_told() -> None:
    assert tuple(notification.Event) == policy.NOTICES


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        (None, build.State.QUEUED, None),
        (None, build.State.WAITING, "check.waiting"),
        (None, build.State.FAILED, "build.finished"),
        (None, build.State.SKIPPED, "build.finished"),
        (build.State.QUEUED, build.State.RUNNING, "build.started"),
        (build.State.QUEUED, build.State.CANCELLED, "build.finished"),
        (build.State.WAITING, build.State.CANCELLED, "build.finished"),
        (build.State.RUNNING, build.State.PASSED, "build.finished"),
        (build.State.RUNNING, build.State.QUEUED, None),
        (build.State.PASSED, build.State.PASSED, None),
    ],
)
def test_what_is_told_of_a_change(before: build.State | None, after: build.State, event: str | None) -> None:
    one = factories.make_build(state=after)
    was = None if before is None else factories.make_build(state=before)
    assert notification.event_of(was, one) == event


def test_a_build_that_goes_on_is_not_told_to_start_again() -> None:
    was = factories.make_build(state=build.State.QUEUED, started_at=NOW)
    assert notification.event_of(was, factories.make_build(state=build.State.RUNNING, started_at=NOW)) is None
