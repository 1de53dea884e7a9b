"""Sets the service up: registers the App with whoever claims the right to, keeps what GitHub gives, and tries it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bot import errors, telemetry
from bot.github import GitHub, client, needs, registration, urls
from bot.onboarding import env_file, manifest, proving
from bot.onboarding.claim import Claim
from bot.onboarding.wish import Existing, Wish

_PREFIX = "BUILDHOOK_"
_log = telemetry.log("onboarding")


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser sends to GitHub."""

    #: Where to.
    url: str
    manifest: str
    wish: Wish


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was set up."""

    app: registration.App
    #: Where the App is installed on repositories; None where GitHub did not say where its page is.
    install_url: str | None
    webhook_url: str | None
    #: What an App that was there before has to be given still.
    lacking: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
    app_id: int
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    client_id: str | None
    client_secret: str | None = field(repr=False)
    public_url: str | None

    def values(self) -> Mapping[str, str]:
        """As settings; what is not given is left as it is."""
        given = {
            "APP_ID": str(self.app_id),
            "PRIVATE_KEY": self.private_key,
            "WEBHOOK_SECRET": self.webhook_secret,
            "CLIENT_ID": self.client_id,
            "CLIENT_SECRET": self.client_secret,
            "PUBLIC_URL": self.public_url,
        }
        return {_PREFIX + name: value for name, value in given.items() if value is not None}


class SettingUp:
    """One set-up of one service.

    :param file: where the settings are written.
    :param take_up: makes the service read its settings again; gives the id of the App that it is now.
    :param is_set_up: whether the service has an App, however it got one.
    """

    def __init__(
        self,
        *,
        place: urls.Urls,
        file: Path,
        public_url: str | None,
        is_signing_in: bool,
        take_up: Callable[[], Awaitable[int | None]],
        is_set_up: Callable[[], bool],
        metrics: telemetry.Metrics,
        patience_seconds: float = proving.PATIENCE_SECONDS,
    ) -> None:
        """:param is_signing_in: whether people sign in from then on."""
        self.claim = Claim()
        self.place = place
        self.file = file
        self.public_url = public_url
        self.is_signing_in = is_signing_in
        #: Set once the App is there and its webhook was proved, and whoever set it up has been told.
        self.is_told = asyncio.Event()
        self.done: Done | None = None
        #: Where a relay takes what GitHub sends, if one leads here.
        self.relay_url: str | None = None
        self._take_up = take_up
        self._is_set_up = is_set_up
        self._metrics = metrics
        self._patience_seconds = patience_seconds
        self._pings = proving.Pings()
        self._credentials: _Credentials | None = None
        self._verdict: asyncio.Task[proving.Verdict] | None = None
        self._finishing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether there is something to set up still."""
        return self.done is None and not self._is_set_up()

    @property
    def is_public(self) -> bool:
        """Whether GitHub is github.com, which reaches only what everybody reaches."""
        return self.place.web == "https://github.com"

    def hear(self, event: str) -> None:
        """A delivery of this event was taken at our door."""
        self._pings.hear(event)

    async def begin(self, wish: Wish, *, back: str) -> Sent:
        """Make a manifest for GitHub.

        :param back: where the browser comes back to.
        :raises errors.SettingsError: if what GitHub gives could not be kept.
        """
        # Found out now: GitHub gives a key once.
        await asyncio.to_thread(env_file.write, self.file, {})
        state = self.claim.begin(wish)
        return Sent(
            url=manifest.target(self.place.web, wish, state=state), manifest=manifest.text(wish, back=back), wish=wish
        )

    async def finish(self, *, code: str, state: str) -> None:
        """Take the App that was registered.

        :raises errors.SetUpRefused: if nobody went to GitHub with this state, or too long ago.
        :raises errors.Conflict: if another has set the service up meanwhile.
        :raises errors.GitHubError: if GitHub does not give the App.
        :raises errors.SettingsError: if it cannot be kept, or does not become the service's.
        """
        await _apart(self._finish(code, state))

    async def _finish(self, code: str, state: str) -> None:
        async with self._finishing:
            wish = self.claim.finish(state)
            if wish is None:
                raise errors.SetUpRefused(
                    "This registration did not begin here, or took longer than an hour. Begin it again."
                )
            self._refuse_second()
            made = await self._convert(code, state, wish)
            _log.info("The App is registered.", action="register_app", app_id=made.app.id, slug=made.app.slug)
            credentials = _Credentials(
                app_id=made.app.id,
                private_key=made.private_key,
                webhook_secret=made.webhook_secret,
                client_id=made.client_id,
                client_secret=made.client_secret,
                public_url=wish.public_url,
            )
            await self._keep(credentials, self._of(made.app, webhook_url=wish.webhook_url))

    async def take(self, existing: Existing) -> None:
        """Take an App that is registered already.

        :raises errors.Conflict: if another has set the service up meanwhile.
        :raises errors.GitHubError: if GitHub does not know it, or says that the key is not its own.
        :raises errors.SettingsError: if the key is none; if it cannot be kept, or does not become the service's.
        """
        await _apart(self._take(existing))

    async def _take(self, existing: Existing) -> None:
        async with self._finishing:
            self._refuse_second()
            credentials = _Credentials(
                app_id=existing.app_id,
                private_key=existing.private_key,
                webhook_secret=existing.webhook_secret,
                client_id=existing.client_id,
                client_secret=existing.client_secret,
                public_url=existing.public_url,
            )
            async with self._github(credentials) as github:
                app, hook = await github.get_app(), await github.get_hook()
            await self._keep(credentials, self._of(app, webhook_url=hook.url))

    async def verdict(self) -> proving.Verdict:
        """What the self-test says; it takes a moment the first time."""
        assert self._verdict is not None, "nothing is set up"
        return await asyncio.shield(self._verdict)

    def try_again(self) -> None:
        """Make the self-test anew, unless it is under way."""
        if self._credentials is not None and (self._verdict is None or self._verdict.done()):
            self._verdict = asyncio.create_task(self._prove(self._credentials), name="self-test")

    async def close(self) -> None:
        """End a self-test that is under way."""
        if self._verdict is not None:
            self._verdict.cancel()
            await asyncio.wait({self._verdict})

    def _refuse_second(self) -> None:
        if not self.is_open:
            raise errors.Conflict("This service is set up already: nothing was changed.")

    def _of(self, app: registration.App, *, webhook_url: str | None) -> Done:
        # An address of GitHub's own, or none: it becomes a link.
        is_own = app.html_url.startswith(f"{self.place.web}/")
        return Done(
            app=app,
            install_url=f"{app.html_url}/installations/new" if is_own else None,
            webhook_url=webhook_url,
            lacking=needs.lacking(app.permissions),
            unheard=needs.unheard(app.events),
        )

    async def _convert(self, code: str, state: str, wish: Wish) -> registration.Registered:
        transport = client.Client(self.place, metrics=self._metrics)
        await transport.open()
        try:
            return await registration.convert(transport, code)
        except errors.AnswerLost as error:
            raise errors.AnswerLost(
                f"{error} The App may be registered, and its key did not come: delete it on GitHub and begin again, or "
                "generate a key on its settings page and take it as an App that is there already."
            ) from None
        except (errors.GitHubUnavailable, errors.RateLimited) as error:
            # The code is as good as before.
            self.claim.give_back(wish, state)
            raise errors.GitHubUnavailable(f"{error} Load this page again in a moment.") from None
        except errors.NotReachable as error:
            raise errors.NotReachable(
                f"GitHub does not take the code that the App {wish.name} was registered with: {error} It is good once, "
                "for an hour. Delete that App on GitHub and begin again.",
                status=error.status,
            ) from None
        finally:
            await transport.close()

    async def _keep(self, credentials: _Credentials, done: Done) -> None:
        try:
            await asyncio.to_thread(env_file.write, self.file, credentials.values())
        except errors.SettingsError as error:
            raise errors.SettingsError(
                f"{error} The App {done.app.slug} is there on GitHub: mend this, generate a private key on its "
                "settings page, and take it as an App that is there already."
            ) from None
        try:
            taken = await self._take_up()
        except errors.SettingsError as error:
            raise errors.SettingsError(
                f"{self.file} is written, and the service cannot take it up: {error} Mend that, then start it again."
            ) from None
        if taken != credentials.app_id:
            raise errors.SettingsError(
                f"{self.file} is written, and something stands before it: take BUILDHOOK_APP_ID, BUILDHOOK_PRIVATE_KEY "
                "and BUILDHOOK_WEBHOOK_SECRET out of the environment and out of `.env`, then start the service again."
            )
        self._credentials, self.done = credentials, done
        _log.info("The service is set up.", action="set_up", app_id=taken)
        self.try_again()

    def _github(self, credentials: _Credentials) -> GitHub:
        return GitHub(
            api_url=self.place.api,
            github_url=self.place.web,
            app_id=credentials.app_id,
            private_key=credentials.private_key,
            metrics=self._metrics,
        )

    async def _prove(self, credentials: _Credentials) -> proving.Verdict:
        assert self.done is not None
        async with self._github(credentials) as github:
            found = await proving.prove(
                github,
                self._pings,
                webhook_url=self.done.webhook_url,
                patience_seconds=self._patience_seconds,
            )
        _log.info(found.text, action="self_test", is_proved=found.is_proved)
        return found


async def _apart(work: Coroutine[None, None, None]) -> None:
    """Do it to its end, though the browser that asked for it goes away: GitHub gives a key once."""
    await asyncio.shield(asyncio.create_task(work))
