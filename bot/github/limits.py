"""Rate limits remembered: once GitHub asked us to wait, no call for that account leaves before the time is up.

https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import cachetools
import msgspec

from bot import errors
from bot.github import classify
from bot.github.clock import Clock
from bot.model import budget

_ACCOUNTS_KEPT = 10_000
_LONGEST_SECONDS = 3600.0


class _Wait(msgspec.Struct, frozen=True, kw_only=True):
    #: By the monotonic clock: a jump of the wall clock neither ends nor lengthens a wait.
    until_seconds: float
    #: How many secondary limits came in a row.
    streak: int
    text: str
    status: int
    is_secondary: bool


def graphql_account(account: str) -> str:
    """The account's budget of the GraphQL API, which GitHub counts beside that of REST."""
    return f"{account} graphql"


class Ledger(Protocol):
    """Where other processes learn what this one learnt of an account's limits, and this one what they did."""

    def blocked(self, account: str, wait: budget.Wait) -> None:
        """GitHub asked the account to wait."""

    def spent(self, account: str, points: int) -> None:
        """A call was made."""

    def went_well(self, account: str, told: budget.Told | None) -> None:
        """A call went through; what its answer told of the limit."""

    def wait(self, account: str) -> budget.Wait | None:
        """What is left of a wait that somebody was asked for."""


class Limits:
    """What we may not do yet, by account (`app`, or one installation, or the latter's budget of GraphQL)."""

    def __init__(self, *, clock: Clock, ledger: Ledger | None = None) -> None:
        self._clock = clock
        self._ledger = ledger
        self._waits: cachetools.LRUCache[str, _Wait] = cachetools.LRUCache(_ACCOUNTS_KEPT)

    def check(self, account: str) -> None:
        """Do nothing where a call may be made.

        :raises errors.RateLimited: if the account has to wait; nothing was sent.
        """
        if (error := self.find(account)) is not None:
            raise error

    def find(self, account: str) -> errors.RateLimited | None:
        """Why the account has to wait, as an error to raise; None where a call may be made."""
        wait = self._waits.get(account)
        if wait is not None and wait.until_seconds > self._clock.monotonic():
            return self._error(wait)
        shared = self._ledger.wait(account) if self._ledger is not None else None
        if shared is None:
            return None
        retry_at = self._clock.now() + timedelta(seconds=shared.seconds)
        return errors.RateLimited(shared.text, status=403, retry_at=retry_at, is_secondary=shared.is_secondary)

    def spent(self, account: str, points: int) -> None:
        """A call is made."""
        if self._ledger is not None:
            self._ledger.spent(account, points)

    def succeeded(self, account: str, *, reset_at: datetime | None, told: budget.Told | None = None) -> None:
        """A call went through; `reset_at` is given when it was the last one that the limit allows."""
        if self._ledger is not None:
            self._ledger.went_well(account, told)
        if reset_at is not None:
            text = f"The rate limit of {account} is used up: no call is made before GitHub resets it."
            self._waits[account] = self._wait(reset_at, text=text, status=403)
            self._share(account)
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
        self._share(account)
        return self._error(wait)

    def _share(self, account: str) -> None:
        if self._ledger is not None:
            wait = self._waits[account]
            left = wait.until_seconds - self._clock.monotonic()
            self._ledger.blocked(
                account,
                budget.Wait(seconds=left, text=wait.text, is_secondary=wait.is_secondary, streak=wait.streak),
            )

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
