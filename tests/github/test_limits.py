"""A wait that GitHub asked for is kept, grows when it happens again, and ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot import errors
from bot.github import limits
from tests.github.conftest import START, Time


@pytest.fixture
def kept(time: Time) -> limits.Limits:
    """An empty memory."""
    return limits.Limits(clock=time.clock)


def _limited(time: Time, *, seconds: float, is_secondary: bool) -> errors.RateLimited:
    return errors.RateLimited(
        "wait", status=403, retry_at=time.at + timedelta(seconds=seconds), is_secondary=is_secondary
    )


def test_f34_no_call_before_the_time_is_over(kept: limits.Limits, time: Time) -> None:
    kept.limited("installation 7", _limited(time, seconds=100, is_secondary=False))
    time.move(99)
    with pytest.raises(errors.RateLimited) as caught:
        kept.check("installation 7")
    assert caught.value.retry_at == START + timedelta(seconds=100)
    kept.check("installation 8")
    time.move(1)
    kept.check("installation 7")


def test_f27_a_jump_of_the_wall_clock_does_not_end_a_wait(kept: limits.Limits, time: Time) -> None:
    kept.limited("a", _limited(time, seconds=100, is_secondary=False))
    time.at += timedelta(hours=2)
    with pytest.raises(errors.RateLimited) as caught:
        kept.check("a")
    assert caught.value.retry_at == time.at + timedelta(seconds=100)


def test_f35_each_secondary_limit_in_a_row_doubles_the_wait(kept: limits.Limits, time: Time) -> None:
    waits = []
    for _ in range(8):
        error = kept.limited("a", _limited(time, seconds=60, is_secondary=True))
        waits.append((error.retry_at - time.at).total_seconds())
        time.move(waits[-1])
        kept.check("a")
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    kept.succeeded("a", reset_at=None)
    assert kept.limited("a", _limited(time, seconds=60, is_secondary=True)).retry_at == time.at + timedelta(seconds=60)


def test_f35_calls_that_are_limited_together_count_once(kept: limits.Limits, time: Time) -> None:
    for _ in range(50):
        error = kept.limited("a", _limited(time, seconds=60, is_secondary=True))
    assert error.retry_at == time.at + timedelta(seconds=60)


def test_a_longer_wait_is_not_shortened(kept: limits.Limits, time: Time) -> None:
    kept.limited("a", _limited(time, seconds=1000, is_secondary=False))
    assert kept.limited("a", _limited(time, seconds=60, is_secondary=True)).retry_at == time.at + timedelta(
        seconds=1000
    )


def test_f34_the_last_allowed_call_starts_the_wait(kept: limits.Limits, time: Time) -> None:
    kept.succeeded("installation 7", reset_at=time.at + timedelta(seconds=10))
    with pytest.raises(errors.RateLimited, match="installation 7 is used up"):
        kept.check("installation 7")
    # An answer that was on its way before does not end it.
    kept.succeeded("installation 7", reset_at=None)
    with pytest.raises(errors.RateLimited):
        kept.check("installation 7")
    time.move(10)
    kept.check("installation 7")
