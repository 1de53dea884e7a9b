"""What a supervisor is told of a job that is not known before its steps run: pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.engines import contract
from bot.expressions import syntax, templates
from bot.model import job


def make(request: contract.JobRequest, *, path: str, runner: Mapping[str, str]) -> dict[str, Any]:
    """The values, of kinds that `marshal` takes.

    :param path: `PATH` of a step that does not say otherwise.
    :param runner: the `runner` context.
    """
    plan = request.plan
    plain, late = split(plan.env)
    matrix = dict(plan.matrix)
    strategy = {
        "fail-fast": plan.fail_fast,
        "job-index": float(plan.job_index),
        "job-total": float(plan.job_total),
        "max-parallel": float(plan.max_parallel or plan.job_total),
    }
    return {
        "contexts": {**request.contexts, "matrix": matrix, "strategy": strategy, "runner": dict(runner)},
        "plain_env": plain,
        "late_env": late,
        "outputs": {name: _compiled(text) for name, text in plan.outputs.items()},
        "steps": [_step(one, path) for one in plan.steps],
    }


def _step(step: job.Step, path: str) -> dict[str, Any]:
    plain, late = split(step.env)
    return {
        "id": (step.id or "").lower(),
        "if": syntax.parse(step.condition) if step.condition is not None else None,
        "plain_env": plain,
        "late_env": late,
        "run": _compiled(step.run) if templates.has_expression(step.run) else None,
        "path": path,
    }


def split(env: Mapping[str, str]) -> tuple[dict[str, str], dict[str, Any]]:
    """Variables that are known, and those that expressions make."""
    late = {name: _compiled(text) for name, text in env.items() if templates.has_expression(text)}
    return {name: text for name, text in env.items() if name not in late}, late


def _compiled(text: str) -> tuple[Any, ...]:
    return tuple(syntax.parse(part) if is_expression else part for is_expression, _, part in templates.parts(text))


def is_needed(plan: job.Plan) -> bool:
    """Whether a job has anything that is known only when it runs."""
    texts = [*plan.env.values(), *(text for step in plan.steps for text in (step.run, *step.env.values()))]
    return (
        bool(plan.outputs)
        or any(step.condition is not None or step.id is not None for step in plan.steps)
        or any(templates.has_expression(text) for text in texts)
    )
