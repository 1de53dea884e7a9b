"""The filter patterns of GitHub Actions, matched as a whole and in time linear in the name, whatever the pattern."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Characters of one pattern; a branch's name has at most some 250.
MAX_PATTERN = 1000
_SPECIAL = "`\\{0}` takes it literally"


class PatternError(ValueError):
    """A pattern that means nothing; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One place of a pattern: what it takes, and how often."""

    #: None: every character.
    wanted: frozenset[str] | None = None
    #: Whether `wanted=None` means `/` too.
    takes_slash: bool = True
    is_optional: bool = False
    is_repeated: bool = False
    #: `**/`: nothing, or anything that ends with `/`.
    is_folder: bool = False


_SEGMENT = _Item(takes_slash=False, is_optional=True, is_repeated=True)
_ANYTHING = _Item(is_optional=True, is_repeated=True)
_FOLDER = _Item(wanted=frozenset(), is_optional=True, is_folder=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """A pattern, ready to match: an automaton whose set of states is one integer, bit n for "n items are done"."""

    #: The states that a character leads on from; under "" for characters that the pattern does not name.
    steps: dict[str, int]
    #: The states that a character leaves standing.
    stays: dict[str, int]
    folders: int
    #: The states that may be skipped stand in runs: the first of each, all that a skip reaches, the last reached.
    first: int
    reached: int
    last: int
    accepting: int

    def matches(self, name: str) -> bool:
        """Whether the pattern matches the whole name."""
        states, inside = self._skip(1), 0
        for one in name:
            stepped = states & self.steps.get(one, self.steps[""])
            stayed = states & self.stays.get(one, self.stays[""])
            after = stepped << 1 | stayed
            if one == "/":
                after |= inside << 1
            inside |= states & self.folders
            states = self._skip(after)
        return bool(states & self.accepting)

    def _skip(self, states: int) -> int:
        # Navarro and Raffinot, Flexible Pattern Matching in Strings, 4.2: the subtraction's borrow runs up each
        # run of skippable states as far as its lowest active one, and all above that one become active.
        marked = states | self.last
        return states | self.reached & ~((marked - self.first) ^ marked)


def compiled(pattern: str) -> Glob:
    """A pattern without its leading `!`.

    `*` takes any characters but `/`, `**` any, `**/` any folders or none, `?` makes the character before it optional,
    `+` lets it repeat, `[a-z1]` takes one of several, and `\\` takes away a special meaning.
    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#filter-pattern-cheat-sheet

    :raises PatternError: if it means nothing.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"it has {len(pattern)} characters, at most {MAX_PATTERN}.")
    items = _items(pattern)
    optional = _bits(items, [item.is_optional for item in items])
    repeated = _bits(items, [item.is_repeated for item in items])
    steps = _table(items)
    return Glob(
        steps=steps,
        stays={one: states & repeated for one, states in steps.items()},
        folders=_bits(items, [item.is_folder for item in items]),
        first=optional & ~(optional << 1),
        reached=optional << 1,
        last=(optional << 1) & ~optional,
        accepting=1 << len(items),
    )


def compiled_all(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Patterns together, ready to match many names: see `matches`.

    :raises PatternError: if one of them means nothing.
    """
    ready = [(pattern.startswith("!"), compiled(pattern.removeprefix("!"))) for pattern in patterns]

    def match(name: str) -> bool:
        is_taken = False
        for is_negative, glob in ready:
            if is_taken is is_negative and glob.matches(name):
                is_taken = not is_negative
        return is_taken

    return match


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether the last pattern that matches takes the name: one that begins with `!` leaves it out again."""
    return compiled_all(patterns)(name)


def _bits(items: Sequence[_Item], facts: Sequence[bool]) -> int:
    return sum(1 << at for at in range(len(items)) if facts[at])


def _table(items: Sequence[_Item]) -> dict[str, int]:
    """For each character that is named, and for all others under "": the items that take it."""
    anything = _bits(items, [item.wanted is None for item in items])
    table = {"": anything, "/": _bits(items, [item.wanted is None and item.takes_slash for item in items])}
    for at, item in enumerate(items):
        for one in item.wanted or ():
            table[one] = table.get(one, anything) | 1 << at
    return table


def _items(pattern: str) -> list[_Item]:
    items: list[_Item] = []
    at, can_repeat = 0, False
    while at < len(pattern):
        one = pattern[at]
        if one in "?+":
            if not can_repeat:
                raise PatternError(f"`{one}` has to follow a character or `[…]`; {_SPECIAL.format(one)}.")
            wanted = items[-1].wanted
            is_plus = one == "+"
            items[-1:] = [_Item(wanted=wanted, is_optional=not is_plus)]
            items += [_Item(wanted=wanted, is_optional=True, is_repeated=True)] * is_plus
            at, can_repeat = at + 1, False
            continue
        item, at = _item(pattern, at)
        items.append(item)
        can_repeat = item.wanted is not None and not item.is_folder
    return items


def _item(pattern: str, at: int) -> tuple[_Item, int]:
    if pattern.startswith("**/", at):
        return _FOLDER, at + 3
    if pattern.startswith("**", at):
        return _ANYTHING, at + 2
    if pattern[at] == "*":
        return _SEGMENT, at + 1
    if pattern[at] == "[":
        return _one_of(pattern, at + 1)
    if pattern[at] == "\\":
        if at + 1 == len(pattern):
            raise PatternError("it ends with `\\`, which has to stand before a character.")
        at += 1
    return _Item(wanted=frozenset(pattern[at])), at + 1


def _one_of(pattern: str, start: int) -> tuple[_Item, int]:
    end = pattern.find("]", start)
    if end < 0:
        raise PatternError(f"`[` has no `]`; {_SPECIAL.format('[')}.")
    inner = pattern[start:end]
    if not inner or inner[0] in "!^":
        raise PatternError("`[…]` lists the characters to take, and cannot say which not to take.")
    wanted: set[str] = set()
    at = 0
    while at < len(inner):
        if inner[at + 1 : at + 2] == "-":
            wanted |= _range(inner[at], inner[at + 2 : at + 3])
            at += 3
        else:
            wanted.add(inner[at])
            at += 1
    return _Item(wanted=frozenset(wanted)), end + 1


def _range(first: str, last: str) -> set[str]:
    for alphabet in ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"):
        if first in alphabet and last and last in alphabet and first <= last:
            return set(alphabet[alphabet.index(first) : alphabet.index(last) + 1])
    raise PatternError("a range in `[…]` goes from a to z, from A to Z or from 0 to 9.")
