"""The whole simulated GitHub behind one address: the world, its REST API, its webhooks, git and pages."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Self

from aiohttp import web

from bot.simulator import control, git, git_http, github, pages, rest, world
from bot.simulator.rest import api


class Simulator(github.GitHub):
    """GitHub for demos, tests and people without an account.

    ```python
    async with Simulator(webhook_url="http://127.0.0.1:8080/webhook", webhook_secret="...") as github:
        repository = await github.create_repository("octo/hello", {".buildhook.yml": "..."})
        sha = await github.push(repository, "main", {"README.md": "Hello\\n"})
        run = await github.wait_for_check(repository, sha, conclusion="success")
    ```
    """

    def __init__(
        self,
        *,
        folder: pathlib.Path | None = None,
        webhook_url: str | None = None,
        webhook_secret: str | None = world.WEBHOOK_WORD,
        host: str = "127.0.0.1",
        port: int = 0,
        app_id: int = 1001,
        private_key: str | None = None,
        permissions: Mapping[str, str] = world.PERMISSIONS,
        events: Iterable[str] = world.EVENTS,
        token_lifetime_seconds: float = 3600.0,
        rate_limit: int = 5000,
    ) -> None:
        """
        :param folder: where the repositories lie; a temporary folder, removed at the end, if not given
        :param webhook_url: where events go; until it is set they are recorded and not sent
        :param private_key: the App's key as PEM; made if not given
        :param permissions: what the App asked for and every installation granted
        :param events: what the App subscribed to
        :param rate_limit: requests that each caller has in an hour
        """
        self._is_temporary = folder is None
        super().__init__(
            folder=folder if folder is not None else pathlib.Path(tempfile.mkdtemp(prefix="simulator-")),
            webhook_url=webhook_url,
            webhook_secret=webhook_secret,
            app_id=app_id,
            private_key=private_key or world.generated_key(),
            permissions=permissions,
            events=events,
            token_lifetime_seconds=token_lifetime_seconds,
            rate_limit=rate_limit,
        )
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        await git.require_version(self.folder)
        application = web.Application(client_max_size=api.LARGEST_BODY_BYTES)
        git_http.GitHttp(self).add_to(application.router)
        api.Api(self, rest.ROUTES).add_to(application.router)
        control.Control(self).add_to(application.router)
        pages.Pages(self, host=self._host).add_to(application.router)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        # Who listens everywhere is reached by this machine's own address.
        reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        host = f"[{reached}]" if ":" in reached else reached
        self.shapes.listen_at(f"http://{host}:{port}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close_queues()
        await self.hooks.close()
        if self._runner is not None:
            await self._runner.cleanup()
        for its_git in self._gits.values():
            await its_git.close()
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    folder: pathlib.Path | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = world.WEBHOOK_WORD,
    app_id: int = 1001,
    private_key: str | None = None,
) -> AsyncIterator[Simulator]:
    """Runs a simulator for a command of the CLI; prints nothing and ends with the block.

    :raises OSError: if the port is taken
    :raises git.GitError: if git is too old
    """
    async with Simulator(
        host=host,
        port=port,
        folder=folder,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        app_id=app_id,
        private_key=private_key,
    ) as its:
        yield its
