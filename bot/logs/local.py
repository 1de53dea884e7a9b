"""All jobs' logs: what `append` returned for survives a power cut, and appending the same bytes again is harmless.

A log that grows is one file, and the file is the truth: its size says how much of the log is stored. A whole one is
packed, and lies here or in an object store.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from bot import errors
from bot.logs import files, lines, reading
from bot.logs.elsewhere import Elsewhere
from bot.logs.objects import Objects
from bot.logs.watching import Watcher, Watchers

P = ParamSpec("P")
T = TypeVar("T")

#: How many bytes `read` gives at most where the caller does not say.
READ_BYTES = 1024 * 1024
_THREADS = 4
#: Of so many logs it is remembered where their lines are; of others it is found out again.
_INDEXES = 512
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


class _Place(msgspec.Struct, frozen=True):
    """An opened log, and how to work with it off the loop."""

    log: reading.Log
    run: Callable[[Callable[[], object]], Awaitable[object]]


class OpenedLog:
    """A log that is read to its end: made by `LogStore.opened`.

    On this machine also when it is packed or deleted meanwhile; in an object store a deleted one breaks off.
    """

    def __init__(self, find: Callable[[], Awaitable[_Place | None]], *, job_id: str) -> None:
        self._find = find
        self._job_id = job_id
        self._place: _Place | None = None
        self._is_closed = False
        # A thread that still reads must not find another file under the same number.
        self._lock = threading.Lock()

    async def size(self) -> int:
        """How many bytes are stored; 0 where there is no log.

        :raises errors.StoreUnavailable: if the disk, or the object store, cannot be used.
        """
        return await self._run(lambda log: log.size(), 0)

    async def read(self, *, start: int = 0, limit: int = READ_BYTES) -> bytes:
        """At most `limit` bytes from byte `start` on; nothing behind the end, or as long as there is no log.

        :raises errors.StoreUnavailable: if the disk, or the object store, cannot be used.
        """
        return await self._run(lambda log: log.read(start, limit), b"")

    async def _run(self, work: Callable[[reading.Log], T], otherwise: T) -> T:
        place = self._place
        if place is None and not self._is_closed:
            place = self._place = await self._find()
        if place is None:
            return otherwise
        log = place.log
        found: list[T] = []

        def locked() -> None:
            with self._lock:
                found.append(otherwise if self._is_closed else work(log))

        try:
            await place.run(locked)
        except OSError as error:
            raise errors.StoreUnavailable(f"The log {self._job_id} cannot be read: {error.strerror}.") from error
        return found[0]

    def close(self) -> None:
        """Let go of it. Blocks while a thread reads."""
        with self._lock:
            self._is_closed = True
            if self._place is not None:
                self._place.log.close()
                self._place = None


class LogStore:
    """The logs of all jobs, below one folder, and those that were taken to an object store.

    Every method raises `errors.NotFound` for what cannot be a job's id, `errors.StoreUnavailable` where the disk, or
    the object store, cannot be used, and `errors.LogUnreadable` for a log that is damaged as a whole.
    """

    def __init__(self, folder: Path, *, objects: Objects | None = None) -> None:
        """:param objects: where whole logs are taken to; None: they stay here."""
        self._folder = folder
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="logs")
        self._objects = objects
        self._elsewhere = None if objects is None else Elsewhere(objects)
        self._watchers = Watchers()
        # Whoever holds one open has the same as who appends.
        self._indexes: weakref.WeakValueDictionary[str, lines.Index] = weakref.WeakValueDictionary()
        self._recent: dict[str, lines.Index] = {}
        #: Called with the job whose log may be taken to the object store.
        self.on_let_go: Callable[[str], None] = lambda _: None

    async def close(self) -> None:
        """Wait for what is under way. Nothing is lost without it."""
        await asyncio.to_thread(self._threads.shutdown)

    async def append(self, job_id: str, *, offset_bytes: int, data: bytes) -> int:
        """Store `data`, whose first byte is byte `offset_bytes` of the log; durable after `sync` or `seal`.

        Bytes that are already there are not written again. Where they differ, the end of the file was torn by a power
        cut: the file is cut there and goes on with `data`.

        :return: the size of the log in bytes.
        :raises errors.Conflict: if bytes between the log's end and `offset_bytes` are missing, or the log is sealed and
            `data` would change it.
        :raises errors.StoreUnavailable: if the disk is full or broken; nothing of `data` is half written then.
        """
        index = self._index(job_id)
        try:
            size_bytes = await self._run(files.append, job_id, index=index, offset_bytes=offset_bytes, data=data)
        except errors.Conflict:
            # The end of the job was not written any more when its log was taken away.
            far = await self._find_far(job_id)
            if far is None or not data or await self._far(lambda: far.read(offset_bytes, len(data))) != data:
                raise
            return far.size()
        self._watchers.wake(job_id)
        return size_bytes

    async def read(self, job_id: str, *, start: int = 0, limit: int = READ_BYTES) -> bytes:
        """At most `limit` bytes from byte `start` on; nothing behind the end, or where there is no log.

        In the place of bytes that were damaged where they are kept stand as many that say so.
        """
        return await self._look(job_id, lambda log: log.read(start, limit), b"")

    async def size(self, job_id: str) -> int:
        """How many bytes are stored; 0 where there is no log."""
        return await self._look(job_id, lambda log: log.size(), 0)

    async def line_numbers(self, job_id: str, *, at: Sequence[int]) -> list[int]:
        """The number of the line (from 1) that each of these bytes lies in."""
        return await self._look(job_id, lambda log: log.line_numbers(at), [1] * len(at))

    async def find_line(self, job_id: str, *, number: int) -> int | None:
        """The byte at which line `number` (from 1) begins; None where the log has not that many."""
        return await self._look(job_id, lambda log: log.find_line(number), None)

    async def tail(self, job_id: str, *, start: int = 0, end: int | None = None, lines: int = 20) -> str:
        """The last lines between bytes `start` and `end` (None: the log's end), without the last line's break.

        Looks back `reading.TAIL_BYTES` at most. Bytes that are not UTF-8 become U+FFFD.
        """
        return await self._look(job_id, lambda log: reading.tail(log, start=start, end=end, lines=lines), "")

    async def sync(self, job_id: str) -> None:
        """Make what was appended survive a power cut: before anybody writes down how far the log goes."""
        await self._run(files.sync, job_id)

    async def seal(self, job_id: str) -> None:
        """Say that the log is whole, durably: nothing can be appended from now on. Sealing again changes nothing."""
        await self._run(files.seal, job_id)
        self._recent.pop(job_id, None)
        self._watchers.wake(job_id)

    @property
    def goes_away(self) -> bool:
        """Whether whole logs are taken to an object store, which may be away when they are wanted."""
        return self._objects is not None

    def let_go(self, job_id: str) -> None:
        """Say that nothing depends on a whole log being here any more. Without it that is found out a minute later."""
        self.on_let_go(job_id)

    async def is_sealed(self, job_id: str) -> bool:
        """Whether the log is whole."""
        if await self._run(files.is_sealed, job_id):
            return True
        elsewhere = self._elsewhere
        return elsewhere is not None and await self._far(lambda: elsewhere.exists(job_id))

    @contextlib.asynccontextmanager
    async def opened(self, job_id: str) -> AsyncIterator[OpenedLog]:
        """The log as an open file: who reads it gets all of it, also when it is deleted meanwhile."""
        log = OpenedLog(functools.partial(self._find, job_id), job_id=job_id)
        try:
            await log.size()
            yield log
        finally:
            self._close(log)

    def _close(self, log: OpenedLog) -> None:
        try:
            self._threads.submit(log.close)
        except RuntimeError:
            # The store was closed meanwhile: none of its threads reads any more.
            log.close()

    async def list_ids(self) -> AsyncIterator[list[str]]:
        """The jobs that have a log on this machine, some at a time."""
        try:
            for folder in await self._in_thread(functools.partial(files.list_folders, self._folder)):
                stems = await self._in_thread(functools.partial(files.list_stems, folder))
                yield sorted(stem for stem in stems if _ULID.fullmatch(stem))
        except OSError as error:
            raise errors.StoreUnavailable(f"The logs cannot be listed: {error.strerror}.") from error

    async def list_loose_ids(self, *, before: datetime) -> AsyncIterator[list[str]]:
        """Those of them that are not packed, and were last appended to before an instant."""
        async for some in self.list_ids():
            yield await self._those(some, functools.partial(files.is_loose, since=before.timestamp()))

    async def list_packed_ids(self) -> AsyncIterator[list[str]]:
        """Those of them that are packed."""
        async for some in self.list_ids():
            yield await self._those(some, files.is_packed)

    async def list_far_ids(self, *, before: datetime) -> AsyncIterator[list[str]]:
        """The jobs whose logs were taken to the object store before an instant, some at a time."""
        if self._elsewhere is None:
            return
        batches = self._elsewhere.list_ids(before=before)
        while (some := await self._far(lambda: next(batches, None))) is not None:
            yield [one for one in some if _ULID.fullmatch(one)]

    async def carry(self, job_id: str) -> None:
        """Take a packed log to the object store; when it is kept there, it is removed here."""
        objects, elsewhere, path = self._objects, self._elsewhere, self._path(job_id)
        if objects is None or elsewhere is None or not await self._run(files.is_sealed, job_id):
            return
        try:
            await objects.put(elsewhere.name(job_id), files.packed_of(path))
        except errors.StoreUnavailable:
            if await self._in_thread(files.packed_of(path).exists):
                raise
            # It was deleted meanwhile, and nobody wants it.
            return
        elsewhere.forget(job_id)
        await self._run(files.delete, job_id)

    async def delete(self, *job_ids: str) -> None:
        """Delete logs, wherever they lie; deleting again changes nothing."""
        for job_id in job_ids:
            await self._run(files.delete, job_id)
            self._recent.pop(job_id, None)
            self._watchers.wake(job_id)
        objects, elsewhere = self._objects, self._elsewhere
        if objects is not None and elsewhere is not None and job_ids:
            await objects.run(lambda: objects.delete([elsewhere.name(one) for one in job_ids]))
            for one in job_ids:
                elsewhere.forget(one)

    def watch(self, job_id: str) -> contextlib.AbstractAsyncContextManager[Watcher]:
        """A watcher that is woken when this process appends to, seals or deletes the log."""
        return self._watchers.watch(job_id)

    async def _find(self, job_id: str) -> _Place | None:
        index = self._index(job_id)
        log = await self._run(files.opened, job_id, index=index)
        if log is not None:
            return _Place(log, self._in_thread)
        far = await self._find_far(job_id)
        return None if far is None else _Place(far, self._far)

    async def _find_far(self, job_id: str) -> reading.Packed | None:
        elsewhere = self._elsewhere
        return None if elsewhere is None else await self._far(lambda: elsewhere.opened(job_id))

    async def _look(self, job_id: str, work: Callable[[reading.Log], T], otherwise: T) -> T:
        def near(path: Path) -> tuple[T] | None:
            log = files.opened(path, index=index)
            if log is None:
                return None
            with contextlib.closing(log):
                return (work(log),)

        index = self._index(job_id)
        found = await self._run(near, job_id)
        if found is not None:
            return found[0]
        elsewhere = self._elsewhere
        if elsewhere is None:
            return otherwise

        def far() -> T:
            log = elsewhere.opened(job_id)
            try:
                return otherwise if log is None else work(log)
            except errors.NotFound:
                elsewhere.forget(job_id)
                return otherwise

        return await self._far(far)

    async def _those(self, job_ids: list[str], is_one: Callable[[Path], bool]) -> list[str]:
        paths = {one: self._path(one) for one in job_ids}
        return await self._in_thread(lambda: [one for one, path in paths.items() if is_one(path)])

    def _index(self, job_id: str) -> lines.Index:
        index = self._indexes.get(job_id)
        if index is None:
            index = self._indexes[job_id] = lines.Index()
        self._recent.pop(job_id, None)
        self._recent[job_id] = index
        if len(self._recent) > _INDEXES:
            del self._recent[next(iter(self._recent))]
        return index

    async def _run(
        self, work: Callable[Concatenate[Path, P], T], job_id: str, /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        path = self._path(job_id)
        call = functools.partial(work, path, *args, **kwargs)
        try:
            return await self._in_thread(call)
        except OSError as error:
            raise errors.StoreUnavailable(f"The log of job {job_id} cannot be used: {error.strerror}.") from error

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def _far(self, call: Callable[[], T]) -> T:
        assert self._objects is not None
        return await self._objects.run(call)

    def _path(self, job_id: str) -> Path:
        if not _ULID.fullmatch(job_id):
            raise errors.NotFound(f"There is no log of {job_id!r}: a job's id has 26 letters and digits.")
        # The end of a ULID is random, so that the folders fill evenly.
        return self._folder / job_id[-2:] / f"{job_id}.log"
