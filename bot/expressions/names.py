"""The contexts and functions that an expression may name, by where it stands; and what it names. Pure.

https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#context-availability
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.expressions.syntax import Tree

#: Fewest and most arguments of each function; None for no limit.
FUNCTIONS: dict[str, tuple[str, int, int | None]] = {
    "contains": ("contains", 2, 2),
    "startswith": ("startsWith", 2, 2),
    "endswith": ("endsWith", 2, 2),
    "format": ("format", 1, None),
    "join": ("join", 1, 2),
    "tojson": ("toJSON", 1, 1),
    "fromjson": ("fromJSON", 1, 1),
    "hashfiles": ("hashFiles", 1, None),
    "success": ("success", 0, 0),
    "failure": ("failure", 0, 0),
    "always": ("always", 0, 0),
    "cancelled": ("cancelled", 0, 0),
}
STATUS = frozenset({"success", "failure", "always", "cancelled"})
#: What Actions has and there is nothing for here, with what to do instead.
_ABSENT = {
    "vars": "there are no variables of a repository here: write the value in `env`",
    "jobs": "it is for reusable workflows, which there are not here",
}
CONTEXTS = frozenset(
    {"github", "env", "matrix", "needs", "steps", "secrets", "inputs", "strategy", "job", "runner"},
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: what it may name there."""

    #: For sentences, e.g. "`if` of a job".
    name: str
    contexts: frozenset[str]
    #: Besides those that are everywhere.
    functions: frozenset[str] = frozenset()


_KNOWN_WHEN_PLANNED = frozenset({"github", "inputs"})
_OF_A_JOB = _KNOWN_WHEN_PLANNED | {"strategy", "matrix"}
_WHEN_IT_STARTS = _OF_A_JOB | {"needs", "secrets"}
_IN_A_STEP = _WHEN_IT_STARTS | {"job", "runner", "env", "steps"}

TOP_ENV = Place("`env`", _KNOWN_WHEN_PLANNED | {"secrets"})
GROUP = Place("`concurrency`", _KNOWN_WHEN_PLANNED)
MATRIX = Place("`strategy`", _KNOWN_WHEN_PLANNED)
JOB = Place("a job", _OF_A_JOB)
JOB_IF = Place("`if` of a job", _KNOWN_WHEN_PLANNED | {"needs"}, STATUS)
JOB_ENV = Place("`env` of a job", _WHEN_IT_STARTS)
OUTPUTS = Place("`outputs` of a job", _IN_A_STEP)
STEP = Place("a step", _IN_A_STEP, frozenset({"hashfiles"}))
STEP_NAME = Place("`name` of a step", _OF_A_JOB)
STEP_IF = Place("`if` of a step", _IN_A_STEP - {"secrets"}, STATUS | {"hashfiles"})
CACHE = Place("`cache`", _OF_A_JOB | {"needs", "env", "runner"}, frozenset({"hashfiles"}))


def problem(tree: Tree, place: Place) -> str | None:
    """What is wrong with the names in an expression at a place: a sentence for people, None where nothing is."""
    for one in walk(tree):
        found = None
        if one[0] == "name":
            found = _about_context(one[1], place)
        elif one[0] == "call":
            found = _about_function(one[1], len(one) - 2, place)
        if found is not None:
            return found
    return None


def walk(tree: Tree) -> Iterator[Tree]:
    """A tree and all that it is made of, from the outside in."""
    yield tree
    if tree[0] not in ("value", "name"):
        for one in tree[1:]:
            if isinstance(one, tuple):
                yield from walk(one)


def uses(tree: Tree, *functions: str) -> bool:
    """Whether one of these functions is called anywhere in it."""
    return any(one[0] == "call" and one[1] in functions for one in walk(tree))


def path(tree: Tree) -> tuple[str, ...] | None:
    """The names of a way such as `steps.build.outputs.tag`, in lower case; `*` where the way is not known before.

    None where it begins with something else than a context.
    """
    if tree[0] == "name":
        return (tree[1],)
    if tree[0] not in ("get", "all"):
        return None
    before = path(tree[1])
    if before is None:
        return None
    is_known = tree[0] == "get" and tree[2][0] == "value" and isinstance(tree[2][1], str)
    return (*before, tree[2][1].lower() if is_known else "*")


def paths(tree: Tree) -> Iterator[tuple[str, ...]]:
    """The longest ways that an expression names."""
    found = path(tree)
    if found is not None:
        yield found
        while tree[0] in ("get", "all"):
            if tree[0] == "get" and path(tree[2]) is not None:
                yield from paths(tree[2])
            tree = tree[1]
        return
    if tree[0] not in ("value", "name"):
        for one in tree[1:]:
            if isinstance(one, tuple):
                yield from paths(one)


def _about_context(name: str, place: Place) -> str | None:
    if name in place.contexts:
        return None
    if name in _ABSENT:
        return f"`{name}` is not supported: {_ABSENT[name]}."
    if name in FUNCTIONS:
        return f"`{FUNCTIONS[name][0]}` is a function: write `{FUNCTIONS[name][0]}()`."
    known = ", ".join(f"`{one}`" for one in sorted(place.contexts))
    if name in CONTEXTS:
        return f"`{name}` is not known in {place.name}: {known} are."
    close = difflib.get_close_matches(name[:40], sorted(place.contexts), n=1)
    hint = f"Did you mean `{close[0]}`?" if close else f"Known in {place.name}: {known}. Text needs single quotes."
    return f"`{name[:40]}` is not a context. {hint}"


def _about_function(name: str, given: int, place: Place) -> str | None:
    if name not in FUNCTIONS:
        close = difflib.get_close_matches(name[:40], sorted(FUNCTIONS), n=1)
        hint = (
            f"Did you mean `{FUNCTIONS[close[0]][0]}`?"
            if close
            else "Known: " + ", ".join(f"`{shown}`" for shown, _, _ in FUNCTIONS.values())
        )
        return f"`{name[:40]}` is not a function. {hint}"
    shown, fewest, most = FUNCTIONS[name]
    if name in STATUS | {"hashfiles"} and name not in place.functions:
        where = "`if`" if name in STATUS else "a step, or in `cache`"
        return f"`{shown}` can only be called in {where}."
    if given < fewest or (most is not None and given > most):
        counts = f"{fewest}" if most == fewest else f"at least {fewest}" if most is None else f"{fewest} or {most}"
        return f"`{shown}` takes {counts} argument{'' if counts.endswith('1') else 's'}, not {given}."
    return None
