"""Logs as local files: what `append` returned for survives a power cut, and appending the same bytes again is harmless.

One file for each job. The file is the truth: its size says how much of the log is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from bot import errors
from bot.logs import files

P = ParamSpec("P")
T = TypeVar("T")

#: How many bytes `read` gives at most where the caller does not say.
READ_BYTES = 1024 * 1024
_THREADS = 4
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)


class Watcher:
    """Tells when a job's log may have changed. A wake-up is a hint: look, do not trust it."""

    def __init__(self) -> None:
        self._is_changed = asyncio.Event()

    def wake(self) -> None:
        """Let `wait` return now, or the next one at once."""
        self._is_changed.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a change since the last wait. False when the time is over without one."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._is_changed.wait()
        except TimeoutError:
            return False
        self._is_changed.clear()
        return True


class OpenedLog:
    """A log that is read to its end, also when it is deleted meanwhile: made by `LogStore.opened`."""

    def __init__(self, path: Path, *, threads: Executor) -> None:
        self._path = path
        self._threads = threads
        self._file: int | None = None
        self._is_closed = False
        # A thread that still reads must not find another file under the same number.
        self._lock = threading.Lock()

    async def size(self) -> int:
        """How many bytes are stored; 0 where there is no log.

        :raises errors.StoreUnavailable: if the disk cannot be used.
        """
        return await self._run(lambda file: os.fstat(file).st_size, 0)

    async def read(self, *, start: int = 0, limit: int = READ_BYTES) -> bytes:
        """At most `limit` bytes from byte `start` on; nothing behind the end, or as long as there is no log.

        :raises errors.StoreUnavailable: if the disk cannot be used.
        """
        return await self._run(functools.partial(files.read_opened, start=start, limit=limit), b"")

    async def _run(self, work: Callable[[int], T], otherwise: T) -> T:
        def locked() -> T:
            with self._lock:
                if self._file is None and not self._is_closed:
                    self._file = files.opened(self._path)
                return otherwise if self._file is None else work(self._file)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, locked)
        except OSError as error:
            raise errors.StoreUnavailable(f"The log {self._path.stem} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """Let go of the file. Blocks while a thread reads."""
        with self._lock:
            self._is_closed = True
            if self._file is not None:
                os.close(self._file)
                self._file = None


class LogStore:
    """The logs of all jobs, below one folder.

    Every method raises `errors.NotFound` for what cannot be a job's id, and `errors.StoreUnavailable` where the disk
    cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="logs")
        self._watchers: dict[str, set[Watcher]] = {}

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
        size_bytes = await self._run(files.append, job_id, offset_bytes=offset_bytes, data=data)
        self._wake(job_id)
        return size_bytes

    async def read(self, job_id: str, *, start: int = 0, limit: int = READ_BYTES) -> bytes:
        """At most `limit` bytes from byte `start` on; nothing behind the end, or where there is no log."""
        return await self._run(files.read, job_id, start=start, limit=limit)

    async def size(self, job_id: str) -> int:
        """How many bytes are stored; 0 where there is no log."""
        return await self._run(files.size, job_id)

    async def line_numbers(self, job_id: str, *, at: Sequence[int]) -> list[int]:
        """The number of the line (from 1) that each of these bytes lies in; reads the log once."""
        return await self._run(files.line_numbers, job_id, at=at)

    async def find_line(self, job_id: str, *, number: int) -> int | None:
        """The byte at which line `number` (from 1) begins; None where the log has not that many."""
        return await self._run(files.find_line, job_id, number=number)

    async def tail(self, job_id: str, *, start: int = 0, end: int | None = None, lines: int = 20) -> str:
        """The last lines between bytes `start` and `end` (None: the log's end), without the last line's break.

        Looks back `files.TAIL_BYTES` at most. Bytes that are not UTF-8 become U+FFFD.
        """
        return await self._run(files.tail, job_id, start=start, end=end, lines=lines)

    async def sync(self, job_id: str) -> None:
        """Make what was appended survive a power cut: before anybody writes down how far the log goes."""
        await self._run(files.sync, job_id)

    async def seal(self, job_id: str) -> None:
        """Say that the log is whole, durably: nothing can be appended from now on. Sealing again changes nothing."""
        await self._run(files.seal, job_id)
        self._wake(job_id)

    async def is_sealed(self, job_id: str) -> bool:
        """Whether the log is whole."""
        return await self._run(files.is_sealed, job_id)

    @contextlib.asynccontextmanager
    async def opened(self, job_id: str) -> AsyncIterator[OpenedLog]:
        """The log as an open file: who reads it gets all of it, also when it is deleted meanwhile."""

        log = OpenedLog(self._path(job_id), threads=self._threads)
        try:
            await log.size()
            yield log
        finally:
            self._threads.submit(log.close)

    async def list_ids(self) -> AsyncIterator[list[str]]:
        """The jobs that have a log here, some at a time.

        :raises errors.StoreUnavailable: if the disk cannot be read.
        """
        try:
            for folder in await self._in_thread(functools.partial(files.list_folders, self._folder)):
                stems = await self._in_thread(functools.partial(files.list_stems, folder))
                yield sorted(stem for stem in stems if _ULID.fullmatch(stem))
        except OSError as error:
            raise errors.StoreUnavailable(f"The logs cannot be listed: {error.strerror}.") from error

    async def delete(self, job_id: str) -> None:
        """Delete the log; deleting again changes nothing."""
        await self._run(files.delete, job_id)
        self._wake(job_id)

    @contextlib.asynccontextmanager
    async def watch(self, job_id: str) -> AsyncIterator[Watcher]:
        """A watcher that is woken when this process appends to, seals or deletes the log."""
        watcher = Watcher()
        self._watchers.setdefault(job_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            others = self._watchers[job_id]
            others.discard(watcher)
            if not others:
                del self._watchers[job_id]

    def _wake(self, job_id: str) -> None:
        for watcher in self._watchers.get(job_id, ()):
            watcher.wake()

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

    def _path(self, job_id: str) -> Path:
        if not _ULID.fullmatch(job_id):
            raise errors.NotFound(f"There is no log of {job_id!r}: a job's id has 26 letters and digits.")
        # The end of a ULID is random, so that the folders fill evenly.
        return self._folder / job_id[-2:] / f"{job_id}.log"
