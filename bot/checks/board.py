"""How the newest build of a pull request stands, for the one comment that shows it: pure. All names are hostile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from bot.checks import cleaning, markdown, remarks, summary, titles
from bot.model import build, job
from bot.reports import paths

#: Said in place of builds that are no longer to be shown.
SWITCHED_OFF = "The pipeline file does not ask for builds to be shown here any more: the checks show them."
#: Of so many jobs that went wrong, the first, the lines are shown that say why.
MOST_FAILURES = 3
_LINES = 10
_LINE_BYTES = 500
_TITLE_BYTES = 300
_MAX_TABLE_BYTES = 20_000


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown."""

    made: build.Build
    jobs: Sequence[job.Job]
    #: The end of the output of `failures`, by the id of each, where there is one.
    tails: Mapping[str, str] = msgspec.field(default_factory=dict)


def failures(jobs: Sequence[job.Job]) -> list[job.Job]:
    """The jobs whose output tells something."""
    return [one for one in sorted(jobs, key=lambda one: one.position) if one.state in job.BAD][:MOST_FAILURES]


def section(board: Board, *, page: Callable[[str, str], str]) -> str:
    """The Markdown.

    :param page: gives the address of a page, by its kind (`builds` or `jobs`) and id: that which the check links to.
    """
    made = board.made
    is_waiting = made.state == build.State.WAITING
    sign, _, word = ("⏳ waiting" if is_waiting else titles.WORDS[made.state.value]).partition(" ")
    title = cleaning.one_line(titles.of_build(made, board.jobs), limit_bytes=_TITLE_BYTES)
    parts = [
        f"**{sign} {titles.capital(word)}:** {markdown.prose(title)}",
        f"Commit {markdown.code(made.head_sha)} [on its page]({page('builds', made.id)}).",
    ]
    if is_waiting and made.reason:
        parts.append(f"Why: {markdown.prose(made.reason)}")
    parts.append(_table(board.jobs, page))
    parts += [_failure(one, board.tails.get(one.id, "")) for one in failures(board.jobs)]
    return "\n\n".join(part for part in parts if part)


def _table(jobs: Sequence[job.Job], page: Callable[[str, str], str]) -> str:
    if not jobs:
        return ""
    # What went wrong comes first where not all may fit.
    shown = sorted(jobs, key=lambda one: (len(jobs) > 50 and one.state not in job.BAD, one.position))
    lines = [
        markdown.row(
            markdown.code(one.plan.name),
            titles.WORDS[one.state.value],
            titles.took(one.started_at, one.finished_at) or "",
            f"[log]({page('jobs', one.id)})",
        )
        for one in shown
    ]
    head = [markdown.row("Job", "Result", "Time", ""), markdown.row("---", "---", "---", "---")]
    return "\n".join(head + summary.first_fitting(lines, limit_bytes=_MAX_TABLE_BYTES))


def _failure(one: job.Job, log_tail: str) -> str:
    text = cleaning.one_line(titles.of_job(one), limit_bytes=_TITLE_BYTES)
    said = f"{markdown.code(one.plan.name)}: {markdown.prose(text)}"
    lines = log_tail.rstrip().split("\n")
    at = remarks.first_error(log_tail.rstrip(), places=paths.Places())
    begin = max(0, len(lines) + (at if at is not None else -_LINES))
    excerpt = cleaning.first_lines("\n".join(lines[begin : begin + _LINES]), lines=_LINES, line_bytes=_LINE_BYTES)
    return f"{said}\n\n{markdown.fenced(excerpt)}" if excerpt.strip() else said
