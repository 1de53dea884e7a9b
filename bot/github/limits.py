"""Rate limits remembered: once GitHub asked us to wait, no call for that account leaves before the time is up.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import cachetools

from bot import errors
from bot.github import classify
from bot.github.clock import Clock

_ACCOUNTS_KEPT = 10_000
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    #: By the monotonic clock: a jump of the wall clock neither ends nor lengthens a wait.
    until_seconds: float
    #: How many secondary limits came in a row.
    streak: int
    text: str
    status: int
    is_secondary: bool


class Limits:
    """What we may not do yet, by account (`app`, or one installation)."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._waits: cachetools.LRUCache[str, _Wait] = cachetools.LRUCache(_ACCOUNTS_KEPT)

    def check(self, account: str) -> None:
        """Do nothing where a call may be made.

        :raises errors.RateLimited: if the account has to wait; nothing was sent.
        """
        wait = self._waits.get(account)
        if wait is not None and wait.until_seconds > self._clock.monotonic():
            raise self._error(wait)

    def succeeded(self, account: str, *, reset_at: datetime | None) -> None:
        """A call went through; `reset_at` is given when it was the last one that the limit allows."""
        if reset_at is not None:
            text = f"The rate limit of {account} is used up: no call is made before GitHub resets it."
            self._waits[account] = self._wait(reset_at, text=text, status=403)
        elif account in self._waits and self._waits[account].until_seconds <= self._clock.monotonic():
            del self._waits[account]

    def limited(self, account: str, error: errors.RateLimited) -> errors.RateLimited:
        """Remember that GitHub limits the account; the error to raise, its wait longer each time it happens again."""
        known = self._waits.get(account)
        is_over = known is None or known.until_seconds <= self._clock.monotonic()
        streak = 0
        retry_at = error.retry_at
        if error.is_secondary:
            # Calls that were under way together are limited together: that counts once.
            streak = (known.streak if known is not None else 0) + (1 if is_over else 0)
        if streak > 1:
            longer = classify.SHORTEST_PAUSE.total_seconds() * 2 ** min(streak - 1, 10)
            retry_at = max(retry_at, self._clock.now() + timedelta(seconds=min(longer, _LONGEST_SECONDS)))
        wait = self._wait(retry_at, text=str(error), status=error.status or 403, streak=streak)
        if known is not None and known.until_seconds > wait.until_seconds:
            wait = known
        self._waits[account] = wait
        return self._error(wait)

    def _wait(self, retry_at: datetime, *, text: str, status: int, streak: int = 0) -> _Wait:
        seconds = (retry_at - self._clock.now()).total_seconds()
        return _Wait(
            until_seconds=self._clock.monotonic() + seconds,
            streak=streak,
            text=text,
            status=status,
            is_secondary=streak > 0,
        )

    def _error(self, wait: _Wait) -> errors.RateLimited:
        left = timedelta(seconds=wait.until_seconds - self._clock.monotonic())
        retry_at = self._clock.now() + left
        return errors.RateLimited(wait.text, status=wait.status, retry_at=retry_at, is_secondary=wait.is_secondary)
