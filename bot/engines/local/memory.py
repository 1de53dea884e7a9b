"""What is known of the mirrors without asking git: the commits that were seen in each, for as long as its packs stay.

A warm job needs no process of git's but the one that writes its files. What was seen counts only while the folder of
the packs holds what it held then, name by name, size by size, time by time: whatever damages or repacks a mirror makes
git look anew.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")
_MIRRORS, _COMMITS = 1000, 1000
_Packs = frozenset[tuple[str, int, int, int]]


class _Seen(msgspec.Struct, Generic[T]):
    packs: _Packs
    commits: OrderedDict[str, T] = msgspec.field(default_factory=OrderedDict)


class Memory(Generic[T]):
    """The commits that were seen, by mirror. Its methods are called from threads, and each is whole in itself."""

    def __init__(self) -> None:
        self._seen: OrderedDict[Path, _Seen[T]] = OrderedDict()

    def recall(self, folder: Path, oids: tuple[str, ...], *, now: _Packs) -> tuple[T, ...] | None:
        """The commits of a mirror, where all of them were seen and no pack changed since.

        :param now: the packs as they are.
        """
        seen = self._seen.get(folder)
        if seen is None or not seen.packs <= now:
            return None
        commits = [seen.commits.get(oid) for oid in oids]
        found = tuple(commit for commit in commits if commit is not None)
        return found if len(found) == len(oids) else None

    def note(self, folder: Path, before: _Packs, commits: dict[str, T]) -> None:
        """Remember what git said.

        :param before: the packs as they were when it was asked.
        """
        if not before:
            # Objects that lie by themselves are not watched.
            return
        seen = self._seen.get(folder)
        if seen is None or not seen.packs <= before:
            seen = self._seen[folder] = _Seen(before)
        seen.packs = before
        seen.commits.update(commits)
        for known, most in ((seen.commits, _COMMITS), (self._seen, _MIRRORS)):
            while len(known) > most:
                known.popitem(last=False)


def packs(folder: Path) -> _Packs:
    """The packs of a mirror: nothing where there are none."""
    try:
        with os.scandir(folder / "objects" / "pack") as entries:
            found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return frozenset()
    return frozenset((name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in found)
