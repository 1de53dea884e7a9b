"""The sender of traces: each once, over all replicas, when GitHub shows it, and for as long as a collector is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from structlog.testing import capture_logs

from bot import errors, telemetry
from bot.model import build, notification, trace
from bot.store import Store, notifications, outcomes, schema, subscribers
from bot.tracing import exporter, otlp, sender
from tests import factories
from tests.tracing import collector

AWAY = "The collector did not take it."


@dataclass
class Taken:
    """A collector in memory."""

    takes: bool = True
    spans: list[trace.Span] = field(default_factory=list)
    runs: list[dict[str, str]] = field(default_factory=list)

    def is_sampled(self, trace_id: int) -> bool:
        return True

    def send(self, spans: Sequence[trace.Span]) -> bool:
        if self.takes:
            self.spans += spans
        return self.takes

    def measure_run(self, *, seconds: float, attributes: Mapping[str, str]) -> None:
        self.runs.append(dict(attributes))

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class House:
    """A database with a collector, and the time that a test lets pass."""

    store: Store
    metrics: telemetry.Metrics
    taken: Taken = field(default_factory=Taken)
    now: datetime = factories.NOW

    def replica(self, owner: str = "test") -> sender.Sender:
        """One replica's sender."""
        return sender.Sender(
            self.store,
            exporter=self.taken,
            web_url="https://github.com",
            details_url=lambda kind, one: f"https://builds.example.org/{kind}/{one}",
            metrics=self.metrics,
            owner=owner,
            now=lambda: self.now,
        )

    async def build(self, *, is_shown: bool = True, **changes: Any) -> build.Build:
        """A build that ended."""
        values = {"state": build.State.PASSED, "finished_at": factories.NOW, **changes}
        made = await self.store.write(
            outcomes.create, factories.make_new_build(factories.make_build(**values)), now=self.now
        )
        if is_shown:
            await self.show()
        return made

    async def show(self) -> None:
        """GitHub acknowledges everything."""
        await self.store.write(
            lambda connection: connection.execute(
                sa.update(schema.checks).values(reported_version=schema.checks.c.desired_version, reported_at=self.now)
            )
        )

    async def waiting(self) -> list[notification.Notification]:
        """What is still to be sent."""
        found = await self.store.read(notifications.list_newest, subscriber=sender.NAME, limit=999)
        return [one for one in found if one.finished_at is None]

    def builds(self) -> list[str]:
        """The builds whose traces were taken."""
        return [str(one.attributes["cicd.pipeline.run.id"]) for one in self.taken.spans if one.parent_id is None]


@pytest.fixture
async def house(store: Store, metrics: telemetry.Metrics) -> House:
    """A database that knows of the sender."""
    await store.write(subscribers.keep, [sender.wanted("http://127.0.0.1:4318")], now=factories.NOW)
    return House(store=store, metrics=metrics)


async def test_replicas_send_each_trace_once(house: House) -> None:
    made = [await house.build() for _ in range(5)]
    for owner in ("one", "two", "one"):
        await house.replica(owner).send_ready()
    assert sorted(house.builds()) == sorted(one.id for one in made)
    assert await house.waiting() == []
    assert house.metrics.registry.get_sample_value("buildhook_traces_total", {"outcome": "sent"}) == 5


async def test_what_github_does_not_show_yet_waits_and_goes_without_in_the_end(house: House) -> None:
    made = await house.build(is_shown=False)
    one = house.replica()
    assert await one.send_ready() == house.now + sender.LOOK_AGAIN
    assert house.builds() == []
    house.now += sender.SHOWN_WITHIN
    await one.send_ready()
    assert house.builds() == [made.id]
    assert not any(span.name == "report check" for span in house.taken.spans)


async def test_a_collector_that_is_away_is_tried_again_for_a_day(house: House) -> None:
    made = await house.build()
    house.taken.takes = False
    one = house.replica()
    assert await one.send_ready() == house.now + sender.PAUSE
    assert await one.send_ready() == house.now + sender.PAUSE
    house.now += sender.PAUSE
    house.taken.takes = True
    await one.send_ready()
    assert house.builds() == [made.id]
    lost = await house.build(created_at=factories.NOW)
    house.taken.takes = False
    house.now += sender.KEPT
    await one.send_ready()
    (found,) = [
        other
        for other in await house.store.read(notifications.list_newest, subscriber=sender.NAME, limit=9)
        if other.build_id == lost.id
    ]
    assert (found.state, found.error) == (notification.State.GIVEN_UP, AWAY)
    assert house.taken.runs == [{"cicd.pipeline.name": made.pipeline or "buildhook", "cicd.pipeline.result": "success"}]


