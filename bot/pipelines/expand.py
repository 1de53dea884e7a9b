"""From the jobs of a file to those of one build: matrices expanded, and filled in what only the event can say. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bot import images
from bot.expressions import evaluate, values
from bot.expressions.templates import has_expression
from bot.model import build, job
from bot.pipelines import fields, matrix, steps
from bot.pipelines import templates as reading
from bot.pipelines.document import Job, Pipeline

#: Jobs of one build.
MAX_JOBS = 256
_MAX_NAME = fields.MAX_NAME


class ExpansionProblem(Exception):
    """A pipeline makes no jobs of an event."""

    def __init__(self, text: str, *, line: int) -> None:
        super().__init__(text)
        self.text = text
        self.line = line


def expand(pipeline: Pipeline, contexts: Mapping[str, Any]) -> tuple[job.Plan, ...]:
    """The jobs, in the order of the file, those of a matrix in its order.

    :param contexts: `github` and `inputs`.
    :raises ExpansionProblem: if one cannot be made.
    """
    combinations = [(one, _combinations(one, contexts)) for one in pipeline.jobs]
    count = sum(len(found) for _, found in combinations)
    if count > MAX_JOBS:
        widest = max(combinations, key=lambda one: len(one[1]))[0].plan
        raise ExpansionProblem(f"The pipeline makes {count} jobs of this event: at most {MAX_JOBS}.", line=widest.line)
    made = tuple(itertools.chain.from_iterable(_jobs(one, found, pipeline, contexts) for one, found in combinations))
    seen: dict[str, job.Plan] = {}
    for one in made:
        first = seen.setdefault(one.name, one)
        if first is not one:
            text = f"The job in line {first.line} has the name `{one.name}` too: checks are told apart by it."
            raise ExpansionProblem(text, line=one.line)
    return made


def problem(wrong: ExpansionProblem, *, path: str) -> build.Problem:
    """The same for people, in the file."""
    return build.Problem(path=path, line=wrong.line, column=1, text=wrong.text)


def _combinations(one: Job, contexts: Mapping[str, Any]) -> list[dict[str, Any]]:
    if one.matrix is None:
        return [{}]
    try:
        return matrix.expand(one.matrix, contexts)
    except (matrix.MatrixProblem, evaluate.EvaluationProblem) as wrong:
        raise ExpansionProblem(str(wrong), line=one.matrix.line) from None


def _jobs(
    one: Job, combinations: list[dict[str, Any]], pipeline: Pipeline, contexts: Mapping[str, Any]
) -> list[job.Plan]:
    late = _Late(one, contexts)
    fail_fast = late.boolean("fail-fast", one.plan.fail_fast)
    max_parallel = late.count("max-parallel", one.plan.max_parallel)
    found = []
    keys: set[str] = set()
    names: set[str] = set()
    for index, values_of in enumerate(combinations):
        around = {
            **contexts,
            "matrix": values_of,
            "strategy": {
                "fail-fast": fail_fast,
                "max-parallel": float(max_parallel or len(combinations)),
                "job-index": float(index),
                "job-total": float(len(combinations)),
            },
        }
        plan = _filled(one, _Late(one, around), around)
        env = {**pipeline.env, **plan.env}
        if one.matrix is not None:
            key = _unique(f"{plan.key} ({matrix.shown(values_of)})", keys)
            wrong = fields.wrong_name(key, what="A value of the matrix")
            if wrong is not None:
                raise ExpansionProblem(wrong, line=one.matrix.line)
            name = _name(one, plan, values_of, names) if one.has_name else key
            plan = replace(plan, key=key, group=one.plan.key, matrix=values_of, name=name)
        found.append(
            replace(
                plan,
                env=env,
                fail_fast=fail_fast,
                max_parallel=max_parallel,
                job_index=index,
                job_total=len(combinations),
            )
        )
    return found


def _unique(text: str, taken: set[str]) -> str:
    short = text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 2]}…)"
    numbered = (f"{short[: _MAX_NAME - 6]} #{number}" for number in itertools.count(2))
    found = next(one for one in itertools.chain((short,), numbered) if one not in taken)
    taken.add(found)
    return found


def _name(one: Job, plan: job.Plan, values_of: Mapping[str, Any], taken: set[str]) -> str:
    if any(context in one.late.get("name", "") for context in ("matrix", "strategy")):
        return plan.name
    # Checks are told apart by their names.
    return _unique(f"{plan.name} ({matrix.shown(values_of)})", taken)


class _Late:
    """What expressions give of a job."""

    def __init__(self, one: Job, contexts: Mapping[str, Any], late: Mapping[str, str] | None = None) -> None:
        self._late = one.late if late is None else late
        self._line = one.plan.line
        self._contexts = contexts

    def value(self, key: str) -> Any:
        try:
            return reading.value(self._late[key], self._contexts)
        except evaluate.EvaluationProblem as wrong:
            raise ExpansionProblem(f"`{key}` has no value: {wrong}", line=self._line) from None

    def text(self, key: str, known: str | None) -> str | None:
        if key not in self._late:
            return known
        return " ".join(values.text(self.value(key)).split())

    def name(self, key: str, known: str, *, otherwise: str) -> str:
        found = self.text(key, known) or otherwise
        wrong = fields.wrong_name(found[:_MAX_NAME], what=f"`{key}`")
        if wrong is not None:
            raise ExpansionProblem(wrong, line=self._line)
        return found if len(found) <= _MAX_NAME else f"{found[: _MAX_NAME - 1]}…"

    def boolean(self, key: str, known: bool) -> bool:
        if key not in self._late:
            return known
        found = self.value(key)
        if not isinstance(found, bool):
            raise ExpansionProblem(f"`{key}` has to give `true` or `false`, not `{_shown(found)}`.", line=self._line)
        return found

    def minutes(self, key: str, known: float | None) -> float | None:
        if key not in self._late:
            return known
        found = values.number(self.value(key))
        if not 0 < found <= steps.MAX_TIMEOUT_MINUTES:
            raise ExpansionProblem(f"`{key}` has to give {steps.MINUTES}.", line=self._line)
        return found

    def count(self, key: str, known: int | None) -> int | None:
        if key not in self._late:
            return known
        found = values.number(self.value(key))
        if not 1 <= found < 1e6 or found != int(found):
            raise ExpansionProblem(f"`{key}` has to give a whole number from 1 on.", line=self._line)
        return int(found)

    def folder(self, key: str, known: str) -> str:
        if key not in self._late:
            return known
        found = steps.inside(values.text(self.value(key)))
        if found is None:
            raise ExpansionProblem(steps.OUTSIDE, line=self._line)
        return found


def _filled(one: Job, late: _Late, contexts: Mapping[str, Any]) -> job.Plan:
    plan = one.plan
    return replace(
        plan,
        name=late.name("name", plan.name, otherwise=plan.key),
        timeout_minutes=late.minutes("timeout-minutes", plan.timeout_minutes) or plan.timeout_minutes,
        continue_on_error=late.boolean("continue-on-error", plan.continue_on_error),
        runs_on=late.text("runs-on", plan.runs_on),
        environment=late.text("environment", plan.environment) or None,
        container=None if plan.container is None else _image(plan.container, one, contexts),
        services={name: _image(service, one, contexts) for name, service in plan.services.items()},
        steps=tuple(
            _step(step, _Late(one, contexts, one.late_of_steps[position])) if position in one.late_of_steps else step
            for position, step in enumerate(plan.steps)
        ),
    )


def _image(container: job.Container, one: Job, contexts: Mapping[str, Any]) -> job.Container:
    if not has_expression(container.image):
        return container
    image = _Late(one, contexts, {"image": container.image}).text("image", None) or ""
    if images.parse(image) is None:
        told = f"`image` has to give the name of an image, e.g. `python:3.13-slim`, not `{_shown(image)}`."
        raise ExpansionProblem(told, line=one.plan.line)
    return replace(container, image=image)


def _step(step: job.Step, late: _Late) -> job.Step:
    return replace(
        step,
        name=late.name("name", step.name, otherwise=step.name),
        timeout_minutes=late.minutes("timeout-minutes", step.timeout_minutes),
        continue_on_error=late.boolean("continue-on-error", step.continue_on_error),
        working_directory=late.folder("working-directory", step.working_directory),
    )


def _shown(value: Any) -> str:
    return values.text(value)[:60].replace("`", "'")
