"""Reads `artifacts` and `cache`: what of a job's files is kept, and for whom."""

from __future__ import annotations

import re

from bot.expressions import names, templates
from bot.model import job
from bot.pipelines import fields, globs, nodes, scalars, steps, vocabulary
from bot.pipelines import templates as reading
from bot.pipelines.problems import Problems, quoted

MAX_ARTIFACTS = 100
MAX_CACHES = 20
MAX_RETENTION_DAYS = 400
_MAX_KEY = 512
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,99}")


def read_artifacts(node: nodes.Node, *, problems: Problems) -> tuple[job.Artifact, ...]:
    """The artifacts of a job: each a name and globs of files in the workspace."""
    items = node.items if isinstance(node, nodes.Sequence) else (node,)
    if len(items) > MAX_ARTIFACTS:
        problems.add(node.place, f"The job has {len(items)} artifacts: at most {MAX_ARTIFACTS}.")
        return ()
    found: dict[str, job.Artifact] = {}
    for item in items:
        one = _artifact(item, problems)
        if one is not None and found.setdefault(one.name.lower(), one) is not one:
            problems.add(item.place, f"There is an artifact {quoted(one.name)} already: choose another name.")
    return tuple(found.values())


def _artifact(node: nodes.Node, problems: Problems) -> job.Artifact | None:
    given = fields.keys(node, of=vocabulary.ARTIFACT, problems=problems)
    if given is None:
        return None
    for key, example in (("name", "`name: dist`"), ("path", "`path: dist/**`")):
        if key not in given:
            problems.add(node.place, f"An artifact needs `{key}`, e.g. {example}.")
            return None
    name = fields.name(given["name"], what="The artifact's `name`", problems=problems)
    if name is not None and not _NAME.fullmatch(name):
        problems.add(
            given["name"].place,
            f"{quoted(name)} cannot name an artifact: use letters, digits, spaces and `._+-`, no sign first.",
        )
        return None
    paths = patterns(given["path"], what="`path` of the artifact", problems=problems)
    days = _days(given["retention-days"], problems) if "retention-days" in given else None
    return None if name is None else job.Artifact(name=name, paths=paths, retention_days=days)


def patterns(node: nodes.Node, *, what: str, problems: Problems) -> tuple[str, ...]:
    """Globs of files in the workspace; one with a folder alone takes all that is in it."""
    found = []
    for item, pattern in fields.texts(node, what=what, problems=problems):
        for line in pattern.splitlines():
            one = _pattern(line.strip(), item, problems)
            found += [] if one is None else [one]
    return tuple(found)


def _pattern(text: str, node: nodes.Node, problems: Problems) -> str | None:
    if not text:
        return None
    negation = "!" if text.startswith("!") else ""
    inside = steps.inside(text.removeprefix("!"))
    if inside is None:
        problems.add(node.place, f"{quoted(text)} leads out of the workspace: write it relative to its root.")
        return None
    if inside == "." or text.endswith("/"):
        inside = "**" if inside == "." else f"{inside}/**"
    try:
        globs.compiled(inside)
    except globs.PatternError as wrong:
        problems.add(node.place, f"The pattern {quoted(text)} is wrong: {wrong}")
        return None
    return f"{negation}{inside}"


def _days(node: nodes.Node, problems: Problems) -> int | None:
    found = scalars.number(node) if isinstance(node, nodes.Scalar) else None
    if found is None or not 1 <= found <= MAX_RETENTION_DAYS or found != int(found):
        problems.add(node.place, f"`retention-days` has to be a whole number from 1 to {MAX_RETENTION_DAYS}.")
        return None
    return int(found)


def read_caches(node: nodes.Node, *, problems: Problems) -> tuple[job.Cache, ...]:
    """The caches of a job: each a key and folders."""
    items = node.items if isinstance(node, nodes.Sequence) else (node,)
    if len(items) > MAX_CACHES:
        problems.add(node.place, f"The job has {len(items)} caches: at most {MAX_CACHES}.")
        return ()
    found = [one for item in items if (one := _cache(item, problems)) is not None]
    return tuple(found)


def _cache(node: nodes.Node, problems: Problems) -> job.Cache | None:
    given = fields.keys(node, of=vocabulary.CACHE, problems=problems)
    if given is None:
        return None
    for key, example in (
        ("key", "`key: pip-${{ hashFiles('**/requirements.txt') }}`"),
        ("path", "`path: ~/.cache/pip`"),
    ):
        if key not in given:
            problems.add(node.place, f"A cache needs `{key}`, e.g. {example}.")
            return None
    key = _key(given["key"], problems)
    more = given.get("restore-keys")
    items = () if more is None else more.items if isinstance(more, nodes.Sequence) else (more,)
    restore_keys = tuple(line for item in items for line in _key(item, problems).splitlines() if line.strip())
    paths = []
    for item, text in fields.texts(given["path"], what="`path` of the cache", problems=problems):
        for line in filter(None, map(str.strip, text.splitlines())):
            home, path = ("~/", line.removeprefix("~/")) if line.startswith("~/") else ("", line)
            inside = steps.inside(path)
            if inside in (None, ".") or inside.startswith(".git/") or inside == ".git":
                problems.add(
                    item.place, f"{quoted(line)} cannot be cached: name a folder of the workspace, or below `~/`."
                )
            else:
                paths.append(f"{home}{inside}")
    return job.Cache(key=key, restore_keys=restore_keys, paths=tuple(paths))


def _key(node: nodes.Node, problems: Problems) -> str:
    if isinstance(node, nodes.Scalar) and templates.has_expression(node.text):
        reading.check(node.text, at=node.place, place=names.CACHE, problems=problems)
        return node.text.strip()
    text = (fields.text(node, what="The cache's key", problems=problems) or "").strip()
    if len(text) > _MAX_KEY:
        problems.add(node.place, f"The cache's key has {len(text)} characters: at most {_MAX_KEY}.")
    return text
