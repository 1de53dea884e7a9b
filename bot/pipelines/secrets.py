"""Reads `secrets` of a job: which secrets of the repository its steps have, and in which variables."""

from __future__ import annotations

from collections.abc import Mapping

from bot.expressions import names
from bot.model import secret
from bot.pipelines import fields, nodes
from bot.pipelines.problems import Problems, quoted

_WANTED = "a list of names, e.g. `[DEPLOY_TOKEN]`, or a mapping of variables and names, e.g. `TOKEN: DEPLOY_TOKEN`"


def read(node: nodes.Node, *, problems: Problems) -> Mapping[str, str]:
    """Variable -> name of the secret that it holds. In a list a variable has the secret's own name."""
    if isinstance(node, nodes.Mapping):
        variables = fields.environment(node, problems=problems, place=names.GROUP)
        named = [(key.text, value) for key, value in node.entries if key.text in variables]
        found = {variable: _name(value, problems) for variable, value in named}
    elif isinstance(node, nodes.Sequence) and node.items:
        given = [_name(item, problems) for item in node.items]
        found = {name: name for name in given if name is not None}
    else:
        problems.add(node.place, f"`secrets` has to be {_WANTED}.")
        return {}
    return {variable: name for variable, name in found.items() if name is not None}


def _name(node: nodes.Node, problems: Problems) -> str | None:
    name = fields.text(node, what="A secret's name", problems=problems)
    if name is None:
        return None
    if (why := secret.why_no_name(name)) is not None:
        problems.add(node.place, f"{quoted(name)} cannot name a secret: {why}.")
        return None
    return name
