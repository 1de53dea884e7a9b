"""The file of the policy, and the secrets that it names: read at the start, and when the settings are read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot import errors, policy

_MAX_BYTES = 1024 * 1024


def read(path: Path | None, *, setting: str, variable: Callable[[str], str | None]) -> policy.Policy:
    """Read it and the secrets that it names; without a file nobody may do anything.

    :param setting: what names the file, for errors.
    :param variable: gives a variable of the environment.
    :raises errors.SettingsError: with one line for each mistake, and what to write instead.
    """
    if path is None:
        return policy.Policy()
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise errors.SettingsError(f"{setting}: {path} is larger than {_MAX_BYTES} bytes.")
        parsed = policy.parse(text.decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise errors.SettingsError(f"{setting}: cannot read {path}: {error}") from error

    def secret(wanted: policy.SecretFrom) -> str:
        return (
            _from_variable(wanted, variable) if wanted.where == policy.Where.ENVIRONMENT else _from_file(wanted, path)
        )

    made = parsed if isinstance(parsed, tuple) else policy.with_keys(parsed, secret)
    if isinstance(made, tuple):
        raise errors.SettingsError("\n".join(f"{setting}: {path}: {problem}" for problem in made))
    return made


def _from_variable(wanted: policy.SecretFrom, variable: Callable[[str], str | None]) -> str:
    found = variable(wanted.name)
    if not found:
        raise ValueError("there is no such variable in the environment")
    return found


def _from_file(wanted: policy.SecretFrom, beside: Path) -> str:
    try:
        return (beside.parent / Path(wanted.name).expanduser()).read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot read it: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("it is not text") from None
