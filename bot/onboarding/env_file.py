"""`settings.env`: some of its settings are written anew, and everything else in it stays as it is.

What is read back is what was written, whatever it is: a key of many lines, quotes, and `${...}`, which the reader would
take for another variable.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from bot import errors

_HEAD = "# Written by the set-up of buildhook. It holds secrets: nobody else may read it.\n"


def merged(text: str, values: Mapping[str, str]) -> str:
    """The file's text with these values in place of those of the same names, at its end."""
    kept = [one.original.string for one in parse_stream(io.StringIO(text)) if one.key not in values]
    before = "".join(kept) if text else _HEAD
    if before and not before.endswith("\n"):
        before += "\n"
    return before + "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())


def write(path: Path, values: Mapping[str, str]) -> None:
    """Write them: the file is as it was or as it shall be, whenever this ends, and its owner's alone.

    :raises errors.SettingsError: if it cannot be read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        # A file that a link leads to is replaced where it lies.
        _replace(path.resolve(), merged(text, values))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise errors.SettingsError(f"BUILDHOOK_DATA_DIR: cannot write {path}: {reason}.") from None


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    # What a crash left of the last time.
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _quoted(value: str) -> str:
    # In double quotes, where one line holds all: a key can be copied into another file as it stands.
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    # An unset variable whose default is a dollar: the reader has no other way to write `${`.
    return '"' + escaped.replace("${", "${:-$}{") + '"'
