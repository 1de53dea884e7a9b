"""Threads of the engine's own: what blocks never does so in the event loop, nor in the service's other threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")


class Threads:
    """A few threads that run blocking functions."""

    def __init__(self, name: str, *, most: int) -> None:
        self._executor = ThreadPoolExecutor(max_workers=most, thread_name_prefix=name)

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Call the function in a thread. Where the caller is cancelled, its end is still waited for."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise

    async def close(self) -> None:
        """Wait for what runs; nothing is taken any more."""
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
