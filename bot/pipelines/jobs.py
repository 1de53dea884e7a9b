"""Reads `jobs`: each job with its steps, and the order that `needs` asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bot.model import job
from bot.pipelines import fields, needs, nodes, scalars, vocabulary
from bot.pipelines.problems import Place, Problems, quoted

MAX_JOBS = 256
MAX_TIMEOUT_MINUTES = 4320
_MAX_STEP_NAME = 80
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_MINUTES = f"a number of minutes above 0 and at most {MAX_TIMEOUT_MINUTES}"


def read(node: nodes.Node, *, problems: Problems) -> tuple[job.Plan, ...]:
    """The jobs in the order of the file.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#jobs
    """
    if not isinstance(node, nodes.Mapping) or not node.entries:
        problems.add(node.place, "`jobs` has to be a mapping with at least one job, e.g. `test:` with its `steps`.")
        return ()
    if len(node.entries) > MAX_JOBS:
        problems.add(node.place, f"The pipeline has {len(node.entries)} jobs: at most {MAX_JOBS}.")
        return ()
    found = [_job(key, value, problems) for key, value in node.entries]
    jobs = tuple(one for one in found if one is not None)
    entries = {key.text: value for key, value in node.entries}
    _check_names(jobs, entries=entries, problems=problems)
    known = {one.key: one.needs for one in jobs}
    wanted = {key: known.get(key, ()) for key in entries}
    needs.check(wanted, places={key: _place(value, "needs") for key, value in entries.items()}, problems=problems)
    return jobs


def _job(key: nodes.Scalar, node: nodes.Node, problems: Problems) -> job.Plan | None:
    if not _KEY.fullmatch(key.text):
        problems.add(
            key.place,
            f"{quoted(key.text)} cannot name a job: use letters, digits, `-` and `_`, a letter or `_` first,"
            " at most 100 characters.",
        )
    given = fields.keys(node, of=vocabulary.JOB, problems=problems)
    if given is None:
        return None
    name = fields.name(given["name"], what="The job's `name`", problems=problems) if "name" in given else None
    if "steps" not in given and _entry(node, "uses") is None:
        problems.add(
            key.place, f"The job {quoted(key.text)} has no `steps`: write what to run, e.g. `- run: make test`."
        )
    return job.Plan(
        key=key.text,
        name=name or key.text,
        steps=_steps(given["steps"], problems) if "steps" in given else (),
        needs=_needs(given.get("needs"), problems),
        env=fields.environment(given["env"], problems=problems) if "env" in given else {},
        timeout_minutes=_minutes(given["timeout-minutes"], problems) if "timeout-minutes" in given else 360.0,
        runs_on=_runs_on(given.get("runs-on"), problems),
        line=key.place.line,
    )


def _steps(node: nodes.Node, problems: Problems) -> tuple[job.Step, ...]:
    if not isinstance(node, nodes.Sequence) or not node.items:
        problems.add(node.place, "`steps` has to be a list with at least one step, e.g. `- run: make test`.")
        return ()
    found = [_step(item, problems) for item in node.items]
    return tuple(step for step in found if step is not None)


def _step(node: nodes.Node, problems: Problems) -> job.Step | None:
    if isinstance(node, nodes.Scalar):
        problems.add(node.place, "A step has to be a mapping: write `run:` before the command.")
        return None
    if (action := _entry(node, "uses")) is not None:
        problems.add(action.place, _instead_of_action(action))
        return None
    given = fields.keys(node, of=vocabulary.STEP, problems=problems)
    if given is None:
        return None
    if "run" not in given:
        problems.add(node.place, "A step needs `run`: the command to run.")
        return None
    run = fields.text(given["run"], what="`run`", problems=problems) or ""
    name = fields.name(given["name"], what="The step's `name`", problems=problems) if "name" in given else None
    return job.Step(
        name=name or _name_of_command(run),
        run=run,
        env=fields.environment(given["env"], problems=problems) if "env" in given else {},
        working_directory=_folder(given.get("working-directory"), problems),
        line=node.place.line,
    )


def _instead_of_action(node: nodes.Node) -> str:
    name = node.text if isinstance(node, nodes.Scalar) else ""
    for start, instead in vocabulary.USELESS_ACTIONS.items():
        if name.startswith(start):
            return f"`uses: {quoted(name)[1:]} is not supported: {instead}."
    return f"`uses` is not supported: {vocabulary.STEP.unsupported['uses']}."


def _name_of_command(run: str) -> str:
    first = next((line.strip() for line in run.splitlines() if line.strip()), "")
    shown = "".join(one if one.isprintable() else " " for one in first)
    return shown if len(shown) <= _MAX_STEP_NAME else f"{shown[: _MAX_STEP_NAME - 1]}…"


def _needs(node: nodes.Node | None, problems: Problems) -> tuple[str, ...]:
    if node is None:
        return ()
    return tuple(dict.fromkeys(key for _, key in fields.texts(node, what="`needs`", problems=problems)))


def _runs_on(node: nodes.Node | None, problems: Problems) -> str | None:
    if node is None:
        return None
    return ", ".join(label for _, label in fields.texts(node, what="`runs-on`", problems=problems)) or None


def _minutes(node: nodes.Node, problems: Problems) -> float:
    minutes = scalars.number(node) if isinstance(node, nodes.Scalar) else None
    if minutes is None or not 0 < minutes <= MAX_TIMEOUT_MINUTES:
        problems.add(node.place, f"`timeout-minutes` has to be {_MINUTES}, without quotes.")
        return 360.0
    return minutes


def _folder(node: nodes.Node | None, problems: Problems) -> str:
    if node is None:
        return "."
    path = fields.text(node, what="`working-directory`", problems=problems) or "."
    parts: list[str] = []
    is_outside = path.startswith("/")
    for part in path.split("/"):
        if part == "..":
            is_outside = is_outside or not parts
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    if is_outside:
        problems.add(
            node.place, "`working-directory` has to be a folder of the repository: write it relative to its root."
        )
        return "."
    return "/".join(parts) or "."


def _check_names(jobs: tuple[job.Plan, ...], *, entries: Mapping[str, nodes.Node], problems: Problems) -> None:
    seen: dict[str, job.Plan] = {}
    for one in jobs:
        first = seen.setdefault(one.name, one)
        if first is not one:
            problems.add(
                _place(entries[one.key], "name"),
                f"The job in line {first.line} has the name {quoted(one.name)} too:"
                " checks are told apart by it, so choose another.",
            )


def _place(node: nodes.Node, word: str) -> Place:
    return (_entry(node, word) or node).place


def _entry(node: nodes.Node, word: str) -> nodes.Node | None:
    if not isinstance(node, nodes.Mapping):
        return None
    return next((value for key, value in node.entries if key.text == word), None)
