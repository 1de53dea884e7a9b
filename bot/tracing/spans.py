"""The spans of one build, of what is stored about it: pure, so that it is the same trace whoever makes it, and when.

Names and attributes are those of OpenTelemetry's conventions for CI/CD and version control.
https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from bot import telemetry
from bot.model import build, check, delivery, job, trace

#: What a result is called there. `failure` is the code's fault, `error` the system's.
RESULTS: Mapping[str, str] = {
    "passed": "success",
    "failed": "failure",
    "errored": "error",
    "cancelled": "cancellation",
    "timed_out": "timeout",
    "skipped": "skip",
}
#: What `error.type` says of a result; none of these has a text of a repository in it.
ERRORS: Mapping[str, str] = {"failed": "code_failed", "errored": "system_error", "timed_out": "timeout"}
#: Of a step, `ignored` is a failure that does not count.
_STEP_ERRORS: Mapping[str, str] = {"failed": "exit_status", "ignored": "exit_status", "timed_out": "timeout"}
#: So much of a text from outside goes into a name or a value.
_MAX_TEXT = 200
_PROVIDER = "github"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """All that is stored about one build that has ended."""

    of_build: build.Build
    jobs: Sequence[job.Job]
    checks: Sequence[check.Check]
    #: The delivery that caused it, while it is kept.
    delivery: delivery.Delivery | None
    #: Of jobs whose result was taken over: the build in which they ran, by the id of the job that ran.
    ran_in: Mapping[str, str] = msgspec.field(default_factory=dict)


def make(told: Told, *, web_url: str, details_url: Callable[[str, str], str]) -> list[trace.Span]:
    """The spans, the whole build first.

    :param web_url: GitHub's pages, e.g. `https://github.com`.
    :param details_url: gives the page of a `builds` or `jobs` id.
    """
    of = told.of_build
    trace_id, root = trace.trace_id(of.id), trace.of_build(of.id)
    below = [*_of_delivery(told, trace_id, root)]
    for one in told.jobs:
        below += _of_job(one, told, trace_id, root, url=details_url("jobs", one.id))
    below += [_of_check(one, told, trace_id, root) for one in told.checks if one.reported_at is not None]
    started_at = min([of.created_at, *(one.started_at for one in below)])
    ended_at = of.finished_at or of.created_at
    links = [_link_to_build(of.origin_id)] if of.origin_id is not None else []
    whole = trace.Span(
        trace_id=trace_id,
        id=root,
        parent_id=None,
        name=f"RUN {_text(of.pipeline) or 'buildhook'}",
        kind=trace.Kind.SERVER,
        started_at=started_at,
        finished_at=max([ended_at, *(one.finished_at for one in below)]),
        attributes=attributes(of, web_url=web_url, url=details_url("builds", of.id)),
        error_type=error_type(of),
        links=tuple(links),
    )
    return [whole, *below]


def error_type(of: build.Build) -> str | None:
    """A bounded word for what went wrong with a build, or None."""
    return "pipeline_file" if of.problems else ERRORS.get(of.state)


def attributes(of: build.Build, *, web_url: str, url: str) -> dict[str, str | int]:
    """What a build is, in the conventions' words."""
    owner, _, name = of.repository.partition("/")
    found: dict[str, str | int] = {
        "cicd.pipeline.name": _text(of.pipeline) or "buildhook",
        "cicd.pipeline.run.id": of.id,
        "cicd.pipeline.run.url.full": url,
        "cicd.pipeline.action.name": "RUN",
        "cicd.pipeline.result": RESULTS[of.state],
        "vcs.provider.name": _PROVIDER,
        "vcs.owner.name": owner,
        "vcs.repository.name": name,
        "vcs.repository.url.full": f"{web_url}/{of.repository}",
        "vcs.ref.head.name": _text(of.head_ref or of.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")),
        "vcs.ref.head.revision": of.head_sha,
        "vcs.ref.head.type": "tag" if of.ref.startswith("refs/tags/") else "branch",
        "buildhook.event": of.event,
        "buildhook.generation": of.generation,
        "buildhook.trust": of.trust.value,
    }
    if of.delivery_id is not None:
        found["buildhook.delivery.id"] = of.delivery_id
    if of.base_ref is not None:
        found |= {"vcs.ref.base.name": _text(of.base_ref), "vcs.ref.base.type": "branch"}
    if of.base_sha is not None:
        found["vcs.ref.base.revision"] = of.base_sha
    if of.pull_number is not None:
        found |= {"vcs.change.id": str(of.pull_number), "vcs.change.title": _text(of.title)}
    return found


def _of_delivery(told: Told, trace_id: int, root: int) -> list[trace.Span]:
    came, of = told.delivery, told.of_build
    if came is None or came.received_at > of.created_at:
        # A redelivery under the same id came later than the build that the first one made.
        return []
    handled_at = of.created_at if came.handled_at is None else max(of.created_at, came.handled_at)
    own = trace.span_id("delivery", of.id)
    facts: dict[str, str | int] = {"buildhook.delivery.id": came.id, "buildhook.event": came.event}
    component: dict[str, str | int] = {"cicd.system.component": "controller"}
    return [
        trace.Span(
            trace_id=trace_id,
            id=own,
            parent_id=root,
            name="delivery",
            started_at=came.received_at,
            finished_at=handled_at,
            attributes={**facts, "buildhook.delivery.attempts": came.attempts, **component},
        ),
        trace.Span(
            trace_id=trace_id,
            id=trace.span_id("plan", of.id),
            parent_id=own,
            name="plan",
            started_at=of.created_at,
            finished_at=handled_at,
            attributes={"buildhook.jobs": len(told.jobs), **component},
        ),
    ]


def _of_job(one: job.Job, told: Told, trace_id: int, root: int, *, url: str) -> list[trace.Span]:
    ended_at = one.finished_at or one.created_at
    is_own = one.origin_id is None and one.started_at is not None
    started_at = one.started_at if is_own and one.started_at is not None else None
    name = _text(one.plan.name)
    facts: dict[str, str | int] = {
        "cicd.pipeline.task.name": name,
        "cicd.pipeline.task.run.id": one.id,
        "cicd.pipeline.task.run.url.full": url,
        "cicd.pipeline.task.run.result": RESULTS.get(one.state, one.state.value),
    }
    links = []
    if one.origin_id is not None and one.origin_id in told.ran_in:
        links = [trace.Link(trace_id=trace.trace_id(told.ran_in[one.origin_id]), span_id=trace.of_job(one.origin_id))]
    own = trace.of_job(one.id)
    spans = []
    if started_at is not None:
        spans.append(
            trace.Span(
                trace_id=trace_id,
                id=trace.span_id("queue", one.id),
                parent_id=root,
                name="queue",
                started_at=one.created_at,
                finished_at=max(one.created_at, started_at),
                attributes={"cicd.pipeline.task.run.id": one.id, "cicd.system.component": "scheduler"},
            )
        )
        facts |= {"cicd.system.component": "agent", "cicd.worker.name": one.engine}
    # A result that was taken over took no time here; one that never ran has an end only.
    begin = started_at or (one.created_at if one.origin_id is not None else ended_at)
    spans.append(
        trace.Span(
            trace_id=trace_id,
            id=own,
            parent_id=root,
            name=name,
            started_at=begin,
            finished_at=max(begin, ended_at) if one.origin_id is None else begin,
            attributes=facts,
            error_type=ERRORS.get(one.state),
            links=tuple(links),
        )
    )
    if started_at is not None:
        spans += _inside(one, trace_id, own, started_at=started_at, ended_at=max(started_at, ended_at))
    return spans


def _inside(one: job.Job, trace_id: int, own: int, *, started_at: datetime, ended_at: datetime) -> list[trace.Span]:
    begun = [step for step in one.steps if step.started_at is not None]
    first_at = min((step.started_at for step in begun if step.started_at is not None), default=ended_at)
    checkout = trace.Span(
        trace_id=trace_id,
        id=trace.span_id("checkout", one.id),
        parent_id=own,
        name="checkout",
        started_at=started_at,
        finished_at=max(started_at, first_at),
        attributes={"vcs.ref.head.revision": one.tested_sha} if one.tested_sha is not None else {},
        # Nothing ran, and it was no wish: what was to be run did not come.
        error_type=ERRORS.get(one.state) if not begun and one.tested_sha is None else None,
    )
    return [checkout, *(_of_step(step, one, trace_id, own, ended_at=ended_at) for step in begun)]


def _of_step(step: job.StepResult, one: job.Job, trace_id: int, own: int, *, ended_at: datetime) -> trace.Span:
    assert step.started_at is not None
    known = step.index < len(one.plan.steps)
    facts: dict[str, str | int] = {"buildhook.step.index": step.index, "buildhook.step.state": step.state}
    if step.exit_code is not None:
        facts["process.exit.code"] = step.exit_code
    return trace.Span(
        trace_id=trace_id,
        id=trace.of_step(one.id, step.index),
        parent_id=own,
        name=(_text(one.plan.steps[step.index].name) if known else "") or f"step {step.index + 1}",
        started_at=step.started_at,
        finished_at=max(step.started_at, step.finished_at or ended_at),
        attributes=facts,
        error_type=_STEP_ERRORS.get(step.state),
    )


def _of_check(one: check.Check, told: Told, trace_id: int, root: int) -> trace.Span:
    """From the end of what a check tells of to GitHub's acknowledgement."""
    assert one.reported_at is not None
    of_job = next((other for other in told.jobs if other.id == one.job_id), None)
    ended_at = told.of_build.finished_at if of_job is None else of_job.finished_at
    # A result that was taken over ended before there was a check to tell of it.
    since = max(told.of_build.created_at, ended_at or told.of_build.created_at)
    return trace.Span(
        trace_id=trace_id,
        id=trace.span_id("check", str(one.external_id)),
        parent_id=root,
        name="report check",
        kind=trace.Kind.CLIENT,
        started_at=min(since, one.reported_at),
        finished_at=one.reported_at,
        attributes={
            "buildhook.check.name": _text(one.name),
            "buildhook.check.id": one.github_id or 0,
            "cicd.system.component": "controller",
        },
    )


def _link_to_build(build_id: str) -> trace.Link:
    return trace.Link(trace_id=trace.trace_id(build_id), span_id=trace.of_build(build_id))


def _text(text: str) -> str:
    """A text from outside, for a name or a value: one line, short, and without a credential."""
    return telemetry.one_line(telemetry.redact(text))[:_MAX_TEXT]
