"""What settings are read from: variables, files of variables, files of secrets; and how their words become values."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import dotenv as files
import msgspec
from msgspec import inspect

from bot import errors, setting_values

DOTENV = ".env"
_YES, _NO = frozenset({"1", "on", "t", "true", "y", "yes"}), frozenset({"0", "off", "f", "false", "n", "no"})


class Secret:
    """Text that no log, page or error shows."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def read_file(path: str | Path) -> dict[str, str]:
    """What a file of variables says, by their names in capitals; nothing where there is none.

    :raises errors.SettingsError: if it cannot be read.
    """
    try:
        read = files.dotenv_values(path) if Path(path).is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise errors.SettingsError(f"cannot read {path}: {error}") from error
    return {name.upper(): value for name, value in read.items() if value is not None}


def dotenv() -> dict[str, str]:
    """What `.env` in the working folder says, by the names of variables."""
    try:
        return read_file(DOTENV)
    except errors.SettingsError:
        return {}


def misspelt(known: Collection[str], *, prefix: str) -> dict[str, str | None]:
    """Names that begin like these and are none of them, each with the one that it is most like."""
    given = {*os.environ, *dotenv()}
    wrong = sorted(name for name in given if name.startswith(prefix) and name not in known)
    if not wrong:
        return {}
    # Only where there is one: it is a good part of a second for each start to load what nobody misspells.
    import difflib

    return {name: next(iter(difflib.get_close_matches(name, known, n=1)), None) for name in wrong}


def named_files(variables: Sequence[str]) -> dict[str, str]:
    """The file that each variable of a secret is to be read from, where one is named."""
    given, found = dotenv(), {}
    for name in variables:
        # What the environment gives itself stands before what `.env` names.
        named = os.environ.get(f"{name}_FILE")
        if named or (name not in os.environ and (named := given.get(f"{name}_FILE"))):
            found[name] = named
    return found


def read_secrets(files: Mapping[str, str]) -> dict[str, Secret]:
    """What is in the files of secrets, by their variables.

    :raises errors.SettingsError: if one of them cannot be read.
    """
    found = {}
    for name, path in files.items():
        try:
            found[name] = Secret(Path(path).read_text(encoding="utf-8").strip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise errors.SettingsError(f"{name}_FILE: cannot read {path}: {error}") from error
    return found


def size(given: object, kind: Any) -> Any:
    """A number of bytes, given as one or as a text such as `4GiB` or `500 MB`.

    :raises ValueError: if it cannot be one; the text says what to write.
    """
    if isinstance(given, str) and (found := setting_values.size(given)) is not None:
        given = found
    try:
        return value(given, kind)
    except ValueError as error:
        raise ValueError(f"{error}, such as `4GiB`") from None


def value(given: object, kind: Any) -> Any:
    """What was given as a value of this kind: its own, or text that means one.

    :param kind: a type, with its bounds as `msgspec.Meta`.
    :raises ValueError: if it cannot be one; the text says what to write, and nothing of what was given.
    """
    if isinstance(given, str) and (given.strip().lower() in _YES | _NO) and _is_choice(kind):
        return given.strip().lower() in _YES
    for one in (given, given.strip()) if isinstance(given, str) else (given,):
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(one, kind, strict=False, dec_hook=_made)
    # Raised outside of any handler: what went wrong may hold a secret in the wrong place.
    raise ValueError(_wanted(kind))


def _made(kind: type[Any], given: Any) -> Any:
    """A value of a type that is no word of JSON."""
    if isinstance(given, kind):
        return given
    if isinstance(given, str):
        return kind(given)
    raise ValueError


def _kinds(kind: Any) -> list[inspect.Type]:
    """What it may be, but for nothing."""
    told = _bare(inspect.type_info(kind))
    parts = told.types if isinstance(told, inspect.UnionType) else [told]
    return [part for part in map(_bare, parts) if not isinstance(part, inspect.NoneType)]


def _bare(told: inspect.Type) -> inspect.Type:
    """Without what is said about it."""
    return told.type if isinstance(told, inspect.Metadata) else told


def _is_choice(kind: Any) -> bool:
    return any(isinstance(one, inspect.BoolType) for one in _kinds(kind))


def _wanted(kind: Any) -> str:
    match _kinds(kind):
        case [inspect.EnumType(cls)]:
            words = [f"`{one.value}`" for one in cls]
            return f"write {', '.join(words[:-1])} or {words[-1]}"
        case [inspect.BoolType()]:
            return "write true or false"
        case [inspect.IntType() | inspect.FloatType() as number]:
            what = "a whole number" if isinstance(number, inspect.IntType) else "a number"
            bounds = (("of at least", number.ge), ("above", number.gt), ("of at most", number.le))
            told = " and ".join(f"{words} {bound}" for words, bound in bounds if bound is not None)
            return f"write {what} {told}".rstrip()
        case _:
            return "write text"
