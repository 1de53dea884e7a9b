"""This replica: one service among those that share a database. It says that it lives, and goes by the database's time.

Its id is kept in the data folder: a service that starts there anew is the same replica, so that it takes up its own
jobs and gives back at once what its last process had claimed.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from bot import clock, errors, telemetry
from bot.store import Store, replicas

#: How often it says that it lives; several may fail before its lease ends.
BEAT_SECONDS = 3.0
#: What is told of a clock that differs from the database's.
_TOLERATED_SKEW = timedelta(seconds=2)
#: When a replica that is gone is forgotten.
_FORGET_AFTER = timedelta(days=1)
_log = telemetry.log("replica")


class Replica:
    """This process among the replicas of one database."""

    def __init__(self, store: Store, *, data_dir: Path, new_id: Callable[[], str]) -> None:
        self._store = store
        self._file = data_dir / "replica"
        self._new_id = new_id
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._id: str | None = None
        #: By how much the database's clock is ahead of this machine's.
        self._ahead = timedelta(0)

    @property
    def id(self) -> str:
        """Owns what this process claims. Known once `prepare` was called."""
        assert self._id is not None, "the replica does not know who it is"
        return self._id

    def now(self) -> datetime:
        """The time that all replicas go by: a lease means the same to each of them, whatever their clocks say."""
        return clock.now() + self._ahead

    async def prepare(self) -> None:
        """Learn who it is.

        :raises errors.SettingsError: if the data folder cannot be written.
        """
        self._id = await asyncio.to_thread(self._kept_id)

    async def start(self) -> None:
        """Take part, and give back what the last process of this folder had claimed.

        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        self._correct(await self._store.read(replicas.clock))
        await self._store.write(
            replicas.start,
            replica_id=self.id,
            name=self._name,
            now=self.now(),
            is_only=not self._store.is_shared,
        )

    async def run(self) -> None:
        """Say that it lives, for ever."""
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self.beat()
            except errors.StoreUnavailable as error:
                _log.warning("The database does not hear that we live.", action="beat", error=str(error))

    async def beat(self) -> None:
        """Say once that it lives.

        :raises errors.StoreUnavailable: if the database cannot be written.
        """
        now = self.now()
        self._correct(await self._store.write(replicas.beat, replica_id=self.id, name=self._name, now=now))
        await self._store.write(replicas.forget_silent, before=now - _FORGET_AFTER)

    async def give_back(self) -> None:
        """Give back what is claimed and not on an engine: its loops have stopped."""
        try:
            await self._store.write(replicas.give_back, owner=self.id)
        except errors.StoreUnavailable as error:
            _log.warning("What was claimed is freed when its lease ends.", action="give_back", error=str(error))

    async def stop(self) -> None:
        """Take part no more; its jobs go on, and stay its own for a while."""
        try:
            await self._store.write(replicas.stop, replica_id=self.id, now=self.now())
        except errors.StoreUnavailable as error:
            _log.warning("That this replica stops is found out when its lease ends.", action="stop", error=str(error))

    def _correct(self, at: datetime | None) -> None:
        if at is None:
            return
        ahead = at - clock.now()
        if abs(ahead - self._ahead) > _TOLERATED_SKEW:
            _log.warning(
                "This machine's clock differs from the database's, whose time is used. Set the clock.",
                action="clock_skew",
                ahead_seconds=round(ahead.total_seconds()),
            )
        self._ahead = ahead

    def _kept_id(self) -> str:
        try:
            kept = self._file.read_text(encoding="ascii").strip() if self._file.exists() else ""
            if not kept:
                kept = self._new_id()
                self._file.write_text(kept + "\n", encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise errors.SettingsError(f"BUILDHOOK_DATA_DIR: cannot use {self._file}: {error}") from error
        return kept
