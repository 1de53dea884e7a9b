"""Whether an expression in a script would put something from outside into it. Pure.

A script is text: what an expression gives becomes a part of it, and runs. What anybody can write, such as a branch's
name, goes through the environment instead, where it stays a value.
https://docs.github.com/en/actions/reference/security/secure-use#good-practices-for-mitigating-script-injection-attacks
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bot.expressions import names, origins, syntax, templates
from bot.pipelines import templates as reading
from bot.pipelines.document import Matrix


class Scopes(msgspec.Struct, frozen=True):
    """What `env` and `matrix` are made of around a script."""

    #: From the pipeline to the step.
    envs: Sequence[Mapping[str, str]]
    matrix: Matrix | None


def problem(run: str, scopes: Scopes) -> str | None:
    """What is wrong with the expressions of a script: a sentence with the safe way; None where nothing is.

    An expression that names what is not there has a problem of its own already.
    """
    for tree in trees(run):
        if names.problem(tree, names.STEP) is not None:
            continue
        way = origins.outside(tree, of=lambda way: _is_outside(way, scopes))
        if way is not None:
            return _sentence(way)
    return None


def trees(text: str) -> list[syntax.Tree]:
    """The expressions of a text; none where one of them is wrong."""
    try:
        return reading.trees(text)
    except (ValueError, syntax.SyntaxProblem):
        # That is a problem of its own, and noted as such.
        return []


def _is_outside(way: origins.Path, scopes: Scopes) -> bool:
    return _is_env_outside(way, scopes) if way[0] == "env" else _is_matrix_outside(way, scopes.matrix)


def _is_env_outside(way: origins.Path, scopes: Scopes) -> bool:
    for depth in range(len(scopes.envs), 0, -1):
        known = {name.lower(): value for name, value in scopes.envs[depth - 1].items()}
        if len(way) > 1 and way[1] in known:
            # A variable is made of what stands around it.
            return _is_any_outside(known[way[1]], Scopes(scopes.envs[: depth - 1], scopes.matrix))
    # Nothing in the file: a step before may have written it.
    return True


def _is_any_outside(text: str, scopes: Scopes) -> bool:
    ways = (origins.outside(tree, of=lambda way: _is_outside(way, scopes)) for tree in trees(text))
    return any(way is not None for way in ways)


def _is_matrix_outside(way: origins.Path, matrix: Matrix | None) -> bool:
    if matrix is None:
        return False
    if matrix.whole is not None:
        return _any_outside(matrix.whole)
    if len(way) < 2 or way[1] == "*":
        return _any_outside([matrix.axes, matrix.include])
    axes = [value for name, value in matrix.axes.items() if name.lower() == way[1]]
    return _any_outside([axes, matrix.include])


def _any_outside(value: Any) -> bool:
    if isinstance(value, str):
        found = trees(value) if templates.has_expression(value) else []
        return any(origins.outside(tree, of=lambda _: True) is not None for tree in found)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(_any_outside(one) for one in inner)


def _sentence(way: origins.Path) -> str:
    shown = origins.shown(way)
    variable = re.sub(r"[^A-Z0-9_]", "_", way[-1].upper()) if way[-1] != "*" else "VALUE"
    if way[0] == "env" and len(way) > 1:
        return f'`{shown}` may hold anything, and would become a part of the script: write `"${variable}"` instead.'
    what = "is a secret" if way[0] == "secrets" else "comes from outside"
    return (
        f"`{shown}` {what}, and would become a part of the script: write `{variable}: ${{{{ {shown} }}}}` under `env`"
        f' of the step, and `"${variable}"` here.'
    )
