"""Reads `jobs`: each job with its steps, and the order that `needs` asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.expressions import names, templates
from bot.model import job
from bot.pipelines import (
    container,
    fields,
    injection,
    keeping,
    needs,
    nodes,
    reports,
    secrets,
    steps,
    strategy,
    vocabulary,
)
from bot.pipelines import templates as reading
from bot.pipelines.document import Job, Matrix
from bot.pipelines.problems import Place, Problems, did_you_mean, quoted

MAX_JOBS = 256
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
#: Keys whose value an expression may give when a build is planned.
_LATE = ("name", "runs-on", "timeout-minutes", "continue-on-error", "environment")
#: Keys that may be a mapping too, and which key of that says what the single value says.
_NAMED_BY = {"runs-on": "labels", "environment": "name"}


class Around(msgspec.Struct, frozen=True):
    """What the pipeline says for all its jobs."""

    env: Mapping[str, str]
    defaults: steps.Defaults


def read(node: nodes.Node, *, around: Around, problems: Problems) -> tuple[Job, ...]:
    """The jobs in the order of the file.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#jobs
    """
    if not isinstance(node, nodes.Mapping) or not node.entries:
        problems.add(node.place, "`jobs` has to be a mapping with at least one job, e.g. `test:` with its `steps`.")
        return ()
    if len(node.entries) > MAX_JOBS:
        problems.add(node.place, f"The pipeline has {len(node.entries)} jobs: at most {MAX_JOBS}.")
        return ()
    found = [_job(key, value, around, problems) for key, value in node.entries]
    jobs = tuple(one for one in found if one is not None)
    entries = {key.text: value for key, value in node.entries}
    _check_names(jobs, entries=entries, problems=problems)
    known = {one.plan.key: one.plan.needs for one in jobs}
    wanted = {key: known.get(key, ()) for key in entries}
    needs.check(wanted, places={key: _place(value, "needs") for key, value in entries.items()}, problems=problems)
    for one in jobs:
        _check_what_is_needed(one.plan, entries[one.plan.key], entries, problems)
    return jobs


def _job(key: nodes.Scalar, node: nodes.Node, around: Around, problems: Problems) -> Job | None:
    if not _KEY.fullmatch(key.text):
        problems.add(
            key.place,
            f"{quoted(key.text)} cannot name a job: use letters, digits, `-` and `_`, a letter or `_` first,"
            " at most 100 characters.",
        )
    given = fields.keys(node, of=vocabulary.JOB, problems=problems)
    if given is None:
        return None
    if "steps" not in given and fields.entry(node, "uses") is None:
        problems.add(
            key.place, f"The job {quoted(key.text)} has no `steps`: write what to run, e.g. `- run: make test`."
        )
    late: dict[str, str] = {}
    for word in _LATE:
        values = _values(given, word)
        found = [reading.late(value, place=names.JOB, problems=problems) for value in values]
        if any(found):
            late[word] = ", ".join(value.text for value in values)
    matrix: Matrix | None = None
    known: Mapping[str, Any] = {}
    of_strategy: Mapping[str, str] = {}
    if "strategy" in given:
        matrix, known, of_strategy = strategy.read(given["strategy"], problems=problems)
    own = _Reader({word: value for word, value in given.items() if word not in late}, problems)
    env = own.read("env", lambda value: fields.environment(value, problems=problems, place=names.JOB_ENV), {})
    chosen = steps.defaults(given.get("defaults"), before=around.defaults, place=names.JOB, problems=problems)
    done = own.read("steps", lambda value: steps.read(value, defaults=chosen, problems=problems), [])
    plan = job.Plan(
        key=key.text,
        name=own.read("name", lambda value: fields.name(value, what="The job's `name`", problems=problems), None)
        or key.text,
        steps=tuple(one.step for one in done),
        needs=own.read("needs", lambda value: _needs(value, problems), ()),
        env=env,
        timeout_minutes=own.read("timeout-minutes", lambda value: steps.minutes(value, problems), None) or 360.0,
        runs_on=own.read("runs-on", lambda value: _runs_on(value, problems), None),
        condition=own.read("if", lambda value: reading.condition(value, place=names.JOB_IF, problems=problems), None),
        fail_fast=known.get("fail-fast", True),
        max_parallel=known.get("max-parallel"),
        continue_on_error=own.read(
            "continue-on-error",
            lambda value: fields.boolean(value, what="`continue-on-error`", problems=problems),
            False,
        ),
        outputs=own.read("outputs", lambda value: _outputs(value, problems), {}),
        environment=own.read("environment", lambda value: _environment(value, problems), None),
        engine=own.read("engine", lambda value: fields.name(value, what="`engine`", problems=problems), None),
        container=own.read("container", lambda value: container.read(value, problems=problems), None),
        services=own.read("services", lambda value: container.read_services(value, problems=problems), {}),
        secrets=own.read("secrets", lambda value: secrets.read(value, problems=problems), {}),
        reports=own.read("reports", lambda value: reports.read(value, problems), job.Reports()),
        artifacts=own.read("artifacts", lambda value: keeping.read_artifacts(value, problems=problems), ()),
        caches=own.read("cache", lambda value: keeping.read_caches(value, problems=problems), ()),
        line=key.place.line,
    )
    plan = replace(plan, secret_names=_secret_names(plan, around.env))
    _check_scripts(plan, node, around, matrix, problems)
    return Job(
        plan=plan,
        matrix=matrix,
        late={**late, **of_strategy},
        late_of_steps={position: one.late for position, one in enumerate(done) if one.late},
        has_name="name" in given,
    )


def _values(given: Mapping[str, nodes.Node], word: str) -> list[nodes.Scalar]:
    """The single values of a key: those that may hold an expression that is evaluated when a build is planned."""
    node = given.get(word)
    if isinstance(node, nodes.Mapping) and word in _NAMED_BY:
        node = fields.entry(node, _NAMED_BY[word])
    items = node.items if isinstance(node, nodes.Sequence) and word == "runs-on" else (node,)
    found = [one for one in items if isinstance(one, nodes.Scalar)]
    return found if len(found) == len(items) else []


class _Reader:
    """Reads the keys that are there."""

    def __init__(self, given: Mapping[str, nodes.Node], problems: Problems) -> None:
        self._given = given
        self._problems = problems

    def read(self, key: str, read: Callable[[nodes.Node], Any], absent: Any) -> Any:
        return read(self._given[key]) if key in self._given else absent


def _needs(node: nodes.Node, problems: Problems) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for _, key in fields.texts(node, what="`needs`", problems=problems)))


def _runs_on(node: nodes.Node, problems: Problems) -> str | None:
    if (labels := fields.entry(node, "labels")) is not None:
        node = labels
    return ", ".join(label for _, label in fields.texts(node, what="`runs-on`", problems=problems)) or None


def _environment(node: nodes.Node, problems: Problems) -> str | None:
    named = fields.entry(node, "name") if isinstance(node, nodes.Mapping) else node
    if named is None:
        problems.add(node.place, "`environment` needs `name`.")
        return None
    return fields.name(named, what="`environment`", problems=problems)


def _outputs(node: nodes.Node, problems: Problems) -> Mapping[str, str]:
    found = {}
    for key, value in fields.entries(node, what="`outputs`", problems=problems):
        if not _KEY.fullmatch(key.text):
            problems.add(key.place, f"{quoted(key.text)} cannot name an output: use letters, digits, `-` and `_`.")
        elif not isinstance(value, nodes.Scalar):
            problems.add(
                value.place, f"The output {quoted(key.text)} has to be text, e.g. `${{{{ steps.a.outputs.b }}}}`."
            )
        else:
            found[key.text] = reading.text(value, place=names.OUTPUTS, problems=problems)
    return found


def _texts_of(plan: job.Plan) -> list[str]:
    found = [*plan.env.values(), *plan.outputs.values()]
    for step in plan.steps:
        found += [step.run, *step.env.values()]
    for cache in plan.caches:
        found += [cache.key, *cache.restore_keys]
    for one in (plan.container, *plan.services.values()):
        found += one.env.values() if one is not None else ()
    return [text for text in found if templates.has_expression(text)]


def _conditions_of(plan: job.Plan) -> list[str]:
    given = [plan.condition, *(step.condition for step in plan.steps)]
    return [f"${{{{ {one} }}}}" for one in given if one is not None]


def _ways(texts: list[str]) -> list[tuple[str, ...]]:
    return [way for text in texts for tree in injection.trees(text) for way in names.paths(tree)]


def _secret_names(plan: job.Plan, env: Mapping[str, str]) -> tuple[str, ...]:
    texts = [*_texts_of(plan), *(value for value in env.values() if templates.has_expression(value))]
    named = [way[1].upper() for way in _ways(texts) if way[0] == "secrets" and len(way) > 1 and way[1] != "*"]
    return tuple(dict.fromkeys([*plan.secrets.values(), *named]))


def _check_scripts(plan: job.Plan, node: nodes.Node, around: Around, matrix: Matrix | None, problems: Problems) -> None:
    items = fields.entry(node, "steps")
    if not isinstance(items, nodes.Sequence):
        return
    by_line = {item.place.line: item for item in items.items}
    for step in plan.steps:
        scopes = injection.Scopes((around.env, plan.env, step.env), matrix)
        wrong = injection.problem(step.run, scopes) if templates.has_expression(step.run) else None
        if wrong is not None:
            start = (fields.entry(by_line[step.line], "run") or by_line[step.line]).place
            problems.add(problems.place_of(templates.OPEN, after=start), wrong)


def _check_what_is_needed(plan: job.Plan, node: nodes.Node, keys: Iterable[str], problems: Problems) -> None:
    """`needs.x` and `steps.x` have to name what is there.

    :param keys: of all jobs of the file.
    """
    needed = {one.lower(): one for one in plan.needs}
    steps_of = {one.id.lower(): one.id for one in plan.steps if one.id is not None}
    for way in _ways([*_texts_of(plan), *_conditions_of(plan)]):
        if len(way) < 2 or way[1] == "*":
            continue
        written = f"{way[0]}.{way[1]}"
        if way[0] == "needs" and way[1] not in needed:
            others = {one.lower(): one for one in keys if one != plan.key}
            if way[1] in others:
                hint = f"add {quoted(others[way[1]])} to `needs`."
            else:
                hint = f"it needs no such job. {did_you_mean(way[1], needed.values())}".rstrip()
            text = f"`{written}` is not known in {quoted(plan.key)}: {hint}"
        elif way[0] == "steps" and way[1] not in steps_of:
            hint = did_you_mean(way[1], steps_of.values()) or f"Give that step `id: {way[1]}`."
            text = f"`{written}` is no step of {quoted(plan.key)}. {hint}"
        else:
            continue
        problems.add(problems.place_of(written, after=node.place), text)


def _check_names(jobs: tuple[Job, ...], *, entries: Mapping[str, nodes.Node], problems: Problems) -> None:
    seen: dict[str, Job] = {}
    for one in jobs:
        if one.matrix is not None or "name" in one.late:
            continue
        first = seen.setdefault(one.plan.name, one)
        if first is not one:
            problems.add(
                _place(entries[one.plan.key], "name"),
                f"The job in line {first.plan.line} has the name {quoted(one.plan.name)} too:"
                " checks are told apart by it, so choose another.",
            )


def _place(node: nodes.Node, word: str) -> Place:
    return (fields.entry(node, word) or node).place
