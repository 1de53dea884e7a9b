"""The entrance of `ACCESS=github`: what people sign in by, made from the settings; nothing where nobody signs in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from bot import errors, keyring, policy, telemetry
from bot.choices import Access
from bot.github import client, urls
from bot.github.users import Users
from bot.model import delivery
from bot.people.grants import Grants
from bot.people.people import People
from bot.people.rights import Rights
from bot.people.signing_in import SigningIn
from bot.settings import PREFIX, Settings
from bot.store import Store
from bot.web import Entry

#: How often sign-ins that are over are forgotten.
SWEEP_SECONDS = 600.0
#: What tells that somebody may see more or less than before.
_TELLING = frozenset(
    {
        "github_app_authorization",
        "installation",
        "installation_repositories",
        "member",
        "membership",
        "organization",
        "repository",
        "team",
        "team_add",
    }
)
_log = telemetry.log("app")


class Entrance:
    """Who signs in, and with what; `entry` is None where nobody does, or as long as there is no App."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        metrics: telemetry.Metrics,
        rules: Callable[[], policy.Policy],
        new_id: Callable[[], str],
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """:raises errors.SettingsError: if something is missing by which people could sign in."""
        self.entry: Entry | None = None
        #: What becomes `entry`.
        self._next: Entry | None = None
        #: For the pages; None where nobody ever signs in.
        self.way = (lambda: self.entry) if settings.access is Access.GITHUB else None
        self._store = store
        self._metrics = metrics
        self._rules = rules
        self._new_id = new_id
        self._now = now
        self._monotonic = monotonic
        self._client: client.Client | None = None
        self._rights: Rights | None = None
        self._is_made = asyncio.Event()
        self._opening = asyncio.Lock()
        self._is_open = False
        if self.way is not None and not settings.has_credentials:
            # The App that people will sign in by is yet to be registered, on a page for this machine alone.
            _log.warning(f"{PREFIX}ACCESS=github: nobody signs in before the App is set up.", action="set_up_mode")
        self.take(settings)
        self.entry = self._next

    def take(self, settings: Settings) -> None:
        """Let people sign in by what these settings say, where nobody could before; later changes need a new start.

        They can once it is opened.

        :raises errors.SettingsError: if something is missing by which people could sign in.
        """
        if self.way is None or self._is_made.is_set() or not settings.has_credentials:
            return
        public_url = _expect(settings)
        assert settings.client_id is not None
        assert settings.client_secret is not None
        place = urls.derive(settings.github_api_url, github_url=settings.github_url)
        self._client = client.Client(place, metrics=self._metrics)
        users = Users(
            self._client, client_id=settings.client_id, client_secret=settings.client_secret.get_secret_value()
        )
        store, new_id, now = self._store, self._new_id, self._now
        keys = partial(keyring.make, settings, is_shared=store.is_shared)
        grants = Grants(store, users=users, keys=keys, now=now)
        self._rights = Rights(users=users, grants=grants, clock=self._monotonic)
        people = People(
            store,
            grants=grants,
            rights=self._rights,
            operators=lambda: self._rules().access.operators,
            new_id=new_id,
            now=now,
        )
        signing_in = SigningIn(store, users=users, grants=grants, public_url=public_url, new_id=new_id, now=now)
        self._next = Entry(people=people, signing_in=signing_in, public_url=public_url)
        self._is_made.set()

    async def open(self) -> None:
        """Make ready to ask GitHub."""
        async with self._opening:
            if self._client is not None and not self._is_open:
                await self._client.open()
                self._is_open = True
                self.entry = self._next

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()

    async def run(self) -> None:
        """Forget what is over, for ever, once somebody can sign in."""
        if self.way is None:
            return
        await self._is_made.wait()
        await self.open()
        while self.entry is not None:
            try:
                await self.entry.people.sweep()
            except errors.StoreUnavailable as error:
                _log.warning("Sign-ins that are over stay for now.", action="sweep_people", error=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    def hear(self, stored: Collection[delivery.VerifiedDelivery]) -> None:
        """Deliveries came: if one tells of changed rights, GitHub is asked anew before anybody sees anything."""
        if self._rights is not None and any(one.event in _TELLING for one in stored):
            self._rights.forget()


def _expect(settings: Settings) -> str:
    """Where people reach us.

    :raises errors.SettingsError: with what is missing.
    """
    missing = [
        PREFIX + name
        for name, is_given in (
            ("CLIENT_ID", settings.client_id is not None),
            ("CLIENT_SECRET", settings.client_secret is not None),
            ("PUBLIC_URL", settings.public_url is not None),
        )
        if not is_given
    ]
    if missing or settings.public_url is None:
        raise errors.SettingsError(f"{PREFIX}ACCESS=github: set {', '.join(missing)} as well: people sign in by it.")
    parts = urlsplit(settings.public_url)
    if parts.path not in ("", "/"):
        raise errors.SettingsError(
            f"{PREFIX}PUBLIC_URL: with ACCESS=github it has no path: the cookie of a sign-in is for the whole host."
        )
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not is_here:
        raise errors.SettingsError(
            f"{PREFIX}PUBLIC_URL: with ACCESS=github it is https: what people sign in with would go over the network"
            " for everybody to read."
        )
    return settings.public_url
