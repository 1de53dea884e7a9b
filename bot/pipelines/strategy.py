"""Reads `strategy`: the matrix, and how its jobs run beside each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.expressions import names, templates
from bot.pipelines import fields, matrix, nodes, scalars, vocabulary
from bot.pipelines import templates as reading
from bot.pipelines.document import Matrix
from bot.pipelines.problems import Problems, quoted

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


def read(node: nodes.Node, *, problems: Problems) -> tuple[Matrix | None, Mapping[str, Any], Mapping[str, str]]:
    """The matrix, what of the rest is known, and what of it an expression gives.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategy
    """
    given = fields.keys(node, of=vocabulary.STRATEGY, problems=problems) or {}
    known: dict[str, Any] = {}
    late: dict[str, str] = {}
    for key in ("fail-fast", "max-parallel"):
        value = given.get(key)
        if value is None:
            continue
        text = reading.late(value, place=names.MATRIX, problems=problems) if isinstance(value, nodes.Scalar) else None
        if text is not None:
            late[key] = text
        elif key == "fail-fast":
            known[key] = fields.boolean(value, what="`fail-fast`", problems=problems)
        else:
            known[key] = _places(value, problems)
    found = _matrix(given["matrix"], problems) if "matrix" in given else None
    if found is not None and not problems.has_any and not _has_expression(found):
        _check(found, given["matrix"], problems)
    return found, known, late


def _has_expression(found: Matrix) -> bool:
    return found.whole is not None or _is_late([found.axes, found.include, found.exclude])


def _is_late(value: Any) -> bool:
    if isinstance(value, str):
        return templates.has_expression(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(map(_is_late, inner))


def _check(found: Matrix, node: nodes.Node, problems: Problems) -> None:
    """What the file says alone can be told before any event."""
    try:
        matrix.expand(found, {})
    except matrix.MatrixProblem as wrong:
        problems.add(node.place, str(wrong))


def _places(node: nodes.Node, problems: Problems) -> int | None:
    found = scalars.number(node) if isinstance(node, nodes.Scalar) else None
    if found is None or found < 1 or found != int(found):
        problems.add(node.place, "`max-parallel` has to be a whole number from 1 on, without quotes.")
        return None
    return int(found)


def _matrix(node: nodes.Node, problems: Problems) -> Matrix | None:
    line, column = node.place.line, node.place.column
    if isinstance(node, nodes.Scalar):
        whole = reading.late(node, place=names.MATRIX, problems=problems)
        if whole is None:
            problems.add(node.place, "`matrix` has to be a mapping of names and lists of values.")
            return None
        return Matrix(whole=whole, line=line, column=column)
    axes: dict[str, Sequence[Any] | str] = {}
    more: dict[str, Sequence[Any] | str] = {"include": (), "exclude": ()}
    for key, value in fields.entries(node, what="`matrix`", problems=problems):
        if key.text in more:
            more[key.text] = _list(value, what=f"`{key.text}`", of=nodes.Mapping, problems=problems)
        elif not _NAME.fullmatch(key.text):
            problems.add(
                key.place, f"{quoted(key.text)} cannot name a value of the matrix: use letters, digits, `-`, `_`."
            )
        else:
            axes[key.text] = _list(value, what=quoted(key.text), of=None, problems=problems)
    if not axes and not more["include"]:
        problems.add(node.place, "`matrix` has no values: name some, e.g. `python: ['3.12', '3.13']`.")
        return None
    return Matrix(axes=axes, include=more["include"], exclude=more["exclude"], line=line, column=column)


def _list(node: nodes.Node, *, what: str, of: type[nodes.Mapping] | None, problems: Problems) -> Sequence[Any] | str:
    if isinstance(node, nodes.Scalar):
        late = reading.late(node, place=names.MATRIX, problems=problems)
        if late is not None:
            return late
    if not isinstance(node, nodes.Sequence) or (not node.items and of is None):
        kind = "a list of mappings" if of is not None else "a list of values"
        problems.add(node.place, f"{what} of the matrix has to be {kind}.")
        return ()
    for item in node.items:
        if of is not None and not isinstance(item, of):
            problems.add(item.place, f"Each item of {what} has to be a mapping of names and values.")
    return tuple(value(item, problems=problems) for item in node.items)


def value(node: nodes.Node, *, problems: Problems) -> Any:
    """A value of the matrix, of its own kind; text in it may hold expressions."""
    if isinstance(node, nodes.Sequence):
        return [value(item, problems=problems) for item in node.items]
    if isinstance(node, nodes.Mapping):
        return {key.text: value(item, problems=problems) for key, item in node.entries}
    if templates.has_expression(node.text):
        reading.check(node.text, at=node.place, place=names.MATRIX, problems=problems)
        return node.text
    if scalars.is_null(node):
        return None
    boolean = scalars.boolean(node)
    if boolean is not None:
        return boolean
    number = scalars.number(node)
    return node.text if number is None else number
