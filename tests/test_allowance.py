"""How many writes may be made: a burst, then a steady rate, never more than the burst."""

from __future__ import annotations

from bot.allowance import Allowance


def test_a_burst_is_spent_and_fills_again_with_time() -> None:
    now = [100.0]
    allowance = Allowance(burst=3, per_minute=60, clock=lambda: now[0])
    assert allowance.left() == 3
    allowance.spend(3)
    assert allowance.left() == 0
    now[0] += 0.9
    assert allowance.left() == 0
    now[0] += 0.2
    assert allowance.left() == 1
    now[0] += 3600
    assert allowance.left() == 3


def test_in_no_minute_more_is_spent_than_burst_and_rate_allow() -> None:
    now = [0.0]
    allowance = Allowance(burst=60, per_minute=90, clock=lambda: now[0])
    spent: list[float] = []
    for _ in range(10_000):
        if allowance.left():
            allowance.spend(1)
            spent.append(now[0])
        now[0] += 0.02
    most = max(sum(start <= at < start + 60 for at in spent) for start in spent[:200])
    assert 140 < most <= 151
