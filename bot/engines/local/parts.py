"""Completes a checkout by the operator's setting: submodules are fetched, and what Git LFS keeps is downloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from bot.choices import Submodules
from bot.engines import contract
from bot.engines.local import extras, git, lfs, mirror, mirrors, pointers, submodules, threads, trouble

T = TypeVar("T")
#: How many submodules of one job are fetched at once.
_AT_ONCE = 4


class _Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A tree of the checkout: that of the tested commit, or a submodule's."""

    #: Number and path of the submodule; 0 and nothing for the repository itself.
    number: int
    path: str
    found: mirror.Mirror
    tree: str
    url: str
    env: Mapping[str, str]


class Parts:
    """Makes the extras of checkouts."""

    def __init__(
        self,
        checkout: contract.Checkout,
        *,
        program: git.Git,
        sources: mirrors.Mirrors,
        store: lfs.Store,
        workers: threads.Threads,
    ) -> None:
        self._checkout = checkout
        self._git = program
        self._mirrors = sources
        self._store = store
        self._workers = workers
        self._turns = asyncio.Semaphore(_AT_ONCE)

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to do for any job."""
        return self._checkout.submodules is not Submodules.NONE or self._checkout.has_lfs

    async def complete(
        self, source: contract.Source, found: mirror.Mirror, commit: mirror.Commit, *, objects: Path, most_bytes: int
    ) -> extras.Extras:
        """What belongs to the checkout of a commit besides its own files.

        :param objects: where objects of the job are that are not in the mirror.
        :param most_bytes: how much the LFS files may have together.
        :raises trouble.Ended: if something of it cannot be had.
        """
        env = {"GIT_OBJECT_DIRECTORY": str(objects), "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(found.objects)}
        trees = [_Tree(number=0, path="", found=found, tree=commit.tree, url=source.url, env=env)]
        parts: list[submodules.Part] = []
        level, depth = trees, 0
        while level and self._checkout.submodules is not Submodules.NONE:
            depth += 1
            fetched = await self._below(source, level, first=len(parts) + 1, depth=depth)
            parts += fetched
            level = [
                _Tree(
                    number=part.number,
                    path=part.path,
                    found=part.found,
                    tree=part.commit.tree,
                    url=part.submodule.url,
                    env={},
                )
                for part in fetched
            ]
            trees = trees + level
            if self._checkout.submodules is Submodules.TOP:
                break
        most_bytes = self._checkout.lfs_bytes or most_bytes
        files, stores = await self._large(source, trees, most_bytes=most_bytes) if self._checkout.has_lfs else ((), ())
        return extras.Extras(parts=tuple(parts), files=files, stores=stores)

    async def _below(
        self, source: contract.Source, level: list[_Tree], *, first: int, depth: int
    ) -> list[submodules.Part]:
        """The submodules that these trees name, fetched."""
        wanted: list[tuple[_Tree, submodules.Submodule]] = []
        for tree in level:
            wanted += [(tree, one) for one in await self._read(tree, partial(submodules.read, url=tree.url))]
            if first + len(wanted) > submodules.MAX_NUMBER + 1:
                raise submodules.too_many()
            if wanted and depth > submodules.MAX_DEPTH:
                raise submodules.too_deep(wanted[0][0].path)
        # Each is waited for, whatever becomes of the others: a fetch that is broken off helps nobody.
        got = await asyncio.gather(*(self._fetch(source, one) for _, one in wanted), return_exceptions=True)
        found = []
        for number, ((tree, one), result) in enumerate(zip(wanted, got, strict=True), start=first):
            if isinstance(result, BaseException):
                raise result
            place, commit = result
            path = f"{tree.path}/{one.path}".lstrip("/")
            found.append(
                submodules.Part(number=number, parent=tree.number, submodule=one, path=path, found=place, commit=commit)
            )
        return found

    async def _read(self, tree: _Tree, read: Callable[..., tuple[T, ...]]) -> tuple[T, ...]:
        """What a tree says.

        :raises trouble.Ended: if it cannot be read, or says what is refused.
        """
        reading = partial(read, tree.found, program=self._git, tree=tree.tree, env=tree.env)
        try:
            return await self._workers.run(reading)
        except git.Failed as error:
            await self._workers.run(tree.found.doubt)
            name = submodules.full_name(tree.url)
            raise trouble.Ended(
                f"The files of {name} could not be read; its mirror is looked at before the next job.", log=error.stderr
            ) from error

    async def _fetch(self, source: contract.Source, one: submodules.Submodule) -> tuple[mirror.Mirror, mirror.Commit]:
        async with self._turns:
            try:
                return await self._mirrors.provide_submodule(source, url=one.url, sha=one.sha)
            except trouble.Ended as error:
                raise trouble.during(submodules.phase(one), submodules.explained(one, error)) from error

    async def _large(
        self, source: contract.Source, trees: list[_Tree], *, most_bytes: int
    ) -> tuple[tuple[extras.Large, ...], tuple[tuple[int, Path], ...]]:
        """The LFS files of these trees, and where their objects are."""
        found = [(tree, await self._read(tree, pointers.read)) for tree in trees]
        entries = [entry for _, some in found for entry in some]
        pointers.check(entries, most_bytes=most_bytes)
        files: list[extras.Large] = []
        stores: list[tuple[int, Path]] = []
        for tree, some in found:
            if not some:
                continue
            try:
                folder = await self._store.provide(source, some, url=tree.url)
            except trouble.Ended as error:
                name = submodules.full_name(tree.url)
                raise trouble.during(f"Downloading LFS objects of {name}", error) from error
            stores.append((tree.number, folder))
            files += [
                extras.Large(path=f"{tree.path}/{entry.path}".lstrip("/"), oid=entry.pointer.oid, part=tree.number)
                for entry in some
            ]
        return tuple(files), tuple(stores)
