"""Where logs and artifacts lie: the data folder, and an object store to which they are taken when they are whole.

What is whole lies on the disk until the store has it, and only then is removed here. So a store that is away costs
nothing but room: it is tried again until it is back, by the next process too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from pathlib import Path

from bot import clock, errors, telemetry
from bot.logs.artifacts import ArtifactStore
from bot.logs.local import LogStore
from bot.logs.objects import Away, Objects

#: How often all that lies here is looked through, besides what is told.
LOOK_SECONDS = 60.0
#: How long a store is left alone at most when it was away.
MAX_PAUSE_SECONDS = 10.0
_AT_ONCE = 4
#: What a store's own mark is called: the database whose logs and artifacts these are.
_OWNER = "owner"
_log = telemetry.log("logs")


class Storage:
    """The logs and artifacts of one data folder."""

    def __init__(self, data_dir: Path, *, url: str | None = None, account: str | None = None) -> None:
        """:param url: of the object store; None: everything stays in the data folder.
        :param account: of Azure, where it is one of theirs.
        :raises errors.SettingsError: if there can be no such store.
        """
        self._objects = None if url is None else Objects(url, account=account)
        self.logs = LogStore(data_dir / "logs", objects=self._objects)
        self.artifacts = ArtifactStore(data_dir / "artifacts", objects=self._objects)
        self._whole: set[tuple[str, bool]] = set()
        self._is_woken = asyncio.Event()
        if self._objects is not None:
            self.logs.on_let_go = lambda job_id: self._wake(job_id, is_log=True)
            self.artifacts.on_whole = lambda artifact_id: self._wake(artifact_id, is_log=False)

    @property
    def url(self) -> str | None:
        """The object store; None where there is none."""
        return None if self._objects is None else self._objects.url

    async def check(self) -> None:
        """Look whether the object store can be used; one that is away is told of, and may come back.

        :raises errors.SettingsError: if somebody has to mend something first.
        """
        try:
            await self.try_it()
        except Away as error:
            _log.warning("Logs and artifacts stay here for now.", action="carry", error=str(error))

    async def try_it(self) -> None:
        """Write a word to the object store, where there is one.

        :raises errors.SettingsError: as `check`.
        :raises errors.StoreUnavailable: if it is away.
        """
        if self._objects is not None:
            await self._objects.run(self._objects.check)

    async def close(self) -> None:
        """Wait for what is under way; what was not taken to the object store is taken by the next process."""
        await self.logs.close()

    async def is_of(self, owner: str) -> bool:
        """Whether the object store is that of an owner; one that is nobody's becomes theirs."""
        objects = self._objects
        if objects is None:
            return False
        found = await objects.run(lambda: objects.find_text(_OWNER))
        if found is None:
            await objects.run(lambda: objects.put_text(_OWNER, owner))
        return found in (None, owner)

    async def run(self) -> None:
        """Take what is whole to the object store, for ever."""
        if self._objects is None:
            return
        failures, next_look = 0, 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if loop.time() >= next_look:
                    await self._look()
                    next_look = loop.time() + LOOK_SECONDS
                await self.carry()
                if failures:
                    _log.info("The object store is back.", action="carry")
                failures = 0
            except errors.StoreUnavailable as error:
                if not failures:
                    _log.warning("Logs and artifacts stay here for now.", action="carry", error=str(error))
                failures += 1
            except Exception as error:
                _log.error("Taking logs and artifacts away failed.", action="carry", exc_info=error)
                failures += 1
            if failures:
                await asyncio.sleep(min(0.5 * 2.0 ** min(failures, 10), MAX_PAUSE_SECONDS))
                continue
            try:
                async with asyncio.timeout(max(0.0, next_look - loop.time())):
                    await self._is_woken.wait()
            except TimeoutError:
                continue

    async def carry_all(self) -> None:
        """Take all that is whole here to the object store.

        :raises errors.StoreUnavailable: if it is away; what was not taken stays here.
        """
        await self._look()
        await self.carry()

    async def carry(self) -> None:
        """Take what is known to be whole there.

        :raises errors.StoreUnavailable: as `carry_all`.
        """
        self._is_woken.clear()
        while self._whole:
            some = sorted(self._whole)[:_AT_ONCE]
            results = await asyncio.gather(*(self._carry(*one) for one in some), return_exceptions=True)
            for one, result in zip(some, results, strict=True):
                if result is None:
                    self._whole.discard(one)
            for result in results:
                if isinstance(result, BaseException):
                    raise result

    def _carry(self, one: str, is_log: bool) -> Awaitable[None]:
        return self.logs.carry(one) if is_log else self.artifacts.carry(one)

    async def _look(self) -> None:
        async for some in self.logs.list_packed_ids():
            self._whole |= {(one, True) for one in some}
        async for others in self.artifacts.list_ids(before=clock.now() + timedelta(days=1)):
            self._whole |= {(one, False) for one in others}

    def _wake(self, one: str, *, is_log: bool) -> None:
        self._whole.add((one, is_log))
        self._is_woken.set()
