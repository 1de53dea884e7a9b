"""Installation tokens: each for one purpose in one repository, renewed early, asked for once however many wait.

One purpose is bound to no repository: to list those of an installation, with a token that can only read metadata. What
users' own handlers do is bound to the repository of their event, where it has one.

https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
"""

from __future__ import annotations

import asyncio
import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

import cachetools
import msgspec

from bot import errors, failpoint
from bot.github import app_auth, urls
from bot.github.clock import Clock

#: A token is used for at most this long; it lives an hour.
MAX_AGE_SECONDS = 50 * 60.0
#: What must be left of a token's life when it is given away: a call, a fetch by git, a redirect.
_RESERVE_SECONDS = 10 * 60.0
_TOKENS_KEPT = 10_000
#: A name older than this is doubted when a payload tells another one.
_NAME_DOUBTED_SECONDS = 60.0
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")


class Purpose(enum.StrEnum):
    """What a token is for; it can do nothing else, in no other repository than the one it was made for."""

    #: Read the pipeline file, pull requests and permissions, write check runs. Never leaves this process.
    REPORT = "report"
    #: Fetch the code with git.
    GIT = "git"
    #: Answer commands: react to comments, and write one. Never leaves this process.
    ANSWER = "answer"
    #: List the repositories of the installation: the one purpose that is not bound to a repository.
    LIST = "list"
    #: What users' own handlers do: all that the installation lets the App do.
    HANDLER = "handler"


_READ, _WRITE = "read", "write"
PERMISSIONS: Mapping[Purpose, Mapping[str, str]] = MappingProxyType(
    {
        Purpose.REPORT: {"checks": _WRITE, "contents": _READ, "metadata": _READ, "pull_requests": _READ},
        Purpose.GIT: {"contents": _READ},
        # Apart from what reports: where an owner has not accepted it, checks go on.
        Purpose.ANSWER: {"metadata": _READ, "pull_requests": _WRITE},
        Purpose.LIST: {"metadata": _READ},
        # Not narrowed: what they do is not known here.
        Purpose.HANDLER: {},
    }
)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Which token."""

    installation_id: int
    #: None for the whole installation: to list, or for a handler of an event that is about no repository.
    repository_id: int | None
    purpose: Purpose

    def __post_init__(self) -> None:
        is_bound = self.repository_id is not None
        if self.purpose is not Purpose.HANDLER and is_bound == (self.purpose is Purpose.LIST):
            raise ValueError(f"a token to {self.purpose} cannot be for repository {self.repository_id}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token with what is known of it."""

    #: Of any length.
    value: str = field(repr=False)
    #: The repository's name at that moment, by its id; None where GitHub did not say.
    full_name: str | None
    #: GraphQL's id of the repository; None where GitHub did not say.
    node_id: str | None = None
    #: By the monotonic clock.
    fetched_at_seconds: float
    usable_seconds: float


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    node_id: str | None = None


class _Granted(msgspec.Struct):
    token: str
    expires_at: datetime
    repositories: list[_Repository] | None = None


class _Installation(msgspec.Struct):
    permissions: dict[str, str] = msgspec.field(default_factory=dict)


