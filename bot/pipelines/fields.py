"""The small readings that all parts of a pipeline file share: keys, text, lists of text, names and environments."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from bot.expressions import names
from bot.pipelines import nodes, scalars, templates
from bot.pipelines.problems import Problems, did_you_mean, quoted
from bot.pipelines.vocabulary import Kind

MAX_NAME = 100
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = ("GITHUB_", "BUILDHOOK_")
#: Other, and separators of lines: what could hide a part of a name or forge a line of a page.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def keys(node: nodes.Node, *, of: Kind, problems: Problems) -> dict[str, nodes.Node] | None:
    """The known keys of a mapping; None where there is no mapping. Each other key is a problem."""
    if not isinstance(node, nodes.Mapping):
        problems.add(node.place, f"{_capital(of.name)} has to be a mapping of keys and values.")
        return None
    found = {}
    for key, value in node.entries:
        if key.text in of.known:
            found[key.text] = value
        elif problems.is_full:
            continue
        elif key.text in of.unsupported:
            problems.add(key.place, f"{quoted(key.text)} is not supported in {of.name}: {of.unsupported[key.text]}.")
        else:
            problems.add(
                key.place,
                f"{quoted(key.text)} is not a key of {of.name}. {did_you_mean(key.text, of.known)}".rstrip(),
            )
    return found


def lines(node: nodes.Node) -> dict[str, int]:
    """The line of each key of a mapping."""
    return {key.text: key.place.line for key, _ in node.entries} if isinstance(node, nodes.Mapping) else {}


def text(node: nodes.Node, *, what: str, problems: Problems) -> str | None:
    """A single value that is not empty, as written."""
    if not isinstance(node, nodes.Scalar):
        problems.add(node.place, f"{what} has to be text, not a {_noun(node)}.")
        return None
    if scalars.is_null(node) or not node.text.strip():
        problems.add(node.place, f"{what} is empty: write something, or delete the key.")
        return None
    return None if templates.refuse(node, what=what, problems=problems) else node.text


def texts(node: nodes.Node, *, what: str, problems: Problems) -> list[tuple[nodes.Node, str]]:
    """One value or a list of them, each with its node."""
    items = node.items if isinstance(node, nodes.Sequence) else (node,)
    if not items:
        problems.add(node.place, f"{what} is an empty list: name something, or delete the key.")
    found = [(item, text(item, what=what, problems=problems)) for item in items]
    return [(item, value) for item, value in found if value is not None]


def name(node: nodes.Node, *, what: str, problems: Problems) -> str | None:
    """A text for people: one line, nothing hidden in it, at most 100 characters."""
    value = text(node, what=what, problems=problems)
    if value is None:
        return None
    value = value.strip()
    wrong = wrong_name(value, what=what)
    if wrong is not None:
        problems.add(node.place, wrong)
    return value if wrong is None else None


def wrong_name(value: str, *, what: str) -> str | None:
    """What keeps a text from being a name for people, in a sentence; None where nothing does."""
    hidden = next((one for one in value if unicodedata.category(one) in _HIDDEN), None)
    if hidden is not None:
        return f"{what} holds the invisible character U+{ord(hidden):04X}: delete it."
    if len(value) > MAX_NAME:
        return f"{what} has {len(value)} characters: at most {MAX_NAME}."
    return None


def boolean(node: nodes.Node, *, what: str, problems: Problems) -> bool:
    """`true` or `false`; false where it is neither, and then there is a problem."""
    found = scalars.boolean(node)
    if found is None:
        problems.add(node.place, f"{what} has to be `true` or `false`, without quotes.")
    return bool(found)


def entries(node: nodes.Node, *, what: str, problems: Problems) -> tuple[tuple[nodes.Scalar, nodes.Node], ...]:
    """The keys and values of a mapping whose keys are names of the file's own."""
    if isinstance(node, nodes.Mapping):
        return node.entries
    if not scalars.is_null(node):
        problems.add(node.place, f"{what} has to be a mapping of names and values.")
    return ()


def entry(node: nodes.Node, word: str) -> nodes.Node | None:
    """The value of a key of a mapping, or None."""
    if not isinstance(node, nodes.Mapping):
        return None
    return next((value for key, value in node.entries if key.text == word), None)


def environment(node: nodes.Node, *, problems: Problems, place: names.Place) -> Mapping[str, str]:
    """Environment variables by name; their values may hold expressions."""
    if scalars.is_null(node):
        return {}
    if not isinstance(node, nodes.Mapping):
        problems.add(node.place, "`env` has to be a mapping of names and values, e.g. `CI: 1`.")
        return {}
    found = {}
    for key, value in node.entries:
        if not _VARIABLE.fullmatch(key.text):
            problems.add(
                key.place,
                f"{quoted(key.text)} cannot name an environment variable: use letters, digits and `_`, no digit first.",
            )
        elif key.text.startswith(_RESERVED):
            problems.add(key.place, f"{quoted(key.text)} is reserved: choose a name that does not begin like that.")
        elif not isinstance(value, nodes.Scalar):
            problems.add(value.place, f"The value of {quoted(key.text)} has to be text, not a {_noun(value)}.")
        else:
            found[key.text] = templates.text(value, place=place, problems=problems)
    return found


def _noun(node: nodes.Node) -> str:
    return "list" if isinstance(node, nodes.Sequence) else "mapping"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
