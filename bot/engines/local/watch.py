"""Who waits for a file to grow: one inotify instance for all of an engine's followers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import asyncinotify

from bot import errors

_MASK = asyncinotify.Mask.MODIFY | asyncinotify.Mask.CLOSE_WRITE


class Watch:
    """Wakes followers. A wake-up is a hint: each follower also looks by itself from time to time."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to watch.

        :raises errors.EngineError: if the kernel gives no more watches; the text says how to mend it.
        """
        try:
            self._inotify = asyncinotify.Inotify()
        except OSError as error:
            raise errors.EngineError(
                f"This machine gives no inotify instance ({error.strerror}): run sysctl -w "
                "fs.inotify.max_user_instances=1024."
            ) from error
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._inotify.close()
            self._task = None

    @contextlib.contextmanager
    def changes(self, path: Path) -> Iterator[asyncio.Event]:
        """An event that is set whenever the file was written to, or closed by who wrote it.

        :raises errors.EngineError: if the kernel gives no more watches.
        """
        try:
            watch = self._inotify.add_watch(path, _MASK)
        except FileNotFoundError as error:
            raise errors.NotFound(f"There is no job {path.parent.name} here.") from error
        except OSError as error:
            raise errors.EngineError(
                f"This machine gives no more inotify watches ({error.strerror}): run sysctl -w "
                "fs.inotify.max_user_watches=524288."
            ) from error
        changed = asyncio.Event()
        waiting = self._waiting.setdefault(watch.wd, set())
        waiting.add(changed)
        try:
            yield changed
        finally:
            waiting.discard(changed)
            if not waiting:
                del self._waiting[watch.wd]
                # The file may be gone, and with it the watch.
                with contextlib.suppress(OSError, ValueError, KeyError):
                    self._inotify.rm_watch(watch)

    async def _run(self) -> None:
        while True:
            event = await self._inotify.get()
            watch = event.watch
            for changed in self._waiting.get(watch.wd, ()) if watch is not None else ():
                changed.set()
