"""The watchdog knows how late the event loop is, and only one that stands still is called wedged."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from bot import measuring, telemetry


@pytest.fixture
def metrics() -> telemetry.Metrics:
    """Where it is noted."""
    return telemetry.Metrics()


async def test_a_loop_that_stood_still_is_noted_and_is_not_wedged_any_more(
    metrics: telemetry.Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(measuring, "WEDGED_SECONDS", 0.1)
    watchdog = measuring.Watchdog(metrics)
    assert watchdog.why_wedged() is None
    task = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0)
    block(0.2)
    # Whoever asks right behind a standstill comes before the watchdog's own turn.
    assert str(watchdog.why_wedged()).startswith("the event loop is 0 s late")
    async with asyncio.timeout(10):
        while not metrics.registry.get_sample_value("buildhook_event_loop_lag_seconds_count"):
            await asyncio.sleep(0)
    assert metrics.registry.get_sample_value("buildhook_event_loop_lag_seconds_sum", {}) > 0.1  # type: ignore[operator]
    assert watchdog.late_seconds() < 0.1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def block(seconds: float) -> None:
    """Hold the loop, as no code of ours should."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
