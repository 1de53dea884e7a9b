"""The tables of the policy file: keys asked for by type, and every mistake at its line, with what to write. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*=")
#: More do not help a reader.
_MOST_PROBLEMS = 50


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake in the file."""

    #: From 1; None where no line says it.
    line: int | None
    #: What is wrong, and what to write instead. No value of a secret is in it.
    text: str

    def __str__(self) -> str:
        return self.text if self.line is None else f"line {self.line}: {self.text}"


class Problems:
    """Collects what is wrong, each at the line of its key where that can be told."""

    def __init__(self, lines: Mapping[tuple[str, ...], int]) -> None:
        self._lines = lines
        self._found: dict[tuple[str, ...], Problem] = {}

    def add(self, path: tuple[str, ...], text: str) -> None:
        """Note a mistake in what stands at this path, the first of each. Its line is that of the path, or around it."""
        line = next((self._lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in self._lines), None)
        if len(self._found) < _MOST_PROBLEMS:
            self._found.setdefault(path, Problem(line=line, text=text))

    def in_order(self) -> tuple[Problem, ...]:
        """What was found, by lines."""
        return tuple(sorted(self._found.values(), key=lambda one: one.line or 0))


class Table:
    """One table of the file: its keys are asked for by type, those that nobody asks for are mistakes."""

    def __init__(self, path: tuple[str, ...], given: Mapping[str, Any], problems: Problems) -> None:
        self.path = path
        self._given = given
        self._problems = problems
        self._known: list[str] = []

    def wrong(self, key: str, text: str) -> None:
        """Note that a key's value cannot be taken."""
        self._problems.add((*self.path, key), f"`{'.'.join((*self.path, key))}`: {text}")

    def get(self, key: str, kind: type[T], default: T, *, wanted: str) -> T:
        """A value of this type. `wanted` says what to write, for the sentence where it is another."""
        self._known.append(key)
        value = self._given.get(key, default)
        # A boolean is a number in Python, and none in the file.
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        self.wrong(key, f"write {wanted}.")
        return default

    def texts(self, key: str, *, wanted: str) -> tuple[str, ...]:
        """One text or a list of texts; none where the key is absent."""
        self._known.append(key)
        value = self._given.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(one, str) and one for one in listed):
            self.wrong(key, f"write {wanted}.")
            return ()
        if key in self._given and not listed:
            self.wrong(key, f"an empty list names nothing; write {wanted}, or leave the key out.")
        return tuple(listed)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        return key in self._given

    def end(self) -> None:
        """Note the keys that mean nothing."""
        for key in self._given:
            if key not in self._known:
                hint = "the secret itself does not belong here: write `secret_file` or `secret_env`"
                told = f"{hint}." if key in {"secret", "secrets"} else f"it means nothing. {meant(key, self._known)}"
                self._problems.add((*self.path, key), f"`{'.'.join((*self.path, shown(key)))}`: {told}")


def lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each section and key, as far as one can be told without reading TOML again."""
    found: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.fullmatch(line), _KEY.match(line)
        if header is not None:
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            for end in range(1, len(section) + 1):
                found.setdefault(section[:end], number)
        elif key is not None:
            found.setdefault((*section, key[1].strip("\"'")), number)
    return found


def either(words: Sequence[str]) -> str:
    return " or ".join(f'`"{one}"`' for one in words)


def meant(word: str, known: Iterable[str]) -> str:
    words = [str(one) for one in known]
    close = difflib.get_close_matches(word.lower()[:64], words, n=1)
    return f"Did you mean `{close[0]}`?" if close else f"Known here: {', '.join(f'`{one}`' for one in words)}."


def shown(text: str) -> str:
    """Text of the file as a line can show it."""
    short = text if len(text) <= 60 else f"{text[:59]}…"
    return "".join(one if one.isprintable() and one != "`" else "?" for one in short)
