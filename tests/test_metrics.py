"""The metrics keep Prometheus' rules for names, and no label grows with what comes from outside."""

from __future__ import annotations

import re

import prometheus_client
import pytest

from bot import metrics, telemetry

UNITS = ("_seconds", "_bytes", "_ratio", "_total", "_info")
#: Whole numbers of things, which have no unit.
THINGS = re.compile(r"_(missed|depth|parked|active|unfinished|workers|up|blocked|unsent|disabled)$|^buildhook_workers$")
#: https://prometheus.io/docs/practices/naming/: no abbreviations of units, and none but the base ones.
WRONG = re.compile(r"_(ms|millis|milliseconds|microseconds|minutes|hours|kb|mb|kib|mib|percent|count)(_|$)")


@pytest.mark.parametrize("one", telemetry.Metrics().about, ids=lambda one: one.name)
def test_a_name_keeps_the_rules(one: metrics.About) -> None:
    assert re.fullmatch(r"buildhook_[a-z]+(_[a-z]+)*", one.name)
    assert not WRONG.search(one.name)
    assert one.name.endswith("_total") == (one.kind == "counter")
    assert one.kind != "histogram" or one.name.endswith("_seconds")
    assert one.name.endswith(UNITS) or THINGS.search(one.name)
    assert one.text.endswith(".")
    assert set(one.labels) <= set(metrics.LABELS)
    # A type or a label's name in the name says it twice.
    assert not re.search(r"_(gauge|counter|histogram)(_|$)", one.name)


def test_every_label_that_is_explained_is_used() -> None:
    assert {label for one in telemetry.Metrics().about for label in one.labels} == set(metrics.LABELS)


@pytest.mark.parametrize("one", [one for one in telemetry.Metrics().about if one.labels], ids=lambda one: one.name)
def test_t20_no_label_grows_whatever_it_is_given(one: metrics.About) -> None:
    made = telemetry.Metrics()
    (few,) = (
        value
        for value in vars(made).values()
        if isinstance(value, metrics.Few) and _name(value) == one.name.removesuffix("_total")
    )
    for number in range(3 * metrics.MAX_VALUES):
        few.labels(*(f"word{number}" for _ in one.labels))
        few.labels(*(f"octo/hello\n{number}" for _ in one.labels))
    samples = next(family.samples for family in made.registry.collect() if family.name == _name(few))
    for label in one.labels:
        values = {sample.labels[label] for sample in samples}
        assert metrics.OTHER in values
        assert len(values) <= metrics.MAX_VALUES + 1
        assert not any("octo" in value for value in values)


def test_what_was_taken_out_of_texts_is_counted() -> None:
    made = telemetry.Metrics()
    before = made.registry.get_sample_value("buildhook_redactions_total")
    assert before is not None
    telemetry.redact("ghp_" + "a" * 36)
    assert made.registry.get_sample_value("buildhook_redactions_total") == before + 1
    assert telemetry.Metrics().registry.get_sample_value("buildhook_redactions_total") == before + 1


def test_what_is_shown_is_what_is_written_down() -> None:
    made = telemetry.Metrics()
    shown = re.findall(r"^# TYPE (\S+) (\S+)$", prometheus_client.generate_latest(made.registry).decode(), re.M)
    families = {name for name, _ in shown if not name.endswith("_created")}
    assert families == {one.name for one in made.about}


def _name(few: metrics.Few) -> str:  # type: ignore[type-arg]
    return str(few._metric._name)
