"""A matrix and what it expands to: counted before anything is made. Pure.

https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from bot.expressions import templates, values
from bot.pipelines import templates as reading
from bot.pipelines.document import Matrix

#: Jobs of one matrix, as in Actions.
MAX_JOBS = 256
#: Each is compared with every combination.
MAX_EXCLUDED = 1000
_RESERVED = ("include", "exclude")


class MatrixProblem(Exception):
    """A matrix cannot be expanded; the text says why."""


def expand(matrix: Matrix, contexts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of each job by name, in order: the last name changes fastest.

    :param contexts: what its expressions may name.
    :raises MatrixProblem: if there are too many, none, or one of its parts is not what it has to be.
    """
    axes, include, exclude = _parts(matrix, contexts)
    count = math.prod(len(one) for one in axes.values()) if axes else 0
    if len(exclude) > MAX_EXCLUDED:
        raise MatrixProblem(f"`exclude` has {len(exclude)} entries: at most {MAX_EXCLUDED}.")
    if count + len(include) > MAX_JOBS:
        most = f"{count} combinations" + (f" and {len(include)} under `include`" if include else "")
        raise MatrixProblem(f"The matrix has {most}: at most {MAX_JOBS} jobs.")
    made = (
        [dict(zip(axes, combination, strict=True)) for combination in itertools.product(*axes.values())] if axes else []
    )
    left = [one for one in made if not any(_fits(one, without) for without in exclude)]
    found = _included(left, include, of=frozenset(axes))
    if not found:
        raise MatrixProblem(
            "The matrix has no combination left: `exclude` takes all of them out, or its lists are empty."
        )
    return found


def _included(
    left: list[dict[str, Any]], include: Sequence[Mapping[str, Any]], *, of: frozenset[str]
) -> list[dict[str, Any]]:
    # What was added by one may be overwritten by the next; what the names themselves gave may not.
    found = [dict(one) for one in left]
    more: list[dict[str, Any]] = []
    for added in include:
        is_taken = False
        for original, one in zip(left, found, strict=True):
            if all(_is_same(original[name], value) for name, value in added.items() if name in of):
                one.update(added)
                is_taken = True
        if not is_taken:
            more.append(dict(added))
    return [*found, *more]


def _parts(
    matrix: Matrix, contexts: Mapping[str, Any]
) -> tuple[dict[str, list[Any]], list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    axes: Mapping[str, Any] = matrix.axes
    include: Any = matrix.include
    exclude: Any = matrix.exclude
    if matrix.whole is not None:
        whole = reading.value(matrix.whole, contexts)
        if not isinstance(whole, Mapping):
            raise MatrixProblem("`matrix` has to be an object: give one, e.g. by `fromJSON`.")
        axes = {name: one for name, one in whole.items() if name not in _RESERVED}
        include, exclude = (whole.get(name, ()) for name in _RESERVED)
    lists = {name: _values(one, contexts, what=f"`{name[:60]}`") for name, one in axes.items()}
    return lists, _objects(include, contexts, what="`include`"), _objects(exclude, contexts, what="`exclude`")


def _values(found: Any, contexts: Mapping[str, Any], *, what: str) -> list[Any]:
    value = _evaluated(found, contexts)
    if not isinstance(value, list) or not value:
        raise MatrixProblem(f"{what} of the matrix has to be a list of values, and not empty.")
    return value


def _objects(found: Any, contexts: Mapping[str, Any], *, what: str) -> list[Mapping[str, Any]]:
    value = _evaluated(found, contexts)
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise MatrixProblem(f"{what} of the matrix has to be a list of objects.")
    return value


def _evaluated(found: Any, contexts: Mapping[str, Any]) -> Any:
    # What an expression gives is a value: it is not looked at again, whatever it looks like.
    if isinstance(found, str):
        return reading.value(found, contexts) if templates.has_expression(found) else found
    if isinstance(found, Mapping):
        return {name: _evaluated(one, contexts) for name, one in found.items()}
    if isinstance(found, (list, tuple)):
        return [_evaluated(one, contexts) for one in found]
    return found


def _fits(one: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in one and _is_same(one[name], value) for name, value in wanted.items())


def _is_same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_is_same(left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    # In Python `True == 1`.
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def shown(combination: Mapping[str, Any]) -> str:
    """A combination as a job's name shows it: its values, those of objects and lists one by one."""
    return ", ".join(_shown(combination))


def _shown(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [one for inner in value.values() for one in _shown(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in _shown(inner)]
    return [" ".join(values.text(value).split())]