async def test_a_collector_that_is_away_is_asked_with_one_trace_and_gets_all_when_it_is_back(house: House) -> None:
    made = [await house.build() for _ in range(5)]
    house.taken.takes = False
    one = house.replica()
    for _ in range(9):
        await one.send_ready()
    assert house.metrics.registry.get_sample_value("buildhook_traces_total", {"outcome": "not_taken"}) == 5
    more = [await house.build() for _ in range(5)]
    house.now += 2 * sender.PAUSE
    for _ in range(9):
        await one.send_ready()
    assert house.metrics.registry.get_sample_value("buildhook_traces_total", {"outcome": "not_taken"}) == 6
    house.taken.takes = True
    for _ in range(4):
        house.now += 4 * sender.PAUSE
        await one.send_ready()
    assert sorted(house.builds()) == sorted(one.id for one in made + more)
    assert len(house.builds()) == 10


async def test_what_github_does_not_show_for_long_is_looked_at_seldom(house: House) -> None:
    await house.build(is_shown=False)
    one, looks = house.replica(), 0
    while not house.builds():
        due_at = await one.send_ready()
        looks += 1
        house.now = due_at or house.now
    assert looks < 20


async def test_an_exporter_that_breaks_is_a_collector_that_is_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await house.build()

    def breaks(_spans: Sequence[trace.Span]) -> bool:
        raise OSError("no such certificate")

    with monkeypatch.context() as patch:
        patch.setattr(house.taken, "send", breaks)
        with capture_logs() as logs:
            assert await house.replica().send_ready() == house.now + sender.PAUSE
    assert [str(one["exc_info"]) for one in logs if "exc_info" in one] == ["no such certificate"]
    house.now += sender.PAUSE
    await house.replica().send_ready()
    assert house.builds() == [made.id]


async def test_what_a_replica_left_behind_is_taken_over(house: House) -> None:
    made = await house.build()
    await house.store.write(
        notifications.claim_due, most={sender.NAME: 9}, now=house.now, owner="gone", lease=sender.LEASE
    )
    house.now += sender.LEASE + timedelta(seconds=1)
    await house.replica().send_ready()
    assert house.builds() == [made.id]


async def test_a_strangers_names_are_no_labels_of_metrics(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MAX_NAMES", 5)
    one = house.replica()
    for number in range(3):
        await house.build(pipeline=f"stranger {number}", trust=build.Trust.UNTRUSTED)
    for number in range(sender.MAX_NAMES + 5):
        await house.build(pipeline=f"own {number}", trust=build.Trust.TRUSTED)
    for _ in range(3):
        await one.send_ready()
    assert len(house.taken.runs) == sender.MAX_NAMES + 8
    names = {run["cicd.pipeline.name"] for run in house.taken.runs}
    assert len(names) == sender.MAX_NAMES + 1
    assert "other" in names
    assert not any(name.startswith("stranger") for name in names)


async def test_the_sampler_decides_by_the_trace_and_a_wrong_variable_is_said(
    metrics: telemetry.Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with collector.collecting() as taking:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taking.url)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
        one, other = (otlp.OtlpExporter(metrics, has_metrics=False) for _ in range(2))
        # The times of ids do not count, their random parts do.
        ids = [(1 << 100) + (number * 0x9E3779B97F4A7C15) % (1 << 64) for number in range(200)]
        kept = [number for number in ids if one.is_sampled(number)]
        assert 50 < len(kept) < 150
        assert kept == [number for number in ids if other.is_sampled(number)]
        for each in (one, other):
            each.close()
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    with pytest.raises(errors.SettingsError, match="OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be"):
        exporter({"traces": taking.url}, metrics=metrics)


def test_a_span_is_what_it_was_made_of() -> None:
    at = factories.NOW + timedelta(microseconds=1)
    assert otlp._nanoseconds(at) % 1_000_000_000 == 1000
    assert replace(sender.wanted("x"), events=()).name == sender.NAME
