"""What the settings are read from beside the environment: `.env` in the working folder, and the files of secrets."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from bot import errors

DOTENV = ".env"


def dotenv() -> dict[str, str]:
    """What `.env` in the working folder says, by the names of variables."""
    try:
        read = DotEnvSettingsSource(BaseSettings, env_file=DOTENV, env_file_encoding="utf-8").env_vars
    except (OSError, UnicodeDecodeError):
        return {}
    return {name.upper(): value for name, value in read.items() if value is not None}


def misspelt(known: Collection[str], *, prefix: str) -> dict[str, str | None]:
    """Names that begin like these and are none of them, each with the one that it is most like."""
    given = {*os.environ, *dotenv()}
    wrong = sorted(name for name in given if name.startswith(prefix) and name not in known)
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


def read_secrets(files: Mapping[str, str]) -> dict[str, SecretStr]:
    """What is in the files of secrets, by their variables.

    :raises errors.SettingsError: if one of them cannot be read.
    """
    found = {}
    for name, path in files.items():
        try:
            found[name] = SecretStr(Path(path).read_text(encoding="utf-8").strip("\r\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise errors.SettingsError(f"{name}_FILE: cannot read {path}: {error}") from error
    return found
