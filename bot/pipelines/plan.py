"""`make`: a pipeline and one event in, the jobs to run out, and the reason for each that does not run."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from bot.expressions import evaluate
from bot.model import job
from bot.pipelines import concurrency, conditions, expand, filters
from bot.pipelines.document import Pipeline
from bot.pipelines.filters import Facts, Verdict

__all__ = ["CHECK_NAME", "Facts", "LeftOut", "Plan", "Verdict", "check_names", "digest", "make", "skip"]

#: The check run that always exists; with one job it is that job's own.
CHECK_NAME = "buildhook"


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A job that the file names and that does not run."""

    plan: job.Plan
    #: A sentence for people.
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The jobs that one event makes of a pipeline."""

    #: `name:` of the file.
    pipeline: str
    #: Those that run, in the order of the file; `env` holds the pipeline's variables too.
    jobs: tuple[job.Plan, ...] = ()
    #: Those that the file decided not to run, in its order.
    left_out: tuple[LeftOut, ...] = ()
    verdict: Verdict = Verdict.RUNS
    #: Why nothing runs: a sentence for people.
    reason: str | None = None
    #: What tells its group apart from the others of the repository, see `concurrency.key`.
    concurrency_group: str | None = None
    cancel_in_progress: bool = False
    #: Why no jobs can be made of the event: then nothing else is there.
    problem: expand.ExpansionProblem | None = None
    #: Line of what in `on` decided that something or nothing runs, from 1; it counts for nothing else.
    line: int = field(default=1, compare=False)

    @property
    def is_skipped(self) -> bool:
        """Whether nothing runs."""
        return not self.jobs

    @property
    def declared(self) -> tuple[job.Plan, ...]:
        """All jobs, in the order of the file."""
        return tuple(sorted((*self.jobs, *(one.plan for one in self.left_out)), key=lambda one: one.line))


def make(pipeline: Pipeline, facts: Facts, contexts: Mapping[str, Any] | None = None) -> Plan:
    """What an event runs. Where a filter leaves everything out, each job is there with that reason.

    :param contexts: what expressions may name: `github` and `inputs`, see `contexts`.
    """
    known = contexts or {}
    decision = filters.decide(pipeline, facts)
    made = Plan(
        pipeline=pipeline.name,
        verdict=decision.verdict,
        reason=decision.reason,
        line=filters.line(pipeline, facts, decision),
    )
    if decision.verdict not in (Verdict.RUNS, Verdict.SKIPPED):
        return made
    try:
        jobs = expand.expand(pipeline, known)
        group = None if pipeline.concurrency is None else concurrency.planned(pipeline.concurrency, known)
    except expand.ExpansionProblem as wrong:
        return replace(made, problem=wrong)
    except evaluate.EvaluationProblem as wrong:
        return replace(made, problem=expand.ExpansionProblem(f"`concurrency`: {wrong}", line=pipeline.on_line))
    if decision.verdict == Verdict.SKIPPED:
        reason = decision.reason or ""
        return replace(made, left_out=tuple(LeftOut(plan=one, reason=reason) for one in jobs))
    running, left_out = _decided(jobs, known)
    made = replace(made, jobs=running, left_out=left_out)
    if not running:
        return replace(made, verdict=Verdict.SKIPPED, reason="No job runs: the `if` of none of them is true.")
    if group is None:
        return made
    key = concurrency.key(group, ref=facts.ref)
    return replace(made, concurrency_group=key, cancel_in_progress=bool(group.cancel_in_progress))


def _decided(
    jobs: tuple[job.Plan, ...], contexts: Mapping[str, Any]
) -> tuple[tuple[job.Plan, ...], tuple[LeftOut, ...]]:
    """The jobs that run, and those that their `if` leaves out already: of those that need no other."""
    running, left_out = [], []
    for one in jobs:
        reason = None if one.condition is None or one.needs else conditions.against(one.condition, contexts)
        if reason is None:
            running.append(one)
        else:
            left_out.append(LeftOut(plan=one, reason=reason))
    return tuple(running), tuple(left_out)


def skip(made: Plan, reason: str) -> Plan:
    """The plan with all that would run left out, for a reason that is not in the file."""
    left_out = tuple(LeftOut(plan=one, reason=reason) for one in made.jobs)
    return replace(made, jobs=(), left_out=(*made.left_out, *left_out), verdict=Verdict.SKIPPED, reason=reason)


def digest(plan: Plan) -> str:
    """SHA-256 in hex over all that influences how the jobs run and what they are called; lines do not."""
    parts: list[Any] = [plan.pipeline, [_job_parts(one) for one in plan.jobs]]
    if plan.left_out:
        parts.append([_job_parts(one.plan) for one in plan.left_out])
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode("ascii")).hexdigest()


def check_names(plan: Plan) -> Mapping[str, str]:
    """The name of each job's check run, by the job's key. Names are an API: branch protection requires them.

    Whether a job runs makes no difference to the names.
    """
    declared = plan.declared
    if len(declared) == 1:
        return {declared[0].key: CHECK_NAME}
    return {one.key: f"{CHECK_NAME} / {one.name}" for one in declared}


def _job_parts(one: job.Plan) -> list[Any]:
    steps = [
        [step.name, step.run, sorted(step.env.items()), step.working_directory, *_rest(step, _OLD_OF_A_STEP)]
        for step in one.steps
    ]
    env = sorted(one.env.items())
    parts = [one.key, one.name, steps, sorted(one.needs), env, float(one.timeout_minutes), one.runs_on]
    return [*parts, *_rest(one, _OLD_OF_A_JOB)]


_OLD_OF_A_STEP = frozenset({"name", "run", "env", "working_directory", "line"})
_OLD_OF_A_JOB = frozenset({"key", "name", "steps", "needs", "env", "timeout_minutes", "runs_on", "line"})


@functools.cache
def _defaults(kind: type[job.Plan | job.Step]) -> Mapping[str, Any]:
    return {known.name: known.default for known in msgspec.structs.fields(kind)}


def _rest(one: job.Plan | job.Step, old: frozenset[str]) -> list[Any]:
    """What newer versions know of it, where it is used: a plan that says nothing of it keeps its digest."""
    defaults = _defaults(type(one))
    used = {
        name: msgspec.to_builtins(value, order="sorted")
        for name in sorted(defaults.keys() - old)
        if (value := getattr(one, name)) != defaults[name] and value not in ({}, ())
    }
    return [used] if used else []
