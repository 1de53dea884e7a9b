"""GitHub, as one App sees it: the client's one door."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from bot import telemetry
from bot.github import (
    app_auth,
    client,
    contents,
    deliveries,
    installations,
    limits,
    nodes,
    registration,
    repositories,
    tokens,
    urls,
    users,
)
from bot.github.calls import Calls, InstallationCalls
from bot.github.clock import Clock
from bot.github.handler_api import HandlerAPI
from bot.github.repository import Repository
from bot.model import build


class GitHub:
    """One GitHub (github.com or an Enterprise Server) and one App on it.

    Use it as an asynchronous context manager, or call `open` and `close`. No call is made before one is needed.
    """

    def __init__(
        self,
        *,
        api_url: str,
        github_url: str | None = None,
        app_id: int,
        private_key: str,
        metrics: telemetry.Metrics,
        clock: Clock | None = None,
        patience: client.Patience | None = None,
        ledger: limits.Ledger | None = None,
    ) -> None:
        """`private_key` is PEM; `github_url` is where git and the web pages are, when it cannot be derived.

        `ledger` shares what GitHub limits with other processes.

        :raises errors.SettingsError: if a URL or the key is wrong; the text says what to write instead.
        """
        self.urls = urls.derive(api_url, github_url=github_url)
        self.app_id = app_id
        clock = self._clock = clock or Clock()
        auth = app_auth.AppAuth(app_id=app_id, private_key=private_key, clock=clock)
        self._client = client.Client(self.urls, metrics=metrics, clock=clock, patience=patience, ledger=ledger)
        self._app = app_auth.AppCalls(auth, transport=self._client, clock=clock)
        self._tokens = tokens.Tokens(self._app, clock=clock)
        self._files = contents.FileCache()
        self._nodes = nodes.Nodes(clock=clock)

    def __repr__(self) -> str:
        return f"GitHub({self.urls.api!r}, app_id={self.app_id})"

    async def open(self) -> Self:
        """Make ready for calls, in this event loop."""
        await self._client.open()
        return self

    async def close(self) -> None:
        """Close all connections and forget all tokens."""
        await self._tokens.close()
        await self._client.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def repository(self, *, installation_id: int, repository_id: int, full_name: str) -> Repository:
        """A repository through one installation. Costs no call: whether it is ours shows at the first one.

        :raises errors.ShapeUnknown: if the full name is not `owner/name`.
        """
        calls = Calls(
            transport=self._client,
            installation_tokens=self._tokens,
            installation_id=installation_id,
            repository_id=repository_id,
            full_name=full_name,
            known_nodes=self._nodes,
        )
        return Repository(calls, files=self._files, app_id=self.app_id)

    def users(self, *, client_id: str, client_secret: str) -> users.Users:
        """What GitHub says of people who sign in. Costs no call.

        :raises errors.SettingsError: if the client id or its secret cannot be one.
        """
        return users.Users(self._client, client_id=client_id, client_secret=client_secret, clock=self._clock)

    def list_without_graphql(self) -> frozenset[int] | None:
        """The installations where check runs are written one by one for a while; None where it is so for all."""
        return self._nodes.list_away()

    def handler_api(self, *, installation_id: int | None, repository_id: int | None) -> HandlerAPI:
        """gidgethub's client for a user's own handler; see `handler_api.HandlerAPI`. Costs no call.

        :param installation_id: None where the event names none: then each call says so.
        :param repository_id: None for all that the installation gives us.
        """
        return HandlerAPI(
            transport=self._client,
            installation_tokens=self._tokens,
            installation_id=installation_id,
            repository_id=repository_id,
        )

    def forget(self, installation_id: int) -> None:
        """Ask anew what an installation may do at the next call: something happened to it."""
        self._tokens.forget(installation_id=installation_id)

    def git_url(self, full_name: str) -> str:
        """The repository's URL for git, without credentials.

        :raises errors.ShapeUnknown: if the full name is not `owner/name`.
        """
        return self.urls.git_url(full_name)

    @property
    def ahead_seconds(self) -> float:
        """By how much GitHub's clock was ahead of ours at its last answer; negative: behind."""
        return self._client.ahead_seconds

    async def get_app(self) -> registration.App:
        """See `registration.get_app`: the App as it is registered."""
        return await registration.get_app(self._app)

    async def get_hook(self) -> registration.Hook:
        """See `registration.get_hook`: where its webhook leads, and how."""
        return await registration.get_hook(self._app)

    async def get_installation(self, installation_id: int) -> build.Installation:
        """The installation as it is now.

        :raises errors.NotReachable: if it is not one of this App's, or was deleted.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        return await installations.get_installation(self._app, installation_id)

    async def list_installations(self) -> tuple[build.Installation, ...]:
        """See `installations.list_installations`: all of this App's, the suspended ones as well."""
        return await installations.list_installations(self._app)

    async def list_repositories(self, installation_id: int) -> tuple[repositories.RepositoryRef, ...]:
        """See `repositories.list_repositories`: those that the installation gives us."""
        calls = InstallationCalls(
            transport=self._client, installation_tokens=self._tokens, installation_id=installation_id
        )
        return await repositories.list_repositories(calls)

    async def find_repository(self, full_name: str) -> Repository:
        """The repository that has this name now, through the installation that gives it to us: two calls.

        :raises errors.ShapeUnknown: if the full name is not `owner/name`.
        :raises errors.NotReachable: if there is none of this name that we are installed on.
        :raises errors.Suspended: if its installation is suspended.
        :raises errors.GitHubError: for all else that GitHub may answer.
        """
        installation = await installations.get_repository_installation(self._app, full_name)
        calls = InstallationCalls(
            transport=self._client, installation_tokens=self._tokens, installation_id=installation.id
        )
        found = await repositories.get_named(calls, full_name)
        repository = self.repository(installation_id=installation.id, repository_id=found.id, full_name=found.full_name)
        repository.default_branch = found.default_branch
        return repository

    async def list_deliveries(self, *, cursor: str | None = None, per_page: int = 100) -> deliveries.DeliveryPage:
        """See `deliveries.list_deliveries`: attempts to deliver to our webhook, newest first."""
        return await deliveries.list_deliveries(self._app, cursor=cursor, per_page=per_page)

    async def get_delivery(self, delivery_id: int) -> deliveries.FullDelivery:
        """See `deliveries.get_delivery`: an attempt with what it sent."""
        return await deliveries.get_delivery(self._app, delivery_id)

    async def redeliver(self, delivery_id: int) -> None:
        """See `deliveries.redeliver`: have GitHub send that event again.

        :raises errors.Invalid: if it is too old.
        """
        await deliveries.redeliver(self._app, delivery_id)
