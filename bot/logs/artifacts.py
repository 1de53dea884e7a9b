"""The bytes of artifacts: one file each, on the disk of the machine that ran its job; this room knows no database."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

from bot import errors

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_CHUNK_BYTES = 1024 * 1024
_BATCH = 500


class ArtifactStore:
    """The artifacts of all jobs, below one folder.

    Every method raises `errors.NotFound` for what cannot be an artifact's id, and `errors.StoreUnavailable` where the
    disk cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, artifact_id: str, copy: Callable[[Path], Awaitable[None]]) -> None:
        """Take the bytes of a new artifact: whole and durable, or not at all.

        :param copy: writes them into a file.
        :raises errors.EngineError: as `copy` does.
        """
        path = self._path(artifact_id)
        new = path.with_suffix(".new")
        try:
            await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
            await copy(new)
            await asyncio.to_thread(new.rename, path)
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be kept: {error.strerror}.") from error
        finally:
            await asyncio.to_thread(new.unlink, missing_ok=True)

    async def open(self, artifact_id: str) -> int:
        """A descriptor for reading it, which is the caller's to close.

        :raises errors.NotFound: if it is not on this machine, or not any more.
        """
        path = self._path(artifact_id)
        try:
            return await asyncio.to_thread(os.open, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise errors.NotFound(f"The artifact {artifact_id} is not on this machine, or not any more.") from None
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be read: {error.strerror}.") from error

    async def save(self, artifact_id: str, target: Path, *, replaces: bool) -> None:
        """Copy its bytes into a file of somebody's own.

        :raises errors.NotFound: as `open`.
        :raises errors.Conflict: if the file is there already and is not to be replaced, or cannot be written.
        """

        def copy(fd: int) -> None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replaces else os.O_EXCL)
            with open(fd, "rb") as source, open(os.open(target, flags, 0o644), "wb") as file:
                shutil.copyfileobj(source, file, _CHUNK_BYTES)

        try:
            await asyncio.to_thread(copy, await self.open(artifact_id))
        except FileExistsError:
            raise errors.Conflict(f"{target} is there already: name another file.") from None
        except OSError as error:
            raise errors.Conflict(f"{target} cannot be written: {error.strerror}.") from error

    async def delete(self, artifact_id: str) -> None:
        """Delete its bytes, if they are here."""
        try:
            await asyncio.to_thread(self._path(artifact_id).unlink, missing_ok=True)
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be deleted: {error.strerror}.") from error

    async def list_ids(self, *, before: datetime) -> AsyncIterator[Sequence[str]]:
        """The ids of all that were put here before an instant, some at a time."""

        def names() -> list[str]:
            try:
                found = [path for path in self._folder.iterdir() if path.suffix == ".zip"]
                return [path.stem for path in found if path.stat().st_mtime < before.timestamp()]
            except FileNotFoundError:
                return []

        found = [name for name in await asyncio.to_thread(names) if _ULID.fullmatch(name)]
        for start in range(0, len(found), _BATCH):
            yield found[start : start + _BATCH]

    def _path(self, artifact_id: str) -> Path:
        if not _ULID.fullmatch(artifact_id):
            raise errors.NotFound(f"{artifact_id[:40]!r} is no artifact's id.")
        return self._folder / f"{artifact_id}.zip"
