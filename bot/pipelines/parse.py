"""`parse`: the text of a pipeline file in, a pipeline or all of its problems out, in bounded time."""

from __future__ import annotations

from collections.abc import Mapping

from bot.expressions import names
from bot.pipelines import concurrency, fields, jobs, nodes, scalars, steps, triggers, vocabulary
from bot.pipelines.document import Job, Parsed, Pipeline
from bot.pipelines.problems import START, Place, Problems

PATH = ".buildhook.yml"
#: Characters of `env` of the pipeline, times its jobs: each job gets a copy.
MAX_COPIED_ENV = 1024 * 1024


def parse(text: str | bytes, *, path: str = PATH) -> Parsed:
    """Read a pipeline file. Never raises for what the file says.

    :param text: the file's content; bytes have to be UTF-8.
    :param path: the file's path in the repository, for its problems.
    """
    problems = Problems(path)
    pipeline = _read(text, problems)
    if problems.has_any:
        return Parsed(pipeline=None, problems=problems.in_order())
    return Parsed(pipeline=pipeline)


def prepare() -> None:
    """Load what the first file would wait for: the parsers of YAML and of expressions. To be called from a thread."""
    parse("on: push\njobs: {first: {if: success(), steps: [{run: echo ok}]}}\n")


def _read(text: str | bytes, problems: Problems) -> Pipeline | None:
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = wrong.object.count(b"\n", 0, wrong.start) + 1
        problems.add(Place(line, 1), "The file is not UTF-8: save it as UTF-8.")
        return None
    problems.know(decoded)
    # With the first file: a service is ready before there is one.
    from bot.pipelines import composing

    root = composing.compose(decoded, problems=problems)
    if root is None and problems.has_any:
        return None
    if root is None or scalars.is_null(root):
        problems.add(START, "The file is empty: it needs `on` and `jobs`.")
        return None
    return _pipeline(root, problems)


def _pipeline(root: nodes.Node, problems: Problems) -> Pipeline | None:
    given = fields.keys(root, of=vocabulary.PIPELINE, problems=problems)
    if given is None:
        return None
    for key, example in (("on", "`on: [push, pull_request]`"), ("jobs", "`jobs:` with at least one job")):
        if key not in given:
            problems.add(root.place, f"The pipeline has no `{key}`: write {example}.")
    name = fields.name(given["name"], what="`name`", problems=problems) if "name" in given else None
    env = fields.environment(given["env"], problems=problems, place=names.TOP_ENV) if "env" in given else {}
    defaults = steps.defaults(given.get("defaults"), before=steps.Defaults(), place=names.GROUP, problems=problems)
    on = triggers.read(given["on"], problems=problems) if "on" in given else {}
    group = concurrency.read(given["concurrency"], problems=problems) if "concurrency" in given else None
    around = jobs.Around(env=env, defaults=defaults)
    made = jobs.read(given["jobs"], around=around, problems=problems) if "jobs" in given else ()
    if "env" in given:
        _check_copies(env, jobs=made, place=given["env"].place, problems=problems)
    on_line = fields.lines(root).get("on", 1)
    return Pipeline(name=name or "", on=on, jobs=made, env=env, concurrency=group, on_line=on_line)


def _check_copies(env: Mapping[str, str], *, jobs: tuple[Job, ...], place: Place, problems: Problems) -> None:
    size = len(jobs) * sum(len(name) + len(value) + 1 for name, value in env.items())
    if size > MAX_COPIED_ENV:
        problems.add(
            place, f"`env` is too large for {len(jobs)} jobs, which all get it: move it into the jobs that need it."
        )
