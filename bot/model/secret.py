"""A secret of a repository: a value that its trusted jobs get and nobody reads again."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

#: https://docs.github.com/en/actions/reference/limits#existing-system-limits
MAX_BYTES = 48 * 1024
MAX_OF_PLACE = 100
#: Shorter ones cannot be hidden in logs.
MIN_BYTES = 4
_MAX_NAME = 255
#: https://docs.github.com/en/actions/reference/security/secrets#naming-your-secrets
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_RESERVED = ("GITHUB_", "BUILDHOOK_")
#: What is guessed from so little is guessed in a moment, and stars in a log tell that it was right.
_FEW_BYTES = 8


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A secret as lists show it: without its value."""

    repository_id: int
    #: `owner/name` when it was set: a label.
    repository: str
    #: As `environment` gives it; None for the repository as a whole.
    environment: str | None
    name: str
    key_id: str
    updated_at: datetime
    #: Who set it last, a user of the machine: a label.
    updated_by: str


class Secret(Listed, frozen=True, kw_only=True):
    """A secret as stored."""

    #: Only its key opens it, see `bot.sealing`.
    sealed: bytes


def why_no_name(name: str) -> str | None:
    """Why something cannot name a secret; None where it can."""
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME:
        return "write upper case letters, digits and `_`, no digit first, at most 255 of them"
    reserved = next((start for start in _RESERVED if name.startswith(start)), None)
    return f"names that begin with {reserved} are taken by the service" if reserved else None


def why_no_environment(name: str | None) -> str | None:
    """Why something cannot name an environment; None where it can, or where there is none."""
    is_one = name is None or (0 < len(name.casefold()) <= _MAX_NAME and name.isprintable())
    return None if is_one else f"write at most {_MAX_NAME} characters, none of them hidden"


def environment(name: str | None) -> str | None:
    """An environment's name as it is stored: upper and lower case are the same to GitHub.

    https://docs.github.com/en/actions/how-tos/deploy/configure-and-manage-deployments/manage-environments
    """
    return name.casefold() if name else None


def why_no_value(value: bytes) -> str | None:
    """Why something cannot be a secret's value; None where it can."""
    if len(value) > MAX_BYTES:
        return f"it has {len(value)} bytes, at most {MAX_BYTES} are possible"
    if len(value.strip()) < MIN_BYTES:
        return f"it is too short to be hidden in logs: at least {MIN_BYTES} letters are needed"
    if b"\0" in value:
        return "it has a byte 0, which no variable can hold: encode it, e.g. with base64"
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return "it is no text in UTF-8: encode it, e.g. with base64"
    return None


def warning(value: bytes) -> str | None:
    """Why a value is a weak one, as a sentence; None where it is not."""
    if len(value.strip()) < _FEW_BYTES:
        return (
            f"The value is short: it hides other words of logs too, and is guessed easily; take {_FEW_BYTES} or more."
        )
    if len(set(value.strip())) == 1:
        return "The value is one letter over and over: it hides other words of logs too, and is guessed easily."
    return None
