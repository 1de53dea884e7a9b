"""All mirrors: each commit is fetched at most once, and jobs that wait for one mirror share a fetch."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from bot import errors, telemetry
from bot.engines import contract
from bot.engines.local import git, memory, mirror, threads, trouble

_log = telemetry.log("engines")
#: Waits before each attempt of a fetch.
_ATTEMPTS_SECONDS = (0.0, 0.5, 2.0)
_TIDY_EVERY = 25
#: What the folder with the mirrors of a repository's submodules is called behind the repository's id.
SUBMODULES = ".submodules"
_OF_SUBMODULES = f"*/*{SUBMODULES}/*.git"
#: Of what failed and nobody asked for in the end no more than this is kept.
_MOST_FAILED = 256
#: How long the mirror of a submodule is kept that no job of a kept repository needs.
UNUSED = timedelta(days=30)

_Provided = tuple[mirror.Mirror, tuple[mirror.Commit, ...]]
#: The mirror, and what is asked of it.
_Key = tuple[Path, str, str, str | None]


class _Wanted(msgspec.Struct, eq=False):
    source: contract.Source
    oids: tuple[str, ...]
    done: asyncio.Future[None]


class Mirrors:
    """The mirrors of one data folder, one for each repository and trust."""

    def __init__(
        self, folder: Path, *, program: git.Git, trash: Path, pool: threads.Threads, fetch_seconds: float
    ) -> None:
        self._folder = folder
        self._git = program
        self._trash = trash
        self._pool = pool
        self._fetch_seconds = fetch_seconds
        self._known: memory.Memory[mirror.Commit] = memory.Memory()
        self._waiting: dict[Path, list[_Wanted]] = {}
        #: What is waited for: by mirror and commit, how often.
        self._coming: Counter[tuple[Path, str]] = Counter()
        self._serving: dict[Path, asyncio.Task[None]] = {}
        #: What is fetched before it is asked for; of what failed, until somebody gets to know why.
        self._expected: dict[_Key, asyncio.Task[_Provided]] = {}
        self._fetches: Counter[Path] = Counter()

    async def close(self) -> None:
        """Stop fetching."""
        tasks = [*self._serving.values(), *self._expected.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def place(self, source: contract.Source) -> mirror.Mirror:
        """The mirror for a source, which may not be made yet."""
        return self._at(self._folder / source.trust.value / f"{int(source.repository_id)}.git")

    def _at(self, folder: Path) -> mirror.Mirror:
        return mirror.Mirror(folder, program=self._git, trash=self._trash, known=self._known)

    def expect(self, source: contract.Source) -> None:
        """Begin to have the code that `provide` will be asked for: a fetch takes longer than what is done before it."""
        key = self._key(source)
        if key in self._expected:
            return
        task = self._expected[key] = asyncio.create_task(self._provide(self.place(source), source))

        def done(task: asyncio.Task[_Provided]) -> None:
            is_told = task.cancelled() or task.exception() is None
            if is_told and self._expected.get(key) is task:
                del self._expected[key]
            failed = [key for key, task in self._expected.items() if task.done()]
            for old in failed[:-_MOST_FAILED]:
                del self._expected[old]

        task.add_done_callback(done)

    async def provide(self, source: contract.Source) -> _Provided:
        """The head and, where there is one, the base: from the mirror, or fetched into it.

        :raises trouble.Ended: if they cannot be had.
        """
        expected = self._expected.pop(self._key(source), None)
        if expected is not None:
            # Who asks may give up, and others wait for the same.
            return await asyncio.shield(expected)
        return await self._provide(self.place(source), source)

    def _key(self, source: contract.Source) -> _Key:
        return self.place(source).folder, source.url, source.head_sha, source.base_sha

    async def provide_submodule(
        self, source: contract.Source, *, url: str, sha: str
    ) -> tuple[mirror.Mirror, mirror.Commit]:
        """A commit of a submodule, from a mirror that only jobs of the source's repository and trust share.

        So what one repository may read is never read by way of another one's mirror.

        :raises trouble.Ended: if it cannot be had.
        """
        one = replace(source, url=url, head_sha=sha, base_sha=None, locate=None)
        place = self.place(source)
        if url.lower() != source.url.lower():
            name = hashlib.sha256(url.lower().encode()).hexdigest()[:32]
            place = self._at(place.folder.with_suffix(SUBMODULES) / f"{name}.git")
        found, commits = await self._provide(place, one)
        return found, commits[0]

    async def _provide(self, place: mirror.Mirror, source: contract.Source) -> _Provided:
        oids = tuple(dict.fromkeys(git.check_oid(oid) for oid in (source.head_sha, source.base_sha) if oid))
        git.check_url(source.url)
        # What somebody waits for already is not there: it was looked for.
        is_coming = all(self._coming[place.folder, oid] for oid in oids)
        found = None if is_coming else await self._pool.run(lambda: place.look(oids))
        if found is None:
            await self._ask_for(place, source, oids)
            found = await self._pool.run(lambda: place.look(oids))
        if found is None:
            raise trouble.Ended("The mirror of the repository is damaged; it was made anew, and damaged again.")
        return place, found

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Put the mirrors of other repositories away that were not looked into since an instant.

        Those of submodules go with the repository that names them, or when it named them in no job for long.

        :raises OSError: if one cannot be put away.
        """
        kept = frozenset(map(str, keep))
        unused = min(before, datetime.now(UTC) - UNUSED)
        for folder in await self._pool.run(lambda: [*self._folder.glob("*/*.git"), *self._folder.glob(_OF_SUBMODULES)]):
            is_submodule = folder.parent.suffix == SUBMODULES
            is_kept = (folder.parent if is_submodule else folder).stem in kept
            if folder in self._serving or (is_kept and not is_submodule):
                continue
            place = self._at(folder)
            if await self._pool.run(partial(place.discard_unused, before=unused if is_kept else before)):
                _log.info("a mirror that no build needs was deleted", action="mirror_swept", mirror=str(folder))

    async def _ask_for(self, place: mirror.Mirror, source: contract.Source, oids: tuple[str, ...]) -> None:
        wanted = _Wanted(source, oids, asyncio.get_running_loop().create_future())
        # Who waits may be gone when it ends badly, and then it is nobody's to hear of.
        wanted.done.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.setdefault(place.folder, []).append(wanted)
        if place.folder not in self._serving:
            self._serving[place.folder] = asyncio.create_task(self._serve(place))
        names = [(place.folder, oid) for oid in oids]
        self._coming.update(names)
        try:
            await wanted.done
        finally:
            self._coming -= Counter(names)

    async def _serve(self, place: mirror.Mirror) -> None:
        """Fetch what is waited for, all of it together, until nobody waits any more."""
        try:
            while batch := [wanted for wanted in self._waiting.pop(place.folder, []) if not wanted.done.done()]:
                for wanted in batch:
                    # It may have come with what was fetched before.
                    if await self._pool.run(partial(place.recall, wanted.oids)) is not None:
                        _settle(wanted.done, None)
                batch = [wanted for wanted in batch if not wanted.done.done()]
                error = await self._try(place, batch) if batch else None
                for wanted in batch:
                    if wanted.done.done():
                        continue
                    # Of several that fail together each gets to know its own reason.
                    own = error if error is None or len(batch) == 1 else await self._try(place, [wanted])
                    _settle(wanted.done, own)
                self._fetches[place.folder] += 1
                if self._fetches[place.folder] % _TIDY_EVERY == 0:
                    await self._tidy(place)
        finally:
            del self._serving[place.folder]
            for wanted in self._waiting.pop(place.folder, []):
                _settle(wanted.done, trouble.Ended("The service stopped while it fetched the code."))

    async def _try(self, place: mirror.Mirror, batch: list[_Wanted]) -> Exception | None:
        try:
            await self._fetch(place, batch)
        except Exception as error:  # whatever it is, those who wait have to be told
            return error
        return None

    async def _fetch(self, place: mirror.Mirror, batch: list[_Wanted]) -> None:
        oids = tuple(dict.fromkeys(oid for wanted in batch for oid in wanted.oids))
        # Newest first: its token lives longest.
        source = batch[-1].source
        is_anew, url = False, source.url
        for number, wait_seconds in enumerate(_ATTEMPTS_SECONDS, start=1):
            await asyncio.sleep(wait_seconds)
            token = await source.token() if source.token is not None else None
            try:
                seconds = self._fetch_seconds
                await self._pool.run(partial(place.fetch, oids, url=url, token=token, timeout_seconds=seconds))
                return
            except trouble.Fetching as error:
                if error.is_out_of_sight and source.locate is not None:
                    # Where it is still, a new token may see it: what took the sight of it may be over. Asked behind the
                    # last attempt as well, because only who is asked can say that it is not.
                    url = git.check_url(await source.locate())
                elif not error.is_passing:
                    raise
                if number == len(_ATTEMPTS_SECONDS):
                    raise
                if error.is_damaged and not is_anew:
                    is_anew = True
                    _log.warning(
                        "a mirror is damaged and is made anew", action="mirror_discarded", mirror=str(place.folder)
                    )
                    await self._pool.run(place.discard)

    async def _tidy(self, place: mirror.Mirror) -> None:
        try:
            await self._pool.run(place.tidy)
        except errors.EngineError as error:
            _log.warning("a mirror could not be tidied", action="mirror_untidy", error=str(error))


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
