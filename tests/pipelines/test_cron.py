"""Schedules: which are taken, and when they come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.pipelines import cron

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("30 5 * * *", datetime(2026, 3, 4, 5, 30, tzinfo=UTC)),
        ("*/5 * * * *", datetime(2026, 3, 4, 5, 10, tzinfo=UTC)),
        ("0 0 1 JAN *", datetime(2027, 1, 1, tzinfo=UTC)),
        ("0 12 * * MON-FRI", datetime(2026, 3, 4, 12, tzinfo=UTC)),
        ("0 4,17 * * *", datetime(2026, 3, 4, 17, tzinfo=UTC)),
        # Where both days are given, either is enough.
        ("0 0 13 * FRI", datetime(2026, 3, 6, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_schedule_means_what_posix_says(text: str, after: datetime) -> None:
    assert cron.problem(text) is None
    assert cron.next_after(text, AT) == after


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 0 * * * *", "five fields"),
        ("@daily", "five fields"),
        ("0 0 L * *", "five fields"),
        ("0 0 * * FRI#2", "five fields"),
        ("61 * * * *", "no time"),
        ("0 0 30 2 *", "no time"),
        ("* * * * *", "more often than every 5 minutes"),
        ("0,3 5 * * *", "more often than every 5 minutes"),
    ],
)
def test_what_is_no_schedule_is_told(text: str, told: str) -> None:
    assert told in (cron.problem(text) or "")


@given(st.text(alphabet="0123456789*/,-LWFRIMON# ", max_size=30))
def test_any_text_is_a_schedule_or_has_a_problem(text: str) -> None:
    if cron.problem(text) is None:
        assert cron.next_after(text, AT) is not None
