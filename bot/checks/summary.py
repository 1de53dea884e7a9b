"""The text of a check run: what came of it, what was tested, the first failure, and how to look further. Pure.

Each section has a size of its own, so that the whole is within GitHub's limit without being cut in the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bot.checks import cleaning, markdown, remarks, titles
from bot.model import approval, build, job
from bot.reports import paths

LOG_LINES = 20
_COMMAND_LINES = 10
#: Of the lines around an error, those before it.
_LINES_BEFORE = 5
#: UTF-8 bytes, which are never fewer than the 65,535 characters that GitHub counts.
_LINE_BYTES = 500
_MAX_TABLE_BYTES = 20_000
_MAX_PROBLEMS_BYTES = 12_000
_MAX_IMAGES_BYTES = 2_000
_MAX_JOBS_BYTES = 6_000
_MAX_CHANGES_BYTES = 20_000


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a check tells about."""

    made: build.Build
    #: All jobs of the build, in its order.
    jobs: tuple[job.Job, ...]
    #: The job whose check it is; None for the check that stands for the whole build.
    one: job.Job | None

    @property
    def state(self) -> build.State | job.State:
        """The state that the check shows."""
        return self.made.state if self.one is None else self.one.state

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the build is left to another check."""
        return self.one is None or len(self.jobs) == 1


def make(
    subject: Subject,
    *,
    failure: job.Job | None,
    log_tail: str | None,
    note: str | None,
    decided_url: str | None = None,
    results: str = "",
) -> str:
    """The summary as Markdown.

    :param failure: the job to explain, where one failed.
    :param note: a sentence of ours about the annotations.
    :param decided_url: the page that tells how it was decided; None where nobody on GitHub could open it.
    :param results: the section about result files, as Markdown, see `bot.checks.results`.
    """
    sections = [
        _status(subject, is_explained=failure is not None),
        _tested(subject),
        _images(subject),
        _problems(subject.made) if subject.is_whole else "",
        _proposal(subject.made, subject.made.proposal) if subject.is_whole and subject.made.proposal else "",
        _failure(failure, log_tail) if failure is not None else "",
        results,
        _jobs(subject) if subject.one is None else _steps(subject.one),
        note or "",
        _commands(subject, failure),
        "" if decided_url is None else f"[How this was decided]({decided_url})",
    ]
    return "\n\n".join(section for section in sections if section)


def _status(subject: Subject, *, is_explained: bool) -> str:
    one = subject.one or subject.made
    is_waiting = subject.one is None and subject.made.state == build.State.WAITING
    words = f"⏳ {titles.waits(subject.made)}" if is_waiting else titles.WORDS[subject.state.value]
    sign, _, word = words.partition(" ")
    line = f"**{sign} {titles.capital(word)}**"
    if subject.jobs:
        line += _times(subject)
    reasons = [subject.made.reason if subject.is_whole else None, None if is_explained else one.reason]
    return "\n\n".join([f"{line}.", *dict.fromkeys(f"Why: {markdown.prose(reason)}" for reason in reasons if reason)])


def _times(subject: Subject) -> str:
    one = subject.one or subject.made
    seconds = titles.took(one.started_at, one.finished_at)
    queued = titles.took(one.created_at, one.started_at)
    # A job's time in the queue holds that of its needs, which says nothing about the queue.
    has_needs = subject.one is not None and bool(subject.one.plan.needs)
    return (f" in {seconds}" if seconds else "") + (
        f", after {queued} in the queue" if queued and not has_needs else ""
    )


def _tested(subject: Subject) -> str:
    made = subject.made
    own = subject.jobs if subject.one is None else (subject.one,)
    tested = [one.tested_sha for one in own if one.tested_sha]
    head = f"Commit {markdown.code(made.head_sha)}"
    if made.base_sha is None:
        return f"{head} of {markdown.code(made.ref)}."
    base = f"{markdown.code(made.base_sha)} of {markdown.code(made.base_ref or '?')}"
    if not tested:
        return f"{head}, to be merged into {base}."
    return f"{head}, merged into {base}: tested as {markdown.code(tested[0])}."


def _images(subject: Subject) -> str:
    """Which images ran: what a tag means by now says nothing about that."""
    own = subject.jobs if subject.one is None else (subject.one,)
    found = dict.fromkeys((what, image) for one in own for what, image in one.images.items())
    lines = [f"Image of {markdown.code(what)}: {markdown.code(image)}" for what, image in found]
    return "\n".join(first_fitting(lines, limit_bytes=_MAX_IMAGES_BYTES))


def _problems(made: build.Build) -> str:
    lines: list[str] = []
    for problem in made.problems:
        place = f"{markdown.code(problem.path)}, line {problem.line}, column {problem.column}"
        lines.append(f"- {place}: {markdown.prose(problem.text)}")
    return "\n".join(first_fitting(lines, limit_bytes=_MAX_PROBLEMS_BYTES))


def _proposal(made: build.Build, proposal: approval.Proposal) -> str:
    if made.state != build.State.WAITING:
        return ""
    parts = [f"**Refused:** {markdown.prose(proposal.remark)}"] if proposal.remark else []
    if proposal.jobs:
        names = [f"- {markdown.code(name)}" for name in proposal.jobs]
        parts.append(
            f"What would run, by the pipeline file of {markdown.code(proposal.file_sha)}, without secrets:"
            if made.trust == build.Trust.UNTRUSTED
            else f"What would run, by the pipeline file of {markdown.code(proposal.file_sha)}:"
        )
        parts.append("\n".join(first_fitting(names, limit_bytes=_MAX_JOBS_BYTES)))
        parts.append(_how(made, proposal))
    if proposal.changes:
        lines = cleaning.first_lines("\n".join(proposal.changes), lines=len(proposal.changes), line_bytes=_LINE_BYTES)
        text = "\n".join(first_fitting(lines.splitlines(), limit_bytes=_MAX_CHANGES_BYTES))
        parts += [
            "### It changes the pipeline file",
            "These changes have no effect before they are merged:",
            markdown.fenced(text, language="diff"),
        ]
    return "\n\n".join(parts)


def _how(made: build.Build, proposal: approval.Proposal) -> str:
    if proposal.consent == approval.Consent.RUN_ANYWAY:
        return "Somebody who may push can press **Run anyway** above."
    command = markdown.code(f"/ok-to-test {made.head_sha}")
    return (
        f"Somebody who may push can press **Approve and run** above, or comment {command}. That holds for this commit:"
        " whatever is pushed later waits again."
    )


def _jobs(subject: Subject) -> str:
    if len(subject.jobs) < 2:
        return ""
    rows = [
        (one.plan.name, one.state.value, titles.took(one.started_at, one.finished_at))
        for one in sorted(subject.jobs, key=lambda one: one.position)
    ]
    return _table("Job", rows)


def _steps(one: job.Job) -> str:
    rows = [
        (one.plan.steps[result.index].name, result.state, titles.took(result.started_at, result.finished_at))
        for result in one.steps
        if 0 <= result.index < len(one.plan.steps)
    ]
    return _table("Step", rows)


def _table(noun: str, rows: Sequence[tuple[str, str, str | None]]) -> str:
    if not rows:
        return ""
    if len(rows) > 100:
        # Then not all may fit: what passed says the least.
        rows = sorted(rows, key=lambda row: row[1] == "passed")
    lines = [
        markdown.row(markdown.code(name), titles.WORDS.get(state) or markdown.code(state), seconds or "")
        for name, state, seconds in rows
    ]
    head = [markdown.row(noun, "Result", "Time"), markdown.row("---", "---", "---")]
    return "\n".join(head + first_fitting(lines, limit_bytes=_MAX_TABLE_BYTES))


def _failure(one: job.Job, log_tail: str | None) -> str:
    parts = [f"### First failure: {markdown.code(one.plan.name)}"]
    step = titles.failed_step(one)
    if step is not None:
        parts[0] += f", step {markdown.code(step[0].name)}"
    parts.append(f"Why: {markdown.prose(titles.in_words(one))}")
    if step is not None:
        script = cleaning.first_lines(step[0].run, lines=_COMMAND_LINES, line_bytes=_LINE_BYTES)
        parts += ["The command:", markdown.fenced(script, language="sh")]
    return "\n\n".join([*parts, *_excerpt(log_tail or "")])


def _excerpt(log_tail: str) -> list[str]:
    """The lines of an output that say what failed: around the first error that is known as one, else its end."""
    log_tail = log_tail.rstrip()
    at = remarks.first_error(log_tail, places=paths.Places())
    if at is not None and at < -LOG_LINES:
        lines = log_tail.split("\n")
        begin = max(0, len(lines) + at - _LINES_BEFORE)
        around = cleaning.first_lines(
            "\n".join(lines[begin : begin + LOG_LINES]), lines=LOG_LINES, line_bytes=_LINE_BYTES
        )
        if around.strip():
            return ["Around the first error in its output:", markdown.fenced(around)]
    tail = cleaning.last_lines(log_tail, lines=LOG_LINES, line_bytes=_LINE_BYTES)
    return ["The end of its output:", markdown.fenced(tail)] if tail.strip() else []


def _commands(subject: Subject, failure: job.Job | None) -> str:
    if not subject.jobs or subject.state.value not in build.FINAL:
        return ""
    again = f"Run it again: {markdown.code(f'buildhook builds retry {subject.made.id}')}."
    one = subject.one or failure or subject.jobs[0]
    if one.started_at is None:
        return again
    here = ""
    if one.state in (job.State.FAILED, job.State.TIMED_OUT):
        event = "" if subject.made.event in ("push", "hook") else f" --event {subject.made.event}"
        here = f" On your machine: {markdown.code(f'buildhook run {one.plan.id}{event}')}."
    return f"The whole log: {markdown.code(f'buildhook logs {one.id}')}. {again}{here}"


def first_fitting(lines: Sequence[str], *, limit_bytes: int) -> list[str]:
    """As many of the lines as fit, and how many more there are."""
    found: list[str] = []
    left = limit_bytes
    for position, line in enumerate(lines):
        left -= len(line.encode()) + 1
        if left < 0:
            return [*found, "", f"… and {len(lines) - position} more."]
        found.append(line)
    return found
