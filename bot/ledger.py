"""The ledger: what GitHub limits, and what was spent, written where all replicas look before they make a call.

A wait is written and read at once, apart from all else, so that nobody makes a call of that installation before its
end. What was spent is written once a second, however many calls there were, and sooner where it was much.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from bot import errors, telemetry
from bot.model import budget
from bot.store import Store, budgets, checks

FLUSH_SECONDS = 1.0
#: So much of one installation is written at once: claims have to know before the minute is spent.
MUCH_POINTS = 50
_INSTALLATION = re.compile(r"installation ([0-9]{1,18})")
_log = telemetry.log("ledger")


class _Asked(msgspec.Struct, frozen=True):
    """A wait, and when GitHub asked for it."""

    wait: budget.Wait
    at: datetime


class _Spent(msgspec.Struct):
    """What calls did that is not written yet."""

    points: int = 0
    told: budget.Told | None = None
    has_gone_well: bool = False

    def with_newer(self, newer: _Spent) -> _Spent:
        """Both together."""
        return _Spent(
            points=self.points + newer.points,
            told=newer.told or self.told,
            has_gone_well=self.has_gone_well or newer.has_gone_well,
        )


class _Open(msgspec.Struct):
    """What is not written yet of one installation."""

    spent: _Spent = msgspec.field(default_factory=_Spent)
    asked: _Asked | None = None


class Ledger:
    """Keeps the budgets of all installations in the database; what concerns the App as a whole is not shared."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        """:param now: gives the time that all replicas go by."""
        self._store = store
        self._now = now
        self._open: dict[int, _Open] = {}
        #: By installation, as the database has it.
        self._blocked: dict[int, budget.Budget] = {}
        #: Somebody was asked to wait, here or elsewhere; much was spent here.
        self._asked, self._much = asyncio.Event(), asyncio.Event()

    def blocked(self, account: str, wait: budget.Wait) -> None:
        """GitHub asked the account to wait."""
        one = self._of(account)
        if one is None:
            return
        if one.asked is None or one.asked.wait.seconds < wait.seconds:
            one.asked = _Asked(wait, at=self._now())
        self._asked.set()

    def spent(self, account: str, points: int) -> None:
        """A call was made."""
        one = self._of(account)
        if one is not None:
            one.spent.points += points
            if one.spent.points >= MUCH_POINTS:
                self._much.set()

    def went_well(self, account: str, told: budget.Told | None) -> None:
        """A call went through; what its answer told of the limit."""
        one = self._of(account)
        if one is not None:
            one.spent.has_gone_well = True
            one.spent.told = told or one.spent.told

    def wait(self, account: str) -> budget.Wait | None:
        """What is left of a wait that somebody was asked for."""
        found = _INSTALLATION.fullmatch(account)
        known = self._blocked.get(int(found[1])) if found is not None else None
        if known is None or known.blocked_until is None:
            return None
        left = (known.blocked_until - self._now()).total_seconds()
        text = known.blocked_text or "GitHub asked this installation to wait."
        return budget.Wait(seconds=left, text=text, is_secondary=known.is_secondary) if left > 0 else None

    def wake(self) -> None:
        """Hint that another replica was asked to wait."""
        self._asked.set()

    async def run(self) -> None:
        """Write for ever what is open, and read what others wrote."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._asked, self._exchange), name="ledger waits")
            group.create_task(self._repeat(self._much, self._write_spent), name="ledger spending")

    async def _repeat(self, event: asyncio.Event, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except errors.StoreUnavailable as error:
                _log.warning("What was spent cannot be written for now.", action="flush_ledger", error=str(error))
                # A database that is away is not asked without a pause.
                await asyncio.sleep(FLUSH_SECONDS)
            # Not `wait_for`: before Python 3.12 that may swallow the cancellation that stops the loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await event.wait()
            event.clear()

    async def _exchange(self) -> None:
        await self._write_waits()
        await self.look()

    async def look(self) -> None:
        """Read which installations have to wait.

        :raises errors.StoreUnavailable: if the database cannot be read.
        """
        found = await self._store.read(budgets.list_blocked, now=self._now())
        self._blocked = {one.installation_id: one for one in found}

    async def flush(self) -> None:
        """Write what is open.

        :raises errors.StoreUnavailable: if the database cannot be written; then all of it stays open.
        """
        await self._write_waits()
        await self._write_spent()

    async def _write_waits(self) -> None:
        for installation_id, one in list(self._open.items()):
            asked = one.asked
            if asked is None:
                continue
            # It went by from when GitHub asked for it.
            passed = (self._now() - asked.at) / timedelta(seconds=1)
            left = replace(asked.wait, seconds=asked.wait.seconds - passed)
            await self._store.write(budgets.block, installation_id, left, now=self._now())
            if one.asked is asked:
                one.asked = None

    async def _write_spent(self) -> None:
        for installation_id, one in list(self._open.items()):
            spent, one.spent = one.spent, _Spent()
            if not spent.points and not spent.has_gone_well:
                continue
            try:
                await self._store.write(
                    budgets.spend,
                    installation_id,
                    points=spent.points,
                    told=spent.told,
                    went_well=spent.has_gone_well and one.asked is None,
                    now=self._now(),
                )
            except errors.StoreUnavailable:
                one.spent = spent.with_newer(one.spent)
                raise

    def _of(self, account: str) -> _Open | None:
        found = _INSTALLATION.fullmatch(account)
        return self._open.setdefault(int(found[1]), _Open()) if found is not None else None


async def measure(store: Store, metrics: telemetry.Metrics, *, now: datetime) -> None:
    """Set the metrics of what waits to be shown, and of who waits.

    :raises errors.StoreUnavailable: if the database cannot be read.
    """
    metrics.checks_stale.set(await store.read(checks.count_stale))
    oldest_at = await store.read(checks.oldest_stale_at)
    metrics.oldest_stale.set((now - oldest_at).total_seconds() if oldest_at is not None else 0.0)
    metrics.blocked.set(len(await store.read(budgets.list_blocked, now=now)))
