"""The ledger: what GitHub limits, and what was spent, written where all replicas look before they make a call.

A wait is written at once, so that nobody claims work of that installation before its end; what was spent is written
once a second, however many calls there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.model import budget
from bot.store import Store, budgets, checks

FLUSH_SECONDS = 1.0
_INSTALLATION = re.compile(r"installation ([0-9]{1,18})")
_log = telemetry.log("ledger")


@dataclass(slots=True)
class _Open:
    """What is not written yet of one installation."""

    points: int = 0
    told: budget.Told | None = None
    has_gone_well: bool = False
    wait: budget.Wait | None = None
    #: When GitHub asked for the wait.
    asked_at: datetime | None = None


class Ledger:
    """Keeps the budgets of all installations in the database; what concerns the App as a whole is not shared."""

    def __init__(self, store: Store, *, now: Callable[[], datetime]) -> None:
        """:param now: gives the time that all replicas go by."""
        self._store = store
        self._now = now
        self._open: dict[int, _Open] = {}
        #: By installation, as the database has it.
        self._blocked: dict[int, budget.Budget] = {}
        self._urgent = asyncio.Event()

    def blocked(self, account: str, wait: budget.Wait) -> None:
        """GitHub asked the account to wait."""
        one = self._of(account)
        if one is None:
            return
        if one.wait is None or one.wait.seconds < wait.seconds:
            one.wait, one.asked_at = wait, self._now()
        self._urgent.set()

    def spent(self, account: str, points: int) -> None:
        """A call was made."""
        one = self._of(account)
        if one is not None:
            one.points += points

    def went_well(self, account: str, told: budget.Told | None) -> None:
        """A call went through; what its answer told of the limit."""
        one = self._of(account)
        if one is not None:
            one.has_gone_well = True
            one.told = told or one.told

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
        self._urgent.set()

    async def run(self) -> None:
        """Write for ever what is open, and read what others wrote."""
        while True:
            try:
                await self.flush()
                await self.look()
            except errors.StoreUnavailable as error:
                _log.warning("What was spent cannot be written for now.", action="flush_ledger", error=str(error))
            # Not `wait_for`: before Python 3.12 that may swallow the cancellation that stops the loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_SECONDS):
                    await self._urgent.wait()
            self._urgent.clear()

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
        written = {of: one for of, one in self._open.items() if one.points or one.wait or one.has_gone_well}
        self._open = {}
        # Waits first: others look at them.
        for installation_id, one in sorted(written.items(), key=lambda item: (item[1].wait is None, item[0])):
            try:
                await self._store.write(_write, installation_id, one, now=self._now())
            except errors.StoreUnavailable:
                self._keep(written)
                raise
            del written[installation_id]

    def _keep(self, unwritten: dict[int, _Open]) -> None:
        for installation_id, one in unwritten.items():
            newer = self._open.get(installation_id)
            if newer is not None:
                one.points += newer.points
                one.told = newer.told or one.told
                one.has_gone_well = one.has_gone_well or newer.has_gone_well
                if newer.wait is not None:
                    one.wait, one.asked_at = newer.wait, newer.asked_at
            self._open[installation_id] = one

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


def _write(connection: Connection, installation_id: int, one: _Open, *, now: datetime) -> None:
    if one.points or one.has_gone_well:
        budgets.spend(
            connection,
            installation_id,
            points=one.points,
            told=one.told,
            went_well=one.has_gone_well and one.wait is None,
            now=now,
        )
    if one.wait is not None and one.asked_at is not None:
        # It went by from when GitHub asked for it.
        passed = (now - one.asked_at) / timedelta(seconds=1)
        budgets.block(connection, installation_id, replace(one.wait, seconds=one.wait.seconds - passed), now=now)
