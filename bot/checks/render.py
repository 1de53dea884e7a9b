"""Renders a build or a job into the check run that GitHub should show: pure, and always within GitHub's limits."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from bot.checks import annotations as marks
from bot.checks import cleaning, remarks, results, summary, titles
from bot.model import approval, build, check, job, report
from bot.pipelines import parse
from bot.reports import paths

#: Of the title, in UTF-8 bytes, as all limits here: GitHub counts characters, which are never more.
MAX_TITLE_BYTES = 255
PIPELINE_PATH = parse.PATH
WORKSPACE = paths.WORKSPACE

_CONCLUSIONS = {
    "passed": "success",
    "failed": "failure",
    "errored": "failure",
    "cancelled": "cancelled",
    "timed_out": "timed_out",
    "skipped": "skipped",
}
_BUTTONS = {
    approval.Consent.APPROVE: check.Action(
        label="Approve and run",
        description="Let this very commit run, once.",
        identifier=approval.Consent.APPROVE.value,
    ),
    approval.Consent.RUN_ANYWAY: check.Action(
        label="Run anyway",
        description="Run what the author asked to skip.",
        identifier=approval.Consent.RUN_ANYWAY.value,
    ),
}
_FAILURES = (job.State.FAILED, job.State.ERRORED, job.State.TIMED_OUT)


def check_run(
    target: check.Check,
    *,
    build: build.Build,
    jobs: Sequence[job.Job],
    job: job.Job | None,
    log_tail: str | None,
    details_url: str,
    decided_url: str | None = None,
    told: report.Told | None = None,
    sums: Mapping[str, report.Results] | None = None,
    changed: Collection[str] = (),
) -> check.CheckRun:
    """The check run as it should be.

    :param jobs: all jobs of the build, in its order.
    :param job: the job whose check it is; None for the check that stands for the whole build.
    :param log_tail: the end of the output of `first_failure`'s failing step, where there is one.
    :param details_url: the page that the check links to.
    :param decided_url: the page that tells how it was decided, if people on GitHub can open it.
    :param told: what the job left behind, with its history.
    :param sums: what the results of the build's jobs come to, by the id of each that has some.
    :param changed: the files that the pull request changes, where that is known.
    """
    subject = summary.Subject(made=build, jobs=tuple(jobs), one=job)
    title = titles.of_build(build, jobs) if job is None else titles.of_job(job, build)
    failure = first_failure(subject.jobs if job is None else (job,))
    found = _annotations(subject, log_tail, told=told, changed=changed)
    if told is not None and (failed := results.in_title(told)) is not None:
        title = f"{title}, {failed}"
    is_completed = status(subject.state) == "completed"
    return check.CheckRun(
        name=target.name,
        head_sha=target.head_sha,
        external_id=target.external_id,
        details_url=details_url,
        status=status(subject.state),
        conclusion=conclusion(subject.state),
        started_at=_started_at(subject),
        completed_at=_completed_at(subject) if is_completed else None,
        title=cleaning.one_line(title, limit_bytes=MAX_TITLE_BYTES) or titles.least(subject.state.value),
        summary=summary.make(
            subject,
            failure=failure,
            log_tail=log_tail,
            note=_note(found),
            decided_url=decided_url,
            results=_results(subject, told, sums or {}),
        ),
        text=results.text(told) if told is not None else None,
        annotations=found.annotations,
        actions=_actions(subject) if is_completed else (),
    )


def minimal(wanted: check.CheckRun) -> check.CheckRun:
    """The least of a check run that still says how it ended, for when GitHub refuses the whole."""
    return replace(
        wanted,
        title=titles.least(wanted.conclusion or wanted.status),
        summary="GitHub did not take the details. The page behind this check has them.",
        text=None,
        annotations=(),
    )


def first_failure(jobs: Sequence[job.Job]) -> job.Job | None:
    """The job to explain first: one that failed before one that could not be run, before one that timed out."""
    failed = [one for one in jobs if one.state in _FAILURES]
    return min(failed, key=lambda one: (_FAILURES.index(one.state), one.position), default=None)


def conclusion(state: build.State | job.State) -> str | None:
    """GitHub's word for how something ended; None while it has not.

    https://docs.github.com/en/rest/checks/runs
    """
    if isinstance(state, build.State) and state == build.State.WAITING:
        return "action_required"
    return _CONCLUSIONS.get(state.value)


def status(state: build.State | job.State) -> str:
    """GitHub's word for where something stands. What waits for approval is completed, for GitHub, until it is there."""
    if conclusion(state) is not None:
        return "completed"
    return "in_progress" if state.value in {"starting", "running"} else "queued"


def _started_at(subject: summary.Subject) -> datetime | None:
    if status(subject.state) == "queued":
        return None
    return (subject.one or subject.made).started_at


def _completed_at(subject: summary.Subject) -> datetime:
    one = subject.one or subject.made
    ended_at = one.finished_at or one.started_at or one.created_at
    return max(ended_at, one.started_at or ended_at)


def _annotations(
    subject: summary.Subject, log_tail: str | None, *, told: report.Told | None, changed: Collection[str]
) -> marks.Found:
    if subject.one is None or subject.made.problems:
        made = tuple(
            marks.make(problem.path, problem.line, problem.text, title="Pipeline file")
            for problem in subject.made.problems
        )
        return marks.Found(annotations=made[: marks.MAX_ANNOTATIONS], total=len(made))
    step = titles.failed_step(subject.one) if subject.one.state in _FAILURES else None
    folder = "." if step is None else step[0].working_directory
    log_tail = None if step is None else log_tail or ""
    found = remarks.find(told, log_tail, places=paths.Places(WORKSPACE, folder), changed=changed)
    if found.total or step is None:
        return found
    words = titles.in_words(subject.one)
    fallback = marks.make(PIPELINE_PATH, step[0].line, f"{step[0].name}: {words}", title=titles.of_job(subject.one))
    return marks.Found(annotations=(fallback,), total=1)


def _results(subject: summary.Subject, told: report.Told | None, sums: Mapping[str, report.Results]) -> str:
    if told is not None:
        return results.section(told, made=subject.made)
    return results.sum_section(sums.values())


def _actions(subject: summary.Subject) -> tuple[check.Action, ...]:
    proposal = subject.made.proposal
    if subject.one is not None or subject.made.state != build.State.WAITING or proposal is None or not proposal.jobs:
        return ()
    return (_BUTTONS[proposal.consent],)


def _note(found: marks.Found) -> str | None:
    shown = len(found.annotations)
    return f"{shown} of {found.total:,} annotations are shown." if shown < found.total else None
