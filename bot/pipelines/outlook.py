"""What an event would run of a pipeline file, and why, as lines for people. Pure."""

from __future__ import annotations

from bot.model import job
from bot.pipelines import plan

_MAX_STEPS = 50


def lines(made: plan.Plan, *, why: str) -> list[str]:
    """The decision, then each job with what it waits for and what it runs, then those that do not run.

    :param why: what decided.
    """
    names = plan.check_names(made)
    shown = [why]
    if made.concurrency_group is not None:
        cancels = ", and ends the build of it that runs" if made.cancel_in_progress else ""
        shown.append(f"It is in the concurrency group `{made.concurrency_group}`{cancels}.")
    if made.jobs:
        shown += ["", f"{_count(len(made.jobs), 'job')} would run:"]
    for one in made.jobs:
        shown += [f"  {one.key}: {_when(one)} Check: {names[one.key]}", *_of_job(one)]
    if made.left_out:
        shown += ["", f"{_count(len(made.left_out), 'job')} would not run:"]
        shown += [f"  {one.plan.key}: {one.reason}" for one in made.left_out]
    return shown


def _when(one: job.Plan) -> str:
    needs = ", ".join(f"`{key}`" for key in one.needs)
    condition = f"where its `if` is true: `{' '.join(one.condition.split())}`" if one.condition is not None else ""
    if needs:
        return f"behind {needs}, {condition or 'where all of them passed'}."
    return f"at once, {condition}." if condition else "at once."


def _of_job(one: job.Plan) -> list[str]:
    shown = []
    if one.matrix:
        place = f", at most {one.max_parallel} at once" if one.max_parallel is not None else ""
        shown.append(f"    matrix: {', '.join(f'{name}={value}' for name, value in _matrix(one))}{place}")
    for number, step in enumerate(one.steps[:_MAX_STEPS], 1):
        condition = "" if step.condition is None else f" (if {' '.join(step.condition.split())})"
        shown.append(f"    {number}. {step.name}{condition}")
    if len(one.steps) > _MAX_STEPS:
        shown.append(f"    and {len(one.steps) - _MAX_STEPS} more steps")
    return shown


def _matrix(one: job.Plan) -> list[tuple[str, str]]:
    return [
        (name, str(int(value)) if isinstance(value, float) and value.is_integer() else str(value))
        for name, value in one.matrix.items()
    ]


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"
