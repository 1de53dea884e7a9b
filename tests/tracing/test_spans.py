"""The spans of a build follow from what is stored, with names of OpenTelemetry's conventions and nothing else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from opentelemetry.semconv._incubating.attributes import cicd_attributes, process_attributes, vcs_attributes
from opentelemetry.semconv.attributes import error_attributes
from ulid import ULID

from bot.model import build, job, trace
from bot.tracing import spans
from tests import factories

SECOND = timedelta(seconds=1)
_MODULES = (cicd_attributes, process_attributes, vcs_attributes, error_attributes)
CONVENTIONS = {value for module in _MODULES for value in vars(module).values() if isinstance(value, str)}
ENDED = {"finished_at": factories.NOW + 9 * SECOND}


def told(of: build.Build | None = None, *jobs: job.Job, **more: Any) -> spans.Told:
    """What is stored of a build."""
    made = of or factories.make_build(state=build.State.PASSED, **ENDED)
    return spans.Told(
        of_build=made, jobs=jobs, checks=more.pop("checks", ()), delivery=more.pop("delivery", None), **more
    )


def make(given: spans.Told) -> list[trace.Span]:
    """Its spans."""
    return spans.make(
        given, web_url="https://github.com", details_url=lambda kind, one: f"https://builds.example.org/{kind}/{one}"
    )


def ran(of: build.Build, **changes: Any) -> job.Job:
    """A job that ran."""
    step = factories.make_step_result(
        index=0,
        state="passed",
        started_at=factories.NOW + 3 * SECOND,
        finished_at=factories.NOW + 4 * SECOND,
        exit_code=0,
    )
    values: dict[str, Any] = {
        "build_id": of.id,
        "state": job.State.PASSED,
        "created_at": factories.NOW,
        "started_at": factories.NOW + 2 * SECOND,
        "finished_at": factories.NOW + 5 * SECOND,
        "tested_sha": factories.HEAD_SHA,
        "steps": (step,),
    }
    return factories.make_job(**{**values, **changes})


def test_ids_follow_from_what_they_tell_of() -> None:
    of = factories.new_id()
    assert trace.trace_id(of) == int(ULID.from_str(of))
    assert trace.parent(of, 0xAB) == f"00-{int(ULID.from_str(of)):032x}-00000000000000ab-01"
    assert trace.parent(of, 0xAB, is_sampled=False).endswith("-00")
    ids = {trace.of_build(of), trace.of_job(of), *(trace.of_step(of, number) for number in range(100))}
    assert len(ids) == 102
    assert all(0 < one < 1 << 64 for one in ids)
    # These are in the environments of steps that run while the service is upgraded.
    assert f"{trace.of_step('01J00000000000000000000001', 2):016x}" == "2610b3d8a328093f"


@pytest.mark.parametrize("wrong", ["", "01J", "0" * 26, "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01j00000000000000000000001"])
def test_what_is_no_ulid_is_no_trace(wrong: str) -> None:
    with pytest.raises(ValueError, match="not a ULID"):
        trace.trace_id(wrong)


def test_every_attribute_is_of_the_conventions_or_bears_our_name() -> None:
    of = factories.make_pull_build(state=build.State.FAILED, **ENDED)
    delivery = factories.make_delivery(received_at=of.created_at - SECOND)
    check = factories.make_check(build_id=of.id, reported_at=factories.NOW + 10 * SECOND)
    made = make(told(of, ran(of, state=job.State.FAILED), delivery=delivery, checks=(check,)))
    names = {name for one in made for name in one.attributes}
    assert {"cicd.pipeline.name", "vcs.change.id", "vcs.ref.base.revision", "process.exit.code"} <= names
    assert {name for name in names if not name.startswith("buildhook.")} <= CONVENTIONS
    results = {one.value for one in cicd_attributes.CicdPipelineResultValues}
    assert set(spans.RESULTS.values()) <= results
    assert set(spans.RESULTS) == {str(one) for one in build.FINAL} == {str(one) for one in job.FINAL}


@pytest.mark.parametrize(
    ("state", "result", "error_type"),
    [
        (build.State.PASSED, "success", None),
        (build.State.FAILED, "failure", "code_failed"),
        (build.State.ERRORED, "error", "system_error"),
        (build.State.TIMED_OUT, "timeout", "timeout"),
        (build.State.CANCELLED, "cancellation", None),
        (build.State.SKIPPED, "skip", None),
    ],
)
def test_the_codes_fault_is_a_failure_and_ours_an_error(
    state: build.State, result: str, error_type: str | None
) -> None:
    (root,) = make(told(factories.make_build(state=state, **ENDED)))
    assert root.attributes["cicd.pipeline.result"] == result
    assert root.error_type == error_type


def test_a_broken_file_is_the_codes_fault_too() -> None:
    of = factories.make_build(state=build.State.FAILED, problems=(factories.make_problem(),), **ENDED)
    assert make(told(of))[0].error_type == "pipeline_file"


def test_children_lie_within_their_parents_and_the_first_span_holds_all() -> None:
    of = factories.make_build(state=build.State.PASSED, **ENDED)
    delivery = factories.make_delivery(received_at=of.created_at - SECOND, handled_at=of.created_at + SECOND)
    check = factories.make_check(build_id=of.id, reported_at=factories.NOW + 12 * SECOND)
    made = make(told(of, ran(of), delivery=delivery, checks=(check,)))
    by_id = {one.id: one for one in made}
    assert len(by_id) == len(made)
    for one in made[1:]:
        assert one.parent_id is not None
        parent = by_id[one.parent_id]
        assert parent.started_at <= one.started_at <= one.finished_at <= parent.finished_at, one
    assert made == make(told(of, ran(of, id=made_job(made)), delivery=delivery, checks=(check,)))


def made_job(made: list[trace.Span]) -> str:
    """The id of the only job."""
    return next(str(value) for one in made if (value := one.attributes.get("cicd.pipeline.task.run.id")))


def test_hostile_texts_are_cut_and_clean() -> None:
    of = factories.make_build(
        state=build.State.PASSED, pipeline="a\x1b[31m\n" + "b" * 5000, ref="refs/heads/ghp_" + "a" * 36, **ENDED
    )
    (root,) = make(told(of))
    assert len(root.name) <= 210
    assert "\x1b" not in root.name
    assert "\n" not in root.name
    assert root.attributes["vcs.ref.head.name"] == "[secret]"


def test_a_result_that_was_taken_over_leads_to_where_it_ran() -> None:
    first = factories.make_build(state=build.State.PASSED, **ENDED)
    of = factories.make_build(state=build.State.PASSED, origin_id=first.id, created_at=factories.NOW + 60 * SECOND)
    origin = ran(first)
    again = ran(of, origin_id=origin.id, created_at=of.created_at)
    made = make(told(of, again, ran_in={origin.id: first.id}))
    root, one = made
    assert root.links == (trace.Link(trace_id=trace.trace_id(first.id), span_id=trace.of_build(first.id)),)
    assert one.links == (trace.Link(trace_id=trace.trace_id(first.id), span_id=trace.of_job(origin.id)),)
    assert one.started_at == one.finished_at == of.created_at