class Tokens:
    """The installation tokens of this process."""

    def __init__(self, calls: app_auth.AppCalls, *, clock: Clock | None = None) -> None:
        self._calls = calls
        self._clock = clock or Clock()
        self._kept: cachetools.TLRUCache[Key, Token] = cachetools.TLRUCache(
            _TOKENS_KEPT, ttu=lambda _, token, now: now + token.usable_seconds, timer=self._clock.monotonic
        )
        self._flights: dict[Key, asyncio.Task[Token]] = {}

    async def close(self) -> None:
        """Forget all tokens and stop asking for more."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        self._kept.clear()

    async def get(self, key: Key, *, full_name: str | None = None) -> Token:
        """A token with enough life left. `full_name` is what the caller takes the repository's name to be.

        Who waits for the same token waits for one request; a caller that is cancelled does not end it for the others.

        :raises errors.NotReachable: if the installation or, in it, the repository is not there.
        :raises errors.Suspended: if the installation is suspended.
        :raises errors.Forbidden: if the installation did not accept a permission; the text says which.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        kept = self._kept.get(key)
        if kept is not None and not self._is_doubted(kept, full_name):
            return kept
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._fetch(key), name=f"token for {_subject(key)}")
            self._flights[key] = flight
            flight.add_done_callback(functools.partial(self._landed, key))
        return await asyncio.shield(flight)

    def forget(self, *, installation_id: int, repository_id: int | None = None) -> None:
        """Forget the tokens of an installation, or of one repository in it: what they may, and its name, changed."""
        for key in list(self._kept):
            if key.installation_id == installation_id and repository_id in {None, key.repository_id}:
                del self._kept[key]

    def drop(self, key: Key, token: Token) -> None:
        """Forget a token that GitHub refused, unless a newer one took its place already."""
        if self._kept.get(key) is token:
            del self._kept[key]

    def _is_doubted(self, token: Token, full_name: str | None) -> bool:
        # Renamed since, perhaps with another repository under the old name: the id decides, so ask by it.
        if token.full_name is None or full_name is None or token.full_name.lower() == full_name.lower():
            return False
        return self._clock.monotonic() - token.fetched_at_seconds > _NAME_DOUBTED_SECONDS

    def _landed(self, key: Key, flight: asyncio.Task[Token]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled():
            # Looked at here, because every caller may have gone away.
            flight.exception()

    async def _fetch(self, key: Key) -> Token:
        path = urls.path("app", "installations", key.installation_id, "access_tokens")
        wanted = PERMISSIONS[key.purpose]
        body: dict[str, object] = {"permissions": dict(wanted)} if wanted else {}
        if key.repository_id is not None:
            body["repository_ids"] = [key.repository_id]
        try:
            granted = await self._calls.call("POST", path, _Granted, body=body)
        except errors.Invalid as error:
            if "permissions requested are not granted" not in str(error):
                raise
            raise await self._not_granted(key) from None
        token = self._checked(key, granted)
        await failpoint.pause("token.mid_refresh")
        self._kept[key] = token
        return token

    def _checked(self, key: Key, granted: _Granted) -> Token:
        if not _VISIBLE.match(granted.token):
            raise errors.GitHubUnavailable("GitHub answered a request for a token with something that is none.")
        full_name = node_id = None
        if key.repository_id is not None and granted.repositories is not None:
            found = [one for one in granted.repositories if one.id == key.repository_id]
            if not found:
                raise errors.NotReachable(
                    f"The token of installation {key.installation_id} is not for repository {key.repository_id}."
                )
            full_name, node_id = urls.checked_full_name(found[0].full_name), found[0].node_id
        expires_at = granted.expires_at if granted.expires_at.tzinfo else granted.expires_at.replace(tzinfo=UTC)
        return Token(
            value=granted.token,
            full_name=full_name,
            node_id=node_id,
            fetched_at_seconds=self._clock.monotonic(),
            usable_seconds=usable_seconds((expires_at - self._calls.github_now()).total_seconds()),
        )

    async def _not_granted(self, key: Key) -> errors.Forbidden:
        wanted = PERMISSIONS[key.purpose]
        try:
            path = urls.path("app", "installations", key.installation_id)
            has = (await self._calls.call("GET", path, _Installation)).permissions
        except errors.GitHubError:
            has = {}
        missing = [f"{name}: {level}" for name, level in wanted.items() if not _covers(has.get(name), level)]
        listed = ", ".join(missing or [f"{name}: {level}" for name, level in wanted.items()])
        return errors.Forbidden(
            f"Installation {key.installation_id} has not accepted what the App needs ({listed}). Give the App these "
            "permissions on its settings page; an owner then accepts them in the settings of the installation.",
            status=422,
        )


def usable_seconds(life_seconds: float) -> float:
    """For how long a token with so much life may be given away: with a reserve, or half of a life that is short."""
    return min(MAX_AGE_SECONDS, max(life_seconds - _RESERVE_SECONDS, life_seconds / 2, 0.0))


def _subject(key: Key) -> str:
    return f"installation {key.installation_id}" if key.repository_id is None else f"repository {key.repository_id}"


def _covers(has: str | None, needs: str) -> bool:
    return has in {"write", "admin"} or has == needs
