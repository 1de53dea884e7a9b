"""Calls about one repository, with a token for it alone, or about an installation, with a token that can only list.

A token that ended early is renewed once on the way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from bot import errors
from bot.github import classify, client, nodes, pages, tokens, urls

T = TypeVar("T")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a repository."""

    method: str = "GET"
    #: The path's parts below `/repos/{owner}/{name}`; none for the repository itself.
    parts: tuple[str | int, ...]
    query: Mapping[str, str | int] | None = None
    body: object = None
    accept: str = client.JSON
    max_bytes: int = client.MAX_ANSWER_BYTES
    #: What the token for it is for.
    purpose: tokens.Purpose = tokens.Purpose.REPORT


class Calls:
    """Calls about one repository through one installation."""

    def __init__(
        self,
        *,
        transport: client.Client,
        installation_tokens: tokens.Tokens,
        installation_id: int,
        repository_id: int,
        full_name: str,
        known_nodes: nodes.Nodes | None = None,
    ) -> None:
        """:raises errors.ShapeUnknown: if the full name is not `owner/name`."""
        self.installation_id = installation_id
        self.repository_id = repository_id
        self.full_name = urls.checked_full_name(full_name)
        self.nodes = known_nodes or nodes.Nodes()
        self._transport = transport
        self._tokens = installation_tokens

    async def call(self, ask: Ask, shape: type[T]) -> T:
        """The answer as a value of this shape.

        :raises errors.AnswerLost: if a write was sent and what came back does not tell what became of it.
        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        return await self._with_token(ask, lambda token: self._transport.call(self._made(ask, token), shape))

    async def fetch(self, ask: Ask) -> classify.Answer:
        """The answer as it came, a success.

        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        return await self._with_token(ask, lambda token: self._transport.fetch(self._made(ask, token)))

    async def mutate(self, query: str, variables: Callable[[str], Mapping[str, object]]) -> classify.Answer:
        """Send one request to GraphQL; its answer, of which some may not have been done.

        :param query: its text, which holds nothing of anybody's.
        :param variables: makes what comes with it, of GraphQL's id of the repository.
        :raises errors.GraphQLAway: if GraphQL did not take it, which says nothing of REST.
        :raises errors.AnswerLost: if any of it may have been done.
        :raises errors.GitHubError: if nothing of it was; the class says why.
        """

        async def send(token: tokens.Token) -> classify.Answer:
            if token.node_id is None:
                raise errors.GraphQLAway(f"GitHub does not tell GraphQL's id of {self.full_name}.")
            body = {"query": query, "variables": variables(token.node_id)}
            return await self._transport.fetch(self._made_graphql(body, token))

        return await _renewing(self._tokens, self._key(tokens.Purpose.REPORT), send, full_name=self.full_name)

    async def walk(self, ask: Ask, read: Callable[[classify.Answer], Sequence[T]], *, most_pages: int) -> list[T]:
        """See `pages.walk`: the entries of all pages of what is asked.

        :raises errors.GitHubError: if GitHub does not say; the class says why.
        """
        return await pages.walk(
            lambda page: self.fetch(replace(ask, query={**(ask.query or {}), **page})),
            read,
            most_pages=most_pages,
            what=f"{'/'.join(map(str, ask.parts))} of {self.full_name}",
        )

    async def prove(self, purpose: tokens.Purpose = tokens.Purpose.REPORT) -> None:
        """Do nothing where this installation gives a token for this repository.

        :raises errors.GitHubError: if it does not; the class says why.
        """
        await self._token(self._key(purpose))

    async def get_name(self) -> str:
        """The repository's name by its id, as GitHub said with the token; the one that was given where it did not.

        :raises errors.GitHubError: if the installation gives no token for it; the class says why.
        """
        return (await self._token(self._key(tokens.Purpose.REPORT))).full_name or self.full_name

    def forget(self) -> None:
        """Forget the tokens for this repository."""
        self._tokens.forget(installation_id=self.installation_id, repository_id=self.repository_id)

    async def git_token(self) -> str:
        """A token that can only read this repository's code, with at least ten minutes left.

        :raises errors.GitHubError: if the installation gives none; the class says why.
        """
        return (await self._token(self._key(tokens.Purpose.GIT))).value

    async def _with_token(self, ask: Ask, send: Callable[[tokens.Token], Awaitable[T]]) -> T:
        return await _renewing(self._tokens, self._key(ask.purpose), send, full_name=self.full_name)

    async def _token(self, key: tokens.Key) -> tokens.Token:
        return await self._tokens.get(key, full_name=self.full_name)

    def _key(self, purpose: tokens.Purpose) -> tokens.Key:
        return tokens.Key(installation_id=self.installation_id, repository_id=self.repository_id, purpose=purpose)

    def _made(self, ask: Ask, token: tokens.Token) -> client.Call:
        # The name by the repository's id beats the one of a payload, which may be old or belong to another by now.
        owner, _, name = (token.full_name or self.full_name).partition("/")
        return client.Call(
            method=ask.method,
            path=urls.path("repos", owner, name, *ask.parts, query=ask.query),
            credential=token.value,
            account=f"installation {self.installation_id}",
            scope=f"{self.installation_id}/{self.repository_id}/{ask.purpose}",
            body=ask.body,
            accept=ask.accept,
            max_bytes=ask.max_bytes,
        )

    def _made_graphql(self, body: object, token: tokens.Token) -> client.Call:
        return client.Call(
            method="POST",
            path="/graphql",
            credential=token.value,
            account=f"installation {self.installation_id}",
            scope=f"{self.installation_id}/{self.repository_id}/{tokens.Purpose.REPORT}",
            body=body,
            is_graphql=True,
        )


class InstallationCalls:
    """Calls about one installation as a whole."""

    def __init__(self, *, transport: client.Client, installation_tokens: tokens.Tokens, installation_id: int) -> None:
        self.installation_id = installation_id
        self._transport = transport
        self._tokens = installation_tokens

    async def fetch(self, path: str) -> classify.Answer:
        """The answer to a question, as it came, a success. `path` is from `urls.path`.

        :raises errors.GitHubError: if GitHub did not answer it; the class says why.
        """
        key = tokens.Key(installation_id=self.installation_id, repository_id=None, purpose=tokens.Purpose.LIST)
        return await _renewing(self._tokens, key, lambda token: self._transport.fetch(self._made(path, token)))

    def _made(self, path: str, token: tokens.Token) -> client.Call:
        return client.Call(
            method="GET",
            path=path,
            credential=token.value,
            account=f"installation {self.installation_id}",
            scope=f"{self.installation_id}/{tokens.Purpose.LIST}",
        )


async def _renewing(
    kept: tokens.Tokens,
    key: tokens.Key,
    send: Callable[[tokens.Token], Awaitable[T]],
    *,
    full_name: str | None = None,
) -> T:
    token = await kept.get(key, full_name=full_name)
    try:
        return await send(token)
    except errors.Unauthorized:
        # Refused before anything was done, so this holds for writes as well.
        kept.drop(key, token)
    return await send(await kept.get(key, full_name=full_name))
