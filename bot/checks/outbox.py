"""The loop that the reporter and the answers have in common: claims what is stale, and sends it side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from bot import errors, hint, ramp, telemetry

T = TypeVar("T")

#: How often the loop looks, should a wake-up be lost.
LOOK_SECONDS = 2.0
#: How long requests under way may take when it is stopped: an answer that is lost has to be searched for.
FINISH_SECONDS = 3.0
_log = telemetry.log("checks")


class Outbox(Generic[T]):
    """Sends what is stale of one kind, as many at once as GitHub lets it."""

    def __init__(
        self,
        *,
        what: str,
        most: int,
        claim: Callable[[datetime, int], Awaitable[tuple[Sequence[T], datetime | None]]],
        send: Callable[[T, datetime], Coroutine[Any, Any, None]],
        now: Callable[[], datetime],
    ) -> None:
        """:param what: for the log, in the plural.
        :param most: how many are sent side by side.
        :param claim: takes the time and how many; gives what was claimed, and when more is due.
        :param send: takes one that was claimed, and when it was; it raises nothing.
        """
        self._what = what
        self._claim = claim
        self._send = send
        self._now = now
        self._under_way: set[asyncio.Task[None]] = set()
        self._hint = hint.Hint()
        self.ramp = ramp.Ramp(most)

    def wake(self) -> None:
        """Hint that there is something to do."""
        self._hint.give()

    async def run(self) -> None:
        """Send for ever. When stopped, requests under way may end; a lost answer is looked up at the next start."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    await self._hint.wait(self._pause_seconds(await self._look(group)))
            finally:
                if self._under_way:
                    await asyncio.wait(self._under_way, timeout=FINISH_SECONDS)

    async def _look(self, group: asyncio.TaskGroup) -> datetime | None:
        free = self.ramp.width - len(self._under_way)
        if free <= 0:
            return None
        now = self._now()
        try:
            claimed, due_at = await self._claim(now, free)
        except errors.StoreUnavailable as error:
            _log.error(f"{self._what.capitalize()} cannot be claimed.", action=f"claim_{self._what}", error=str(error))
            return None
        for one in claimed:
            task = group.create_task(self._send(one, now))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            task.add_done_callback(lambda _task: self.wake())
        return due_at

    def _pause_seconds(self, due_at: datetime | None) -> float:
        if due_at is None:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(0.05, (due_at - self._now()).total_seconds()))
