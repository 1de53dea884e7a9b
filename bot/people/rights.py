"""What GitHub lets each person do: asked with their own token, kept less than a minute, forgotten when GitHub tells.

Where GitHub cannot be asked nobody sees anything: what was known a minute ago may not hold any more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

import msgspec

from bot.github.users import Users
from bot.model.person import Permission
from bot.people.grants import Grants

#: From the asking, so that no right is older than a minute when it is used.
KEPT_SECONDS = 45.0
_MOST_KEPT = 4096
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Kept(msgspec.Struct, Generic[V], frozen=True):
    asked_at: float
    value: V


class _Memory(Generic[K, V]):
    """Answers for a while; who asks while somebody asks already waits for the same one."""

    def __init__(self, *, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}

    async def of(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept.asked_at < self._seconds:
            return kept.value
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(key, ask))
        # Who asked first may go away; the others still wait.
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        me = asyncio.current_task()
        asked_at = self._clock()
        try:
            value = await ask()
            if self._asking.get(key) is me:
                self._kept[key] = _Kept(asked_at, value)
                self._kept.move_to_end(key)
                while len(self._kept) > _MOST_KEPT:
                    self._kept.popitem(last=False)
            return value
        finally:
            if self._asking.get(key) is me:
                del self._asking[key]

    def forget(self, which: Callable[[K], bool]) -> None:
        """What is being asked right now is not kept either: it may have been answered before."""
        for known in (self._kept, self._asking):
            for key in [one for one in known if which(one)]:
                del known[key]


class Rights:
    """What people may do, repository by repository."""

    def __init__(
        self,
        *,
        users: Users,
        grants: Grants,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._users = users
        self._grants = grants
        self._of_all: _Memory[int, Mapping[int, Permission]] = _Memory(seconds=kept_seconds, clock=clock)
        self._of_one: _Memory[tuple[int, int], Permission] = _Memory(seconds=kept_seconds, clock=clock)

    async def of(self, user_id: int) -> Mapping[int, Permission]:
        """The repositories with the App that somebody was given a right in, by id.

        :raises errors.SignInOver: if GitHub takes their token no more.
        :raises errors.GitHubError: if GitHub cannot be asked.
        """
        return await self._of_all.of(user_id, lambda: self._ask_all(user_id))

    async def in_one(self, user_id: int, repository_id: int) -> Permission:
        """The right in one repository, which for a public one everybody has.

        :raises errors.SignInOver: if GitHub takes their token no more.
        :raises errors.GitHubError: if GitHub cannot be asked.
        """
        given = (await self.of(user_id)).get(repository_id, Permission.NONE)
        if given is not Permission.NONE:
            return given
        return await self._of_one.of((user_id, repository_id), lambda: self._ask_one(user_id, repository_id))

    def forget(self, *, user_id: int | None = None, repository_id: int | None = None) -> None:
        """Ask anew about somebody, a repository, or everything."""
        self._of_all.forget(lambda one: user_id in (None, one))
        self._of_one.forget(lambda key: user_id in (None, key[0]) and repository_id in (None, key[1]))

    async def _ask_all(self, user_id: int) -> Mapping[int, Permission]:
        found = await self._users.rights(await self._grants.token(user_id), user_id=user_id)
        return {one.repository_id: one.permission for one in found.values()}

    async def _ask_one(self, user_id: int, repository_id: int) -> Permission:
        found = await self._users.right(await self._grants.token(user_id), repository_id, user_id=user_id)
        return Permission.NONE if found is None else found.permission
