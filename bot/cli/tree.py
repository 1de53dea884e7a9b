"""A build as a tree of its jobs and steps, small enough for the window that it is shown in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from bot.cli import output
from bot.model import job
from bot.shapes import built

#: The mark of each step that began; the word is always there beside it.
_MARKS = {"running": "▸", "passed": "✓", "failed": "✗", "timed_out": "✗", "cancelled": "✗"}
_OTHER_MARK = "·"


def drawn(found: built.WholeBuild, *, rows: int | None = None, note: str | None = None) -> Tree:
    """The tree; of no more rows than these where that can be: what says least is left out first, and lines are cut.

    :param rows: None for all of it.
    :param note: a line at its end, as markup.
    """
    unwell = job.UNWELL | {job.State.RUNNING, job.State.STARTING}
    spare = None if rows is None else rows - 1 - (note is not None)
    jobs, with_steps, others = list(found.jobs), {one.id for one in found.jobs}, ""
    if spare is not None and _height(jobs, with_steps) > spare:
        with_steps = {one.id for one in jobs if one.state in unwell}
    if spare is not None and _height(jobs, with_steps) > spare:
        with_steps = {one.id for one in jobs if one.state in job.ON_ENGINE}
    if spare is not None and _height(jobs, with_steps) > spare:
        jobs = [one for one in jobs if one.state in unwell]
        others = _counted([one for one in found.jobs if one.state not in unwell])
    line = _whole_line if rows is None else _cut_line
    tree = Tree(line(heading(found)), guide_style="dim")
    for one in jobs:
        branch = tree.add(line(job_line(one)))
        if one.id in with_steps:
            for step in _step_lines(one):
                branch.add(line(step))
    if others:
        tree.add(line(f"[dim]{others}[/]"))
    if note is not None:
        tree.add(line(note))
    return tree


def heading(found: built.WholeBuild) -> str:
    """What is built, and how it stands, as markup."""
    ref = f"#{found.pull_number}" if found.pull_number else found.ref.removeprefix("refs/heads/")
    what = output.clean(f"{found.repository} {ref} at {found.head_sha[:7]}")
    took = output.duration(found.started_at, found.finished_at)
    why = f": {output.clean(found.reason)}" if found.reason else ""
    return f"[bold]{what}[/] {output.state(found.state)} {took}{why}"


def job_line(one: built.Job) -> str:
    """A job, how it stands and why, as markup."""
    took = f" {output.duration(one.started_at, one.finished_at)}" if one.started_at is not None else ""
    why = f": {output.clean(one.reason)}" if one.reason else ""
    more = (
        f"  [dim]buildhook logs {output.clean(one.id)}[/]"
        if one.state in job.UNWELL and one.started_at is not None
        else ""
    )
    return f"[bold]{output.clean(one.name)}[/] {output.state(one.state)}{took}{why}{more}"


def _step_lines(one: built.Job) -> list[str]:
    """Its steps, also those that have not begun."""
    told = {step.index: step for step in one.steps}
    shown = []
    for index in range(_step_count(one)):
        name = output.clean(built.step_name(one, index))
        step = told.get(index)
        if step is None:
            shown.append(f"[dim]{_OTHER_MARK} {name}[/]")
            continue
        took = f" {output.duration(step.started_at, step.finished_at)}" if step.started_at is not None else ""
        exit_code = f": exit status {step.exit_code}" if step.exit_code else ""
        mark = _MARKS.get(step.state, _OTHER_MARK)
        shown.append(f"{mark} {name} {output.state(output.clean(step.state))}{took}{exit_code}")
    return shown


def _step_count(one: built.Job) -> int:
    return max(len(one.step_names), 1 + max((step.index for step in one.steps), default=-1))


def _height(jobs: Sequence[built.Job], with_steps: set[str]) -> int:
    return len(jobs) + sum(_step_count(one) for one in jobs if one.id in with_steps)


def _counted(jobs: Sequence[built.Job]) -> str:
    found = Counter(str(one.state) for one in jobs)
    return ", ".join(f"{number} {state}" for state, number in found.most_common())


def _whole_line(markup: str) -> Text:
    return Text.from_markup(markup)


def _cut_line(markup: str) -> Text:
    # A line that is folded would be one more than what is drawn over the next time.
    line = Text.from_markup(markup, overflow="ellipsis")
    line.no_wrap = True
    return line
