"""gidgethub's client for users' own handlers, over our transport: its limits and tokens, GitHub's API and nothing else.

https://gidgethub.readthedocs.io/en/latest/abc.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from gidgethub import abc
from yarl import URL

from bot import errors
from bot.github import classify, client, tokens

T = TypeVar("T")

_BEARER = frozenset({"bearer", "token"})


class HandlerAPI(abc.GitHubAPI):
    """A `gidgethub.abc.GitHubAPI` for one delivery. Made in the service's event loop, it may be used in any other.

    A wait that GitHub asks for is an `errors.RateLimited`, not gidgethub's: the handler is run again after it.
    """

    def __init__(
        self,
        *,
        transport: client.Client,
        installation_tokens: tokens.Tokens,
        installation_id: int | None,
        repository_id: int | None,
    ) -> None:
        super().__init__(client.USER_AGENT, base_url=transport.urls.api)
        self._transport = transport
        self._tokens = installation_tokens
        self._installation_id = installation_id
        self._repository_id = repository_id
        self._home = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return f"HandlerAPI(installation_id={self._installation_id}, repository_id={self._repository_id})"

    async def sleep(self, seconds: float) -> None:
        """Wait in the caller's loop."""
        await asyncio.sleep(seconds)

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Make a request in the service's own loop, where the connections are.

        :raises errors.Invalid: if the URL is not one of GitHub's API: no token goes there.
        :raises errors.NotReachable: if there is no installation, or it does not give us the repository.
        :raises errors.GitHubError: if GitHub cannot be asked now.
        """
        answer = await self._at_home(self._ask(method, self._path(url), headers, body))
        return answer.status, answer.headers, answer.body

    def _path(self, url: str) -> str:
        api = self._transport.urls.api
        try:
            target = URL(url, encoded=True)
            is_ours = target.origin() == URL(api).origin() and target.user is None and target.password is None
        except ValueError:
            is_ours = False
        # A step upwards would lead out of the API; its own paths have none.
        if not is_ours or not url.startswith(f"{api}/") or ".." in URL(url, encoded=True).raw_path.split("/"):
            raise errors.Invalid(f"A handler asked for something that is not below {api}: no token goes there.")
        return url.removeprefix(api).partition("#")[0]

    async def _at_home(self, work: Coroutine[Any, Any, T]) -> T:
        if asyncio.get_running_loop() is self._home:
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._home))

    async def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> classify.Answer:
        given = {name.lower(): value for name, value in headers.items()}
        kind, _, own = given.get("authorization", "").partition(" ")
        if own and kind.lower() in _BEARER:
            # One that the handler brought itself; what it spends is not the installation's.
            return await self._transport.ask(self._call(method, path, given, body, own, account="a handler's own"))
        if self._installation_id is None:
            raise errors.NotReachable("The delivery names no installation of the App, so there is no token for it.")
        key = tokens.Key(
            installation_id=self._installation_id, repository_id=self._repository_id, purpose=tokens.Purpose.HANDLER
        )
        account = f"installation {self._installation_id}"
        token = await self._tokens.get(key)
        answer = await self._transport.ask(self._call(method, path, given, body, token.value, account=account))
        if answer.status != 401:
            return answer
        # Refused before anything was done, so this holds for writes as well.
        self._tokens.drop(key, token)
        token = await self._tokens.get(key)
        return await self._transport.ask(self._call(method, path, given, body, token.value, account=account))

    def _call(
        self, method: str, path: str, given: Mapping[str, str], body: bytes, credential: str, *, account: str
    ) -> client.Call:
        return client.Call(
            method=method,
            path=path,
            credential=credential,
            account=account,
            # By the credential as well: what one may see is not shown to another.
            scope=f"{account}/{self._repository_id}/{tokens.Purpose.HANDLER}/{hash(credential)}",
            content=body or None,
            content_type=given.get("content-type", "application/json"),
            accept=given.get("accept", client.JSON),
        )
