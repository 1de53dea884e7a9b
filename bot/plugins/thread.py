"""A thread with an event loop of its own for one handler: what blocks there blocks nobody else.

A handler that waits too long is cancelled. One that holds its thread up cannot be: the thread is left behind, and ends
when it gets free; the next call gets a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from bot import errors

#: A handler that takes longer has failed.
TIMEOUT_SECONDS = 60.0
#: A thread that does not answer so long after that is held up.
GRACE_SECONDS = 5.0
#: How long threads are waited for at the end.
_CLOSE_SECONDS = 2.0


class HandlerTooSlow(errors.BuildhookError):
    """A handler took too long."""


class HandlerEnded(Exception):
    """A handler raised what would end the process, or a task; here it ends nothing."""


class HandlerThread:
    """Runs one handler's calls, several side by side as far as they wait with `await`."""

    def __init__(
        self, name: str, *, timeout_seconds: float = TIMEOUT_SECONDS, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self._name = name
        self._timeout_seconds = timeout_seconds
        self._grace_seconds = grace_seconds
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine, made in the thread, to its end.

        :raises HandlerTooSlow: if it did not end in time, whether it waits or holds its thread up.
        :raises HandlerEnded: if it raised `SystemExit`, `KeyboardInterrupt` or `CancelledError`.
        :raises Exception: whatever else it raised.
        """
        loop = self._started()
        running = asyncio.run_coroutine_threadsafe(self._limited(make), loop)
        limit = self._timeout_seconds + self._grace_seconds
        try:
            async with asyncio.timeout(limit) as timeout:
                await asyncio.wrap_future(running)
        except TimeoutError:
            if not timeout.expired():
                raise
            if running.done() and not running.cancelled():
                # It was our own loop that was late.
                running.result()
                return
            self._leave(loop)
            raise HandlerTooSlow(
                f"It held its thread up for more than {limit:.0f} s: it waits, or counts, without `await`."
            ) from None

    async def close(self) -> None:
        """End the thread; one that is held up is left behind."""
        thread = self._thread
        if self._loop is not None:
            self._leave(self._loop)
        if thread is not None:
            await asyncio.to_thread(thread.join, _CLOSE_SECONDS)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A daemon: one that is held up does not keep the process from ending.
            self._thread = threading.Thread(
                target=_run, args=(self._loop,), name=f"handler {self._name}"[:64], daemon=True
            )
            self._thread.start()
        return self._loop

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            self._loop = self._thread = None
        # It may have ended by itself.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(loop.stop)

    async def _limited(self, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds) as timeout:
                await make()
        except TimeoutError:
            if not timeout.expired():
                raise
            raise HandlerTooSlow(f"It took more than {self._timeout_seconds:.0f} s and was stopped.") from None
        except (SystemExit, KeyboardInterrupt, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                # The service stops.
                raise
            raise HandlerEnded(f"It raised {type(error).__name__}.") from error


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
