"""What follows a failed attempt: each class of error has its own answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.events import retrying
from bot.model import delivery
from tests import factories

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def claimed(*, attempts: int = 1, age: timedelta = timedelta(0), error: str | None = None) -> delivery.Delivery:
    return factories.make_delivery(attempts=attempts, received_at=NOW - age, error=error)


@pytest.mark.parametrize(
    "error",
    [
        errors.ShapeUnknown("no `ref`"),
        errors.NotReachable("404", status=404),
        errors.Suspended("suspended", status=403),
    ],
)
def test_what_cannot_concern_us_is_ignored_with_its_reason(error: errors.BuildhookError) -> None:
    verdict = retrying.decide(error, claimed(), now=NOW)
    assert verdict.is_ignored
    assert verdict.text == str(error)


def test_a_rate_limit_is_waited_for_without_counting() -> None:
    retry_at = NOW + timedelta(minutes=17)
    error = errors.RateLimited("wait", status=403, retry_at=retry_at, is_secondary=False)
    verdict = retrying.decide(error, claimed(attempts=4), now=NOW)
    assert verdict.again_at == retry_at
    assert not verdict.is_counted


def test_f98_an_outage_does_not_use_up_the_attempts() -> None:
    verdict = retrying.decide(errors.GitHubUnavailable("502"), claimed(attempts=4), now=NOW)
    assert verdict.again_at is not None
    assert timedelta(seconds=1) <= verdict.again_at - NOW <= timedelta(seconds=1.25)
    assert not verdict.is_counted


def test_an_outage_of_a_day_parks() -> None:
    verdict = retrying.decide(errors.GitHubUnavailable("502"), claimed(age=timedelta(hours=25)), now=NOW)
    assert verdict.again_at is None
    assert verdict.is_counted


def test_f98_a_missing_permission_parks_at_once_for_an_administrator() -> None:
    verdict = retrying.decide(errors.Forbidden("accept `checks: write`", status=403), claimed(), now=NOW)
    assert verdict.again_at is None
    assert "checks: write" in verdict.text


def test_a_bug_is_tried_again_and_then_parked_and_never_shown_to_people() -> None:
    error = KeyError("a detail of ours")
    pauses = []
    for attempt in range(1, retrying.MAX_ATTEMPTS):
        verdict = retrying.decide(error, claimed(attempts=attempt), now=NOW)
        assert verdict.again_at is not None
        assert verdict.is_unexpected
        assert "a detail of ours" not in verdict.text
        pauses.append((verdict.again_at - NOW).total_seconds())
    assert pauses == [1, 4, 16, 64]
    assert retrying.decide(error, claimed(attempts=retrying.MAX_ATTEMPTS), now=NOW).again_at is None


@given(
    st.sampled_from([errors.GitHubUnavailable("x"), errors.Conflict("x"), TimeoutError(), ValueError("x")]),
    st.integers(1, 100),
    st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_every_failure_is_tried_again_later_or_told_for_good(error: Exception, attempts: int, age: timedelta) -> None:
    verdict = retrying.decide(error, claimed(attempts=attempts, age=age), now=NOW)
    assert verdict.text
    assert verdict.again_at is None or verdict.again_at > NOW
    assert verdict.is_counted or verdict.again_at is not None


def test_t7_the_error_of_a_delivery_that_kills_says_so_and_keeps_what_was_known() -> None:
    text = retrying.never_ended(claimed(attempts=6, error="An unexpected KeyError"))
    assert "begun 5 times" in text
    assert "KeyError" in text


def test_why_nothing_follows_names_the_event_and_the_action() -> None:
    labeled = retrying.no_handler("pull_request", "labeled")
    assert labeled == "Nothing follows from a `pull_request` event with the action `labeled`."
    assert retrying.no_handler("star", "created") == "No handler takes `star` events."
