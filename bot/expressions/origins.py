"""Where the value of an expression comes from: the pipeline file, or outside, where anybody may have written it.

A value from outside that stands in a script becomes a part of it, and runs:
https://docs.github.com/en/actions/concepts/security/script-injections
"""

from __future__ import annotations

from collections.abc import Callable

from bot.expressions import names
from bot.expressions.syntax import Tree

Path = tuple[str, ...]

#: Of the `github` context: what GitHub or we wrote, in an alphabet without signs of a shell.
_SAFE_OF_GITHUB = frozenset(
    {
        "action",
        "actor",
        "actor_id",
        "api_url",
        "event_name",
        "job",
        "ref_type",
        "repository",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "run_attempt",
        "run_id",
        "run_number",
        "server_url",
        "sha",
        "triggering_actor",
        "workspace",
    }
)
#: Of the event: numbers, hexadecimal digits and words of GitHub's.
_SAFE_OF_EVENT = frozenset(
    {
        ("action",),
        ("after",),
        ("before",),
        ("created",),
        ("deleted",),
        ("forced",),
        ("head_commit", "id"),
        ("merge_group", "base_sha"),
        ("merge_group", "head_sha"),
        ("number",),
        ("pull_request", "author_association"),
        ("pull_request", "base", "sha"),
        ("pull_request", "draft"),
        ("pull_request", "head", "sha"),
        ("pull_request", "number"),
        ("repository", "full_name"),
        ("repository", "id"),
        ("repository", "name"),
        ("repository", "private"),
    }
)
#: Functions whose values are `true`, `false` or hexadecimal digits.
_SAFE_FUNCTIONS = names.STATUS | {"contains", "startswith", "endswith", "hashfiles"}


def outside(tree: Tree, *, of: Callable[[Path], bool]) -> Path | None:
    """The first way in an expression by which something from outside comes into its value; None where nothing does.

    :param of: whether a way into `env` or `matrix` leads to something from outside.
    """
    match tree[0]:
        case "value" | "!" | "==" | "!=" | "<" | "<=" | ">" | ">=":
            return None
        case "call" if tree[1] in _SAFE_FUNCTIONS:
            return None
        case "&&":
            # The others are its value only where they are false: nothing, zero, or empty text.
            return outside(tree[-1], of=of)
        case "name" | "get" | "all":
            way = names.path(tree)
            if way is None:
                return outside(tree[1], of=of)
            return way if _is_outside(way, of=of) else None
        case _:
            found = (outside(one, of=of) for one in tree[1:] if isinstance(one, tuple))
            return next((one for one in found if one is not None), None)


def _is_outside(way: Path, *, of: Callable[[Path], bool]) -> bool:
    match way:
        case ("github", name) if name in _SAFE_OF_GITHUB:
            return False
        case ("github", "event", *rest):
            return tuple(rest) not in _SAFE_OF_EVENT
        case ("runner" | "strategy" | "job", _, *_):
            return False
        case ("steps", _, "outcome" | "conclusion") | ("needs", _, "result"):
            return False
        case ("env" | "matrix", *_):
            return of(way)
        case _:
            return True


def shown(way: Path) -> str:
    """A way as people write it."""
    return ".".join(way)
