"""Column types: an instant is the same instant afterwards, to the microsecond and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.model import build
from bot.store import deliveries
from bot.store.columns import Instant, Value
from tests.factories import make_problem, make_verified_delivery
from tests.store import database

_DIALECT = sa.create_engine("sqlite://").dialect
_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(instant=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=_ZONES))
def test_f28_an_instant_survives_whatever_its_time_zone_was(instant: datetime) -> None:
    column = Instant()
    kept = column.process_result_value(column.process_bind_param(instant, _DIALECT), _DIALECT)
    assert kept == instant
    assert kept is not None
    assert kept.tzinfo is UTC


@given(first=st.datetimes(timezones=_ZONES), second=st.datetimes(timezones=_ZONES))
def test_f28_instants_keep_their_order(first: datetime, second: datetime) -> None:
    column = Instant()
    kept = [column.process_bind_param(one, _DIALECT) or 0 for one in (first, second)]
    assert (kept[0] < kept[1]) == (first < second)


def test_f28_an_instant_without_a_time_zone_is_refused() -> None:
    with (
        database.fresh() as connection,
        pytest.raises((ValueError, sa.exc.StatementError), match="needs a time zone"),
    ):
        deliveries.insert_many(connection, [make_verified_delivery(received_at=datetime(2026, 1, 1))])


def test_none_stays_none() -> None:
    for column in Instant(), Value(tuple[str, ...]):
        assert column.process_bind_param(None, _DIALECT) is None
        assert column.process_result_value(None, _DIALECT) is None


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_values_survive(texts: list[str]) -> None:
    problems = tuple(make_problem(text=text) for text in texts)
    column = Value(tuple[build.Problem, ...])
    assert column.process_result_value(column.process_bind_param(problems, _DIALECT), _DIALECT) == problems
