"""A ramp narrows after trouble in a row and widens step by step; pauses differ from number to number."""

from __future__ import annotations

from datetime import timedelta

from bot import ramp

SECOND = timedelta(seconds=1)


def test_f63_after_trouble_in_a_row_it_becomes_wide_again_step_by_step() -> None:
    one = ramp.Ramp(16)
    one.went_badly()
    one.went_badly()
    assert one.width == 16, "two may be an accident"
    widths = []
    for _ in range(20):
        one.went_badly()
        widths.append(one.width)
    assert widths[:5] == [8, 4, 2, 1, 1]
    widths = []
    for _ in range(20):
        one.went_well()
        widths.append(one.width)
    assert widths == [*range(2, 17), *[16] * 5]


def test_what_goes_wrong_now_and_then_narrows_nothing() -> None:
    one = ramp.Ramp(16)
    for _ in range(100):
        one.went_badly()
        one.went_well()
    assert one.width == 16


def test_f63_pauses_are_spread_over_a_quarter_and_are_the_same_each_time() -> None:
    found = [ramp.spread(SECOND, number) for number in range(1000)]
    assert all(SECOND <= one <= 1.25 * SECOND for one in found)
    assert len({round(one / SECOND, 2) for one in found}) > 20
    assert found == [ramp.spread(SECOND, number) for number in range(1000)]
