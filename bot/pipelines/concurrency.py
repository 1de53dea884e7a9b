"""Reads `concurrency`: the group whose builds run one after the other, and what a new build does to an older one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bot.expressions import evaluate, names, values
from bot.expressions import templates as expressions
from bot.pipelines import fields, nodes, templates, vocabulary
from bot.pipelines.document import Concurrency
from bot.pipelines.problems import Problems, did_you_mean, quoted


def read(node: nodes.Node, *, problems: Problems) -> Concurrency | None:
    """The group, or None where it cannot be read; then there is a problem.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#concurrency
    """
    if isinstance(node, nodes.Scalar):
        name = _name(node, what="`concurrency`", problems=problems)
        return None if name is None else Concurrency(group=name)
    given = fields.keys(node, of=vocabulary.CONCURRENCY, problems=problems)
    if given is None:
        return None
    if "group" not in given:
        problems.add(node.place, "`concurrency` needs `group`: a name, e.g. `group: deploy`.")
        return None
    name = _name(given["group"], what="`concurrency.group`", problems=problems)
    cancels = _cancels(given["cancel-in-progress"], problems) if "cancel-in-progress" in given else False
    is_per_ref = _is_per_ref(given["scope"], problems) if "scope" in given else True
    if name is None:
        return None
    return Concurrency(group=name, cancel_in_progress=cancels, is_per_ref=is_per_ref)


def _name(node: nodes.Node, *, what: str, problems: Problems) -> str | None:
    if isinstance(node, nodes.Scalar):
        late = templates.late(node, place=names.GROUP, problems=problems)
        if late is not None:
            return late
    return fields.name(node, what=what, problems=problems)


def _cancels(node: nodes.Node, problems: Problems) -> bool | str:
    if isinstance(node, nodes.Scalar):
        late = templates.late(node, place=names.GROUP, problems=problems)
        if late is not None:
            return late
    return fields.boolean(node, what="`cancel-in-progress`", problems=problems)


def planned(concurrency: Concurrency, contexts: Mapping[str, Any]) -> Concurrency:
    """The group of one event.

    :param contexts: what its expressions may name.
    :raises evaluate.EvaluationProblem: if one has no value, or not the right one.
    """
    group, cancels = concurrency.group, concurrency.cancel_in_progress
    if expressions.has_expression(group):
        group = templates.shown(group, contexts)[: fields.MAX_NAME]
        if not group:
            raise evaluate.EvaluationProblem("`concurrency.group` gives empty text.")
    if isinstance(cancels, str):
        cancels = values.is_true(templates.value(cancels, contexts))
    return replace(concurrency, group=group, cancel_in_progress=cancels)


def _is_per_ref(node: nodes.Node, problems: Problems) -> bool:
    scope = fields.text(node, what="`concurrency.scope`", problems=problems)
    if scope is not None and scope not in vocabulary.SCOPES:
        text = f"{quoted(scope)} is not a scope of `concurrency`. {did_you_mean(scope, vocabulary.SCOPES)}"
        problems.add(node.place, text)
    return scope != "repository"


def key(concurrency: Concurrency, *, ref: str) -> str:
    """What tells the group apart from the others of its repository; groups of refs never meet those of all refs.

    :param ref: of the build, fully qualified.
    """
    # A ref holds no space, so that no name of a group can look like another ref's.
    name = concurrency.group.lower()
    return f"{ref} {name}" if concurrency.is_per_ref else f"* {name}"
