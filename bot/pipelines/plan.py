"""`make`: a pipeline and one event in, the jobs to run out, or the reason why none runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.model import job
from bot.pipelines import globs
from bot.pipelines.document import Filter, Pipeline
from bot.pipelines.problems import quoted

#: The check run that always exists; with one job it is that job's own.
CHECK_NAME = "buildhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of an event decides which jobs run."""

    #: `push` or `pull_request`.
    event: str
    #: Fully qualified: a branch and a tag of the same name are told apart.
    ref: str
    #: Branch name of the base; always there for a pull request.
    base_ref: str | None = None

    def __post_init__(self) -> None:
        if self.event == "pull_request" and self.base_ref is None:
            raise ValueError("a pull request has a base")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The jobs that one event makes of a pipeline."""

    #: `name:` of the file.
    pipeline: str
    #: In the order of the file; `env` holds the pipeline's variables too.
    jobs: tuple[job.Plan, ...] = ()
    #: Why nothing runs: a sentence for people.
    reason: str | None = None

    @property
    def is_skipped(self) -> bool:
        """Whether nothing runs."""
        return not self.jobs


def make(pipeline: Pipeline, facts: Facts) -> Plan:
    """What an event runs."""
    reason = _reason_against(pipeline, facts)
    if reason is not None:
        return Plan(pipeline=pipeline.name, reason=reason)
    jobs = tuple(replace(one, env={**pipeline.env, **one.env}) for one in pipeline.jobs)
    return Plan(pipeline=pipeline.name, jobs=jobs)


def digest(plan: Plan) -> str:
    """SHA-256 in hex over all that influences how the jobs run and what they are called; lines do not."""
    parts = [plan.pipeline, [_job_parts(one) for one in plan.jobs]]
    return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode("ascii")).hexdigest()


def check_names(plan: Plan) -> Mapping[str, str]:
    """The name of each job's check run, by the job's key. Names are an API: branch protection requires them."""
    if len(plan.jobs) == 1:
        return {plan.jobs[0].key: CHECK_NAME}
    return {one.key: f"{CHECK_NAME} / {one.name}" for one in plan.jobs}


def _job_parts(one: job.Plan) -> list[Any]:
    steps = [[step.name, step.run, sorted(step.env.items()), step.working_directory] for step in one.steps]
    env = sorted(one.env.items())
    return [one.key, one.name, steps, sorted(one.needs), env, float(one.timeout_minutes), one.runs_on]


def _reason_against(pipeline: Pipeline, facts: Facts) -> str | None:
    wanted = pipeline.on.get(facts.event)
    if wanted is None:
        return f"`on` does not name `{facts.event}`."
    if facts.event == "pull_request":
        return _against_name(
            facts.base_ref or "", wanted.branches, wanted.branches_ignore, key="on.pull_request.branches"
        )
    return _against_push(facts.ref, wanted)


def _against_push(ref: str, wanted: Filter) -> str | None:
    has_branches = wanted.branches is not None or wanted.branches_ignore is not None
    has_tags = wanted.tags is not None or wanted.tags_ignore is not None
    if ref.startswith("refs/heads/"):
        if has_tags and not has_branches:
            return f"`on.push` names only tags, and {quoted(ref)} is a branch."
        name = ref.removeprefix("refs/heads/")
        return _against_name(name, wanted.branches, wanted.branches_ignore, key="on.push.branches")
    if ref.startswith("refs/tags/"):
        if has_branches and not has_tags:
            return f"`on.push` names only branches, and {quoted(ref)} is a tag."
        name = ref.removeprefix("refs/tags/")
        return _against_name(name, wanted.tags, wanted.tags_ignore, key="on.push.tags")
    return f"{quoted(ref)} is neither a branch nor a tag."


def _against_name(
    name: str, wanted: tuple[str, ...] | None, ignored: tuple[str, ...] | None, *, key: str
) -> str | None:
    if wanted is not None and not globs.matches(wanted, name):
        return f"`{key}` does not match {quoted(name)}."
    if ignored is not None and globs.matches(ignored, name):
        return f"`{key}-ignore` matches {quoted(name)}."
    return None
