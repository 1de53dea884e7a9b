"""Objects of Git LFS: kept for later jobs by their hashes, apart by repository and trust, and let go of when unused.

The server is the repository's own: its address is made of the repository's, never taken from its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bot.engines import contract
from bot.engines.local import extras, git, lfs_client, pointers, threads, trouble

#: How long an object is kept that no job of a kept repository needs.
UNUSED = timedelta(days=30)
#: Waits before each attempt.
_ATTEMPTS_SECONDS = (0.0, 0.5, 2.0)


class Store:
    """The objects of one data folder, apart by repository, trust and the server's path, as mirrors are."""

    def __init__(self, folder: Path, *, pool: threads.Threads, seconds: float) -> None:
        """:param seconds: how long the objects of one checkout may take."""
        self._folder = folder
        self._pool = pool
        self._seconds = seconds
        self._locks: dict[Path, asyncio.Lock] = {}

    def place(self, source: contract.Source, *, url: str) -> Path:
        """Where the objects are that a repository at this URL has for jobs of a source."""
        own = "own" if url.lower() == source.url.lower() else hashlib.sha256(url.lower().encode()).hexdigest()[:32]
        return self._folder / source.trust.value / str(int(source.repository_id)) / own

    async def provide(self, source: contract.Source, wanted: Sequence[pointers.Entry], *, url: str) -> Path:
        """Have all of these objects; returns the folder that they are in.

        :raises trouble.Ended: if one cannot be had.
        """
        folder = self.place(source, url=url)
        # One at a time: of several jobs that need the same, one downloads it.
        async with self._locks.setdefault(folder, asyncio.Lock()):
            try:
                async with asyncio.timeout(self._seconds):
                    await self._fill(folder, source, wanted, url=git.check_url(url))
            except TimeoutError:
                host = urlsplit(url).hostname
                raise trouble.Ended(f"{host} took longer than {self._seconds:g} seconds, the time limit.") from None
            except OSError as error:
                raise trouble.Ended(f"The data folder cannot be written: {error.strerror}.") from error
        return folder

    def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Delete what no job needed for long, and of other repositories what none used since an instant. Blocks.

        :raises OSError: if something cannot be deleted.
        """
        unused = min(before, datetime.now(UTC) - UNUSED)
        for root in self._folder.glob("*/*"):
            oldest = unused if root.name.isdigit() and int(root.name) in keep else before
            for path in root.glob("*/*/*"):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < oldest.timestamp():
                        path.unlink()

    async def _fill(self, folder: Path, source: contract.Source, wanted: Sequence[pointers.Entry], *, url: str) -> None:
        names = {entry.pointer.oid: entry for entry in wanted}
        for number, wait_seconds in enumerate(_ATTEMPTS_SECONDS, start=1):
            await asyncio.sleep(wait_seconds)
            missing = await self._pool.run(partial(_missing, folder, list(names.values())))
            if not missing:
                return
            token = await source.token() if source.token is not None else None
            try:
                await lfs_client.download(folder, missing, url=url, token=token, pool=self._pool)
                return
            except lfs_client.Passing as error:
                if error.is_out_of_sight and source.locate is not None:
                    url = git.check_url(await source.locate())
                if number == len(_ATTEMPTS_SECONDS) or (error.is_out_of_sight and source.locate is None):
                    raise trouble.Ended(error.reason) from error


def _missing(folder: Path, wanted: Sequence[pointers.Entry]) -> list[pointers.Entry]:
    """Those that are not here as they should be; the others are noted as being of use."""
    found = []
    for entry in wanted:
        path = folder / extras.object_name(entry.pointer.oid)
        try:
            if path.stat().st_size != entry.pointer.size_bytes:
                raise FileNotFoundError
            os.utime(path)
        except FileNotFoundError:
            found.append(entry)
    return found
