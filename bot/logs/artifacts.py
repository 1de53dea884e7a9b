"""The bytes of artifacts: one file each, on the disk of the machine that ran its job, or in an object store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

from bot import errors
from bot.logs import files, packed, reading
from bot.logs.objects import READ_BYTES, Objects

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_BATCH = 500
_FOLDER, _ENDING = "artifacts", ".zip"
_Run = Callable[[Callable[[], bytes]], Awaitable[bytes]]


class OpenedArtifact:
    """The bytes of one artifact: made by `ArtifactStore.opened`."""

    def __init__(self, source: packed.Source, *, run: _Run) -> None:
        self._source = source
        self._run = run

    @property
    def size_bytes(self) -> int:
        """How many there are."""
        return self._source.size_bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """All of them, some at a time.

        :raises errors.StoreUnavailable: if they cannot be read any more.
        """
        at = 0
        while at < self.size_bytes:
            try:
                data = await self._run(functools.partial(self._source.read, at, READ_BYTES))
            except OSError as error:
                raise errors.StoreUnavailable(f"An artifact cannot be read: {error.strerror}.") from error
            if not data:
                raise errors.StoreUnavailable("An artifact cannot be read: it became shorter.")
            yield data
            at += len(data)


class ArtifactStore:
    """The artifacts of all jobs, below one folder, and those that were taken to an object store.

    Every method raises `errors.NotFound` for what cannot be an artifact's id, and `errors.StoreUnavailable` where the
    disk, or the object store, cannot be used.
    """

    def __init__(self, folder: Path, *, objects: Objects | None = None) -> None:
        """:param objects: where they are taken to; None: they stay here."""
        self._folder = folder
        self._objects = objects
        #: Called with an artifact that is new here.
        self.on_whole: Callable[[str], None] = lambda _: None

    async def put(self, artifact_id: str, copy: Callable[[Path], Awaitable[None]]) -> None:
        """Take the bytes of a new artifact: whole and durable, or not at all.

        :param copy: writes them into a file, durably.
        :raises errors.EngineError: as `copy` does.
        """
        path = self._path(artifact_id)
        new = path.with_suffix(".new")

        def keep() -> None:
            new.rename(path)
            files.sync_folder(self._folder)

        try:
            await asyncio.to_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
            await copy(new)
            await asyncio.to_thread(keep)
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be kept: {error.strerror}.") from error
        finally:
            await asyncio.to_thread(new.unlink, missing_ok=True)
        self.on_whole(artifact_id)

    @contextlib.asynccontextmanager
    async def opened(self, artifact_id: str) -> AsyncIterator[OpenedArtifact]:
        """Its bytes, to be read.

        :raises errors.NotFound: if it is neither on this machine nor in the object store, or not any more.
        """
        path = self._path(artifact_id)
        try:
            file = await asyncio.to_thread(reading.File, path)
        except FileNotFoundError:
            yield await self._opened_far(artifact_id)
            return
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be read: {error.strerror}.") from error
        try:
            yield OpenedArtifact(file, run=asyncio.to_thread)
        finally:
            await asyncio.to_thread(file.close)

    async def _opened_far(self, artifact_id: str) -> OpenedArtifact:
        objects = self._objects
        found = None if objects is None else await objects.run(lambda: objects.find(_name(artifact_id)))
        if objects is None or found is None:
            raise errors.NotFound(f"The artifact {artifact_id} is not on this machine, or not any more.")
        return OpenedArtifact(found, run=objects.run)

    async def save(self, artifact_id: str, target: Path, *, replaces: bool) -> None:
        """Copy its bytes into a file of somebody's own.

        :raises errors.NotFound: as `opened`.
        :raises errors.Conflict: if the file is there already and is not to be replaced, or cannot be written.
        """
        async with self.opened(artifact_id) as source:
            await save(source.chunks(), target, replaces=replaces)

    async def carry(self, artifact_id: str) -> None:
        """Take it to the object store; when it is kept there, it is removed here."""
        objects, path = self._objects, self._path(artifact_id)
        if objects is None:
            return
        try:
            await objects.put(_name(artifact_id), path)
        except errors.StoreUnavailable:
            if await asyncio.to_thread(path.exists):
                raise
            return
        await self._delete_here(artifact_id)

    async def delete(self, *artifact_ids: str) -> None:
        """Delete their bytes, wherever they lie."""
        for one in artifact_ids:
            await self._delete_here(one)
        objects = self._objects
        if objects is not None and artifact_ids:
            await objects.run(lambda: objects.delete([_name(one) for one in artifact_ids]))

    async def list_ids(self, *, before: datetime) -> AsyncIterator[Sequence[str]]:
        """The ids of all that were put on this machine before an instant, some at a time."""

        def names() -> list[str]:
            try:
                found = [path for path in self._folder.iterdir() if path.suffix == _ENDING]
                return [path.stem for path in found if path.stat().st_mtime < before.timestamp()]
            except FileNotFoundError:
                return []

        found = [name for name in await asyncio.to_thread(names) if _ULID.fullmatch(name)]
        for start in range(0, len(found), _BATCH):
            yield found[start : start + _BATCH]

    async def list_far_ids(self, *, before: datetime) -> AsyncIterator[Sequence[str]]:
        """The ids of all that were taken to the object store before an instant, some at a time."""
        objects = self._objects
        if objects is None:
            return
        batches = objects.list_names(_FOLDER, before=before)
        while (some := await objects.run(lambda: next(batches, None))) is not None:
            found = [name.rpartition("/")[2].removesuffix(_ENDING) for name in some if name.endswith(_ENDING)]
            yield [one for one in found if _ULID.fullmatch(one)]

    async def _delete_here(self, artifact_id: str) -> None:
        try:
            await asyncio.to_thread(self._path(artifact_id).unlink, missing_ok=True)
        except OSError as error:
            raise errors.StoreUnavailable(f"An artifact cannot be deleted: {error.strerror}.") from error

    def _path(self, artifact_id: str) -> Path:
        if not _ULID.fullmatch(artifact_id):
            raise errors.NotFound(f"{artifact_id[:40]!r} is no artifact's id.")
        return self._folder / f"{artifact_id}{_ENDING}"


async def save(data: AsyncIterator[bytes], target: Path, *, replaces: bool) -> None:
    """Write what comes into a file of somebody's own.

    :raises errors.Conflict: if the file is there already and is not to be replaced, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if replaces else os.O_EXCL)
    try:
        with await asyncio.to_thread(lambda: open(os.open(target, flags, 0o644), "wb")) as into:
            async for one in data:
                await asyncio.to_thread(into.write, one)
    except FileExistsError:
        raise errors.Conflict(f"{target} is there already: name another file.") from None
    except OSError as error:
        raise errors.Conflict(f"{target} cannot be written: {error.strerror}.") from error


def _name(artifact_id: str) -> str:
    return f"{_FOLDER}/{artifact_id}{_ENDING}"
