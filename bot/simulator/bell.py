"""Waiting for the world to change, without polling: whoever changes something rings, whoever waits looks again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Bell:
    """Wakes everyone who waits each time that it rings."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def wait_until(
        self, predicate: Callable[[], Result], *, timeout_seconds: float, describe: Callable[[], str]
    ) -> Result:
        """Gives the first true value of `predicate`, which is looked at after each ring.

        :raises TimeoutError: if it is not true in time; the text is what `describe` says then
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while not (result := predicate()):
                    await self._rung.wait()
                return result
        except TimeoutError:
            raise TimeoutError(f"not within {timeout_seconds:g} s: {describe()}") from None
