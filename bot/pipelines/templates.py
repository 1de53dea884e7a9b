"""Reads values that may hold expressions: each is checked where it stands, and kept as text until it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bot.expressions import evaluate, names, syntax, templates, values
from bot.pipelines import nodes, scalars
from bot.pipelines.problems import Place, Problems, quoted


def check(text: str, *, at: Place, place: names.Place, problems: Problems) -> bool:
    """Note what is wrong with the expressions in a text; gives whether nothing is."""
    is_right = True
    for tree, start, source in _trees(text, at=at, problems=problems):
        wrong = None if tree is None else names.problem(tree, place)
        if wrong is not None:
            problems.add(problems.place_of(source, after=start), wrong)
        is_right = is_right and tree is not None and wrong is None
    return is_right


def trees(text: str) -> list[syntax.Tree]:
    """The expressions of a text that was checked."""
    return [syntax.parse(part) for is_expression, _, part in templates.parts(text) if is_expression]


def _trees(text: str, *, at: Place, problems: Problems) -> Iterator[tuple[syntax.Tree | None, Place, str]]:
    try:
        parts = templates.parts(text)
    except ValueError:
        problems.add(at, "An expression is not closed: write `}}` behind it.")
        yield None, at, ""
        return
    for is_expression, _, part in parts:
        if not is_expression:
            continue
        if not problems.may_read_expression(part, at=at):
            yield None, at, part
            return
        try:
            yield syntax.parse(part), at, part
        except syntax.SyntaxProblem as wrong:
            problems.add(problems.place_of(part[wrong.at :] or part, after=at), wrong.text)
            yield None, at, part


def text(node: nodes.Scalar, *, place: names.Place, problems: Problems) -> str:
    """A value as an environment variable gets it, with its expressions still in it."""
    if templates.has_expression(node.text):
        check(node.text, at=node.place, place=place, problems=problems)
        return node.text
    return scalars.printed(node)


def condition(node: nodes.Node, *, place: names.Place, problems: Problems) -> str | None:
    """An `if`: one expression, with or without `${{ }}`; None where it cannot be read.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idif
    """
    if not isinstance(node, nodes.Scalar) or scalars.is_null(node) or not node.text.strip():
        problems.add(node.place, "`if` has to be an expression, e.g. `github.ref == 'refs/heads/main'`.")
        return None
    source = node.text.strip()
    if not templates.has_expression(source):
        source = f"${{{{ {source} }}}}"
    try:
        parts = templates.parts(source)
    except ValueError:
        parts = []
    if len(parts) != 1:
        # In Actions such a text is never empty, and so always true.
        problems.add(node.place, "`if` has to be one expression: write all of it inside of `${{ }}`, or none of it.")
        return None
    return parts[0][2].strip() if check(source, at=node.place, place=place, problems=problems) else None


def late(node: nodes.Scalar, *, place: names.Place, problems: Problems) -> str | None:
    """The text of a value that is known when a build is planned, where an expression gives it; None where none does."""
    if not templates.has_expression(node.text):
        return None
    check(node.text, at=node.place, place=place, problems=problems)
    return node.text


def compiled(text: str) -> tuple[Any, ...]:
    """A checked text as `bot.expressions.templates` evaluates it."""
    return tuple(syntax.parse(part) if is_expression else part for is_expression, _, part in templates.parts(text))


def value(text: str, contexts: Mapping[str, Any]) -> Any:
    """What a checked text gives when a build is planned.

    :raises evaluate.EvaluationProblem: if it has no value.
    """
    return templates.value(compiled(text), contexts)


def shown(text: str, contexts: Mapping[str, Any]) -> str:
    """The same as text for people: one line.

    :raises evaluate.EvaluationProblem: if it has no value.
    """
    return " ".join(values.text(value(text, contexts)).split())


def refuse(node: nodes.Scalar, *, what: str, problems: Problems) -> bool:
    """Note that no expression can stand here, if one does; gives whether one does."""
    if not templates.has_expression(node.text):
        return False
    problems.add(
        problems.place_of(templates.OPEN, after=node.place),
        f"{what} cannot hold an expression: write {quoted(node.text)} out.",
    )
    return True


__all__ = ["check", "compiled", "condition", "evaluate", "late", "refuse", "shown", "text", "trees", "value"]
