"""The composition root: builds the objects from the settings, starts the loops, and stops them in order.

The front (door, inbox, pages) lives as long as the process. The work behind it (dispatcher, scheduler, reporter) needs
the App's credentials: it starts when they are there, and anew when they change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from urllib.parse import quote

import msgspec
from aiohttp import web

import bot
from bot import entrance, errors, identity, measuring, onboarding, policy, setup, telemetry, tracing, visitors, wishes
from bot import web as pages
from bot.choices import Access
from bot.events import retrying
from bot.github import urls
from bot.listener import Listener, raise_files
from bot.logs import Storage
from bot.model import build, delivery
from bot.pipelines import parse
from bot.plugins import loading
from bot.replica import Replica
from bot.settings import Settings, load, load_policy
from bot.store import Store, pauses
from bot.webhooks import door, doorway, hooks, inbox
from bot.work import Work

#: How often committed pages are moved into the database file, out of the way of the answers.
CHECKPOINT_SECONDS = 1.0
#: How often a database that is away is looked for at the start.
OPEN_PAUSE_SECONDS = 1.0
_log = telemetry.log("app")


class Service:
    """One running service: `async with Service(settings) as service: await service.run()`."""

    def __init__(self, settings: Settings, *, reread: Callable[[], Settings] = load) -> None:
        """
        :param reread: gives the settings as they are then, once the set-up has written some.
        :raises errors.SettingsError: if the database's URL, the policy file or a handler cannot be used.
        """
        self._settings = settings
        self._reread = reread
        self._policy: policy.Policy = load_policy(settings)
        self._handlers = loading.load(settings.handler_names)
        self._new_id = identity.Ids()
        self._metrics = telemetry.Metrics()
        self._metrics.build_info.labels(bot.__version__).set(1)
        self._store = Store(
            settings.effective_database_url,
            on_done=lambda kind, seconds: self._metrics.transaction_seconds.labels(kind).observe(seconds),
        )
        self._replica = Replica(self._store, data_dir=settings.data_dir, new_id=self._new_id)
        self._storage = Storage(settings.data_dir, url=settings.storage_url, account=settings.storage_account)
        self._inbox = inbox.Inbox(self._store, metrics=self._metrics, on_stored=self._take_stored)
        self._entrance = entrance.Entrance(
            settings,
            self._store,
            metrics=self._metrics,
            rules=lambda: self._policy,
            new_id=self._new_id,
            now=self._replica.now,
        )
        self._measuring = measuring.Measuring(
            self._store, metrics=self._metrics, taking=self._inbox, data_dir=settings.data_dir, now=self._replica.now
        )
        self._watchdog = measuring.Watchdog(self._metrics)
        self._visitors = visitors.Visitors(lambda: self._settings.trusted_networks)
        self._exporter = tracing.exporter(settings.collectors, metrics=self._metrics)
        #: What sets the service up; None where it has its App.
        self.setting_up = None if settings.has_credentials else self._make_setting_up(settings)
        self._work: Work | None = None
        #: What takes the place of `_work` when the settings have changed.
        self._next_work: Work | None = None
        self._stack = contextlib.AsyncExitStack()
        self._readiness = pages.Readiness(
            {
                "database": pages.store_check(self._store),
                "inbox": self._look_at_inbox,
                "credentials": self._look_at_credentials,
            },
            note=self._look_at_pause,
            about_proxies=self._visitors.why_unlisted,
        )
        self._listener: Listener | None = None
        self._is_open = False
        #: Why the database could not be opened when that was last said.
        self._away: str | None = None
        self._settings_changed = asyncio.Event()
        self._preparing: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        """Where this service is reached on this machine."""
        assert self._listener is not None, "the service is not open"
        host = self._settings.host
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{shown}:{self._listener.port}"

    @property
    def setup_link(self) -> str | None:
        """Where whoever started this service sets it up, with the token; None where it had its App."""
        return None if self.setting_up is None else self.url + pages.setup_link(self.setting_up)

    async def __aenter__(self) -> Service:
        """Open the database, take up what was left, and listen.

        A server's database that is away is waited for by `run`: until it is there, the door answers 503 and `/readyz`
        says why.

        :raises errors.SettingsError: if a setting cannot be used.
        :raises errors.StoreUnavailable: if the database cannot be opened.
        """
        urls.derive(self._settings.github_api_url, github_url=self._settings.github_url)
        try:
            if self.setting_up is not None:
                self._stack.push_async_callback(self.setting_up.close)
            folder = self._settings.data_dir
            # Two services on one SQLite file would each think the other's work was left over.
            busy = f"another buildhook already serves {folder}"
            self._stack.enter_context(identity.locked(folder / "serve.lock", busy=busy))
            self._stack.push_async_callback(self._store.close)
            self._stack.push_async_callback(self._storage.close)
            if self._exporter is not None:
                self._stack.push_async_callback(asyncio.to_thread, self._exporter.close)
            await self._replica.prepare()
            await self._storage.check()
            await self._entrance.open()
            self._stack.push_async_callback(self._entrance.close)
            self._next_work = self._make_work(self._settings, self._policy, self._handlers)
            await self._open_or_wait()
            application, host, port = self._application(), self._settings.host, self._settings.port
            self._listener = Listener(application, host=host, port=port, besides=lambda: len(self._streams))
            await self._listener.open()
            self._stack.push_async_callback(self._listener.close)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _open_or_wait(self) -> None:
        try:
            await self._open_behind()
        except errors.SchemaNewer:
            raise
        except errors.StoreUnavailable as error:
            if not self._store.is_shared:
                raise
            if self._away != str(error):
                self._away = str(error)
                _log.error("The database is away: it is waited for.", action="wait_for_store", error=self._away)

    async def _open_behind(self) -> None:
        await self._store.open()
        await self._replica.start()
        self._stack.push_async_callback(self._replica.stop)
        await self._inbox.open()
        self._stack.push_async_callback(self._close_work)
        await self._open_work(self._next_work)
        self._is_open = True

    async def __aexit__(self, *_: object) -> None:
        await self.drain()
        await self._stack.aclose()

    async def drain(self) -> None:
        """Take nothing more, and answer what is under way; the loops have to run until it is answered."""
        self._readiness.drain()
        if self._listener is not None:
            await self._listener.close()

    async def broken(self) -> errors.StoreBroken:
        """Wait until the database cannot be trusted any more; gives why."""
        return await asyncio.shield(asyncio.wrap_future(self._store.broken))

    async def answers(self) -> None:
        """Wait until the database answers, be it that it is away: a new start would not bring it back."""
        with contextlib.suppress(errors.StoreUnavailable):
            await pages.store_check(self._store)()

    async def run(self) -> None:
        """Run all loops until cancelled; `drain` comes first, so that no answer is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._inbox.run(), name="inbox")
            group.create_task(self._storage.run(), name="storage")
            group.create_task(self._watchdog.run(), name="watchdog")
            group.create_task(self._run_behind(), name="behind")

    async def _run_behind(self) -> None:
        while not self._is_open:
            await asyncio.sleep(OPEN_PAUSE_SECONDS)
            await self._open_or_wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._measuring.run(is_all=self._exporter is not None), name="measure")
            group.create_task(self._checkpoint(), name="checkpoint")
            group.create_task(self._entrance.run(), name="entrance")
            group.create_task(self._replica.run(), name="replica")
            group.create_task(self._store.listen(self._take_hint), name="hints")
            group.create_task(self._supervise_work(), name="work")

    def reload(self, settings: Settings) -> None:
        """Take new settings. The work starts anew with them; where we listen and keep data stays as it was.

        :raises errors.SettingsError: if one cannot be used; then everything stays as it was.
        """
        kept = ("host", "port", "data_dir", "database_url", "storage_url", "access")
        changed = [name for name in kept if getattr(settings, name) != getattr(self._settings, name)]
        if changed:
            names = ", ".join(f"BUILDHOOK_{name.upper()}" for name in changed)
            _log.warning(f"{names}: this takes effect at the next start.", action="reload_settings")
        rules, handlers = load_policy(settings), loading.load(settings.handler_names)
        taken = msgspec.structs.replace(settings, **{name: getattr(self._settings, name) for name in kept})
        work = self._make_work(taken, rules, handlers)
        self._entrance.take(taken)
        self._next_work, self._settings, self._policy, self._handlers = work, taken, rules, handlers
        self._settings_changed.set()

    async def _take_up(self) -> int | None:
        """Take the settings that the set-up wrote."""
        self.reload(await asyncio.to_thread(self._reread))
        await self._entrance.open()
        return self._settings.app_id

    def _make_setting_up(self, settings: Settings) -> onboarding.SettingUp:
        return onboarding.SettingUp(
            place=urls.derive(settings.github_api_url, github_url=settings.github_url),
            file=settings.data_dir / "settings.env",
            public_url=settings.public_url,
            is_signing_in=settings.access is Access.GITHUB,
            take_up=self._take_up,
            is_set_up=lambda: self._settings.has_credentials,
            metrics=self._metrics,
        )

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=pages.CLIENT_MAX_SIZE_BYTES)
        bodies = doorway.Bodies()
        front = door.Door(
            self._inbox,
            credentials=self._credentials,
            metrics=self._metrics,
            known_events=retrying.KNOWN_EVENTS,
            bodies=bodies,
            on_taken=self.setting_up.hear if self.setting_up is not None else None,
            visitors=self._visitors,
        )
        side = hooks.HookDoor(
            self._inbox,
            sources=lambda: self._policy.sources,
            is_set_up=lambda: self._settings.has_credentials,
            metrics=self._metrics,
            bodies=bodies,
            visitors=self._visitors,
        )
        application.add_routes([*front.routes(), *side.routes()])
        self._streams = pages.add_to(
            application,
            store=self._store,
            logs=self._storage.logs,
            kept=self._storage.artifacts,
            metrics=self._metrics,
            readiness=self._readiness,
            why_wedged=self._watchdog.why_wedged,
            refresh_metrics=self._measuring.look,
            actions=wishes.actions(
                self._store,
                now=self._replica.now,
                new_id=self._new_id,
                wake_dispatcher=self._wake_work,
                wake_scheduler=self._wake_scheduler,
            ),
            way=self._entrance.way,
            engines=lambda: setup.engines(self._settings, self._policy, is_working=self._work is not None),
            setting_up=self.setting_up,
            retention=timedelta(days=self._settings.retention_days),
            visitors=self._visitors,
            max_streams=pages.room(raise_files()),
            most_bytes=lambda: self._policy.quotas.storage_bytes,
        )
        return application

    def _credentials(self) -> door.Credentials | None:
        if not self._settings.has_credentials or self._settings.app_id is None:
            return None
        return door.Credentials(app_id=self._settings.app_id, secrets=self._settings.webhook_secrets)

    def _make_work(self, settings: Settings, rules: policy.Policy, handlers: loading.Handlers) -> Work | None:
        if not settings.has_credentials:
            text = "The App's credentials are not set: deliveries are answered 503 until they are."
            _log.warning(text, action="set_up_mode")
            return None
        return Work(
            settings,
            rules=rules,
            handlers=handlers,
            store=self._store,
            storage=self._storage,
            metrics=self._metrics,
            replica=self._replica,
            new_id=self._new_id,
            details_url=self._details_url,
            decided_url=self._decided_url,
            taking=self._inbox,
            exporter=self._exporter,
        )

    async def _open_work(self, work: Work | None) -> None:
        if work is not None:
            await work.open()
        self._work = work

    async def _close_work(self) -> None:
        if self._work is not None:
            await self._work.close()
            self._work = None
            await self._replica.give_back()

    async def _supervise_work(self) -> None:
        while True:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self._work.run(), name="work") if self._work is not None else None
                await self._settings_changed.wait()
                if task is not None:
                    task.cancel()
            await self._restart_work()

    async def _restart_work(self) -> None:
        await self._close_work()
        # Where the newest is taken and nowhere else: what is asked for earlier or later is not lost.
        self._settings_changed.clear()
        await self._open_work(self._next_work)
        _log.info("The settings were read again.", action="reload_settings")

    def _take_stored(self, stored: Sequence[delivery.VerifiedDelivery]) -> None:
        if self._preparing is None:
            # With the first one, while GitHub is asked for its pipeline file: a start does not wait for that.
            self._preparing = asyncio.get_running_loop().run_in_executor(None, parse.prepare)
        self._entrance.hear(stored)
        self._wake_work()

    def _wake_work(self) -> None:
        if self._work is not None:
            self._work.dispatcher.wake()

    def _wake_scheduler(self) -> None:
        if self._work is not None:
            self._work.scheduler.wake()

    def _take_hint(self, word: str) -> None:
        if self._work is not None:
            self._work.take_hint(word)

    async def _checkpoint(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            try:
                await self._store.checkpoint()
            except errors.StoreUnavailable as error:
                _log.error("The write-ahead log cannot be merged.", action="checkpoint", error=str(error))

    def _details_url(self, kind: str, of_id: str) -> str:
        return f"{self._settings.public_url or self.url}/{kind}/{of_id}"

    def _decided_url(self, made: build.Build) -> str | None:
        # Without a public address nobody on GitHub could follow it; the page of the check says it to whoever is here.
        if self._settings.public_url is None or made.delivery_id is None:
            return None
        return f"{self._settings.public_url}/deliveries/{quote(made.delivery_id, safe='')}"

    async def _look_at_inbox(self) -> str | None:
        return self._inbox.why_full()

    async def _look_at_credentials(self) -> str | None:
        return None if self._work is not None else "the App's credentials are not set"

    async def _look_at_pause(self) -> str | None:
        pause = await self._store.read(pauses.find)
        return None if pause is None else f"paused: {pause.reason}; comparing with GitHub"


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    """A service that runs while the block does."""
    async with Service(settings) as service:
        task = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            await service.drain()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
