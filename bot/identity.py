"""Ids that sort in the order they were made, and the lock that lets one process own a folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ulid import ULID

from bot import errors


class Ids:
    """Gives ULIDs (https://github.com/ulid/spec), each larger than the one before, also within a millisecond."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> str:
        """The next id, 26 characters."""
        self._last = max(int(ULID()), self._last + 1)
        return str(ULID.from_int(self._last))


@contextlib.contextmanager
def locked(path: Path, *, busy: str) -> Iterator[None]:
    """Hold a lock file while the block runs; the system frees it when the process ends, however it ends.

    :raises errors.SettingsError: with `busy` if another process holds it, or if the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise errors.SettingsError(
            f"BUILDHOOK_DATA_DIR: cannot write {path}: {error.strerror}; give it a folder that this user may write to"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise errors.SettingsError(f"BUILDHOOK_DATA_DIR: {busy}") from None
        yield
    finally:
        os.close(handle)
